import Statistics

extension Verdict {
    /// A looped window against what it costs.
    public struct Offer: Sendable, Equatable {
        public var kind: String
        public var start: Int
        public var length: Int
        public var iterations: Int
        /// Executed layers over the model's.
        public var overhead: Double
        /// Mean change of the margin in nats: over the confirmation items where the window saw them, else over
        /// the searched ones, which flatter the best of many.
        public var change: Double
        public var isConfirmed: Bool
    }

    /// Looped windows that no other beats at the same cost or less, cheapest first: the Pareto front of gain
    /// against executed layers, from the model as it is (no gain, no cost) upwards. Confirmed windows and
    /// searched ones have a front each, since they are seen by different items.
    static func front(_ evidence: SavedEvidence, maximumOverhead: Double) -> [Offer] {
        let view = EvidenceView(evidence)
        let offers = (evidence.scans?.windows ?? []).compactMap { window -> Offer? in
            guard let iterations = window.iterations, iterations > 1 else { return nil }
            let confirmed = view.marginChange(window, confirmation: true)
            guard let change = confirmed ?? view.marginChange(window, confirmation: false) else {
                return nil
            }
            return Offer(
                kind: window.kind, start: window.start, length: window.length,
                iterations: iterations, overhead: window.overhead(of: evidence.layers),
                change: change, isConfirmed: confirmed != nil)
        }.filter { $0.overhead <= maximumOverhead }
        return [true, false].flatMap { isConfirmed -> [Offer] in
            var front: [Offer] = []
            let own = offers.filter { $0.isConfirmed == isConfirmed }
            for offer in own.sorted(by: { ($0.overhead, -$0.change) < ($1.overhead, -$1.change) })
            where offer.change > max(0, front.last?.change ?? 0) {
                front.append(offer)
            }
            return front
        }
    }

    static func frozen(
        _ evidence: SavedEvidence, maximumOverhead: Double, seed: UInt64
    ) -> Frozen {
        let none = { (reason: String) in
            Frozen(recommended: nil, confirmed: [], upperBound: nil, reason: reason)
        }
        guard let scans = evidence.scans else {
            return none(
                "Nothing was looped: `etd-analyze scan` measures what a looped window gains.")
        }
        let kept = scans.isConfirmation.indices.filter { scans.isConfirmation[$0] }
        let all = scans.windows.filter { window in
            ["loop", "half", "damped", "heun", "rk4"].contains(window.kind)
                && (window.iterations ?? 1) > 1 && kept.contains { window.margins[$0].isFinite }
        }
        let windows = all.filter { $0.overhead(of: evidence.layers) <= maximumOverhead }
        guard all.isEmpty || !windows.isEmpty else {
            return none(
                "No confirmed window runs at most \(significant(maximumOverhead)) times the model's layers; a "
                    + "larger --max-overhead asks more of them.")
        }
        guard !windows.isEmpty else {
            return none(
                "No looped window was confirmed on items of its own: a scan with racing and items, run "
                    + "to its end, confirms its best.")
        }
        let seen = kept.filter { item in windows.allSatisfy { $0.margins[item].isFinite } }
        guard seen.count >= 20 else {
            return none(
                "Only \(seen.count) confirmation items were seen by every confirmed window; a verdict "
                    + "needs 20 or more.")
        }
        let values = seen.map { item in windows.map { $0.margins[item] } }
        let band = MeanBand(values, seed: seed)
        let order = windows.indices.sorted { band.means[$0] > band.means[$1] }
        let confirmed = order.map { index in
            Confirmed(
                kind: windows[index].kind, start: windows[index].start,
                length: windows[index].length, iterations: windows[index].iterations ?? 1,
                items: seen.count, change: band.means[index], low: band.bandLow[index],
                high: band.bandHigh[index])
        }
        let bound = band.upperBound.max() ?? .nan
        let best = order[0]
        func cost(_ index: Int) -> Int {
            windows[index].length * ((windows[index].iterations ?? 1) - 1)
        }
        // A window one layer off at either end is the same choice, no rival of it.
        let grid = Windows(layers: evidence.layers)
        let choice = grid.split(windows[best].layers)
        let rivals = windows.indices.filter { index in
            index != best && cost(index) == cost(best)
                && (windows[index].kind != windows[best].kind
                    || !grid.split(windows[index].layers).isNear(choice))
        }
        let unbeaten = rivals.filter { rival in
            let difference = MeanBand(values.map { [$0[best] - $0[rival]] }, seed: seed)
            return difference.low[0] <= 0
        }.max { band.means[$0] < band.means[$1] }
        let gains = confirmed[0].low > 0
        let text = String(significant(bound))
        let reason =
            if gains, unbeaten == nil {
                "On items that chose nothing, \(name(confirmed[0])) gains "
                    + "\(significant(confirmed[0].change)) nats of margin, at least "
                    + "\(significant(confirmed[0].low)) of them for all confirmed windows together"
                    + (rivals.isEmpty
                        ? "; no rival of the same cost was confirmed."
                        : ", and beats "
                            + (rivals.count == 1 ? "its one rival" : "all \(rivals.count) rivals")
                            + " confirmed at the same cost.")
            } else if gains, let unbeaten, let place = order.firstIndex(of: unbeaten) {
                "On items that chose nothing, \(name(confirmed[0])) gains "
                    + "\(significant(confirmed[0].change)) nats of margin, but not clearly more than "
                    + "\(name(confirmed[place])) at the same cost "
                    + "(\(significant(confirmed[place].change)))."
            } else {
                "No window of this frozen model gains more than \(text) nats of margin "
                    + "(95 %, \(windows.count) confirmed windows together)."
            }
        return Frozen(
            recommended: gains && unbeaten == nil ? confirmed[0] : nil, confirmed: confirmed,
            upperBound: bound, reason: reason)
    }

    private static func name(_ window: Confirmed) -> String {
        "\(window.kind) of layers \(window.start)-\(window.start + window.length - 1) × "
            + "\(window.iterations)"
    }

    private static func significant(_ value: Double) -> Double {
        (value * 1000).rounded() / 1000
    }
}

extension SavedEvidence.Window {
    /// Executed layers over the model's. The unembedding runs once whatever k is, so operations grow by less.
    func overhead(of layers: Int) -> Double {
        Double(layers + length * ((iterations ?? 1) - 1)) / Double(layers)
    }
}
