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
    private let work: Meter

    /// - Parameters:
    ///   - reader: makes items of texts.
    ///   - text: plain text that USE's damage is compared with; of two tokens or more each.
    ///   - isOver: asked as often as every few seconds; true ends the study with what there is.
    ///   - progress: gets what is planned, then what was done.
    public init(
        model: Transformer, settings: Settings, reader: ScanItemReader, text: [Document],
        isOver: @escaping () -> Bool, progress: @escaping (ScanProgress) -> Void
    ) {
        self.model = model
        self.settings = settings
        search = GateSearch(model: model, reader: reader, seed: settings.seed)
        self.text = text
        self.isOver = isOver
        work = Meter(report: progress)
    }

    private var layers: Int { model.configuration.layerCount }

    /// Plans the most that may come: every task passes, at its longest level. An item that runs once through all
    /// layers counts two token passes a token.
    private func plan() throws {
        var longest = 1
        for task in settings.tasks {
            work.plan(.gate(task.name), 2 * (try search.most(task)))
            let rows = try TaskLevel.levels(of: task).map(search.rows).max() ?? 1
            work.plan(.read(task.name), 2 * rows * settings.readItems)
            longest = max(longest, rows)
        }
        let text = skips([], text).textPasses(model: model)
        work.plan(.use, layers * longest * settings.useItems + text)
        let facts = try search.knowledge(10).map(\.rows).max() ?? 1
        work.plan(.knowledge, (layers + 2) * facts * settings.useItems)
    }

    private func skips(_ items: [ScanItem], _ documents: [Document]) -> Scan.Job {
        Scan.Job(
            windows: (0..<layers).map { ScanWindow(kind: .skip, start: $0, length: 1) },
            items: items, documents: documents, races: false, seed: settings.seed,
            skipEffect: true)
    }

    /// - Throws: `RelevanceError`, `ModelError`, `ProbeTaskError`, `ScanError`.
    public func run() throws -> Result {
        var result = Result()
        try plan()
        defer { work.endAll() }
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
                try search.trials(task) { work.done(.gate(task.name), 2 * $0) }
            }
            work.end(.gate(task.name))
            guard let level = result.trials.last, level.gate.passes else {
                work.end(.read(task.name))
                continue
            }
            work.limit(
                .read(task.name), to: 2 * settings.readItems * (try search.rows(level.level)))
        }
        result.gateSeconds = gateSeconds
        guard !result.trials.isEmpty else { throw RelevanceError.budget(part: "the gate") }
        let passed = result.passed.map(\.level)
        guard !passed.isEmpty else { return result }

        // USE first: it is the headline, and READ's tasks can be cut off one by one.
        let start = clock.now
        try measureUse(passed, &result)
        result.useSeconds = (clock.now - start) / .seconds(1)

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
        result.use = try use(passed.flatMap { try search.items($0, each) }, .use, &result)
        guard !isOver() else {
            result.isComplete = false
            return
        }
        let knowledge = try search.knowledge(min(settings.useItems, KnowledgeItems.most))
        let gate = try search.gate(knowledge) { work.done(.knowledge, 2 * $0) }
        result.knowledgeGate = gate
        if gate.passes { result.knowledge = try use(knowledge, .knowledge, &result) }
    }

    /// A skip scan of single layers and what it says.
    private func use(
        _ items: [ScanItem], _ part: Meter.Part, _ result: inout Result
    ) throws -> UseScore? {
        // The text's damage is the same for every kind of items.
        let known = result.scans.first { $0.job.documents.count == text.count }
        let scan = try Scan.run(
            skips(items, known == nil ? text : []), model: model, isOver: isOver
        ) { progress in
            switch progress {
            case .planned(let count) where count > 0: work.limit(part, to: count)
            case .planned: break
            case .done(let count): work.done(part, count)
            }
        }
        work.end(part)
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
            return
        }
        let store = FeatureStore(
            boundaries: layers + 1, rows: items.count, width: model.configuration.hiddenSize)
        let isWhole = try ItemStates.read(
            items, model: model, isOver: isOver,
            progress: { work.done(.read(level.task.name), 2 * $0) },
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

/// Work that is planned, by part: a part that turns out smaller gives the rest back.
private final class Meter {
    enum Part: Hashable {
        case gate(String)
        case use, knowledge
        case read(String)
    }

    private let report: (ScanProgress) -> Void
    private var left: [Part: Int] = [:]

    init(report: @escaping (ScanProgress) -> Void) { self.report = report }

    func plan(_ part: Part, _ count: Int) {
        left[part, default: 0] += count
        report(.planned(count))
    }

    func done(_ part: Part, _ count: Int) {
        left[part, default: 0] -= count
        report(.done(count))
    }

    /// Says that the part has `count` left.
    func limit(_ part: Part, to count: Int) {
        report(.planned(count - left[part, default: 0]))
        left[part] = count
    }

    func end(_ part: Part) { limit(part, to: 0) }

    func endAll() { for part in left.keys { end(part) } }
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
