import Files
import Models

/// Changes to a `config.json`: its text part may be an object of its own.
struct HFConfig {
    private(set) var json: JSON.Object

    init(_ job: ExportJob) {
        json = job.checkpoint.config.objectValue ?? [:]
    }

    subscript(key: String) -> JSON? {
        get { json[key] }
        set { json[key] = newValue }
    }

    /// Changes the part that describes the text model.
    mutating func changeText(_ body: (inout JSON.Object) -> Void) {
        if var text = json["text_config"]?.objectValue {
            body(&text)
            json["text_config"] = .object(text)
        } else {
            body(&json)
        }
    }

    /// Gives the text model the plan's layers: their number, and the type of each where the family has
    /// types.
    mutating func unroll(_ job: ExportJob) {
        // What another export has left would contradict the layers.
        json["etd"] = nil
        json["auto_map"] = nil
        changeText { text in
            let known = ["num_hidden_layers", "n_layer"].filter { text[$0] != nil }
            let fallback =
                job.configuration.architecture == "gpt2" ? "n_layer" : "num_hidden_layers"
            for field in known.isEmpty ? [fallback] : known {
                text[field] = .number(job.executed)
            }
            let steps = job.plan.steps.map(\.layer)
            if let types = text["layer_types"]?.arrayValue,
                types.count == job.configuration.layerCount
            {
                text["layer_types"] = .array(steps.map { types[$0] })
            } else if !job.isUniform {
                // Without it, a fixed pattern would decide over layers that have moved.
                text["layer_types"] = .array(
                    steps.map {
                        job.configuration.attention[$0].window == nil
                            ? "full_attention" : "sliding_attention"
                    })
            }
        }
    }
}
