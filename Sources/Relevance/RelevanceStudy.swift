import Corpus
import Foundation
import Models
import Probing
import Scans
import Tensors

/// Gate, READ and USE of one model in one go (docs/relevance.md).
public struct RelevanceStudy {
    public struct Settings: Sendable {
        public var tasks: [GeneratedTask]
        /// Items of each task that READ's probes are fitted to.
        public var readItems = 1000
        /// Items behind USE, over all tasks; as many again of knowledge, as far as they go.
        public var useItems = 200
        public var seed: UInt64 = 0

        public init(tasks: [GeneratedTask]) { self.tasks = tasks }
    }

    public typealias Trial = GateSearch.Trial

    public struct Result: Sendable {
        /// Every level that was tried, in order.
        public var trials: [Trial] = []
        /// Of the knowledge items.
        public var knowledgeGate: TaskGate?
        public var readTasks: [ReadTask] = []
        /// Tasks whose answers cannot be read, with the reason.
        public var unread: [(task: String, reason: String)] = []
        public var read: ReadScore?
        public var use: UseScore?
        public var knowledge: UseScore?
        /// Skip scans of single layers behind USE; the first over reasoning items, the other over knowledge.
        public var scans: [Scan.Result] = []
        /// Names the scans.
        public var isComplete = true
        /// Seconds of each part.
        public var gateSeconds = 0.0
        public var readForwardSeconds = 0.0
        public var readFitSeconds = 0.0
        public var useSeconds = 0.0

        /// Levels that passed, one of a task.
        public var passed: [Trial] { trials.filter(\.gate.passes) }
    }

    public let model: Transformer
    public let settings: Settings
    private let search: GateSearch
    private let text: [Document]
    private let isOver: () -> Bool
    private let progress: (Int) -> Void

    /// - Parameters:
    ///   - reader: makes items of texts.
    ///   - text: plain text that USE's damage is compared with; of two tokens or more each.
    ///   - isOver: asked as often as every few seconds; true ends the study with what there is.
    ///   - progress: gets steps, of which there are `steps`.
    public init(
        model: Transformer, settings: Settings, reader: ScanItemReader, text: [Document],
        isOver: @escaping () -> Bool, progress: @escaping (Int) -> Void
    ) {
        self.model = model
        self.settings = settings
        search = GateSearch(model: model, reader: reader, seed: settings.seed)
        self.text = text
        self.isOver = isOver
        self.progress = progress
    }

    private var layers: Int { model.configuration.layerCount }

    /// Layer passes, items × layers, when every task passes at its last level.
    public var steps: Int {
        let gate = settings.tasks.reduce(TaskGate.items) { $0 + GateSearch.most($1) }
        let read = settings.tasks.count * settings.readItems
        return layers * (gate + read) + useSteps
    }

    private var useSteps: Int {
        2 * layers * (settings.useItems + text.count)
    }

    /// - Throws: `RelevanceError`, `ModelError`, `ProbeTaskError`, `ScanError`.
    public func run() throws -> Result {
        var result = Result()
        let clock = ContinuousClock()
        func timed<Value>(_ seconds: inout Double, _ body: () throws -> Value) rethrows -> Value {
            let start = clock.now
            defer { seconds += (clock.now - start) / .seconds(1) }
            return try body()
        }
        var gateSeconds = 0.0
        for task in settings.tasks {
            guard !isOver() else {
                result.isComplete = false
                break
            }
            result.trials += try timed(&gateSeconds) {
                try search.trials(task) { progress($0 * layers) }
            }
        }
        result.gateSeconds = gateSeconds
        guard !result.trials.isEmpty else { throw RelevanceError.budget(part: "the gate") }
        let passed = result.passed.map(\.level)
        guard !passed.isEmpty else {
            progress(layers * settings.tasks.count * settings.readItems + useSteps)
            return result
        }

        // USE first: it is the headline, and READ's tasks can be cut off one by one.
        let start = clock.now
        try measureUse(passed, &result)
        result.useSeconds = (clock.now - start) / .seconds(1)

        progress((settings.tasks.count - passed.count) * settings.readItems * layers)
        for level in passed {
            guard !isOver() else {
                result.isComplete = false
                break
            }
            try read(level, &result)
        }
        result.read = ReadScore(result.readTasks)
        return result
    }

    // MARK: USE

    private func measureUse(_ passed: [TaskLevel], _ result: inout Result) throws {
        let each = max(2, settings.useItems / passed.count)
        result.use = try use(passed.flatMap { try search.items($0, each) }, &result)
        guard !isOver() else {
            result.isComplete = false
            return
        }
        let knowledge = try search.knowledge(min(settings.useItems, KnowledgeItems.most))
        let gate = try search.gate(knowledge) { progress($0 * layers) }
        result.knowledgeGate = gate
        if gate.passes {
            result.knowledge = try use(knowledge, &result)
        } else {
            progress(layers * (settings.useItems + text.count))
        }
    }

