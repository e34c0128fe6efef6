// Rotary embeddings as config.json and GGUF files describe them: their base, how much of a head they
// turn, and how they are scaled to longer texts.

import Checkpoints
import Files
import Foundation

extension ConfigurationReader {
    /// How a family turns only a part of each head.
    struct PartialRotary {
        /// transformers 4's field; transformers 5 has `rope_parameters.partial_rotary_factor`.
        var field: String
        var standard: Double
    }

    /// Rotary parameters of one layer type.
    ///
    /// transformers 5: `rope_parameters`, flat or with one object per layer type. transformers 4:
    /// `baseField` and `rope_scaling`.
    /// - Parameters:
    ///   - layerType: the key within a nested `rope_parameters`; nil if the family has one type.
    ///   - headDimension: of which `partial` says how much turns; all of it when nil.
    ///   - scales: whether transformers 4's `rope_scaling` concerns this layer type.
    ///   - aliases: the family's other names of scaling types.
    func rotary(
        layerType: String? = nil, baseField: String = "rope_theta", defaultBase: Double,
        headDimension: Int, partial: PartialRotary? = nil, scales: Bool = true,
        aliases: [String: String] = [:]
    ) throws(ModelError) -> RotaryParameters {
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
        let dimension = try rotaryDimension(headDimension, partial, parameters)
        var rotary = RotaryParameters(base: base?.doubleValue ?? defaultBase, dimension: dimension)
        if let parameters { try scale(&rotary, parameters, place, aliases) }
        return rotary
    }

    private func rotaryDimension(
        _ headDimension: Int, _ partial: PartialRotary?, _ parameters: JSON?
    ) throws(ModelError) -> Int {
        let key = "partial_rotary_factor"
        let field = partial?.field ?? key
        let given = parameters?[key] ?? json[field]
        if let given, given.doubleValue.map({ $0 > 0 && $0 <= 1 }) != true {
            throw error(
                field, "expected a number above 0 and up to 1, found \(given.text(indent: 0))")
        }
        var factor = given?.doubleValue ?? 1
        if let partial, given == nil {
            factor = partial.standard
            if factor != 1 { assume("\(field) is not given: \(factor), the family's default") }
        }
        guard partial != nil || factor == 1 else {
            throw error(field, "\(factor) is not supported: this family turns whole heads")
        }
        let dimension = Int(nearest: Double(headDimension) * factor)
        guard dimension > 1, dimension % 2 == 0 else {
            throw error(
                factor == 1 ? "head_dim" : field,
                "rotary embedding needs an even head dimension, not \(dimension)")
        }
        return dimension
    }

    /// Adds the scaling that `parameters` name. They are read as transformers reads them: the original
    /// context may stand beside them, and without one `max_position_embeddings` counts.
    private func scale(
        _ rotary: inout RotaryParameters, _ parameters: JSON, _ place: String,
        _ aliases: [String: String]
    ) throws(ModelError) {
        func optional(_ key: String) throws(ModelError) -> Double? {
            guard let value = parameters[key] else { return nil }
            guard let number = value.doubleValue, number > 0, number.isFinite else {
                throw error("\(place).\(key)", "expected a positive number")
            }
            return number
        }
        func value(_ key: String) throws(ModelError) -> Double {
            guard let number = try optional(key) else {
                throw error("\(place).\(key)", "expected a positive number")
            }
            return number
        }
        func context() throws(ModelError) -> Double {
            Double(try count("max_position_embeddings"))
        }
        func originalContext() throws(ModelError) -> Double {
            let key = "original_max_position_embeddings"
            if json[key] != nil { return Double(try count(key)) }
            if let number = try optional(key) {
                guard number <= Self.longestContext else {
                    throw error(
                        "\(place).\(key)", "expected a number of positions, found \(number)")
                }
                return number
            }
            assume("\(place).\(key) is not given: max_position_embeddings counts")
            return try context()
        }
        let name = (parameters["rope_type"] ?? parameters["type"])?.stringValue ?? "default"
        switch aliases[name] ?? name {
        case "default": break
        case "linear": rotary.scaling = .linear(factor: try value("factor"))
        case "dynamic":
            guard rotary.dimension > 2 else {
                throw error("\(place).rope_type", "\"dynamic\" needs more than 2 dimensions")
            }
            rotary.scaling = .dynamic(factor: try value("factor"), context: try context())
        case "llama3":
            rotary.scaling = .llama3(
                factor: try value("factor"), lowFrequencyFactor: try value("low_freq_factor"),
                highFrequencyFactor: try value("high_freq_factor"),
                originalContext: try originalContext())
        case "yarn":
            let original = try originalContext()
            let factor =
                if let given = try optional("factor") { given } else { try context() / original }
            var yarn = RotaryParameters.YaRN(factor: factor, originalContext: original)
            yarn.betaFast = try optional("beta_fast") ?? yarn.betaFast
            yarn.betaSlow = try optional("beta_slow") ?? yarn.betaSlow
            // transformers looks for it beside the layer types, never within one.
            let rounds = (json["rope_parameters"] ?? json["rope_scaling"])?["truncate"]
            yarn.truncates = rounds?.boolValue ?? true
            rotary.attentionFactor =
                try optional("attention_factor")
                ?? yarn.defaultAttentionFactor(
                    mscale: parameters["mscale"]?.doubleValue ?? 0,
                    allDimensions: parameters["mscale_all_dim"]?.doubleValue ?? 0)
            rotary.scaling = .yarn(yarn)
        case "longrope":
            let original = try originalContext()
            func factors(_ key: String) throws(ModelError) -> [Float] {
                let values = (parameters[key]?.arrayValue ?? []).compactMap(\.doubleValue)
                guard values.count == rotary.dimension / 2, values.allSatisfy({ $0 > 0 }) else {
                    throw error(
                        "\(place).\(key)", "expected \(rotary.dimension / 2) positive numbers")
                }
                return values.map(Float.init)
            }
            let factor =
                if let given = try optional("factor") { given } else { try context() / original }
            rotary.attentionFactor =
                try optional("attention_factor")
                ?? RotaryParameters.longropeAttentionFactor(factor, originalContext: original)
            rotary.scaling = .longrope(
                short: try factors("short_factor"), long: try factors("long_factor"),
                originalContext: Int(nearest: original))
        default:
            throw error(
                "\(place).rope_type",
                "\"\(name)\" is not supported (default, linear, dynamic, llama3, yarn, longrope are)"
            )
        }
    }

