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
    ///   - scales: whether `rope_scaling` and a flat `rope_parameters` concern this layer type; if not,
    ///     the latter gives it the base alone, and that only where `baseField` is everyone's.
    ///   - aliases: the family's other names of scaling types.
    ///   - originalContext: the family's default of the original context, which wins over an object's.
    func rotary(
        layerType: String? = nil, baseField: String = "rope_theta", defaultBase: Double,
        headDimension: Int, partial: PartialRotary? = nil, scales: Bool = true,
        aliases: [String: String] = [:], originalContext: Int? = nil
    ) throws(ModelError) -> RotaryParameters {
        func made(of described: RotaryObject?) throws(ModelError) -> RotaryParameters {
            let base = described?.values["rope_theta"] ?? json[baseField]
            if let base, base.doubleValue.map({ $0 > 0 && $0.isFinite }) != true {
                throw error(baseField, "expected a positive number, found \(base.text(indent: 0))")
            }
            if base == nil {
                let subject = layerType.map { " of \($0)" } ?? ""
                assume(
                    "the rotary base\(subject) is not given: \(defaultBase), the family's default")
            }
            let dimension = try rotaryDimension(headDimension, partial, described?.values)
            var rotary = RotaryParameters(
                base: base?.doubleValue ?? defaultBase, dimension: dimension)
            if let described { try scale(&rotary, described, aliases, originalContext) }
            return rotary
        }
        let current = try object("rope_parameters")
        let legacy = try scales ? object("rope_scaling") : nil
        let isNested = ["full_attention", "sliding_attention"].contains { current?[$0] != nil }
        if let layerType {
            return try made(
                of: isNested
                    ? nested(layerType, current ?? [:], legacy)
                    : flat(layerType, baseField, current, legacy, scales: scales))
        }
        guard !isNested else {
            throw error(
                "rope_parameters",
                "has an object for each layer type, and this family has one type; make it flat")
        }
        guard let current, let legacy else {
            return try made(
                of: current.map { RotaryObject($0, "rope_parameters") }
                    ?? legacy.map { RotaryObject($0, "rope_scaling") })
        }
        // transformers 5 reads `rope_scaling` alone then, and loses what the other says.
        let noted = assumptions
        let alone = try made(of: RotaryObject(legacy, "rope_scaling"))
        assumptions = noted
        let both = try made(of: RotaryObject(Self.merged(current, legacy), "rope_parameters"))
        guard alone == both else {
            throw error(
                "rope_scaling",
                "stands beside a rope_parameters that says something else; put it in there")
        }
        return both
    }

    /// The object that describes a rotary embedding.
    private struct RotaryObject {
        var values: JSON
        /// Where it stands in the file.
        var place: String
        /// Whether YaRN's borders are rounded, if the file says so.
        var truncates: JSON?
        /// transformers looks for an original context beside a flat object alone.
        var isNested = false

        init(_ values: JSON.Object, _ place: String) {
            self.values = .object(values)
            self.place = place
            truncates = self.values["truncate"]
        }
    }

    /// An object that says something: null and {} say nothing.
    private func object(_ field: String) throws(ModelError) -> JSON.Object? {
        guard let value = json[field] else { return nil }
        guard let object = value.objectValue else {
            throw error(field, "expected an object, found \(value.text(indent: 0))")
        }
        return object.isEmpty ? nil : object
    }

    private static func merged(_ current: JSON.Object, _ legacy: JSON.Object) -> JSON.Object {
        var merged = current
        for (key, value) in legacy { merged[key] = value }
        // The older key of the type must not lose to the newer one that is there.
        if legacy["rope_type"] == nil, let type = legacy["type"] { merged["rope_type"] = type }
        return merged
    }

    /// A layer type's own object; without one, what the family's fields and defaults say.
    private func nested(
        _ layerType: String, _ current: JSON.Object, _ legacy: JSON.Object?
    ) throws(ModelError) -> RotaryObject {
        let place = "rope_parameters.\(layerType)"
        var values: JSON.Object = [:]
        if let own = current[layerType], own != .null {
            guard let object = own.objectValue else {
                throw error(place, "expected an object, found \(own.text(indent: 0))")
            }
            values = object
        } else {
            assume("\(place) is not given: no scaling")
        }
        var described = RotaryObject(legacy.map { Self.merged(values, $0) } ?? values, place)
        described.isNested = true
        // transformers looks for it beside the layer types, never within one.
        described.truncates = current["truncate"]
        return described
    }

    /// What a file without layer types says of one. Flat objects are transformers 5.0's: there, as in
    /// transformers 4, the scaling was for the full layers. (5.23 reads nothing of such an object.)
    private func flat(
        _ layerType: String, _ baseField: String, _ current: JSON.Object?,
        _ legacy: JSON.Object?, scales: Bool
    ) throws(ModelError) -> RotaryObject? {
        if scales, let legacy {
            var described = RotaryObject(
                current.map { Self.merged($0, legacy) } ?? legacy, "rope_scaling")
            described.isNested = true
            return described
        }
        guard let current else { return nil }
        var described = RotaryObject(current, "rope_parameters")
        described.isNested = true
        guard !scales else { return described }
        assume("rope_parameters is flat: it is read as that of the full_attention layers")
        guard baseField == "rope_theta" else { return nil }
        described.values = ["rope_theta": current["rope_theta"] ?? .null]
        return described
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
        _ rotary: inout RotaryParameters, _ described: RotaryObject, _ aliases: [String: String],
        _ familysOriginal: Int?
    ) throws(ModelError) {
        let (parameters, place) = (described.values, described.place)
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
            if !described.isNested, json[key] != nil { return Double(try count(key)) }
            let own = try optional(key)
            if let own, own > Self.longestContext {
                throw error("\(place).\(key)", "expected a number of positions, found \(own)")
            }
            if let familysOriginal {
                // transformers fills the field in before it looks here, and so never does.
                guard own == nil || own == Double(familysOriginal) else {
                    throw error(
                        "\(place).\(key)",
                        "transformers takes \(familysOriginal) in its place, the family's default: "
                            + "put it beside \(place)")
                }
                assume("\(key) is not given: \(familysOriginal), the family's default")
                return Double(familysOriginal)
            }
            if let own { return own }
            assume("\(place).\(key) is not given: max_position_embeddings counts")
            return try context()
        }
        let type = parameters["rope_type"] ?? parameters["type"] ?? "default"
        guard let name = type.stringValue else {
            throw error("\(place).rope_type", "expected a name, found \(type.text(indent: 0))")
        }
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
            if let rounds = described.truncates {
                guard let truncates = rounds.boolValue else {
                    throw error("\(place).truncate", "expected true or false")
                }
                yarn.truncates = truncates
            }
            func weight(_ key: String) throws(ModelError) -> Double {
                guard let value = parameters[key] else { return 0 }
                guard let number = value.doubleValue, number.isFinite else {
                    throw error("\(place).\(key)", "expected a number")
                }
                return number
            }
            let standard = yarn.defaultAttentionFactor(
                mscale: try weight("mscale"), allDimensions: try weight("mscale_all_dim"))
            rotary.attentionFactor = try optional("attention_factor") ?? standard
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
        let (type, factor) = try scaling()
        let attention = try optional("rope.scaling.attn_factor") ?? 1
        rotary.attentionFactor = attention
        let divisors = try factors("rope_freqs.weight")
        let short = try factors("rope_factors_short.weight")
        let long = try factors("rope_factors_long.weight")
        func scaled(_ factors: [Float]) -> [Float] { factors.map { $0 * Float(factor) } }
        switch (divisors, short, long, type) {
        case (nil, nil, nil, .none): break
        case (nil, nil, nil, .linear):
            if factor != 1 { rotary.scaling = .linear(factor: factor) }
        case (nil, nil, nil, .yarn): try addYaRN(&rotary, factor)
        case (let divisors?, nil, nil, .none), (let divisors?, nil, nil, .linear):
            rotary.scaling = .divisors(scaled(divisors))
        case (nil, let short?, let long?, .none), (nil, let short?, let long?, .linear),
            (nil, let short?, let long?, .longrope):
            rotary.scaling = .longrope(
                short: scaled(short), long: scaled(long),
                originalContext: try originalContext())
        case (nil, nil, _, .longrope), (nil, nil, _?, _):
            throw .missingTensors(path: path, names: ["rope_factors_short.weight"])
        case (nil, _, nil, .longrope), (nil, _?, nil, _):
            throw .missingTensors(path: path, names: ["rope_factors_long.weight"])
        default:
            throw error(
                "\(architecture).rope.scaling.type",
                "\"\(type.rawValue)\" is not supported beside the factors that the file holds")
        }
        return rotary
    }

    private enum ScalingType: String {
        case none, linear, yarn, longrope
    }

    /// The scaling's type and the divisor of all frequencies, as llama.cpp reads them: the type is
    /// linear without a key, `rope.scale_linear` is the factor's name of 2023, and 0 stands for none.
    private func scaling() throws(ModelError) -> (type: ScalingType, factor: Double) {
        let key = "\(architecture).rope.scaling.type"
        var type = ScalingType.linear
        if metadata[key] != nil {
            let name = metadata.string(key) ?? "not a string"
            guard let known = ScalingType(rawValue: name) else {
                throw error(key, "\"\(name)\" is not supported (none, linear, yarn, longrope are)")
            }
            type = known
        }
        for name in ["rope.scaling.factor", "rope.scale_linear"] {
            guard metadata["\(architecture).\(name)"] != nil else { continue }
            let isZero = metadata.double("\(architecture).\(name)") == 0
            let factor = isZero ? 1 : try number(name)
            return (type, type == .none ? 1 : factor)
        }
        return (type, 1)
    }

    private func optional(_ key: String) throws(ModelError) -> Double? {
        metadata["\(architecture).\(key)"] == nil ? nil : try number(key)
    }

    /// The context before scaling, without a key the one after it.
    private func originalContext() throws(ModelError) -> Int {
        try count(
            "rope.scaling.original_context_length", default: try count("context_length"))
    }

    private func addYaRN(
        _ rotary: inout RotaryParameters, _ factor: Double
    ) throws(ModelError) {
        var yarn = RotaryParameters.YaRN(
            factor: factor, originalContext: Double(try originalContext()))
        yarn.betaFast = try optional("rope.scaling.yarn_beta_fast") ?? yarn.betaFast
        yarn.betaSlow = try optional("rope.scaling.yarn_beta_slow") ?? yarn.betaSlow
        let attention = yarn.defaultAttentionFactor()
        // Some converters write 1, what the default is to be multiplied by, others the default itself.
        for key in ["rope.scaling.attn_factor", "rope.scaling.yarn_attn_factor"] {
            guard let given = try optional(key), abs(given - 1) > 1e-5,
                abs(given - attention) > 1e-5
            else { continue }
            throw error(
                "\(architecture).\(key)",
                "\(given) is not supported beside yarn, whose own is \(Float(attention))")
        }
        for (key, plain) in [
            ("rope.scaling.yarn_ext_factor", 1.0), ("rope.scaling.yarn_log_multiplier", 0),
        ] {
            let full = "\(architecture).\(key)"
            guard metadata[full] != nil, metadata.double(full) != plain else { continue }
            throw error(full, "only \(plain) is supported")
        }
        rotary.attentionFactor = attention
        rotary.scaling = .yarn(yarn)
    }
}
