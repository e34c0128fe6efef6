import Records
import Statistics
import Tensors

/// Evidence as one resample of documents and items has it; of the run itself when nothing was drawn.
public struct EvidenceView: Sendable {
    public let evidence: SavedEvidence
    /// Means by metric, [places]; NaN where undefined.
    private let means: [String: [Double]]
    /// Mean of each pair of boundaries.
    private let pairs: [Double]?
    /// How often each item and document was drawn; nil: once.
    package let itemTimes: [Double]?
    package let documentTimes: [Double]?
    /// By kind of loop.
    private let races: [String: RaceReplay]

    /// Kneedle's and the windows' reading of the distances with its bootstrap, where that has been made.
    public var angular: LayerEvidence?

    public var layers: Int { evidence.layers }

    /// The run itself.
    public init(_ evidence: SavedEvidence) {
        self.evidence = evidence
        itemTimes = nil
        documentTimes = nil
        races = Self.races(evidence)
        means = evidence.tables.mapValues { table in
            let once = [Double](repeating: 1, count: evidence.documents)
            return Self.weighted(table, once)
        }
        pairs = evidence.pairs.map { pairs in
            Self.weighted(
                .init(
                    places: pairs.pairs.count, sums: pairs.values,
                    counts: pairs.values.map { _ in 1 }),
                [Double](repeating: 1, count: evidence.documents))
        }
    }

    fileprivate init(
        _ evidence: SavedEvidence, means: [String: [Double]], pairs: [Double]?,
        itemTimes: [Double]?, documentTimes: [Double], races: [String: RaceReplay]
    ) {
        self.evidence = evidence
        self.races = races
        self.means = means
        self.pairs = pairs
        self.itemTimes = itemTimes
        self.documentTimes = documentTimes
    }

    private static func weighted(_ table: SavedEvidence.Table, _ times: [Double]) -> [Double] {
        (0..<table.places).map { place in
            var (sum, count) = (0.0, 0.0)
            for (document, times) in times.enumerated() where times > 0 {
                let index = document * table.places + place
                guard table.counts[index] > 0, table.sums[index].isFinite else { continue }
                sum += times * table.sums[index]
                count += times * table.counts[index]
            }
            return count > 0 ? sum / count : .nan
        }
    }

    /// Σ sums / Σ counts over documents by place; nil where the metric was not measured.
    public func means(_ metric: String) -> [Double]? {
        means[metric]
            ?? evidence.whole[metric].map { $0.map { $0 ?? .nan } }
    }

    /// A score of each layer; nil where it was not measured. USE is worked out again from the drawn items.
    public func score(_ name: String) -> [Double]? {
        if name == "use", let use = evidence.use { return Self.use(use, itemTimes) }
        return evidence.scores[name].map { $0.map { $0 ?? .nan } }
    }

    /// Mean distance of boundaries i and j; nil where it was not measured.
    func distance(_ i: Int, _ j: Int) -> Double? {
        guard let pairs, let table = evidence.pairs else { return nil }
        return table.pairs.firstIndex { $0 == (i, j) }.map { pairs[$0] }
    }

    /// All distances [boundaries][boundaries]; nil where pairs were not measured.
    func distances() -> [[Double]]? {
        guard let pairs, let table = evidence.pairs else { return nil }
        var all = [[Double]](
            repeating: [Double](repeating: .nan, count: layers + 1), count: layers + 1)
        for (index, pair) in table.pairs.enumerated()
        where pair.0 <= layers && pair.1 <= layers && pair.0 >= 0 && pair.1 >= 0 {
            all[pair.0][pair.1] = pairs[index]
            all[pair.1][pair.0] = pairs[index]
        }
        return all
    }