    /// Positions, beyond which a number in a file is no length of a text.
    private static let longestContext = 0x1p40

    /// The longest text: `max_position_embeddings`, or as much more as dynamic scaling is made for.
    func contextLength(
        default fallback: Int, rotary: RotaryParameters
    ) throws(ModelError) -> Int {
        let context = try count("max_position_embeddings", default: fallback)
        guard case .dynamic(let factor, _) = rotary.scaling, factor > 1 else { return context }
        guard factor * Double(context) <= Self.longestContext else {
            let place = json["rope_parameters"] == nil ? "rope_scaling" : "rope_parameters"
            throw error(
                "\(place).factor", "\(factor) makes \(context) positions longer than any text")
        }
        let longest = Int(nearest: factor * Double(context))
        assume("dynamic scaling by \(factor): texts of up to \(longest) positions")
        return longest
    }
}

extension RotaryParameters {
    /// What longrope multiplies cosines and sines by where the file does not say.
    static func longropeAttentionFactor(_ factor: Double, originalContext: Double) -> Double {
        factor <= 1 ? 1 : (1 + log(factor) / log(originalContext)).squareRoot()
    }
}

extension GGUFConfigurationReader {
    func rotary(
        defaultBase: Double, dimension: Int
    ) throws(ModelError) -> RotaryParameters {
        let dimension = try count("rope.dimension_count", default: dimension)
        guard dimension % 2 == 0 else {
            throw error("\(architecture).rope.dimension_count", "must be even, not \(dimension)")
        }
        var rotary = RotaryParameters(
            base: try number("rope.freq_base", default: defaultBase), dimension: dimension)
        func factors(_ name: String) throws(ModelError) -> [Float]? {
            guard let tensor = checkpoint.tensors[name] else { return nil }
            guard tensor.count == dimension / 2 else {
                throw .wrongShape(
                    path: path, tensor: name, expected: [dimension / 2], actual: tensor.shape)
            }
            return tensor.decoded()
        }
        let type = metadata.string("\(architecture).rope.scaling.type") ?? "none"
        if let divisors = try factors("rope_freqs.weight") {
            rotary.scaling = .divisors(divisors)
        } else if let short = try factors("rope_factors_short.weight"),
            let long = try factors("rope_factors_long.weight")
        {
            rotary.scaling = .longrope(
                short: short, long: long,
                originalContext: try count("rope.scaling.original_context_length"))
            rotary.attentionFactor = try number("rope.scaling.attn_factor", default: 1)
        } else if type == "linear" {
            rotary.scaling = .linear(factor: try number("rope.scaling.factor"))
        } else if type == "yarn" {
            try addYaRN(&rotary)
        } else if type != "none" {
            throw error("\(architecture).rope.scaling.type", "\"\(type)\" is not supported")
        }
        return rotary
    }

    private func addYaRN(_ rotary: inout RotaryParameters) throws(ModelError) {
        func optional(_ key: String) throws(ModelError) -> Double? {
            metadata["\(architecture).\(key)"] == nil ? nil : try number(key)
        }
        var yarn = RotaryParameters.YaRN(
            factor: try number("rope.scaling.factor"),
            originalContext: Double(try count("rope.scaling.original_context_length")))
        yarn.betaFast = try optional("rope.scaling.yarn_beta_fast") ?? yarn.betaFast
        yarn.betaSlow = try optional("rope.scaling.yarn_beta_slow") ?? yarn.betaSlow
        let factor = yarn.defaultAttentionFactor()
        // Some converters write 1, what the default is to be multiplied by, others the default itself.
        if let given = try optional("rope.scaling.attn_factor"), abs(given - 1) > 1e-5,
            abs(given - factor) > 1e-5
        {
            throw error(
                "\(architecture).rope.scaling.attn_factor",
                "\(given) is not supported beside yarn, whose own is \(Float(factor))")
        }
        rotary.attentionFactor = factor
        rotary.scaling = .yarn(yarn)
    }
}
