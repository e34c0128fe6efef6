import Checkpoints
import Files
import Models

/// An ordinary checkpoint of the same family with N_E + k·N_T + N_D layers: whatever loads the family
/// loads it, and needs to know nothing of splits.
extension ExportFormat {
    static let hfUnrolled = ExportFormat(
        name: "hf-unrolled",
        summary: "a Hugging Face folder of the same family with the think block written k times; "
            + "any engine loads it unchanged (transformers, vLLM, …)",
        makesFolder: true,
        check: { job throws(ExportError) in
            try job.needSafetensors("hf-unrolled")
            var config = HFConfig(job)
            config.unroll(job)
            let read: ModelConfiguration
            do throws(ModelError) {
                read = try job.layers.configuration(
                    config: .object(config.json), tensors: job.unrolledTensors.count)
            } catch { throw .model(error) }
            try job.compare(read, format: "hf-unrolled")
        },
        size: { job throws(ExportError) in job.unrolledTensors.bytes },
        write: { job, path, _, progress throws(ExportError) in
            var config = HFConfig(job)
            config.unroll(job)
            do throws(FileError) {
                try SafetensorsWriter.write(job.unrolledTensors, to: path, progress: progress)
                try Companions.copy(of: job.checkpoint, to: path)
                try AtomicFile.write(.object(config.json), to: Paths.join(path, "config.json"))
                try AtomicFile.write(
                    ModelCard.unrolled(job), to: Paths.join(path, "README.md"))
            } catch { throw .file(error) }
        })
}

extension [WrittenTensor] {
    var bytes: Int { reduce(0) { $0 + $1.source.bytes.count } }
}

extension ExportJob {
    /// - Throws: `ExportError.wrongSource` for a GGUF file.
    func needSafetensors(_ format: String) throws(ExportError) {
        guard checkpoint.format == .safetensors else {
            throw .wrongSource(
                path: checkpoint.path, format: format,
                problem: "it is a GGUF file, and its blocks have no place in safetensors; use "
                    + "--format gguf-unrolled, or the Hugging Face folder that it was made from")
        }
    }
}
