import Checkpoints
import Files

/// Reads a Hugging Face config.json in both of its spellings, transformers 4's and 5's, and notes each
/// default it had to fill in.
public final class ConfigurationReader {
    let path: String
    let json: JSON
    private let tensors: Int
    private(set) var assumptions: [String] = []

    init(checkpoint: Checkpoint) {
        tensors = checkpoint.tensors.count
        path = checkpoint.file(named: "config.json") ?? checkpoint.path
        // A vision-language configuration keeps the text model's in an object of its own.
        if let text = checkpoint.config["text_config"], text.objectValue != nil {
            json = text
        } else {
            json = checkpoint.config
        }
    }

    func error(_ field: String, _ problem: String) -> ModelError {
        .configuration(path: path, field: field, problem: problem)
    }

    func assume(_ text: String) { assumptions.append(text) }

    /// A positive whole number. Without it, `fallback` is assumed and noted; without that, an error.
    func count(_ field: String, default fallback: Int? = nil) throws(ModelError) -> Int {
        guard let value = json[field] else {
            guard let fallback else { throw error(field, "is missing") }
            assume("\(field) is not given: \(fallback), the family's default")
            return fallback
        }
        guard let number = value.intValue, number > 0, number <= 1 << 31 else {
            throw error(field, "expected a positive whole number, found \(value.text(indent: 0))")
        }
        if let problem = LayerLimit.problem(number, field, tensors: tensors) {
            throw error(field, problem)
        }
        return number
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
            guard let name = json[field]?.stringValue else { continue }
            switch name {
            case "silu", "swish": return .silu
            case "gelu_pytorch_tanh", "gelu_new": return .geluTanh
            default: throw error(field, "activation \"\(name)\" is not supported")
            }
        }
        return fallback
    }

    /// Rotary parameters of one layer type.
    ///
    /// transformers 5: `rope_parameters`, flat or with one object per layer type. transformers 4:
    /// `baseField` and `rope_scaling`.
    /// - Parameters:
    ///   - layerType: the key within a nested `rope_parameters`; nil if the family has one type.
    ///   - scales: whether transformers 4's `rope_scaling` concerns this layer type.
    func rotary(
        layerType: String? = nil, baseField: String = "rope_theta", defaultBase: Double,
        dimension: Int, scales: Bool = true
    ) throws(ModelError) -> RotaryParameters {
        guard dimension > 1, dimension % 2 == 0 else {
            throw error(
                "head_dim", "rotary embedding needs an even head dimension, not \(dimension)")
        }
        var parameters = json["rope_parameters"]
        var place = "rope_parameters"
        if let layerType, let nested = parameters?[layerType] {
            parameters = nested
            place += ".\(layerType)"
        } else if let layerType, parameters?["full_attention"] != nil {
            throw error("rope_parameters", "has no entry for \(layerType)")
        }
        var base = parameters?["rope_theta"]
        if parameters == nil {
            base = json[baseField]
            if scales {
                parameters = json["rope_scaling"]
                place = "rope_scaling"
            }
        }
        if base == nil, baseField == "rope_theta" { base = json["rope_theta"] }
        if let base, base.doubleValue.map({ $0 > 0 && $0.isFinite }) != true {
            throw error(baseField, "expected a positive number, found \(base.text(indent: 0))")
        }
        if base == nil {
            let subject = layerType.map { " of \($0)" } ?? ""
            assume("the rotary base\(subject) is not given: \(defaultBase), the family's default")
        }
        return RotaryParameters(
            base: base?.doubleValue ?? defaultBase, dimension: dimension,
            scaling: try scaling(parameters, place))
    }

    private func scaling(
        _ parameters: JSON?, _ place: String
    ) throws(ModelError) -> RotaryParameters.Scaling {
        guard let parameters else { return .none }
        func value(_ key: String) throws(ModelError) -> Double {
            guard let number = parameters[key]?.doubleValue, number > 0, number.isFinite else {
                throw error("\(place).\(key)", "expected a positive number")
            }
            return number
        }
        let type = (parameters["rope_type"] ?? parameters["type"])?.stringValue ?? "default"
        switch type {
        case "default": return .none
        case "linear": return .linear(factor: try value("factor"))
        case "llama3":
            return .llama3(
                factor: try value("factor"), lowFrequencyFactor: try value("low_freq_factor"),
                highFrequencyFactor: try value("high_freq_factor"),
                originalContext: try value("original_max_position_embeddings"))
        default:
            throw error(
                "\(place).rope_type", "\"\(type)\" is not supported (default, linear, llama3 are)")
        }
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
private enum LayerLimit {
    private static let fields: Set<String> = [
        "num_hidden_layers", "n_layer", "n_layers", "num_layers", "block_count",
    ]

    static func problem(_ count: Int, _ field: String, tensors: Int) -> String? {
        guard fields.contains(field), count > tensors else { return nil }
        return "\(count) layers, and the checkpoint holds \(tensors) tensors in all"
    }
}

/// Reads the model's keys of a GGUF file, which stand below the architecture's name.
public final class GGUFConfigurationReader {
    let path: String
    let metadata: GGUFMetadata
    let architecture: String
    let checkpoint: Checkpoint
    private(set) var assumptions: [String] = []

    init(checkpoint: Checkpoint, architecture: String) {
        path = checkpoint.path
        metadata = checkpoint.metadata
        self.architecture = architecture
        self.checkpoint = checkpoint
    }

    func error(_ key: String, _ problem: String) -> ModelError {
        .configuration(path: path, field: key, problem: problem)
    }

    func assume(_ text: String) { assumptions.append(text) }

    func count(_ key: String, default fallback: Int? = nil) throws(ModelError) -> Int {
        let full = "\(architecture).\(key)"
        guard metadata[full] != nil else {
            guard let fallback else { throw error(full, "is missing") }
            return fallback
        }
        guard let value = metadata.int(full), value > 0, value <= 1 << 31 else {
            throw error(full, "expected a positive whole number")
        }
        if let problem = LayerLimit.problem(value, key, tensors: checkpoint.tensors.count) {
            throw error(full, problem)
        }
        return value
    }

    func number(_ key: String, default fallback: Double? = nil) throws(ModelError) -> Double {
        let full = "\(architecture).\(key)"
        guard metadata[full] != nil else {
            guard let fallback else { throw error(full, "is missing") }
            assume("\(full) is not given: \(fallback), the family's default")
            return fallback
        }
        guard let value = metadata.double(full), value > 0, value.isFinite else {
            throw error(full, "expected a positive number")
        }
        return value
    }

    /// The vocabulary's size: rows of the embedding, which the file always holds.
    func vocabularySize() throws(ModelError) -> Int {
        guard let embedding = checkpoint.tensors["token_embd.weight"], embedding.shape.count == 2
        else { throw .missingTensors(path: path, names: ["token_embd.weight"]) }
        return embedding.shape[0]
    }

    func rotary(
        defaultBase: Double, dimension: Int
    ) throws(ModelError) -> RotaryParameters {
        let dimension = try count("rope.dimension_count", default: dimension)
        guard dimension % 2 == 0 else {
            throw error("\(architecture).rope.dimension_count", "must be even, not \(dimension)")
        }
        var scaling = RotaryParameters.Scaling.none
        if let divisors = checkpoint.tensors["rope_freqs.weight"] {
            guard divisors.count == dimension / 2 else {
                throw .wrongShape(
                    path: path, tensor: divisors.name, expected: [dimension / 2],
                    actual: divisors.shape)
            }
            scaling = .divisors(divisors.decoded())
        } else if let type = metadata.string("\(architecture).rope.scaling.type"), type != "none" {
            guard type == "linear" else {
                throw error("\(architecture).rope.scaling.type", "\"\(type)\" is not supported")
            }
            scaling = .linear(factor: try number("rope.scaling.factor"))
        }
        return RotaryParameters(
            base: try number("rope.freq_base", default: defaultBase), dimension: dimension,
            scaling: scaling)
    }
}
