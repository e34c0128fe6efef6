import ArgumentParser
import Files
import ModelStore
import Models
import Plans
import Records

extension KeyValuePolicy: ExpressibleByArgument {}
extension Damping.Method: ExpressibleByArgument {}

/// How the think block runs where that is more than so many passes in a row.
public struct ThinkOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Let each token stop thinking by this rule, or by a file of `etd calibrate`.",
            discussion: HaltingRule.kinds.map { "\($0.form): \($0.meaning)." }
                .joined(separator: "\n"), valueName: "rule"))
    public var adaptive: String?

    @Option(
        help: ArgumentHelp(
            "With --adaptive: the most passes of a token.",
            discussion: "Default: what the calibration or the split says, else 10.",
            valueName: "k"))
    public var maxIterations: Int?

    @Option(
        help: ArgumentHelp(
            "With --adaptive: a halted token's keys and values in deeper passes.",
            discussion: KeyValuePolicy.allCases.map { "\($0.rawValue): \($0.meaning)." }
                .joined(separator: "\n")
                + "\nDefault: what the calibration, the split file or the checkpoint says, else "
                + "recompute.", valueName: "policy"))
    public var kvPolicy: KeyValuePolicy?

    @Option(
        help: ArgumentHelp(
            "Run the think block as --substeps steps x + f·(g(x) - x) of this solver.",
            discussion: "euler runs the block once a step, heun twice, rk4 four times.",
            valueName: "solver"))
    public var damped: Damping.Method?

    @Option(help: ArgumentHelp("With --damped: how many steps.", valueName: "K"))
    public var substeps: Int?

    @Option(
        help: ArgumentHelp(
            "With --damped: the size f of a step. Default: 1/K; 1 makes Euler's steps plain passes.",
            valueName: "f"))
    public var factor: Float?

    public init() {}

    /// Whether something other than --iterations says how often the think block runs.
    public var isGiven: Bool { adaptive != nil || damped != nil }

    public func validate() throws {
        try OptionRange.check(maxIterations, "--max-iterations", to: OptionRange.iterations)
        try OptionRange.check(substeps, "--substeps", to: OptionRange.iterations)
        if adaptive != nil, damped != nil {
            throw ValidationError("--adaptive and --damped are two ways to think; give one")
        }
        if adaptive == nil, maxIterations != nil || kvPolicy != nil {
            throw ValidationError("--max-iterations and --kv-policy go with --adaptive")
        }
        if let adaptive, !CalibrationRecord.looksLikeFile(adaptive) {
            do {
                _ = try HaltingRule(adaptive)
            } catch {
                throw ValidationError("--adaptive: \(error)")
            }
        }
        if damped == nil, substeps != nil || factor != nil {
            throw ValidationError("--substeps and --factor go with --damped")
        }
        if damped != nil, substeps == nil {
            throw ValidationError("--damped needs --substeps K, the number of its steps")
        }
        if let factor, !(factor > 0 && factor <= 1) {
            throw ValidationError("--factor is \(factor); give a number above 0, at most 1")
        }
    }

    /// What only shows beside the split's options.
    public func check(with split: SplitOptions) throws {
        guard isGiven else { return try split.requireIterations() }
        let flag = adaptive == nil ? "--damped" : "--adaptive"
        guard split.split != nil else {
            throw ValidationError("\(flag) needs --split, which says where the think block is")
        }
        if split.iterations != nil {
            throw ValidationError(
                adaptive == nil
                    ? "--damped and --iterations both say how often the think block runs; give "
                        + "--substeps alone"
                    : "--adaptive and --iterations both say how often the think block runs; give "
                        + "--max-iterations")
        }
    }

    /// - Returns: nil without `--adaptive` and `--damped`.
    /// - Throws: `ValidationError` for a plan that cannot be made, `CommandError.flag`, what
    ///   `CalibrationRecord` and `SplitOptions` throw.
    func chosen(_ split: SplitOptions, for loaded: LoadedModel) throws -> ChosenThinking? {
        guard isGiven, let (cut, written) = try split.resolved(for: loaded) else { return nil }
        let chosen = try chosen(cut, written: written, split, for: loaded)
        do throws(ModelError) {
            // A router that is missing or does not fit is told before anything runs.
            let router = try loaded.router()
            _ = try chosen?.thinking.rule?.halter(for: loaded.model, router: router)
        } catch {
            throw CommandError.flag(name: "--adaptive", problem: "\(error)")
        }
        return chosen
    }

    /// The same for a split of a request's own.
    /// - Parameter written: the passes that the split's notation or file says.
    func chosen(
        _ cut: Split, written: Int?, _ split: SplitOptions, for loaded: LoadedModel
    ) throws -> ChosenThinking? {
        do {
            if let damped, let substeps {
                let damping = Damping(damped, substeps: substeps, factor: factor)
                return ChosenThinking(
                    thinking: try Thinking(cut, damping: damping), calibration: nil)
            }
            guard let adaptive else { return nil }
            guard CalibrationRecord.looksLikeFile(adaptive) else {
                let policy = try kvPolicy ?? fileOf(split)?.kvPolicy ?? Self.policy(of: loaded)
                return ChosenThinking(
                    thinking: try Thinking(
                        cut, maximum: maxIterations ?? written ?? 10,
                        rule: try HaltingRule(adaptive), policy: policy ?? .recompute),
                    calibration: nil)
            }
            let record = try CalibrationRecord.read(path: adaptive)
            return ChosenThinking(
                thinking: try calibrated(record, cut, loaded), calibration: record)
        } catch let error as PlanError {
            throw ValidationError("--split: \(error)")
        }
    }

    /// The promise of a calibration stands for what was calibrated alone.
    private func calibrated(
        _ record: CalibrationRecord, _ cut: Split, _ loaded: LoadedModel
    ) throws -> Thinking {
        func wrong(_ what: String, _ found: String, _ expected: String) -> CommandError {
            .flag(
                name: "--adaptive \(adaptive ?? "")",
                problem: "was calibrated for \(what) \(expected), and this is \(found); "
                    + "run `etd calibrate` for it")
        }
        let fingerprint = loaded.checkpoint.fingerprint
        guard record.fingerprint == fingerprint else {
            throw wrong("the weights", fingerprint, record.fingerprint)
        }
        guard record.split == cut else {
            throw wrong("the split", cut.notation, record.split.notation)
        }
        if let maxIterations, maxIterations != record.maximum {
            throw wrong("a maximum of", "\(maxIterations)", "\(record.maximum)")
        }
        if let kvPolicy, kvPolicy.rawValue != record.policy {
            throw wrong("the policy", kvPolicy.rawValue, record.policy)
        }
        guard let policy = KeyValuePolicy(rawValue: record.policy) else {
            throw CommandError.flag(
                name: "--adaptive \(adaptive ?? "")",
                problem: "kv_policy is \(record.policy), which is none; calibrate again")
        }
        return try Thinking(
            cut, maximum: record.maximum, rule: try HaltingRule(record.rule), policy: policy)
    }

    /// The split file that `--split` names; nil for a notation.
    private func fileOf(_ split: SplitOptions) -> SplitFilePolicy? {
        split.split.flatMap(SplitFilePolicy.init)
    }

    /// `etd.kv_policy` of config.json.
    private static func policy(of loaded: LoadedModel) throws -> KeyValuePolicy? {
        guard let value = loaded.checkpoint.config["etd"]?["kv_policy"] else { return nil }
        guard let policy = value.stringValue.flatMap(KeyValuePolicy.init) else {
            throw CommandError.flag(
                name: "--model \(loaded.checkpoint.path)",
                problem: "config.json's etd.kv_policy is \(value.text(indent: 0)); give one of "
                    + KeyValuePolicy.allCases.map(\.rawValue).joined(separator: ", "))
        }
        return policy
    }
}

