import Files
import OrderedCollections
import Plans
import Records
import Statistics

/// What all evidence together says, as two answers: may the frozen model loop a window, and which window is
/// worth training. Cheap evidence alone decides neither.
public struct Verdict: Sendable {
    /// A looped window on the confirmation items.
    public struct Confirmed: Sendable, Equatable {
        public var kind: String
        public var start: Int
        public var length: Int
        public var iterations: Int
        public var items: Int
        /// Change of the margin in nats, and its band for all confirmed windows together.
        public var change: Double
        public var low: Double
        public var high: Double
        /// Change of the share of right answers, with its band; nil where the base's margins are not known.
        public var accuracy: PairedShare?
        /// Change of the text's negative log-probability in nats per token; nil without text.
        public var text: Double?
        /// Executed layers over the model's.
        public var overhead: Double
    }

    /// What a recommendation may cost.
    public struct Limits: Sendable, Equatable {
        /// Executed layers over the model's.
        public var overhead: Double
        /// Nats per token of plain text.
        public var textCost: Double
        public static let usualTextCost = 0.1

        public init(overhead: Double = .infinity, textCost: Double = Self.usualTextCost) {
            self.overhead = overhead
            self.textCost = textCost
        }
    }

    /// *Use it frozen*.
    public struct Frozen: Sendable {
        /// The window that gains, nil where none does.
        public var recommended: Confirmed?
        /// Best first.
        public var confirmed: [Confirmed]
        /// The best window's gain by its number of iterations, fewest first; empty where one k was confirmed.
        public var curve: [Confirmed]
        /// No window gains more than this, at 95 % for all of them together; nil without confirmation.
        public var upperBound: Double?
        public var reason: String
    }

    /// *Train it*.
    public struct Train: Sendable {
        public struct Candidate: Sendable, Equatable {
            public var split: Split
            public var score: Double
            /// By part: how far the window stands out among those of its length, in standard deviations.
            public var parts: [String: Double]
        }

        /// Best first.
        public var candidates: [Candidate]
        /// Share of resamples whose winner begins and ends within one layer of the best candidate.
        public var confidence: Double?
        /// nil where the best candidate is proposed.
        public var abstention: String?
        public var parts: [String]
        /// How often each first and last think layer came out of the resamples.
        public var starts: [Int: Int]
        public var ends: [Int: Int]
        /// The best candidate's loop against others of the same executed layers, on the confirmation items.
        public var rivals: [Rival]
    }

    /// A window that runs as many layers more as the candidate's does.
    public struct Rival: Sendable, Equatable {
        public var kind: String
        public var start: Int
        public var length: Int
        public var iterations: Int
        /// The candidate's margin minus the rival's in nats, with a 95 % band for all rivals together.
        public var difference: Double
        public var low: Double
        public var high: Double
    }

    /// How often a selector's proposal came out again; of selectors whose evidence resamples draw.
    public struct Stability: Sendable {
        /// Share of resamples with the very proposal, and within one layer at both ends.
        public var same: Double
        public var near: Double
        /// How often each first and last think layer came out.
        public var starts: [Int: Int]
        public var ends: [Int: Int]
    }

    public var frozen: Frozen
    public var train: Train
    public var stability: OrderedDictionary<String, Stability>
    /// What was not measured, by selector title.
    public var missing: OrderedDictionary<String, [EvidenceNeed]>
    public var resamples: Int
    public var limits: Limits
    public var front: [Offer]
    /// What selectors with a setting propose under other settings.
    public var sweeps: [Sweep]

    /// The confidence below which nothing is proposed. Three parts of pure noise reach about .28.
    public static let leastConfidence = 0.5

