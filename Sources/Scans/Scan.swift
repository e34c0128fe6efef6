import Corpus
import Evaluation
import Files
import Models
import Statistics
import Tensors

/// Causal scans: what skipping or repeating each window of layers does to items with options and to
/// plain text (docs/scans.md).
public final class Scan {
    /// What is measured.
    public struct Job: Sendable {
        public var windows: [ScanWindow]
        public var items: [ScanItem]
        /// Of two tokens or more each.
        public var documents: [Document]
        /// Whether windows that are clearly behind stop early; else every window sees every item.
        public var races: Bool
        /// Chooses the items of the search and those of the confirmation.
        public var seed: UInt64
        /// Passes up to which the dynamics of each looped window are followed on the text; below 2: none.
        public var dynamics: Int
        /// Whether a skipped layer's effect on later layers is measured on the text.
        public var skipEffect: Bool
        /// Windows that no race drops and that are always confirmed.
        public var pinned: Set<ScanWindow>

        public init(
            windows: [ScanWindow], items: [ScanItem], documents: [Document], races: Bool,
            seed: UInt64, dynamics: Int = 0, skipEffect: Bool = false, pinned: Set<ScanWindow> = []
        ) {
            self.windows = windows
            self.items = items
            self.documents = documents
            self.races = races && !items.isEmpty
            self.seed = seed
            self.dynamics = dynamics
            self.skipEffect = skipEffect
            self.pinned = pinned
        }

        func isPinned(_ window: Int) -> Bool { pinned.contains(windows[window]) }

        /// What the text shows of each window beside its loss. Loops of one window share their dynamics:
        /// the one of the fewest iterations carries them.
        var effects: [TextEffect?] {
            var carriers: [Range<Int>: Int] = [:]
            for (index, window) in windows.enumerated() where window.kind == .loop {
                if let other = carriers[window.layers],
                    windows[other].iterations ?? 0 <= window.iterations ?? 0
                {
                    continue
                }
                carriers[window.layers] = index
            }
            return windows.enumerated().map { index, window in
                if window.kind == .skip, window.length == 1, skipEffect { return .later }
                if dynamics > 1, carriers[window.layers] == index {
                    return .dynamics(passes: dynamics)
                }
                return nil
            }
        }
    }

    /// Values of members under one window; nil where it has not run, NaN where its states overflow.
    public typealias Values = [Double?]

    public struct Result: Sendable {
        public var job: Job
        /// Of the model as it is, in nats: margins and log-odds by item, -log P summed by document.
        public var baseMargins: [Double]
        public var baseLogOdds: [Double]
        public var baseNLL: [Double]
        /// By window, then item or document.
        public var margins: [Values]
        public var logOdds: [Values]
        public var nll: [Values]
        /// By window, then document: the numbers of the window's `TextEffect`; empty where it has none.
        var effects: [[[Double]]]
        /// Items of the search and of the confirmation, in the order they run in.
        public var search: [Int]
        public var confirmation: [Int]
        /// Windows that went to confirmation.
        public var confirmed: [Int]
        /// Whether the time was over before everything had run.
        public var stopped = false
        /// Layers that this run executed, once for each row, and how many the same measurements take
        /// when every option runs by itself through every layer.
        public var executions = 0
        public var naiveExecutions = 0
        /// Rows that went through the head in this run.
        public var headRows = 0
    }

    private let job: Job
    private let model: Transformer
    private let window: WindowPasses
    private let effects: [TextEffect?]
    private let journal: ScanJournal?
    private let isOver: () -> Bool
    private let progress: (ScanProgress) -> Void
    private var result: Result

    /// Whether `isOver` has said so.
    private var isStopped = false

    /// - Parameters:
    ///   - isOver: asked between windows; true ends the scan after the window that runs.
    ///   - progress: gets what is planned, then what was done.
    private init(
        _ job: Job, model: Transformer, journal: ScanJournal?, isOver: @escaping () -> Bool,
        progress: @escaping (ScanProgress) -> Void
    ) throws {
        self.job = job
        self.model = model
        self.journal = journal
        self.isOver = isOver
        self.progress = progress
        window = WindowPasses(passes: try LayerPasses(model: model))
        effects = job.effects
        let (search, confirmation) = Self.divided(job)
        let none = job.windows.map { _ in Values(repeating: nil, count: job.items.count) }
        result = Result(
            job: job, baseMargins: [], baseLogOdds: [], baseNLL: [], margins: none, logOdds: none,
            nll: job.windows.map { _ in Values(repeating: nil, count: job.documents.count) },
            effects: effects.map { effect in
                let count = effect?.count(layers: model.configuration.layerCount) ?? 0
                return effect == nil
                    ? []
                    : job.documents.map { _ in [Double](repeating: .nan, count: count) }
            }, search: search, confirmation: confirmation, confirmed: [])
    }

