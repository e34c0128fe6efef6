import Checkpoints
import Files
import Models

/// A GGUF file of the same family with N_E + k·N_T + N_D layers: its blocks are copied bit for bit, never
/// quantised again, so llama.cpp and what is built on it run the loop at once.
extension ExportFormat {
    static let ggufUnrolled = ExportFormat(
        name: "gguf-unrolled",
        summary:
            "a GGUF file with the think block written k times, quantised blocks copied bit for "
            + "bit; for llama.cpp and what is built on it",
        makesFolder: false,
        check: { job throws(ExportError) in
            guard job.checkpoint.format == .gguf else {
                throw .wrongSource(
                    path: job.checkpoint.path, format: "gguf-unrolled",
                    problem: "it is no GGUF file; use --format hf-unrolled, and llama.cpp's "
                        + "convert_hf_to_gguf.py on what that writes")
            }
            guard job.executed <= mostLayers else {
                throw .impossible(
                    path: job.checkpoint.path, format: "gguf-unrolled of \(job.notation)",
                    problem:
                        "\(job.executed) layers, and llama.cpp takes \(mostLayers); give fewer "
                        + "--iterations")
            }
            try checkPattern(job)
            let changed = try metadata(of: job)
            let read: ModelConfiguration
            do throws(ModelError) {
                read = try job.layers.configuration(
                    metadata: changed, tensors: job.unrolledTensors.count)
            } catch { throw .model(error) }
            try job.compare(read, format: "gguf-unrolled")
        },
        size: { job throws(ExportError) in job.unrolledTensors.bytes },
        write: { job, path, replacing, progress throws(ExportError) in
            let metadata = try metadata(of: job)
            do throws(FileError) {
                try GGUFWriter.write(
                    job.unrolledTensors, metadata: metadata, to: path, replacing: replacing,
                    progress: progress)
            } catch { throw .file(error) }
        })

    /// llama.cpp's LLAMA_MAX_LAYERS.
    private static let mostLayers = 512

    /// llama.cpp places the sliding layers of Gemma-3 and OLMo-3 by a period alone, whatever array a
    /// file holds.
    private static func checkPattern(_ job: ExportJob) throws(ExportError) {
        guard !job.isUniform else { return }
        let steps = job.plan.steps.map { job.configuration.attention[$0.layer].window == nil }
        if let period = job.period,
            steps.enumerated().allSatisfy({ (($0 + 1) % period == 0) == $1 })
        {
            return
        }
        var problem = "llama.cpp places this family's sliding layers by a fixed period"
        if let period = job.period {
            problem += " of \(period) layers, which the repeated layers would move out of step; a "
            problem += "think block of a multiple of \(period) layers keeps it"
        } else {
            problem += ", which this model's layers do not follow"
        }
        throw .impossible(
            path: job.checkpoint.path, format: "gguf-unrolled of \(job.notation)",
            problem: problem)
    }

    /// The source's metadata in their order, with the plan's layers.
    private static func metadata(of job: ExportJob) throws(ExportError) -> GGUFMetadata {
        var metadata = job.checkpoint.metadata
        let architecture = metadata.string("general.architecture") ?? ""
        let layers = job.configuration.layerCount
        guard metadata.replace("\(architecture).block_count", int: job.executed) else {
            throw .wrongSource(
                path: job.checkpoint.path, format: "gguf-unrolled",
                problem: "\(architecture).block_count is no integer that can be replaced")
        }
        // An array below the architecture with an element for each layer goes with the layers; those
        // of rotary embeddings are by dimension.
        for key in metadata.keys
        where key.hasPrefix("\(architecture).") && !key.hasPrefix("\(architecture).rope.") {
            guard let array = metadata.array(key), array.count == layers else { continue }
            guard metadata.select(key, job.plan.steps.map(\.layer)) else {
                throw .wrongSource(
                    path: job.checkpoint.path, format: "gguf-unrolled",
                    problem: "\(key) is an array by layer of a type that cannot be repeated")
            }
        }
        // No longer true, and cosmetic.
        for key in ["general.size_label", "general.parameter_count"] { metadata.remove(key) }
        // llama.cpp ignores keys that it does not know.
        metadata.set("etd.notation", string: job.notation)
        metadata.set("etd.source_fingerprint", string: job.checkpoint.fingerprint)
        metadata.set("etd.created_by", string: job.createdBy)
        return metadata
    }
}
