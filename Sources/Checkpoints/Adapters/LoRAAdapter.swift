import Files
import Foundation
import OrderedCollections

/// A LoRA adapter as PEFT saves it: `adapter_config.json` beside `adapter_model.safetensors`.
///
/// Reads what changes weights by W + s·B·A and nothing else: plain LoRA, with rank-stabilised scaling,
/// ranks and alphas by module, whole modules saved beside it, and `layer_replication`. What else PEFT can
/// save (DoRA, adapters of embeddings, other methods) is refused by name.
struct LoRAAdapter {
    /// The two factors of one weight.
    struct Factors {
        /// [rank, inputs].
        var a: StoredTensor
        /// [outputs, rank].
        var b: StoredTensor
        /// s: alpha / rank, or alpha / √rank.
        var scale: Float
    }

    static let configName = "adapter_config.json"
    static let weightsName = "adapter_model.safetensors"

    let path: String
    /// `base_model_name_or_path`.
    let base: String
    /// Whether the weight is stored turned round, [inputs, outputs], as GPT-2's are.
    let isTurned: Bool
    /// Layers [start, end) of the base that run one after the other; nil without replication.
    let layerRanges: [Range<Int>]?
    /// By the name of the base's weight, such as `model.layers.0.self_attn.q_proj.weight`.
    let factors: OrderedDictionary<String, Factors>
    /// Weights that the adapter replaces whole.
    let replaced: OrderedDictionary<String, StoredTensor>

    /// Whether a directory is an adapter and no whole model.
    static func isAdapter(_ directory: String) -> Bool {
        Paths.kind(Paths.join(directory, configName)) == .file
            && Paths.kind(Paths.join(directory, "config.json")) == .missing
    }

    /// - Throws: `CheckpointError` naming the file and the field or tensor.
    init(directory: String) throws(CheckpointError) {
        path = directory
        let configPath = Paths.join(directory, Self.configName)
        let config: JSON
        do { config = try JSON.read(path: configPath) } catch { throw .file(error) }
        func invalid(_ field: String, _ problem: String) -> CheckpointError {
            .adapter(path: configPath, problem: "\(field) \(problem)")
        }
        guard let type = config["peft_type"]?.stringValue else {
            throw invalid("peft_type", "is missing; an adapter of PEFT has one")
        }
        guard type == "LORA" else {
            throw invalid("peft_type", "is \(type.quotedForMessage), and only LORA is read")
        }
        for field in ["use_dora", "use_qalora", "lora_bias"]
        where config[field]?.boolValue == true {
            throw invalid(field, "is true, which is not read; merge the adapter with PEFT first")
        }
        guard let base = config["base_model_name_or_path"]?.stringValue, !base.isEmpty else {
            throw invalid(
                "base_model_name_or_path", "is missing; set it to the base model's folder")
        }
        self.base = base
        isTurned = config["fan_in_fan_out"]?.boolValue ?? false
        layerRanges = try Self.ranges(config["layer_replication"] ?? .null, invalid)
        let settings = try Settings(config, invalid)

        let weights = Paths.join(directory, Self.weightsName)
        guard Paths.kind(weights) != .missing else {
            throw .missingFile(
                directory: directory, name: Self.weightsName, purpose: "which holds the adapter")
        }
        let archive = try TensorArchive(path: weights)
        (factors, replaced) = try Self.sort(archive, settings)
    }

    private static func ranges(
        _ json: JSON, _ invalid: (String, String) -> CheckpointError
    ) throws(CheckpointError) -> [Range<Int>]? {
        guard json != .null else { return nil }
        let field = "layer_replication"
        guard let pairs = json.arrayValue, !pairs.isEmpty else {
            throw invalid(field, "is no list of [start, end] pairs")
        }
        var ranges: [Range<Int>] = []
        for pair in pairs {
            let ends = pair.arrayValue?.compactMap(\.intValue) ?? []
            guard ends.count == 2, ends[0] >= 0, ends[1] > ends[0], ends[1] < 1 << 20 else {
                throw invalid(field, "holds \(pair.text(indent: 0)), which is no [start, end]")
            }
            ranges.append(ends[0]..<ends[1])
        }
        return ranges
    }