    /// Runs a scan, or what is left of it.
    /// - Parameter journal: where an interrupted run goes on from; nil keeps nothing.
    /// - Throws: `ScanError.budget`, `ModelError`, `FileError`.
    public static func run(
        _ job: Job, model: Transformer, journalAt path: String? = nil, key: String = "",
        isOver: @escaping () -> Bool = { false },
        progress: @escaping (ScanProgress) -> Void = { _ in }
    ) throws -> Result {
        let journal = try path.map { try ScanJournal(path: $0, key: key) }
        let scan = try Scan(
            job, model: model, journal: journal, isOver: isOver, progress: progress)
        try scan.run()
        return scan.result
    }

    /// Items for the search and for the confirmation. With racing, groups of items in an order drawn by
    /// the seed go to the search until it has half of the items; without, all are searched.
    static func divided(_ job: Job) -> (search: [Int], confirmation: [Int]) {
        guard job.races else { return (Array(job.items.indices), []) }
        let (search, confirmation) = halves(job.items, seed: job.seed)
        return (mixed(search, of: job.items), confirmation)
    }

    /// The same items in an order whose every beginning has about each task's and each right option's share of
    /// the whole: a window that only leans to one answer must not win a short round by luck (proportional
    /// stratified sampling).
    static func mixed(_ order: [Int], of items: [ScanItem]) -> [Int] {
        struct Stratum: Hashable {
            var task: String?
            var gold: Int
        }
        let strata = Dictionary(grouping: order.indices) {
            Stratum(task: items[order[$0]].task, gold: items[order[$0]].gold)
        }
        var share = [Double](repeating: 0, count: order.count)
        for places in strata.values {
            for (number, place) in places.enumerated() {
                share[place] = (Double(number) + 0.5) / Double(places.count)
            }
        }
        return order.indices.sorted { (share[$0], $0) < (share[$1], $1) }.map { order[$0] }
    }

    /// Two halves of the items, groups whole, in an order drawn by the seed.
    public static func halves(
        _ items: [ScanItem], seed: UInt64
    ) -> (search: [Int], confirmation: [Int]) {
        var groups: [[Int]] = []
        var place: [String: Int] = [:]
        for (index, item) in items.enumerated() {
            if let name = item.group, let known = place[name] {
                groups[known].append(index)
            } else {
                if let name = item.group { place[name] = groups.count }
                groups.append([index])
            }
        }
        var random = SplitMix64(seed: seed)
        for last in stride(from: groups.count - 1, to: 0, by: -1) {
            groups.swapAt(last, random.below(last + 1))
        }
        var search: [Int] = []
        var confirmation: [Int] = []
        for group in groups {
            if search.count < (items.count + 1) / 2 {
                search += group
            } else {
                confirmation += group
            }
        }
        return (search, confirmation)
    }

    // MARK: The order of things

    private func run() throws {
        progress(
            .planned(
                job.allPasses(
                    search: result.search, confirmation: result.confirmation, model: model)))
        try measureBase()
        let textUnits = units("text", Array(job.documents.indices)) { [job.documents[$0].request] }
        var text = textUnits[...]
        /// Text keeps step with items, so that a scan that is stopped has something of both.
        func runText(to share: Double) throws {
            while let unit = text.first,
                Double(textUnits.count - text.count) < share * Double(textUnits.count)
            {
                guard !isStopped else { return }
                try measure(unit, Array(job.windows.indices), isText: true)
                text = text.dropFirst()
            }
        }
        var alive = Array(job.windows.indices)
        let search = result.search
        var seen = 0
        var end = job.races ? min(RaceRule.firstRound, search.count) : search.count
        while seen < search.count, !isStopped {
            var done = seen
            for unit in units("search \(seen)", byTask(search[seen..<end]), itemRequests) {
                guard !isStopped else { break }
                try measure(unit, alive, isText: false)
                done += unit.members.count
                try runText(to: Double(done) / Double(search.count))
            }
            guard !isStopped else { break }
            seen = end
            end = min(search.count, 2 * end)
            if job.races {
                let kept = survivors(alive, Array(search[..<seen]))
                let rest = search[seen...].reduce(0) { $0 + job.items[$1].rows }
                progress(.planned(-(alive.count - kept.count) * rest))
                alive = kept
            }
        }
        if job.races, !isStopped {
            result.confirmed = finalists(alive, search)
            for unit in units("confirmation", byTask(result.confirmation[...]), itemRequests) {
                guard !isStopped else { break }
                try measure(unit, result.confirmed, isText: false)
            }
        }
        try runText(to: 1)
        result.stopped = isStopped
        result.executions = window.passes.executions
        result.headRows = window.passes.headRows
    }