    /// - Parameters:
    ///   - limits: windows that cost more are not recommended.
    ///   - others: evidence of the same model on other texts, for the sweep alone, by name.
    public init(
        _ evidence: SavedEvidence, resamples: Int = EvidenceResampler.resamples,
        limits: Limits = Limits(), others: [(name: String, evidence: SavedEvidence)] = [],
        seed: UInt64 = 0
    ) {
        let view = EvidenceView(evidence)
        self.resamples = resamples
        self.limits = limits
        frozen = Self.frozen(evidence, limits: limits, seed: seed)
        front = Self.front(evidence, maximumOverhead: limits.overhead)
        sweeps = Sweep.all(evidence, others: others)
        missing = [:]
        var fed: [(selector: Selector, proposal: Split?)] = []
        for selector in Selector.all {
            let lacking = selector.missing(in: evidence)
            if !lacking.isEmpty {
                missing[selector.title] = lacking
            } else if selector.reads.allSatisfy({ $0.isDrawn(in: evidence) }) {
                // Others say the same in every resample.
                fed.append((selector, selector.winner(view)))
            }
        }
        let candidates = Self.candidates(view)
        var near = 0
        var (starts, ends): ([Int: Int], [Int: Int]) = ([:], [:])
        var counts = fed.map { _ in Stability(same: 0, near: 0, starts: [:], ends: [:]) }
        EvidenceResampler(evidence, resamples: resamples, seed: seed).run { drawn in
            for (index, entry) in fed.enumerated() {
                guard let winner = entry.selector.winner(drawn) else { continue }
                counts[index].starts[winner.encoder, default: 0] += 1
                counts[index].ends[winner.encoder + winner.think - 1, default: 0] += 1
                guard let proposal = entry.proposal else { continue }
                if winner == proposal { counts[index].same += 1 }
                if winner.isNear(proposal) { counts[index].near += 1 }
            }
            if let best = candidates.first, let winner = Self.candidates(drawn).first?.split {
                starts[winner.encoder, default: 0] += 1
                ends[winner.encoder + winner.think - 1, default: 0] += 1
                if winner.isNear(best.split) { near += 1 }
            }
        }
        let whole = Double(max(1, resamples))
        stability = [:]
        for (entry, count) in zip(fed, counts) {
            var count = count
            count.same /= whole
            count.near /= whole
            stability[entry.selector.name] = count
        }
        let parts = candidates.first.map { $0.parts.keys.sorted() } ?? []
        let confidence = candidates.isEmpty ? nil : Double(near) / whole
        train = Train(
            candidates: Array(candidates.prefix(10)), confidence: confidence,
            abstention: Self.abstention(
                confidence, isClear: candidates.first.map { Self.isClear($0.split, evidence, seed) }
            ),
            parts: parts, starts: starts, ends: ends,
            rivals: candidates.first.map { Self.rivals(of: $0.split, evidence, seed: seed) } ?? [])
    }

    /// Whether the window stands out of those of its length that lie elsewhere, in USE or in what a half loop does
    /// to the searched items, by more than any window does by chance: two-sided p for all windows together, .05 divided by the
    /// parts that were measured. Without that, resamples of noise agree with the noise they are drawn from.
    static func isClear(_ split: Split, _ evidence: SavedEvidence, _ seed: UInt64) -> Bool {
        let windows = Windows(layers: evidence.layers)
        let all = windows.all.filter { $0.count == split.think }
        guard let place = all.firstIndex(of: split.encoder..<split.encoder + split.think),
            all.count >= 3
        else { return false }
        // Windows that share half of their layers and more are hardly another choice.
        let elsewhere = all.indices.map { own -> [Int] in
            let others = all.indices.filter {
                2 * all[$0].clamped(to: all[own]).count < all[own].count
            }
            return others.count > 1 ? others : Array(all.indices)
        }
        var parts: [[[Double]]] = []
        if let use = evidence.use {
            let view = EvidenceView(evidence)
            parts.append(
                view.useByItem(use).map { row in
                    let means = all.map { window in
                        window.reduce(0) { $0 + row[$1] } / Double(window.count)
                    }
                    return zip(means, elsewhere).map { mean, others in
                        mean - others.reduce(0) { $0 + means[$1] } / Double(others.count)
                    }
                })
        }
        if let scans = evidence.scans {
            let half = all.map { window in
                scans.windows.first {
                    $0.kind == "half" && $0.iterations == 2 && $0.layers == window
                }
            }
            if let rows = standingOut(
                half.map { $0?.margins }, elsewhere, scans.isConfirmation)
            {
                parts.append(rows)
            }
        }
        return parts.contains { rows in
            let band = MeanBand(rows, seed: seed)
            return band.means[place] > 0 && band.pValues[place] <= 0.05 / Double(parts.count)
        }
    }

