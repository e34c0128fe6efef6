import Corpus
import Files

// The parts of a configuration that have keys of their own.

extension TrainingConfiguration {
    static func iterations(_ top: ConfigurationSection) throws(TrainingError) -> IterationRule {
        guard let value = top["iterations"] else { return .fixed(1) }
        let range = 1...65_536
        if value.objectValue == nil {
            return .fixed(try top.count("iterations", default: nil, in: range))
        }
        guard
            let section = try top.section(
                "iterations", known: ["sample", "low", "high", "mean", "sigma", "curriculum"])
        else { return .fixed(1) }
        if let stages = section["curriculum"] {
            let pairs = (stages.arrayValue ?? []).map {
                ($0.arrayValue ?? []).compactMap(\.intValue)
            }
            guard !pairs.isEmpty, pairs[0].first == 0,
                pairs.allSatisfy({ $0.count == 2 && range.contains($0[1]) }),
                zip(pairs, pairs.dropFirst()).allSatisfy({ $0[0] < $1[0] })
            else {
                throw section.error(
                    "curriculum",
                    "expected pairs of a first step, from 0 up, and k: [[0, 1], [1000, 3]]")
            }
            return .curriculum(pairs)
        }
        let kind = try section.text("sample", default: nil)
        switch kind {
        case "uniform":
            let low = try section.count("low", default: 1, in: range)
            return .uniform(
                low: low, high: try section.count("high", default: nil, in: low...65_536))
        case "lognormal_poisson":
            return .logNormalPoisson(
                mean: try section.number("mean", default: nil, in: 1...1000),
                sigma: try section.number("sigma", default: 0.5, in: 0...10),
                high: try section.count("high", default: 16, in: range))
        default:
            throw section.error(
                "sample", "\(kind.quotedForMessage) is none of uniform, lognormal_poisson")
        }
    }

    static func data(_ top: ConfigurationSection) throws(TrainingError) -> [Data] {
        guard let list = top["data"]?.arrayValue, !list.isEmpty else {
            throw top.error("data", "names no file: - {path: tokens.u16, weight: 1}")
        }
        var entries: [Data] = []
        for (index, entry) in list.enumerated() {
            let section = try ConfigurationSection(
                entry, path: top.path, prefix: "data[\(index)].", known: ["path", "weight"])
            entries.append(
                Data(
                    path: try section.text("path", default: nil),
                    weight: try section.number("weight", default: 1, in: 0...1e12)))
        }
        guard entries.contains(where: { $0.weight > 0 }) else {
            throw top.error("data", "the weights sum to 0; give one above 0")
        }
        return entries
    }

    static func optimizer(_ top: ConfigurationSection) throws(TrainingError) -> OptimizerSettings {
        var settings = OptimizerSettings()
        guard
            let section = try top.section(
                "optimizer",
                known: [
                    "name", "lr", "betas", "eps", "weight_decay", "decay_norms",
                    "decay_embeddings", "momentum",
                ])
        else { throw top.error("optimizer", "is missing: {name: adamw, lr: 1.0e-4}") }
        settings.kind = try section.choice("name", default: .adamw)
        settings.rate = try section.number("lr", default: nil, in: 0...1e6)
        if let betas = section["betas"] {
            let values = (betas.arrayValue ?? []).compactMap(\.doubleValue)
            guard values.count == 2, values.allSatisfy({ (0..<1).contains($0) }) else {
                throw section.error("betas", "expected two numbers from 0 to below 1: [0.9, 0.95]")
            }
            (settings.beta1, settings.beta2) = (values[0], values[1])
        }
        settings.epsilon = try section.number("eps", default: settings.epsilon, in: 0...1)
        settings.decay = try section.number("weight_decay", default: settings.decay, in: 0...1e6)
        settings.decayNorms = try section.flag("decay_norms", default: true)
        settings.decayEmbeddings = try section.flag("decay_embeddings", default: false)
        settings.momentum = try section.number("momentum", default: 0.95, in: 0...1)
        return settings
    }