    /// Items of a task beside each other: their contexts may begin alike.
    private func byTask(_ items: ArraySlice<Int>) -> [Int] {
        items.enumerated().sorted { one, other in
            (job.items[one.element].task ?? "", one.offset)
                < (job.items[other.element].task ?? "", other.offset)
        }.map(\.element)
    }

    private func itemRequests(_ index: Int) -> [ScoreRequest] { job.items[index].options }

    private func units(
        _ name: String, _ members: [Int], _ requests: (Int) -> [ScoreRequest]
    ) -> [ScanUnit] { ScanUnit.units(name, members, requests: requests) }

    /// Windows that the race goes on with.
    private func survivors(_ alive: [Int], _ items: [Int]) -> [Int] {
        ScanKind.allCases.flatMap { kind in
            let own = alive.filter { job.windows[$0].kind == kind }
            return RaceRule.survivors(
                own.map { window in items.map { result.margins[window][$0] ?? .nan } }
            ).map { own[$0] }
        }.union(with: alive.filter(job.isPinned))
    }

    /// The best windows of each kind, and with each its other numbers of iterations: how many are best is
    /// chosen on items that chose nothing.
    private func finalists(_ alive: [Int], _ items: [Int]) -> [Int] {
        let means = means(alive, items)
        let best = ScanKind.allCases.flatMap { kind in
            alive.filter { job.windows[$0].kind == kind && means[$0] != nil }
                .sorted { (-(means[$0] ?? 0), $0) < (-(means[$1] ?? 0), $1) }
                .prefix(RaceRule.mostConfirmed)
        }
        let curves = job.windows.indices.filter { other in
            best.contains { window in
                job.windows[window].kind == job.windows[other].kind
                    && job.windows[window].layers == job.windows[other].layers
            }
        }
        return best.union(with: curves).union(with: alive.filter(job.isPinned))
    }

    /// Mean margins; without windows that have none.
    private func means(_ alive: [Int], _ items: [Int]) -> [Int: Double] {
        var means: [Int: Double] = [:]
        for window in alive {
            let mean = ScanStatistics.mean(items.map { result.margins[window][$0] ?? .nan }).mean
            if mean.isFinite { means[window] = mean }
        }
        return means
    }

    // MARK: Measuring

    private func measureBase() throws {
        var items = [[Double]](repeating: [.nan, .nan], count: job.items.count)
        var nll = [Double](repeating: .nan, count: job.documents.count)
        let itemUnits = units(
            "base items", byTask(job.items.indices.map(\.self)[...]), itemRequests)
        let text = units("base text", Array(job.documents.indices)) { [job.documents[$0].request] }
        for (index, unit) in (itemUnits + text).enumerated() {
            let isText = index >= itemUnits.count
            let values: [Double]
            if let known = journal?.units[unit.name]?[-1] {
                values = known
            } else {
                guard !isOver() else {
                    throw ScanError.budget(
                        measured: "\(index) of \(itemUnits.count + text.count) blocks of rows")
                }
                let sums = try Self.plain(unit, window.passes)
                result.naiveExecutions += unit.positions * window.passes.layers
                values = zip(unit.members, sums).flatMap { value($0, $1, isText: isText) }
                try journal?.record(unit.name, [-1: values])
            }
            for (place, member) in unit.members.enumerated() {
                if isText {
                    nll[member] = values[place]
                } else {
                    items[member] = Array(values[2 * place..<2 * place + 2])
                }
            }
        }
        result.baseMargins = items.map { $0[0] }
        result.baseLogOdds = items.map { $0[1] }
        result.baseNLL = nll
    }

    /// log P of a unit's requests in the model as it is, by member.
    private static func plain(
        _ unit: ScanUnit, _ passes: LayerPasses
    ) throws(ModelError) -> [[Double]] {
        var sums = unit.requests.map { [Double](repeating: .nan, count: $0.count) }
        for batch in unit.batches(passes.model) {
            let last = try passes.run(
                0..<passes.layers, batch.texts, from: passes.embed(batch.texts))
            spread(try passes.logProbabilities(batch.texts, last), batch, &sums)
        }
        return sums
    }

