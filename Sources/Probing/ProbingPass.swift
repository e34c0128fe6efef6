import Corpus
import Models
import Plans
import Records
import Tokenizers

/// The pass of linear probes: tokenizes each task's examples, runs them, fits probes.
public struct ProbingPass {
    public let model: Transformer
    public let plan: LayerPlan
    /// Needed for tasks that are texts.
    public let tokenizer: Tokenizer?
    public let bos: BOSPolicy
    public let depth: ProbeDepth
    public let seed: UInt64

    public init(
        model: Transformer, plan: LayerPlan, tokenizer: Tokenizer?, bos: BOSPolicy,
        depth: ProbeDepth, seed: UInt64
    ) {
        self.model = model
        self.plan = plan
        self.tokenizer = tokenizer
        self.bos = bos
        self.depth = depth
        self.seed = seed
    }

    /// Seconds spent in the model and in fitting.
    public struct Times: Sendable {
        public var forward = 0.0
        public var fit = 0.0
    }

    /// Each example's tokens up to the one that is read. Made for all tasks before the first is run, so
    /// that a mistake in the last shows at once.
    /// - Throws: `ProbeTaskError` naming the line or the task.
    public func documents(_ task: ProbeTaskData) throws(ProbeTaskError) -> [Document] {
        guard let tokenizer else {
            throw .data(
                path: task.path ?? "task \(task.name)", problem: "needs the model's tokenizer")
        }
        let anchor = TokenAnchor(tokenizer)
        guard let prefix = bos.prefix(before: .text, { tokenizer }) else {
            throw .data(
                path: task.path ?? "task \(task.name)",
                problem: "--bos always, but the model names no BOS token")
        }
        let context = model.configuration.contextLength
        let vocabulary = model.configuration.vocabularySize
        var documents: [Document] = []
        for (index, example) in task.examples.enumerated() {
            func wrong(_ problem: String) -> ProbeTaskError {
                guard let path = task.path, index < task.lines.count else {
                    return .data(
                        path: "task \(task.name)", problem: "\"\(example.text)\": \(problem)")
                }
                return .line(path: path, line: task.lines[index], problem: problem)
            }
            let ids: [Int32]
            do throws(TokenizerError) {
                ids = try tokenizer.encode(example.text, addSpecialTokens: false)
            } catch {
                throw wrong(error.description)
            }
            guard !ids.isEmpty else { throw wrong("the tokenizer gives no token for the text") }
            guard let token = anchor.token(of: example.position, in: example.text, ids: ids) else {
                throw wrong(
                    "\"position\" \(example.position) has no token: this tokenizer does not give the "
                        + "text back; leave \"position\" out and end the text where it shall be read"
                )
            }
            let tokens = prefix + ids[...token]
            if let id = tokens.first(where: { Int($0) >= vocabulary }) {
                throw wrong(
                    "gives token \(id), but the embedding has only \(vocabulary) rows; leave it out, or "
                        + "use the tokenizer that belongs to the weights")
            }
            guard tokens.count <= context else {
                throw wrong(
                    "its \(tokens.count) tokens exceed the model's context of \(context); shorten it"
                )
            }
            documents.append(Document(tokens: tokens, addedTokens: prefix.count))
        }
        return documents
    }

    /// - Parameters:
    ///   - tasks: with what `documents` made of each.
    ///   - stored: tasks whose states stand in dumps of this plan.
    ///   - features: called with each task's features before they are dropped.
    ///   - progress: called with the number of examples that went through since the last call.
    /// - Throws: `ModelError`, `ActivationError`, and what `features` throws.
    public func run(
        _ tasks: [(data: ProbeTaskData, documents: [Document])], stored: [DumpTask] = [],
        features: (ProbeTaskData, FeatureStore) throws -> Void = { _, _ in },
        progress: (Int) -> Void
    ) throws -> (record: ProbesRecord, times: Times) {
        var times = Times()
        var results: [ProbesRecord.Task] = []
        let clock = ContinuousClock()
        func fit(_ data: ProbeTaskData, _ states: () throws -> FeatureStore) throws {
            let start = clock.now
            let store = try states()
            let run = clock.now
            try features(data, store)
            let saved = clock.now
            results.append(
                TaskProbe(data: data, features: store, depth: depth, seed: seed).run())
            times.forward += (run - start) / .seconds(1)
            times.fit += (clock.now - saved) / .seconds(1)
        }
        for (data, documents) in tasks {
            try fit(data) {
                try FeatureExtractor(model: model, plan: plan).run(documents, progress: progress)
            }
        }
        for task in stored { try fit(task.data) { try task.features(plan) } }
        let looped = plan.steps.contains { $0.iteration != nil }
        let record = ProbesRecord(
            seed: seed, plan: looped ? plan.notation : nil,
            boundaries: plan.places(.resid).map {
                ProbesRecord.Boundary(layer: $0.layer, iteration: $0.iteration)
            },
            tasks: results)
        return (record, times)
    }
}
