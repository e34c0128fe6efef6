import Files
import ModelStore
import Models
import Plans
import Records
import Reporting

/// What a candidate costs at each k, as `select` writes it.
struct CandidateCost {
    var split: Split
    var iterations: Int
    var overhead: Double
    var flopsPerToken: Double
    var keyValueBytesPerToken: Double
    /// nil where nothing was timed.
    var millisecondsPerToken: Double?

    /// k that are priced; 1 is the model as it is.
    static let iterations = 1...4

    var json: JSON {
        [
            "notation": .string(split.notation), "k": .number(iterations),
            "overhead": .number(overhead), "flops_per_token": .number(flopsPerToken),
            "kv_bytes_per_token": .number(keyValueBytesPerToken),
            "ms_per_token": .number(millisecondsPerToken),
        ]
    }

    /// The model of a run.
    /// - Throws: `CommandError.run` where another model is at its path, and what opening it throws.
    static func transformer(of record: ModelRecord) throws -> Transformer {
        let options = try ModelOptions.parse(["--model", record.path])
        options.apply(quiet: true)
        let opened = try options.open(quiet: true)
        guard opened.checkpoint.fingerprint == record.fingerprint else {
            throw CommandError.run(
                path: record.path,
                problem: "holds other weights than those that the run measured")
        }
        return opened.model
    }

    /// Each split at each k; empty where the model has moved and nothing is timed.
    /// - Throws: what opening the model throws, if it is to be timed.
    static func table(
        _ splits: [Split], of record: ModelRecord, latency: DecodeLatency?
    ) throws -> [CandidateCost] {
        let model: Transformer
        if latency != nil {
            model = try transformer(of: record)
        } else {
            guard let opened = try? transformer(of: record) else { return [] }
            model = opened
        }
        var plans: [LayerPlan] = []
        var costs = try splits.flatMap { split in
            try Self.iterations.map { iterations in
                let plan = try LayerPlan.split(
                    encoder: split.encoder, think: split.think, decoder: split.decoder,
                    iterations: iterations, layers: split.layers)
                plans.append(plan)
                return CandidateCost(
                    split: split, iterations: iterations,
                    overhead: Double(plan.steps.count) / Double(split.layers),
                    flopsPerToken: model.flopsPerToken(plan),
                    keyValueBytesPerToken: model.keyValueBytesPerToken(plan))
            }
        }
        guard let latency else { return costs }
        let base = costs.firstIndex { $0.iterations == 1 }
        // k = 1 is one and the same model for every split.
        let timed = costs.indices.filter { $0 == base || costs[$0].iterations > 1 }
        let times = try latency.measure(model, timed.map { plans[$0] })
        for (place, time) in zip(timed, times) { costs[place].millisecondsPerToken = time }
        for place in costs.indices where costs[place].iterations == 1 {
            costs[place].millisecondsPerToken = base.flatMap { costs[$0].millisecondsPerToken }
        }
        return costs
    }
}

/// Times one stream's decoding: greedy tokens after a short prompt, plans in turn, so that a machine that slows
/// down slows all of them.
public struct DecodeLatency {
    public static let prompt = 32
    public static let tokens = 16
    public static let rounds = 3

    let quiet: Bool

    public init(quiet: Bool) { self.quiet = quiet }

    /// Milliseconds per token of each plan: the median over rounds.
    /// - Throws: `ModelError`.
    func measure(_ model: Transformer, _ plans: [LayerPlan]) throws -> [Double] {
        let vocabulary = model.configuration.vocabularySize
        let prompt = (0..<Self.prompt).map { Int32(($0 * 97 + 11) % vocabulary) }
        var times = plans.map { _ in [Double]() }
        let progress = ProgressReporter(
            label: "timing", total: Self.rounds * plans.count, unit: "runs", quiet: quiet)
        var logits = [Float](repeating: 0, count: vocabulary)
        for _ in 0..<Self.rounds {
            for (index, plan) in plans.enumerated() {
                let session = try Session(
                    model: model, plan: plan, capacity: Self.prompt + Self.tokens)
                try session.run(prompt)
                let clock = Stopwatch()
                for token in 0..<Self.tokens {
                    try session.run([prompt[token]]) { _, states throws(ModelError) in
                        try logits.withUnsafeMutableBufferPointer { logits throws(ModelError) in
                            guard let out = logits.baseAddress else { return }
                            try model.logits(of: states, rows: 1, into: out)
                        }
                    }
                }
                times[index].append(1000 * clock.seconds / Double(Self.tokens))
                progress.advance(by: 1)
            }
        }
        progress.finish()
        return times.map { $0.sorted()[Self.rounds / 2] }
    }
}

extension SplitRecord {
    /// Puts the costs of candidates into the verdict.
    mutating func setCosts(_ costs: [CandidateCost]) {
        guard case .object(var members) = verdict else { return }
        members["costs"] = .array(costs.map(\.json))
        verdict = .object(members)
    }
}