    /// log P of each option of `items` in the model as it is, in nats.
    /// - Parameter progress: gets the tokens that ran.
    /// - Throws: `ModelError`.
    public static func optionLogProbabilities(
        _ items: [ScanItem], model: Transformer, progress: (Int) -> Void = { _ in }
    ) throws -> [[Double]] {
        let passes = try LayerPasses(model: model)
        var found = [[Double]](repeating: [], count: items.count)
        for unit in ScanUnit.units("", Array(items.indices), requests: { items[$0].options }) {
            for (member, sums) in zip(unit.members, try plain(unit, passes)) {
                found[member] = sums
            }
            progress(unit.members.reduce(0) { $0 + items[$1].rows })
        }
        return found
    }

    /// Measures what the journal does not know yet of `windows` on a unit.
    private func measure(_ unit: ScanUnit, _ windows: [Int], isText: Bool) throws {
        let known = journal?.units[unit.name] ?? [:]
        let missing = windows.filter { known[$0] == nil }
        var values = known
        if !missing.isEmpty {
            values.merge(try run(unit, missing, isText: isText)) { $1 }
        }
        for (index, found) in values where index >= 0 && index < job.windows.count {
            let width = found.count / max(1, unit.members.count)
            for (place, member) in unit.members.enumerated() {
                let own = found[place * width..<(place + 1) * width]
                if isText {
                    result.nll[index][member] = own.first
                    if width > 1 { result.effects[index][member] = Array(own.dropFirst()) }
                } else {
                    result.margins[index][member] = own.first
                    result.logOdds[index][member] = own.last
                }
            }
        }
        let found = windows.count { known[$0] != nil }
        progress(.planned(-found * passes(unit, isText: isText)))
    }

    private func run(
        _ unit: ScanUnit, _ windows: [Int], isText: Bool
    ) throws -> [Int: [Double]] {
        let batches = unit.batches(model)
        let passes = passes(unit, isText: isText)
        var sums: [Int: [[Double]]] = [:]
        /// By window and member.
        var extras: [Int: [Int: [Double]]] = [:]
        var finished: Set<Int> = Set(windows)
        for batch in batches {
            let texts = batch.texts
            let boundaries = try window.boundaries(texts)
            var ran: Set<Int> = []
            let chosen = windows.map { job.windows[$0] }
            let effects = isText ? windows.map { self.effects[$0] } : []
            if !isStopped {
                try window.run(chosen, texts, boundaries, effects: effects) { place, found in
                    let index = windows[place]
                    var own =
                        sums[index]
                        ?? unit.requests.map { [Double](repeating: .nan, count: $0.count) }
                    Self.spread(found.map(\.logProbabilities), batch, &own)
                    sums[index] = own
                    for (text, places) in zip(found, batch.places) where !text.effect.isEmpty {
                        for place in places.values {
                            extras[index, default: [:]][place.member] = text.effect
                        }
                    }
                    ran.insert(index)
                    if batches.count == 1 { progress(.done(passes)) }
                    isStopped = isOver()
                    return !isStopped
                }
            }
            for text in texts { text.rest() }
            finished.formIntersection(ran)
        }
        if batches.count > 1 { progress(.done(finished.count * passes)) }
        var values: [Int: [Double]] = [:]
        for index in finished {
            guard let own = sums[index] else { continue }
            result.naiveExecutions +=
                unit.positions * job.windows[index].executedLayers(of: window.passes.layers)
            values[index] = unit.members.indices.flatMap { place in
                value(unit.members[place], own[place], isText: isText)
                    + (extras[index]?[place] ?? [])
            }
        }
        if !values.isEmpty { try journal?.record(unit.name, values) }
        return values
    }

    /// Token passes of one window over the unit.
    private func passes(_ unit: ScanUnit, isText: Bool) -> Int {
        unit.members.reduce(0) { sum, member in
            sum
                + (isText
                    ? job.passes(job.documents[member], model: model) : job.items[member].rows)
        }
    }

    private static func spread(
        _ found: [[Int: Double]], _ batch: ScanUnit.Batch, _ sums: inout [[Double]]
    ) {
        for (places, values) in zip(batch.places, found) {
            for (request, value) in values {
                guard let place = places[request] else { continue }
                sums[place.member][place.request] = value
            }
        }
    }

    /// -log P of a document; margin and log-odds of an item.
    private func value(_ member: Int, _ sums: [Double], isText: Bool) -> [Double] {
        isText ? [-sums[0]] : [job.items[member].margin(sums), job.items[member].logOdds(sums)]
    }
}

extension [Int] {
    /// Both, each number once, in order.
    fileprivate func union(with others: [Int]) -> [Int] { Set(self).union(others).sorted() }
}
