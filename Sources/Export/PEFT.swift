import Checkpoints
import Files
import Models
import Tensors

/// An `adapter_config.json` whose `layer_replication` repeats the think block, beside a LoRA adapter that
/// adds nothing: the base model's weights are shared and stay where they are.
extension ExportFormat {
    static let peft = ExportFormat(
        name: "peft",
        summary: "an adapter folder for PEFT: layer_replication over the base model and an empty "
            + "LoRA adapter, a few kilobytes",
        makesFolder: true,
        check: { job throws(ExportError) in
            try job.needSafetensors("peft")
            func refuse(_ problem: String) -> ExportError {
                .impossible(path: job.checkpoint.path, format: "peft", problem: problem)
            }
            guard job.checkpoint.basePath == nil else {
                throw refuse(
                    "it is an adapter itself, and PEFT puts no adapter on another; use --format "
                        + "hf-unrolled, which merges it")
            }
            switch job.configuration.architecture {
            case "gemma3_text", "olmo3":
                throw refuse(
                    "PEFT repeats the layers but not config.json's layer_types, so this family's "
                        + "sliding and full layers would attend by another layer's type; use "
                        + "--format hf-unrolled or hf-etd")
            case "qwen2", "qwen3":
                throw refuse(
                    "PEFT repeats the layers but not the layer_types that transformers 5 gives this "
                        + "family, and the copies beyond them have none; use --format hf-unrolled or "
                        + "hf-etd")
            case "gpt2", "gpt_neox":
                throw refuse(
                    "PEFT finds layers to repeat only where Llama, BERT and Falcon keep them, and not "
                        + "in this family; use --format hf-unrolled or hf-etd")
            default: break
            }
            guard job.isUniform else {
                throw refuse(
                    "PEFT repeats the layers but not config.json's layer_types, and this model's "
                        + "layers do not attend alike; use --format hf-unrolled or hf-etd")
            }
        },
        size: { _ throws(ExportError) in 0 },
        write: { job, path, _, _ throws(ExportError) in
            let target = job.layers.queryName.split(separator: ".").last.map(String.init) ?? ""
            let config: JSON = [
                "peft_type": "LORA", "task_type": "CAUSAL_LM",
                "base_model_name_or_path": .string(job.checkpoint.path), "r": 1,
                "lora_alpha": 1, "lora_dropout": 0.0, "bias": "none",
                "target_modules": [.string(target)], "inference_mode": true,
                "layer_replication": .array(
                    job.ranges.map { [.number($0.lowerBound), .number($0.upperBound)] }),
            ]
            do throws(FileError) {
                try writeZeros(job, to: Paths.join(path, "adapter_model.safetensors"))
                try AtomicFile.write(config, to: Paths.join(path, "adapter_config.json"))
                try AtomicFile.write(ModelCard.peft(job), to: Paths.join(path, "README.md"))
            } catch { throw .file(error) }
        })

    /// Adapters of rank 1 whose both factors are zero, one for each executed layer: PEFT asks for those
    /// of every layer that its configuration names.
    private static func writeZeros(_ job: ExportJob, to path: String) throws(FileError) {
        let rest = job.layers.queryName
        let stored = job.checkpoint.tensors[job.layers.name(layer: 0, rest: rest + ".weight")]
        let shape = stored?.shape ?? [0, 0]
        let zeros = FloatBuffer(count: max(shape[0], shape[1]))
        zeros.pointer.update(repeating: 0, count: max(shape[0], shape[1]))
        var parts: [TensorArchive.Part] = []
        for step in 0..<job.executed {
            let name = "base_model.model." + job.layers.name(layer: step, rest: rest)
            for (factor, size) in [("A", [1, shape[1]]), ("B", [shape[0], 1])] {
                parts.append(
                    .init(
                        name: "\(name).lora_\(factor).weight", shape: size,
                        values: UnsafePointer(zeros.pointer)))
            }
        }
        try TensorArchive.write(
            parts, metadata: ["format": "pt"], to: Output(path, overwrite: false))
    }
}

extension ExportJob {
    /// The plan as runs of layers in order, `[0, 11), [7, 16)`: for a loop of two passes the second
    /// starts within the first.
    var ranges: [Range<Int>] {
        var ranges: [Range<Int>] = []
        for step in plan.steps {
            if let last = ranges.last, last.upperBound == step.layer {
                ranges[ranges.count - 1] = last.lowerBound..<step.layer + 1
            } else {
                ranges.append(step.layer..<step.layer + 1)
            }
        }
        return ranges
    }
}