    /// -(D - (a + b·N)) by layer; layers that cost text .8 nats or more take no part in the fit.
    private static func use(_ use: SavedEvidence.Use, _ times: [Double]?) -> [Double] {
        let layers = use.textDamage.count
        var damage = [Double](repeating: 0, count: layers)
        var whole = 0.0
        for (item, row) in use.changes.enumerated() {
            let times = times?[item] ?? 1
            whole += times
            for layer in 0..<layers { damage[layer] += times * row[layer] }
        }
        damage = damage.map { $0 / whole }
        let fitted = (0..<layers).filter { use.textDamage[$0] < 0.8 && use.textDamage[$0] != 0 }
        guard fitted.count >= 3 else { return damage.map { _ in .nan } }
        let count = Double(fitted.count)
        let n = fitted.reduce(0) { $0 + use.textDamage[$1] } / count
        let d = fitted.reduce(0) { $0 + damage[$1] } / count
        var (nn, nd) = (0.0, 0.0)
        for layer in fitted {
            nn += (use.textDamage[layer] - n) * (use.textDamage[layer] - n)
            nd += (use.textDamage[layer] - n) * (damage[layer] - d)
        }
        let slope = nn > 0 ? nd / nn : 0
        return (0..<layers).map { layer in
            damage[layer] == 0 && use.textDamage[layer] == 0
                ? 0 : -(damage[layer] - (d + slope * (use.textDamage[layer] - n)))
        }
    }

    /// USE of single items, [items][layers]; their mean is USE.
    func useByItem(_ use: SavedEvidence.Use) -> [[Double]] {
        use.changes.map { Self.use(.init(changes: [$0], textDamage: use.textDamage), nil) }
            .map { row in row.map { $0.isFinite ? $0 : 0 } }
    }

    /// Mean change of the margin under a window over items of the search or the confirmation; nil where it
    /// saw none of them.
    func marginChange(_ window: SavedEvidence.Window, confirmation: Bool) -> Double? {
        guard let scans = evidence.scans else { return nil }
        var (sum, count) = (0.0, 0.0)
        for (item, value) in window.margins.enumerated()
        where scans.isConfirmation[item] == confirmation && value.isFinite {
            let times = itemTimes.flatMap { item < $0.count ? $0[item] : nil } ?? 1
            sum += times * value
            count += times
        }
        return count > 0 ? sum / count : nil
    }

    fileprivate static func races(_ evidence: SavedEvidence) -> [String: RaceReplay] {
        guard let scans = evidence.scans else { return [:] }
        return Dictionary(
            Set(scans.windows.map(\.kind)).compactMap { kind in
                RaceReplay(scans, kind: kind).map { (kind, $0) }
            }
        ) { first, _ in first }
    }

    /// Looped windows of a kind with the mean change of the searched items' margin. The race is run again on the
    /// drawn items; a window that leaves it counts for no more than the worst that stays.
    func raced(_ kind: String) -> [(window: SavedEvidence.Window, change: Double, stays: Bool)] {
        guard let scans = evidence.scans, let race = races[kind] else { return [] }
        let staying = Set(race.survivors(scans, times: itemTimes))
        let changes = scans.windows.indices.compactMap { index -> (Int, Double)? in
            let window = scans.windows[index]
            guard window.kind == kind, (window.iterations ?? 1) > 1 else { return nil }
            return marginChange(window, confirmation: false).map { (index, $0) }
        }
        let worst = changes.filter { staying.contains($0.0) }.map(\.1).min() ?? .infinity
        return changes.map { index, change in
            let stays = staying.contains(index)
            return (scans.windows[index], stays ? change : min(change, worst), stays)
        }
    }

    /// Change of the text's negative log-probability per token; nil where it is unknown.
    func textChange(_ window: SavedEvidence.Window) -> Double? {
        guard let scans = evidence.scans else { return nil }
        var (sum, tokens) = (0.0, 0.0)
        for (document, value) in window.nll.enumerated() where value.isFinite {
            let times = documentTimes.flatMap { document < $0.count ? $0[document] : nil } ?? 1
            sum += times * value
            tokens += times * scans.scored[document]
        }
        return tokens > 0 ? sum / tokens : nil
    }
}