    /// A skip scan of single layers and what it says.
    private func use(_ items: [ScanItem], _ result: inout Result) throws -> UseScore? {
        let windows = (0..<layers).map { ScanWindow(kind: .skip, start: $0, length: 1) }
        // The text's damage is the same for every kind of items.
        let known = result.scans.first { $0.job.documents.count == text.count }
        let scan = try Scan.run(
            Scan.Job(
                windows: windows, items: items, documents: known == nil ? text : [],
                races: false, seed: settings.seed, skipEffect: true),
            model: model, isOver: isOver, progress: progress)
        if known != nil { progress(layers * text.count) }
        result.scans.append(scan)
        if scan.stopped { result.isComplete = false }
        return Self.use(scan, text: known ?? scan, seed: settings.seed)
    }

    /// USE from a skip scan of single layers.
    /// - Parameter text: the scan that holds the plain text.
    public static func use(_ scan: Scan.Result, text: Scan.Result, seed: UInt64) -> UseScore? {
        let layers = scan.job.windows.count
        let tokens = Double(text.job.documents.reduce(0) { $0 + $1.tokens.count - 1 })
        let textDamage = (0..<layers).map { layer in
            let change = text.job.documents.indices.reduce(0.0) { sum, document in
                sum + (text.nll[layer][document] ?? .nan) - text.baseNLL[document]
            }
            return tokens > 0 ? change / tokens : .nan
        }
        // Items that every layer has seen; one whose states overflowed under some layer compares nothing.
        let seen = scan.job.items.indices.filter { item in
            (0..<layers).allSatisfy { (scan.logOdds[$0][item] ?? .nan).isFinite }
                && scan.baseLogOdds[item].isFinite
        }
        var groups: [String: Int] = [:]
        let numbers = seen.map { item in
            let name = scan.job.items[item].group ?? "item \(item)"
            if groups[name] == nil { groups[name] = groups.count }
            return groups[name] ?? 0
        }
        let search = Set(Scan.halves(scan.job.items, seed: seed).search)
        return UseScore(
            changes: seen.map { item in
                (0..<layers).map {
                    (scan.logOdds[$0][item] ?? .nan) - scan.baseLogOdds[item]
                }
            }, textDamage: textDamage, groups: numbers,
            halves: seen.map { search.contains($0) ? 0 : 1 }, seed: seed)
    }

    // MARK: READ

    /// Questions that have a foil; nil where there are not enough different ones.
    private func questions(_ level: TaskLevel) throws -> [TaskQuestion]? {
        do {
            return try level.questions(settings.readItems, seed: settings.seed)
                .filter { $0.foil != nil }
        } catch {
            if case ProbeTaskError.exhausted = error { return nil }
            throw error
        }
    }

    private func read(_ level: TaskLevel, _ result: inout Result) throws {
        let clock = ContinuousClock()
        let start = clock.now
        guard let questions = try questions(level) else {
            result.unread.append(
                (level.description, "it has not \(settings.readItems) different questions"))
            progress(settings.readItems * layers)
            return
        }
        let items = try search.items(questions, task: level.description)
        guard !items.isEmpty, items.allSatisfy({ $0.readPosition != nil }) else {
            result.unread.append(
                (
                    level.description,
                    items.isEmpty
                        ? "it has no foil"
                        : "an answer has no token of its own in this model's tokenizer"
                ))
            progress(settings.readItems * layers)
            return
        }
        let store = FeatureStore(
            boundaries: layers + 1, rows: items.count, width: model.configuration.hiddenSize)
        let isWhole = try ItemStates.read(
            items, model: model, isOver: isOver, progress: { progress($0 * layers) },
            store: { store.set($0, row: $1, $2) })
        let ran = clock.now
        result.readForwardSeconds += (ran - start) / .seconds(1)
        guard isWhole else {
            result.isComplete = false
            return
        }
        let task = ReadTask.fit(
            name: level.description, features: store, classes: level.task.classes.count,
            labels: questions.map(\.gold), foils: questions.map { $0.foil ?? $0.gold },
            templates: questions.map(\.template), seed: settings.seed)
        if let task {
            result.readTasks.append(task)
        } else {
            result.unread.append((level.description, "its states are not finite"))
        }
        result.readFitSeconds += (clock.now - ran) / .seconds(1)
    }
}

/// Why relevance cannot be measured.
public enum RelevanceError: Error, Equatable, CustomStringConvertible {
    /// The time was over before there was anything to say.
    case budget(part: String)

    public var description: String {
        switch self {
        case .budget(let part):
            "--relevance-budget: over before \(part) had a result; give more time"
        }
    }
}
