import Checkpoints
import Files

/// Reads a Hugging Face config.json in both of its spellings, transformers 4's and 5's, and notes each
/// default it had to fill in.
public final class ConfigurationReader {
    let path: String
    let json: JSON
    /// What stands around the text model's configuration in a vision-language one.
    private let outer: JSON?
    private let tensors: Int
    var assumptions: [String] = []

    /// - Parameters:
    ///   - config: in the place of the checkpoint's.
    ///   - tensors: how many the checkpoint of that configuration holds.
    init(checkpoint: Checkpoint, config: JSON? = nil, tensors: Int? = nil) {
        self.tensors = tensors ?? checkpoint.tensors.count
        path = checkpoint.file(named: "config.json") ?? checkpoint.path
        let config = config ?? checkpoint.config
        // A vision-language configuration keeps the text model's in an object of its own.
        if let text = config["text_config"], text.objectValue != nil {
            json = text
            outer = config
        } else {
            json = config
            outer = nil
        }
    }

    func error(_ field: String, _ problem: String) -> ModelError {
        .configuration(path: path, field: field, problem: problem)
    }

    func assume(_ text: String) {
        if !assumptions.contains(text) { assumptions.append(text) }
    }

    /// A whole number of at least `least`. Without it, `fallback` is assumed and noted; without that,
    /// an error.
    func count(
        _ field: String, default fallback: Int? = nil, least: Int = 1
    ) throws(ModelError) -> Int {
        guard let value = json[field] else {
            guard let fallback else { throw error(field, "is missing") }
            assume("\(field) is not given: \(fallback), the family's default")
            return fallback
        }
        guard let number = value.intValue, number >= least, number <= 1 << 31 else {
            let kind = least > 0 ? "positive whole number" : "whole number from \(least)"
            throw error(field, "expected a \(kind), found \(value.text(indent: 0))")
        }
        if let problem = LayerLimit.problem(number, field, tensors: tensors) {
            throw error(field, problem)
        }
        return number
    }

    /// A number that two fields name, which must not contradict each other.
    func count(
        _ field: String, alias: String, default fallback: Int
    ) throws(ModelError) -> Int {
        guard json[alias] != nil else { return try count(field, default: fallback) }
        let value = try count(alias)
        if json[field] != nil, try count(field) != value {
            throw error(alias, "\(value) contradicts \(field)")
        }
        return value
    }

    /// `tie_word_embeddings`; of a vision-language configuration the outer one, as in transformers.
    func tied(default fallback: Bool) throws(ModelError) -> Bool {
        guard let outer else { return try flag("tie_word_embeddings", default: fallback) }
        guard let value = outer["tie_word_embeddings"] else { return fallback }
        guard let flag = value.boolValue else {
            throw error(
                "tie_word_embeddings", "expected true or false, found \(value.text(indent: 0))")
        }
        return flag
    }

    /// Whether the field is there and null, which for some families is not the same as its absence.
    func isNull(_ field: String) -> Bool {
        json.objectValue?[field] == .null
    }

    func number(_ field: String, default fallback: Double) throws(ModelError) -> Double {
        guard let value = json[field] else {
            assume("\(field) is not given: \(fallback), the family's default")
            return fallback
        }
        guard let number = value.doubleValue, number.isFinite, number > 0 else {
            throw error(field, "expected a positive number, found \(value.text(indent: 0))")
        }
        return number
    }

    func flag(_ field: String, default fallback: Bool) throws(ModelError) -> Bool {
        guard let value = json[field] else { return fallback }
        guard let flag = value.boolValue else {
            throw error(field, "expected true or false, found \(value.text(indent: 0))")
        }
        return flag
    }

    /// Fails when a field asks for something that would change the numbers and is not built.
    func refuse(_ field: String, unless harmless: (JSON) -> Bool = { _ in false })
        throws(ModelError)
    {
        guard let value = json[field], !harmless(value) else { return }
        throw error(field, "\(value.text(indent: 0)) is not supported")
    }

    func activation(
        _ fields: [String], default fallback: ModelConfiguration.Activation
    ) throws(ModelError) -> ModelConfiguration.Activation {
        for field in fields {
            guard let value = json[field] else { continue }
            guard let name = value.stringValue else {
                throw error(field, "expected a name, found \(value.text(indent: 0))")
            }
            switch name {
            case "silu", "swish": return .silu
            case "gelu_pytorch_tanh", "gelu_new", "gelu_fast": return .geluTanh
            case "gelu", "gelu_python": return .gelu
            default: throw error(field, "activation \"\(name)\" is not supported")
            }
        }
        return fallback
    }

    /// Key and value heads: null counts as one for each head, absence as the family's default, which
    /// is one for each head too where `fallback` is nil.
    func keyValueHeads(heads: Int, default fallback: Int? = nil) throws(ModelError) -> Int {
        guard json["num_key_value_heads"] == nil else { return try count("num_key_value_heads") }
        guard let fallback, !isNull("num_key_value_heads") else { return heads }
        return try count("num_key_value_heads", default: fallback)
    }

    /// `head_dim`, or without it `fallback`, or the share of the hidden size.
    func headDimension(hidden: Int, heads: Int, default fallback: Int? = nil) throws(ModelError)
        -> Int
    {
        if json["head_dim"] != nil { return try count("head_dim") }
        if let fallback { return try count("head_dim", default: fallback) }
        guard hidden % heads == 0 else {
            throw error(
                "num_attention_heads",
                "\(heads) does not divide hidden_size \(hidden), and there is no head_dim")
        }
        return hidden / heads
    }

    /// The window of those layers that `sliding` names; nil where there are none.
    func window(sliding: [Bool], default fallback: Int) throws(ModelError) -> Int? {
        guard sliding.contains(true) else { return nil }
        guard !isNull("sliding_window") else {
            throw error("sliding_window", "is null, and there are layers with a sliding window")
        }
        return try count("sliding_window", default: fallback)
    }

    /// For each layer, whether it attends to a sliding window. `layer_types` wins over any pattern.
    func slidingLayers(layers: Int, pattern: (Int) -> Bool) throws(ModelError) -> [Bool] {
        guard let types = json["layer_types"] else { return (0..<layers).map(pattern) }
        let names = (types.arrayValue ?? []).map { $0.stringValue ?? "" }
        guard names.count == layers else {
            throw error("layer_types", "has \(names.count) entries for \(layers) layers")
        }
        var sliding: [Bool] = []
        for name in names {
            switch name {
            case "full_attention": sliding.append(false)
            case "sliding_attention": sliding.append(true)
            default: throw error("layer_types", "layer type \"\(name)\" is not supported")
            }
        }
        return sliding
    }
}

/// Memory is taken for each layer before its weights are looked up, so a number of layers is believed
/// only where the checkpoint holds as many tensors.
enum LayerLimit {
    private static let fields: Set<String> = [
        "num_hidden_layers", "n_layer", "n_layers", "num_layers", "block_count",
    ]

    static func problem(_ count: Int, _ field: String, tensors: Int) -> String? {
        guard fields.contains(field), count > tensors else { return nil }
        return "\(count) layers, and the checkpoint holds \(tensors) tensors in all"
    }
}
