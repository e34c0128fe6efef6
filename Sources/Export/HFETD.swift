import Checkpoints
import Files
import Foundation
import Models

/// One copy of the weights and a `modeling_etd.py` that runs the think block k times, k chosen when it
/// runs. A router in the checkpoint stays.
extension ExportFormat {
    static let hfETD = ExportFormat(
        name: "hf-etd",
        summary: "a Hugging Face folder with the weights once and a modeling_etd.py "
            + "(trust_remote_code) that loops them, k at run time; for transformers 4.57 and 5",
        makesFolder: true,
        check: { job throws(ExportError) in
            try job.needSafetensors("hf-etd")
            _ = try job.etdSection("hf-etd")
            guard !job.layers.isWrapped else {
                throw .wrongSource(
                    path: job.checkpoint.path, format: "hf-etd",
                    problem:
                        "its text model is a part of a vision-language model; save the text model "
                        + "alone with transformers, or use --format hf-unrolled")
            }
        },
        size: { job throws(ExportError) in job.storedTensors.bytes },
        write: { job, path, _, progress throws(ExportError) in
            var config = HFConfig(job)
            config["architectures"] = ["ETDForCausalLM"]
            config["auto_map"] = [
                "AutoConfig": "modeling_etd.ETDConfig",
                "AutoModelForCausalLM": "modeling_etd.ETDForCausalLM",
            ]
            // A model_type that transformers knows is what lets it, and this package, read the rest.
            config["etd"] = try job.etdSection("hf-etd")
            do throws(FileError) {
                try SafetensorsWriter.write(job.storedTensors, to: path, progress: progress)
                try Companions.copy(of: job.checkpoint, to: path)
                try AtomicFile.write(.object(config.json), to: Paths.join(path, "config.json"))
                try AtomicFile.write(code(job), to: Paths.join(path, "modeling_etd.py"))
                try AtomicFile.write(ModelCard.etd(job), to: Paths.join(path, "README.md"))
            } catch { throw .file(error) }
        })

    /// `modeling_etd.py` on top of the family's own class.
    private static func code(_ job: ExportJob) -> String {
        let template = String(decoding: PackageResources.modeling_etd_py, as: UTF8.self)
        return template.replacingOccurrences(
            of: "LlamaForCausalLM", with: job.layers.transformersClass)
    }
}

extension ExportJob {
    /// The weights as they are, without buffers.
    var storedTensors: [WrittenTensor] {
        checkpoint.tensors.compactMap { name, tensor in
            layers.place(of: name) == .buffer ? nil : WrittenTensor(name: name, source: tensor)
        }
    }
}