    /// How far each window's gain lies above the mean gain of those elsewhere, as rows of items whose means are these
    /// differences and whose spread is their error.
    ///
    /// A race leaves windows with different numbers of items, and those that went on were chosen. So a window is
    /// set against the mean of the others on the items that every window saw, and the items that it saw besides
    /// correct its own part by regression (double sampling: Cochran 1977, 12.6): d + b (m - m'), with d the mean
    /// difference and m' the window's mean gain on the common items, m its mean on all that it saw, and b the
    /// slope of differences on gains. Each item's row is that plus the item's part in the linearised error; where
    /// all windows saw the same items it is the item's plain difference.
    /// - Parameters:
    ///   - gains: [window][item], NaN where it did not run; nil for a window without a scan.
    ///   - elsewhere: windows that each is set against.
    /// - Returns: nil unless every window saw three searched items in common.
    public static func standingOut(
        _ gains: [[Double]?], _ elsewhere: [[Int]], _ isConfirmation: [Bool]
    ) -> [[Double]]? {
        let windows = gains.compactMap(\.self)
        let seen = isConfirmation.indices.filter { item in
            !isConfirmation[item] && windows.contains { $0[item].isFinite }
        }
        let common = seen.filter { item in windows.allSatisfy { $0[item].isFinite } }
        guard windows.count == gains.count, common.count > 2 else { return nil }
        func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }
        let places = Dictionary(uniqueKeysWithValues: common.enumerated().map { ($1, $0) })
        var rows = [[Double]](
            repeating: [Double](repeating: 0, count: windows.count), count: seen.count)
        for (column, own) in windows.enumerated() {
            let shared = common.map { own[$0] }
            let typical = common.map { item in
                mean(elsewhere[column].map { windows[$0][item] })
            }
            let differences = zip(shared, typical).map(-)
            let (sharedMean, difference) = (mean(shared), mean(differences))
            let average = mean(seen.map { own[$0] }.filter(\.isFinite))
            let items = seen.count { own[$0].isFinite }
            var (along, across) = (0.0, 0.0)
            for (value, each) in zip(shared, differences) {
                along += (value - sharedMean) * (value - sharedMean)
                across += (value - sharedMean) * (each - difference)
            }
            let slope = along > 0 && items > common.count ? across / along : 0
            let estimate = difference + slope * (average - sharedMean)
            for (row, item) in seen.enumerated() {
                var value = estimate
                if let place = places[item] {
                    let residual =
                        differences[place] - difference - slope * (shared[place] - sharedMean)
                    value += Double(seen.count) / Double(common.count) * residual
                }
                if own[item].isFinite {
                    value += Double(seen.count) / Double(items) * slope * (own[item] - average)
                }
                rows[row][column] = value
            }
        }
        return rows
    }

    private static func abstention(_ confidence: Double?, isClear: Bool?) -> String? {
        guard let confidence else {
            return "No causal evidence: which window reasoning relies on needs USE "
                + "(probe --relevance) or half loops (scan --kinds half); distances and lenses alone predict damage to "
                + "text, not reasoning."
        }
        guard confidence < leastConfidence else {
            return isClear == true
                ? nil
                : "The best candidate does not stand out of the windows of its length by more than chance "
                    + "explains (p above .05 for all of them together). More items make it clearer."
        }
        return "Resamples of documents and items disagree: only "
            + "\(percent(confidence)) of them give a think block within one layer of the best "
            + "candidate's at both ends (pure noise gives about 28 %). More items make it clearer."
    }

    /// Lengths that a candidate may have.
    public static func thinkLengths(layers: Int) -> ClosedRange<Int> {
        Windows(layers: layers).lengths
    }

    static func percent(_ share: Double) -> String {
        "\(Int((100 * share).rounded())) %"
    }

    // MARK: Train it

    /// Windows by the mean of how far they stand out: in USE, of as many middle layers drawn at random; in what half
    /// loops do to items and to text, and in how loops settle, of the windows of their length. A window that lacks a part that others of its length
    /// have is put two standard deviations behind in it.
    static func candidates(_ view: EvidenceView) -> [Train.Candidate] {
        let windows = Windows(layers: view.layers)
        var parts: [String: [Range<Int>: Double]] = [:]
        if let use = view.score("use") {
            // As many layers drawn at random have a mean whose spread is known, so that lengths compare: the
            // window that holds all of a raised stretch stands out more than a part of it.
            let depths = PlateauWindows(distances: use.map { -$0 }, perLength: view.layers)
            parts["use"] = Dictionary(
                depths.windows.compactMap { window in
                    window.depth.map { depth in
                        let start = window.split.encoder
                        return (start..<start + window.split.think, depth)
                    }
                }
            ) { first, _ in first }
        }
        if let scans = view.evidence.scans {
            let half = scans.windows.filter { $0.kind == "half" && $0.iterations == 2 }
            let known = Dictionary(
                half.compactMap { window in view.textChange(window).map { (window.layers, -$0) } }
            ) { first, _ in first }
            if !known.isEmpty { parts["text"] = scores(windows) { known[$0] } }
            let gains = Dictionary(
                view.raced("half").filter { $0.window.iterations == 2 }.map {
                    ($0.window.layers, $0.change)
                }
            ) { first, _ in first }
            if !gains.isEmpty { parts["half_loop"] = scores(windows) { gains[$0] } }
        }
        let settling = Dictionary(
            view.evidence.dynamics.compactMap { window -> (Range<Int>, Double)? in
                guard let first = window.change.first, let last = window.change.last, first > 0,
                    last > 0, last.isFinite
                else { return nil }
                return (window.start..<window.start + window.length, -last / first)
            }
        ) { first, _ in first }
        if !settling.isEmpty { parts["dynamics"] = scores(windows) { settling[$0] } }
        parts = parts.filter { !$0.value.isEmpty }
        guard parts["use"] != nil || parts["half_loop"] != nil else { return [] }
        let lengths = parts.mapValues { Set($0.keys.map(\.count)) }
        return windows.all.compactMap { window -> Train.Candidate? in
            var own: [String: Double] = [:]
            for (name, values) in parts {
                if let value = values[window] {
                    own[name] = value
                } else if lengths[name]?.contains(window.count) == true {
                    own[name] = -2
                }
            }
            guard own.count == parts.count else { return nil }
            let score = own.keys.sorted().reduce(0) { $0 + (own[$1] ?? 0) } / Double(own.count)
            return .init(split: windows.split(window), score: score, parts: own)
        }.sorted { ($0.score, -$0.split.encoder) > ($1.score, -$1.split.encoder) }
    }

    /// Standardised within each length.
    private static func scores(
        _ windows: Windows, _ value: (Range<Int>) -> Double?
    ) -> [Range<Int>: Double] {
        var all: [Range<Int>: Double] = [:]
        for length in windows.lengths {
            let known = windows.all.filter { $0.count == length }.compactMap { window in
                value(window).flatMap { $0.isFinite ? (window, $0) : nil }
            }
            guard known.count >= 3 else { continue }
            let mean = known.reduce(0) { $0 + $1.1 } / Double(known.count)
            let squares = known.reduce(0) { $0 + ($1.1 - mean) * ($1.1 - mean) }
            let deviation = (squares / Double(known.count - 1)).squareRoot()
            for (window, value) in known {
                all[window] = deviation > 1e-12 * abs(mean) ? (value - mean) / deviation : 0
            }
        }
        return all
    }
}