    static func schedule(_ top: ConfigurationSection) throws(TrainingError) -> Schedule {
        guard
            let section = try top.section(
                "schedule", known: ["name", "warmup_steps", "final_lr", "decay_steps"])
        else { return Schedule() }
        return Schedule(
            kind: try section.choice("name", default: .linear),
            warmUpSteps: try section.count("warmup_steps", default: 0, in: 0...1 << 40),
            finalRate: try section.number("final_lr", default: 0, in: 0...1e6),
            decaySteps: section["decay_steps"] == nil
                ? nil : try section.count("decay_steps", default: nil))
    }

    static func lowRank(_ top: ConfigurationSection) throws(TrainingError) -> LowRank? {
        guard let section = try top.section("lora", known: ["rank", "alpha", "targets"]) else {
            return nil
        }
        let rank = try section.count("rank", default: nil, in: 1...65_536)
        let targets =
            section["targets"].map { ($0.arrayValue ?? []).compactMap(\.stringValue) }
            ?? LowRank.targets
        guard !targets.isEmpty, targets.allSatisfy(LowRank.targets.contains) else {
            throw section.error(
                "targets", "expected some of \(LowRank.targets.joined(separator: ", "))")
        }
        return LowRank(
            rank: rank,
            alpha: try section.number("alpha", default: 2 * Double(rank), in: 0...1e6),
            targets: targets)
    }

    /// Such as 3GiB, 500MiB or a number of bytes.
    static func bytes(
        _ top: ConfigurationSection, _ key: String
    ) throws(TrainingError) -> Int? {
        guard let value = top[key] else { return nil }
        if let bytes = value.intValue, bytes > 0 { return bytes }
        let units = ["KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40]
        if let text = value.stringValue {
            for (unit, shift) in units where text.hasSuffix(unit) {
                let number = text.dropLast(3).filter { $0 != " " }
                if let size = Double(number), size > 0,
                    let bytes = Int(whole: size * Double(1 << shift))
                {
                    return bytes
                }
            }
        }
        throw top.error(key, "expected a size such as 3GiB, not \(value.text(indent: 0))")
    }

    /// The configuration with one key set by `key=value`.
    static func set(_ text: String, in json: JSON) throws(TrainingError) -> JSON {
        guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
            throw .key(
                path: "--set", key: text.quotedForMessage,
                problem: "expected key=value, such as optimizer.lr=1.0e-4")
        }
        let keys = text[..<equals].split(separator: ".").map(String.init)
        let value: JSON
        do {
            value = try YAML.parse(String(text[text.index(after: equals)...]), path: "--set")
        } catch {
            throw .file(error)
        }
        func changed(_ json: JSON, _ keys: ArraySlice<String>) -> JSON {
            guard let key = keys.first else { return value == .object([:]) ? .null : value }
            var object = json.objectValue ?? [:]
            object[key] = changed(object[key] ?? .object([:]), keys.dropFirst())
            return .object(object)
        }
        return changed(json, keys[...])
    }

    /// Keys that may change between a training and what goes on from its checkpoint.
    private static let free: Set<String> = [
        "out", "checkpoint_every", "keep", "memory_limit", "validation", "eval",
        "micro_batch_size", "reset_optimizer",
    ]

    /// What differs between two configurations that should train alike: "optimizer.lr 0.001, not 0.002".
    public static func differences(_ old: JSON, _ new: JSON) -> [String] {
        func flat(_ json: JSON, _ prefix: String) -> [String: String] {
            guard let object = json.objectValue else {
                let text = json.doubleValue.map { "\($0)" } ?? json.text(indent: 0)
                return [prefix: text]
            }
            var values: [String: String] = [:]
            for (key, value) in object where !(prefix.isEmpty && free.contains(key)) {
                values.merge(flat(value, prefix.isEmpty ? key : "\(prefix).\(key)")) { $1 }
            }
            return values
        }
        let (a, b) = (flat(old, ""), flat(new, ""))
        return Set(a.keys).union(b.keys).sorted().compactMap { key in
            a[key] == b[key] ? nil : "\(key) \(a[key] ?? "unset"), not \(b[key] ?? "unset")"
        }
    }
}