extension HaltingRule.Kind {
    /// As in help: `change<T`.
    var form: String { HaltingRule.forms.first { $0.hasPrefix(name) } ?? name }
}

/// The policy that `etd-analyze cache-map` has written into a split file.
struct SplitFilePolicy {
    let kvPolicy: KeyValuePolicy?

    init?(_ argument: String) {
        let file = Paths.kind(argument) == .directory ? argument + "/split.json" : argument
        guard let json = try? JSON.read(path: file) else { return nil }
        kvPolicy = json["cache"]?["kv_policy"]?.stringValue.flatMap(KeyValuePolicy.init)
    }
}

/// How the think block runs, and what promises something about it.
struct ChosenThinking {
    let thinking: Thinking
    let calibration: CalibrationRecord?

    /// For each line of an output and for the record beside it.
    var json: (key: String, value: JSON) {
        switch thinking.mode {
        case .adaptive(let rule, let policy):
            var members: [(String, JSON)] = [
                ("rule", .string(rule.notation)), ("kv_policy", .string(policy.rawValue)),
                ("max_iterations", .number(thinking.passes)),
            ]
            if let calibration {
                members.append(("epsilon", .number(calibration.epsilon)))
                members.append(("delta", .number(calibration.delta)))
            }
            return ("adaptive", .object(.init(uniqueKeysWithValues: members)))
        case .damped(let damping):
            return (
                "damped",
                [
                    "solver": .string(damping.method.rawValue),
                    "substeps": .number(damping.substeps),
                    "factor": .number(Double(damping.factor)),
                ]
            )
        }
    }

    /// Such as `9-9*adaptive-12`.
    var notation: String {
        let s = thinking.split
        let how =
            if case .damped(let damping) = thinking.mode { damping.method.rawValue } else {
                "adaptive"
            }
        return "\(s.encoder)-\(s.think)*\(how)-\(s.decoder)"
    }
}

/// How many passes tokens ran.
struct PassCounts {
    private(set) var counts: [Int: Int] = [:]

    mutating func add(_ passes: [Int]) { for count in passes { counts[count, default: 0] += 1 } }

    var tokens: Int { counts.values.reduce(0, +) }
    var mean: Double? {
        tokens == 0 ? nil : Double(counts.reduce(0) { $0 + $1.key * $1.value }) / Double(tokens)
    }

    /// `mean`, and how many tokens ran each number of passes.
    var json: JSON {
        let histogram = counts.sorted { $0.key < $1.key }.map {
            ("\($0.key)", JSON.number($0.value))
        }
        return [
            "mean": .number(mean), "histogram": .object(.init(uniqueKeysWithValues: histogram)),
        ]
    }

    /// For people.
    var text: String {
        let shares = counts.sorted { $0.key < $1.key }.map {
            "\($0.key): \(Int((100 * Double($0.value) / Double(max(1, tokens))).rounded())) %"
        }
        let rounded = ((mean ?? 0) * 100).rounded() / 100
        return "\(rounded) passes a token on average (\(shares.joined(separator: ", ")))"
    }
}
