import Corpus
import Files
import Models
import Tokenizers

/// A benchmark with the questions to ask and the examples before them.
public struct PreparedTask: Sendable {
    public var benchmark: Benchmark
    public var documents: [BenchmarkDocument]
    public var shots: [String: BenchmarkData.Shots]
    public var shotCount: Int
    public var path: String
    public var notes: [String]

    /// - Parameters:
    ///   - shots: examples before each question; nil for the benchmark's own number.
    ///   - limit: the most questions, spread evenly over subtasks; nil for all of OLMES's subset.
    /// - Throws: `EvaluationError`, and what reading files throws.
    public init(
        _ benchmark: Benchmark, data: BenchmarkData, shots: Int? = nil, limit: Int? = nil
    ) throws {
        let count = shots ?? benchmark.shots
        let loaded = try data.load(benchmark, shots: count)
        let subset = BenchmarkSubset.documents(loaded.documents, size: benchmark.subsetSize)
        documents = BenchmarkSubset.first(limit, of: subset)
        guard !documents.isEmpty else {
            throw EvaluationError.noItems(
                task: benchmark.name,
                problem: limit.map { "--limit \($0)" } ?? "\(loaded.path) has no others")
        }
        if let check = benchmark.check { for document in documents { try check(document) } }
        if case .generation(let generation) = benchmark.form {
            for document in documents {
                let grading = generation.grading(document.subtask)
                guard grading.grade("", gold: document.gold) != nil else {
                    throw EvaluationError.item(
                        task: benchmark.name, id: document.itemID,
                        problem: "its gold answer is not \(grading.goldForm) (\(loaded.path))")
                }
            }
        }
        self.benchmark = benchmark
        self.shots = loaded.shots
        shotCount = count
        path = loaded.path
        notes = loaded.notes
    }

    /// Questions times formats.
    public var itemCount: Int { documents.count * benchmark.formats.count }

    /// Changes whenever a text that is asked does.
    public func digest(into hash: inout SHA256) {
        hash.update("\(benchmark.name)\n\(shotCount)\n\(documents.count)\n".utf8)
        hash.update(benchmark.settings.utf8)
        var seen: Set<String> = []
        for document in documents {
            hash.update("\(document.itemID)\n\(document.gold.text(indent: 0))\n".utf8)
            for text in [document.passage ?? "", document.question] + document.choices {
                hash.update(text.utf8)
                hash.update([0])
            }
            if benchmark.keepsFields { hash.update(benchmark.text(of: document).utf8) }
            guard seen.insert(document.subtask ?? "").inserted else { continue }
            for format in benchmark.formats {
                hash.update(benchmark.prefix(for: document, shots: shots, format: format).utf8)
            }
        }
    }
}

/// Asks a model the questions of benchmarks, under one or several plans.
public final class Evaluator {
    /// Questions whose requests are tokenized and run together, and after which a run can stop.
    static let chunk = 16

    private let scoring: any PlanScoring
    let answers: (any AnswerGenerating)?
    /// How often each plan runs the think block.
    let passes: [Int]
    private let reader: ScoreRequestReader
    let prefixLength: Int
    let context: Int

    /// - Parameters:
    ///   - answers: for benchmarks that generate, under the scoring's plans; nil leaves them out.
    ///   - passes: of each of the scoring's plans.
    ///   - context: the most tokens of a request; longer ones lose the start of their context.
    public init(
        scoring: any PlanScoring, answers: (any AnswerGenerating)? = nil, passes: [Int],
        tokenizer: Tokenizer, bos: BOSPolicy, context: Int
    ) {
        self.scoring = scoring
        self.answers = answers
        self.passes = passes
        reader = ScoreRequestReader(tokenizer: tokenizer, bos: bos, path: "request")
        switch bos {
        case .never: prefixLength = 0
        case .auto: prefixLength = tokenizer.prefixTokens.count
        case .always: prefixLength = max(1, tokenizer.prefixTokens.count)
        }
        self.context = context
    }

    /// - Parameters:
    ///   - isDone: whether an earlier run left this question's item of a plan.
    ///   - onItems: called with a plan's index and its new items, in the order of the questions.
    /// - Throws: `EvaluationError.item`, `ModelError`, and what `onItems` throws.
    public func run(
        _ task: PreparedTask,
        isDone: (_ plan: Int, _ format: Benchmark.Format, _ id: String) -> Bool,
        onItems: (_ plan: Int, [EvaluatedItem]) throws -> Void
    ) throws {
        for format in task.benchmark.formats {
            let chunk = format == .generation ? Self.answerChunk : Self.chunk
            var start = 0
            while start < task.documents.count {
                let end = min(start + chunk, task.documents.count)
                let documents = task.documents[start..<end]
                if format == .generation {
                    try runGenerated(task, documents, isDone, onItems)
                } else {
                    try run(task, format, documents, isDone, onItems)
                }
                start = end
            }
        }
    }

