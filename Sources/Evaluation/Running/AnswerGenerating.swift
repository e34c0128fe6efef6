import Models

/// A prompt whose continuation is an answer.
public struct AnswerRequest: Sendable {
    public var tokens: [Int32]
    public var maximumTokens: Int
    /// The answer ends before the first of them.
    public var stops: [String]
}

/// What was generated, up to a stop.
public struct GeneratedAnswer: Sendable, Equatable {
    public var text: String
    public var tokens: Int
    /// Of the think block, on average over its tokens, where each token thinks on its own account.
    public var meanPasses: Double?

    public init(text: String, tokens: Int, meanPasses: Double? = nil) {
        self.text = text
        self.tokens = tokens
        self.meanPasses = meanPasses
    }
}

/// Generates greedily under several plans. The seam between what is asked and how it is run.
public protocol AnswerGenerating: AnyObject {
    /// Answers in the order of the requests.
    /// - Parameter plan: an index of the plans it was made for.
    func answer(_ requests: [AnswerRequest], plan: Int) throws -> [GeneratedAnswer]
}

extension Evaluator {
    /// Questions whose answers are generated together, and after which a run can stop.
    static let answerChunk = 32

    func runGenerated(
        _ task: PreparedTask, _ documents: ArraySlice<BenchmarkDocument>,
        _ isDone: (_ plan: Int, _ format: Benchmark.Format, _ id: String) -> Bool,
        _ onItems: (_ plan: Int, [EvaluatedItem]) throws -> Void
    ) throws {
        guard case .generation(let generation) = task.benchmark.form, let answers else { return }
        let wanted = passes.indices.filter { plan in
            documents.contains { !isDone(plan, .generation, $0.itemID) }
        }
        guard !wanted.isEmpty else { return }
        var truncated: [Bool] = []
        let requests = try documents.map { document in
            let (request, isTruncated) = try prompt(document, task, generation)
            truncated.append(isTruncated)
            return request
        }
        for plan in wanted {
            let found = try answers.answer(requests, plan: plan)
            var items: [EvaluatedItem] = []
            for ((document, answer), isTruncated) in zip(zip(documents, found), truncated) {
                let grading = generation.grading(document.subtask)
                guard let grade = grading.grade(answer.text, gold: document.gold) else {
                    throw EvaluationError.item(
                        task: task.benchmark.name, id: document.itemID,
                        problem: "its gold answer is not \(grading.goldForm)")
                }
                items.append(
                    EvaluatedItem(
                        task: task.benchmark.name, format: .generation, id: document.itemID,
                        subtask: document.subtask, cluster: document.cluster, gold: document.gold,
                        prediction: .string(answer.text), score: grade.score,
                        isShare: generation.metric == .exactMatch, tokens: [answer.tokens],
                        characters: [answer.text.unicodeScalars.count], isTruncated: isTruncated,
                        passes: passes[plan], meanPasses: answer.meanPasses))
            }
            try onItems(plan, items.filter { !isDone(plan, .generation, $0.id) })
        }
    }

    /// The prompt as ids, without its beginning where the answer would not fit behind it.
    private func prompt(
        _ document: BenchmarkDocument, _ task: PreparedTask, _ generation: Benchmark.Generation
    ) throws(EvaluationError) -> (AnswerRequest, isTruncated: Bool) {
        func wrong(_ problem: String) -> EvaluationError {
            .item(task: task.benchmark.name, id: document.itemID, problem: problem)
        }
        let text = task.benchmark.prompt(document, shots: task.shots)
        var tokens = try tokens(of: text, wrong)
        let room = context - generation.maximumTokens
        guard room > prefixLength else {
            throw wrong(
                "an answer of \(generation.maximumTokens) tokens leaves no room in the model's context of "
                    + "\(context)")
        }
        let surplus = tokens.count - room
        if surplus > 0 { tokens.removeSubrange(prefixLength..<prefixLength + surplus) }
        return (
            AnswerRequest(
                tokens: tokens, maximumTokens: generation.maximumTokens, stops: generation.stops),
            surplus > 0
        )
    }
}