    /// What the factors are scaled by.
    private struct Settings {
        let rank: Double
        let alpha: Double
        let isRankStabilised: Bool
        let alphas: [(module: String, value: Double)]

        init(
            _ config: JSON, _ invalid: (String, String) -> CheckpointError
        ) throws(CheckpointError) {
            func positive(_ field: String, standard: Double) throws(CheckpointError) -> Double {
                guard let given = config[field], given != .null else { return standard }
                guard let value = given.doubleValue, value.isFinite, value > 0 else {
                    throw invalid(field, "is no number above 0")
                }
                return value
            }
            // PEFT's defaults.
            rank = try positive("r", standard: 8)
            alpha = try positive("lora_alpha", standard: 8)
            isRankStabilised = config["use_rslora"]?.boolValue ?? false
            var alphas: [(module: String, value: Double)] = []
            for (key, value) in config["alpha_pattern"]?.objectValue ?? [:] {
                guard key.allSatisfy({ $0.isLetter || $0.isNumber || "._".contains($0) }) else {
                    throw invalid(
                        "alpha_pattern",
                        "has the pattern \(key.quotedForMessage), and only plain names are read")
                }
                guard let value = value.doubleValue, value.isFinite else {
                    throw invalid("alpha_pattern", "holds a value that is no number")
                }
                alphas.append((key, value))
            }
            self.alphas = alphas
        }

        /// - Parameter rank: the factor's own, which a `rank_pattern` may have made another.
        func scale(of module: String, rank: Int) -> Float {
            let own = alphas.first { module == $0.module || module.hasSuffix("." + $0.module) }
            let alpha = own?.value ?? self.alpha
            let rank = Double(rank)
            return Float(alpha / (isRankStabilised ? rank.squareRoot() : rank))
        }
    }

    /// Pairs the factors and tells whole weights from them.
    private static func sort(
        _ archive: TensorArchive, _ settings: Settings
    ) throws(CheckpointError) -> (
        OrderedDictionary<String, Factors>, OrderedDictionary<String, StoredTensor>
    ) {
        var a: OrderedDictionary<String, StoredTensor> = [:]
        var b: OrderedDictionary<String, StoredTensor> = [:]
        var replaced: OrderedDictionary<String, StoredTensor> = [:]
        func wrong(_ name: String, _ problem: String) -> CheckpointError {
            .invalidTensor(path: archive.path, tensor: name, problem: problem)
        }
        for (name, tensor) in archive.tensors {
            let prefix = "base_model.model."
            guard name.hasPrefix(prefix) else {
                throw wrong(name, "has not the beginning \(prefix) that PEFT gives every name")
            }
            let inner = String(name.dropFirst(prefix.count))
            if let module = inner.without(suffix: ".lora_A.weight") {
                a[module] = tensor
            } else if let module = inner.without(suffix: ".lora_B.weight") {
                b[module] = tensor
            } else if inner.contains("lora_") {
                throw wrong(name, "is a kind of factor that is not read (merge it with PEFT)")
            } else {
                // PEFT saves a module of `modules_to_save` under its plain name.
                replaced[inner.replacing(".modules_to_save.default", with: "")] = tensor
            }
        }
        var factors: OrderedDictionary<String, Factors> = [:]
        for (module, first) in a {
            guard let second = b.removeValue(forKey: module) else {
                throw wrong("base_model.model.\(module).lora_A.weight", "has no lora_B beside it")
            }
            guard first.shape.count == 2, second.shape.count == 2, first.shape[0] > 0,
                first.shape[0] == second.shape[1]
            else {
                throw wrong(
                    "base_model.model.\(module).lora_A.weight",
                    "has the shape \(first.shape), which does not fit lora_B's \(second.shape)")
            }
            factors[module + ".weight"] = Factors(
                a: first, b: second, scale: settings.scale(of: module, rank: first.shape[0]))
        }
        if let module = b.keys.first {
            throw wrong("base_model.model.\(module).lora_B.weight", "has no lora_A beside it")
        }
        return (factors, replaced)
    }
}

extension String {
    fileprivate func without(suffix: String) -> String? {
        hasSuffix(suffix) ? String(dropLast(suffix.count)) : nil
    }
}