/// Draws documents and items with replacement, all metrics together.
public struct EvidenceResampler: Sendable {
    public static let resamples = 2000
    /// Resamples whose weights are in memory together.
    private static let block = 100

    public let evidence: SavedEvidence
    public let seed: UInt64
    public let resamples: Int

    public init(_ evidence: SavedEvidence, resamples: Int = Self.resamples, seed: UInt64) {
        self.evidence = evidence
        self.resamples = resamples
        self.seed = seed
    }

    /// Calls `body` with each resample in turn. Sums of all metrics come from one product of how often each
    /// document was drawn with all tables, so that 10,000 documents cost seconds.
    public func run(_ body: (EvidenceView) -> Void) {
        let documents = evidence.documents
        var random = SplitMix64(seed: seed)
        let names = evidence.tables.keys.sorted()
        var columns: [(name: String, first: Int, places: Int)] = []
        var width = 0
        for name in names {
            let places = evidence.tables[name]?.places ?? 0
            columns.append((name, width, places))
            width += 2 * places
        }
        let pairCount = evidence.pairs?.pairs.count ?? 0
        let pairFirst = width
        width += 2 * pairCount
        // [documents][width]: for each metric its sums, then its counts; what is undefined counts nothing.
        var table = [Double](repeating: 0, count: documents * width)
        func store(_ sums: [Double], _ counts: (Int) -> Double, _ places: Int, _ first: Int) {
            for document in 0..<documents {
                for place in 0..<places {
                    let index = document * places + place
                    guard sums[index].isFinite, counts(index) > 0 else { continue }
                    table[document * width + first + place] = sums[index]
                    table[document * width + first + places + place] = counts(index)
                }
            }
        }
        for column in columns {
            guard let own = evidence.tables[column.name] else { continue }
            store(own.sums, { own.counts[$0] }, column.places, column.first)
        }
        if let pairs = evidence.pairs { store(pairs.values, { _ in 1 }, pairCount, pairFirst) }

        let races = EvidenceView.races(evidence)
        let items = max(evidence.scans?.isConfirmation.count ?? 0, evidence.use?.changes.count ?? 0)
        var done = 0
        while done < resamples {
            let count = min(Self.block, resamples - done)
            var times = [Double](repeating: 0, count: count * documents)
            for draw in 0..<count {
                for _ in 0..<documents { times[draw * documents + random.below(documents)] += 1 }
            }
            var totals = [Double](repeating: 0, count: count * width)
            if width > 0, documents > 0 {
                table.withUnsafeBufferPointer { table in
                    times.withUnsafeBufferPointer { times in
                        totals.withUnsafeMutableBufferPointer { totals in
                            DoubleMatrix.product(
                                times.baseAddress!, rows: count, inner: documents,
                                table.baseAddress!, columns: width, into: totals.baseAddress!)
                        }
                    }
                }
            }
            for draw in 0..<count {
                let row = draw * width
                func means(_ first: Int, _ places: Int) -> [Double] {
                    (0..<places).map { place in
                        let divisor = totals[row + first + places + place]
                        return divisor > 0 ? totals[row + first + place] / divisor : .nan
                    }
                }
                var drawn: [Double]?
                if items > 0 {
                    var counts = [Double](repeating: 0, count: items)
                    for _ in 0..<items { counts[random.below(items)] += 1 }
                    drawn = counts
                }
                body(
                    EvidenceView(
                        evidence,
                        means: Dictionary(
                            uniqueKeysWithValues: columns.map {
                                ($0.name, means($0.first, $0.places))
                            }),
                        pairs: evidence.pairs == nil ? nil : means(pairFirst, pairCount),
                        itemTimes: drawn,
                        documentTimes: Array(times[draw * documents..<(draw + 1) * documents]),
                        races: races))
            }
            done += count
        }
    }
}