    private struct Asked {
        var document: BenchmarkDocument
        var requests: OptionRequests
        /// Where its conditional and unconditional requests stand among the chunk's.
        var options: Range<Int>
        var unconditional: Range<Int>
        var isTruncated: Bool
    }

    private func run(
        _ task: PreparedTask, _ format: Benchmark.Format,
        _ documents: ArraySlice<BenchmarkDocument>,
        _ isDone: (_ plan: Int, _ format: Benchmark.Format, _ id: String) -> Bool,
        _ onItems: (_ plan: Int, [EvaluatedItem]) throws -> Void
    ) throws {
        // A killed run stops between chunks of a plan, so that a chunk is done or not.
        let wanted = scoring.plans.indices.filter { plan in
            documents.contains { !isDone(plan, format, $0.itemID) }
        }
        guard !wanted.isEmpty else { return }
        var requests: [ScoreRequest] = []
        var asked: [Asked] = []
        for document in documents {
            let texts = task.benchmark.requests(document, shots: task.shots, format: format)
            let first = requests.count
            var isTruncated = false
            for pair in texts.options {
                requests.append(try request(pair, task, document, &isTruncated))
            }
            asked.append(
                Asked(
                    document: document, requests: texts, options: first..<requests.count,
                    unconditional: 0..<0, isTruncated: isTruncated))
        }
        // Behind all others, so that the examples' states stay where they are until then.
        for index in asked.indices {
            let first = requests.count
            for pair in asked[index].requests.unconditional {
                requests.append(
                    try request(pair, task, asked[index].document, &asked[index].isTruncated))
            }
            asked[index].unconditional = first..<requests.count
        }
        var sums = [[Double]](
            repeating: [Double](repeating: 0, count: requests.count), count: scoring.plans.count)
        // Passes that scored tokens ran, where they think on their own account.
        var used = [[[Int]?]](
            repeating: [[Int]?](repeating: nil, count: requests.count), count: scoring.plans.count)
        try scoring.score(requests, plans: wanted) { plan, request, score in
            sums[plan][request] = score.sum
            used[plan][request] = score.passes
        }
        for plan in wanted {
            let items = asked.map {
                item(
                    $0, task.benchmark, format, requests, sums[plan], used[plan],
                    passes: passes[plan])
            }
            try onItems(plan, items.filter { !isDone(plan, format, $0.id) })
        }
    }

    private func item(
        _ asked: Asked, _ benchmark: Benchmark, _ format: Benchmark.Format,
        _ requests: [ScoreRequest], _ sums: [Double], _ used: [[Int]?], passes: Int
    ) -> EvaluatedItem {
        let own = asked.options.flatMap { used[$0] ?? [] }
        let mean = own.isEmpty ? nil : Double(own.reduce(0, +)) / Double(own.count)
        var item = EvaluatedItem(
            task: benchmark.name, format: format, id: asked.document.itemID,
            subtask: asked.document.subtask, cluster: asked.document.cluster,
            gold: asked.document.gold, prediction: .null, score: 0, isShare: true,
            logProbabilities: Array(sums[asked.options]),
            unconditional: Array(sums[asked.unconditional]),
            tokens: requests[asked.options].map { $0.tokens.count - $0.firstScored },
            characters: asked.requests.options.map { $0.continuation.unicodeScalars.count },
            isTruncated: asked.isTruncated, passes: passes, meanPasses: mean)
        let choice = item.choice(benchmark.primaryMetric(format))
        item.prediction = .number(choice)
        item.score = choice != nil && choice == asked.document.goldIndex ? 1 : 0
        return item
    }

    private func request(
        _ pair: OptionRequests.Pair, _ task: PreparedTask, _ document: BenchmarkDocument,
        _ isTruncated: inout Bool
    ) throws(EvaluationError) -> ScoreRequest {
        func wrong(_ problem: String) -> EvaluationError {
            .item(task: task.benchmark.name, id: document.itemID, problem: problem)
        }
        let line: JSON = [
            "context": .string(pair.context), "continuation": .string(pair.continuation),
        ]
        var request = try read(line, wrong)
        let surplus = request.tokens.count - context
        guard surplus > 0 else { return request }
        guard request.firstScored - surplus > prefixLength else {
            throw wrong(
                "its option alone is longer than the model's context of \(context) tokens")
        }
        request.tokens.removeSubrange(prefixLength..<prefixLength + surplus)
        request.firstScored -= surplus
        isTruncated = true
        return request
    }

    /// A text's ids, special tokens as the policy has them.
    func tokens(
        of text: String, _ wrong: (String) -> EvaluationError
    ) throws(EvaluationError) -> [Int32] {
        try read(["text": .string(text)], wrong).tokens
    }

    private func read(
        _ line: JSON, _ wrong: (String) -> EvaluationError
    ) throws(EvaluationError) -> ScoreRequest {
        do {
            return try reader.read(Array(line.text(indent: 0).utf8), number: 1)
        } catch {
            switch error {
            case .line(_, _, let problem): throw wrong(problem)
            case .tokenizer(_, _, let error): throw wrong(error.description)
            }
        }
    }
}
