import Models
import Probing
import Scans

/// Finds the level at which a model does a task, and makes the items of it.
public struct GateSearch {
    /// A level that was tried.
    public struct Trial: Sendable {
        public var level: TaskLevel
        public var gate: TaskGate
    }

    public let model: Transformer
    private let reader: ScanItemReader
    public let seed: UInt64

    /// - Parameter reader: makes items of texts.
    public init(model: Transformer, reader: ScanItemReader, seed: UInt64) {
        self.model = model
        self.reader = reader
        self.seed = seed
    }

    /// Mean tokens of an item of a level, by its first ten.
    func rows(_ level: TaskLevel) throws -> Int {
        let sample = try items(level, 10)
        return sample.reduce(0) { $0 + $1.rows } / sample.count
    }

    /// Tokens that the gate runs of one task at most.
    func most(_ task: GeneratedTask) throws -> Int {
        let levels = TaskLevel.levels(of: task)
        return try levels.enumerated().reduce(0) { sum, entry in
            let isLast = entry.offset == levels.count - 1
            return try sum
                + (isLast ? TaskGate.items : TaskGate.earlyItems) * rows(entry.element)
        }
    }

    /// Tries levels until one passes. A level that is clearly without information after the first items is
    /// given up; one whose items exceed the model's context is not tried. Where none can be tried, the gate
    /// of no items stands for the task.
    /// - Parameter progress: gets the tokens that ran.
    /// - Throws: `ModelError`, `ProbeTaskError`, `ScanError`.
    public func trials(
        _ task: GeneratedTask, levels: [TaskLevel]? = nil, progress: (Int) -> Void
    ) throws -> [Trial] {
        var trials: [Trial] = []
        let levels = levels ?? TaskLevel.levels(of: task)
        for level in levels {
            let items = try self.items(level, TaskGate.items)
            guard items.allSatisfy(fits) else { continue }
            var found: [[Double]] = []
            for range in [0..<TaskGate.earlyItems, TaskGate.earlyItems..<items.count] {
                found += try Scan.optionLogProbabilities(
                    Array(items[range]), model: model, progress: progress)
                let gate = TaskGate(
                    found, gold: items.prefix(found.count).map(\.gold), isCalibrated: true)
                if found.count < items.count, gate.z >= TaskGate.leastEarly { continue }
                trials.append(Trial(level: level, gate: gate))
                break
            }
            if trials.last?.gate.passes == true { break }
        }
        if trials.isEmpty, let level = levels.first {
            trials.append(
                Trial(level: level, gate: TaskGate([], gold: [], isCalibrated: true)))
        }
        return trials
    }

    /// The last id is predicted, it does not run.
    private func fits(_ item: ScanItem) -> Bool {
        item.options.allSatisfy { $0.tokens.count - 1 <= model.configuration.contextLength }
    }

    /// The first `count` items of a level.
    public func items(_ level: TaskLevel, _ count: Int) throws -> [ScanItem] {
        try items(level.questions(count, seed: seed), task: level.description)
    }

    public func items(_ questions: [TaskQuestion], task: String) throws -> [ScanItem] {
        try questions.map {
            try reader.item(context: $0.context, options: $0.options, gold: $0.gold, task: task)
        }
    }

    /// Items that ask for facts; those about one country are of one group.
    public func knowledge(_ count: Int) throws -> [ScanItem] {
        try KnowledgeItems.questions(count, seed: seed).map { question, group in
            try reader.item(
                context: question.context, options: question.options, gold: question.gold,
                task: KnowledgeItems.name, group: group)
        }
    }

    /// The gate over items of anyone's.
    public func gate(_ items: [ScanItem], progress: (Int) -> Void = { _ in }) throws -> TaskGate {
        let first = Array(items.prefix(TaskGate.items))
        return TaskGate(
            try Scan.optionLogProbabilities(first, model: model, progress: progress),
            gold: first.map(\.gold), isCalibrated: Self.haveSameOptions(first))
    }

    /// Whether option i is the same text in every item, so that its usual probability means something.
    static func haveSameOptions(_ items: [ScanItem]) -> Bool {
        let texts = items.map { item in
            item.options.map { Array($0.tokens[$0.firstScored...]) }
        }
        return texts.allSatisfy { $0 == texts[0] }
    }
}
