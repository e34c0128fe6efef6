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
        _ evidence: SavedEvidence, limits: Limits, seed: UInt64
    ) -> Frozen {
        let none = { (reason: String) in
            Frozen(recommended: nil, confirmed: [], curve: [], upperBound: nil, reason: reason)
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
        let windows = all.filter { $0.overhead(of: evidence.layers) <= limits.overhead }
        guard all.isEmpty || !windows.isEmpty else {
            return none(
                "No confirmed window runs at most \(significant(limits.overhead)) times the model's layers; a "
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
        let measured = Self.confirmed(windows, seen, evidence, seed: seed)
        let order = measured.windows.indices.sorted {
            measured.windows[$0].change > measured.windows[$1].change
        }
        // Only windows that text can live with are recommended.
        let eligible = order.filter { measured.windows[$0].text ?? 0 <= limits.textCost }
        let best = eligible.first ?? order[0]
        let rivals = eligible.filter { isRival($0, of: best, windows, evidence.layers) }
        let unbeaten = rivals.filter { rival in
            let difference = MeanBand(
                seen.map { [windows[best].margins[$0] - windows[rival].margins[$0]] }, seed: seed)
            return difference.low[0] <= 0
        }.max { measured.windows[$0].change < measured.windows[$1].change }
        let isHarmful = (measured.windows[best].accuracy?.high ?? 0) < 0
        let gains = eligible.first != nil && measured.windows[best].low > 0 && !isHarmful
        let curve = windows.indices.filter {
            windows[$0].kind == windows[best].kind && windows[$0].layers == windows[best].layers
        }.sorted { (windows[$0].iterations ?? 0) < (windows[$1].iterations ?? 0) }
        let harmed = order.first { !eligible.contains($0) && measured.windows[$0].low > 0 }
        let reason = reason(
            measured.windows[best], rivals: rivals.count, gains: gains, isHarmful: isHarmful,
            unbeaten: unbeaten.map { measured.windows[$0] },
            harmed: harmed.map { measured.windows[$0] }, limits: limits,
            bound: measured.upperBound, count: windows.count)
        return Frozen(
            recommended: gains && unbeaten == nil ? measured.windows[best] : nil,
            confirmed: order.map { measured.windows[$0] },
            curve: curve.count > 1 ? curve.map { measured.windows[$0] } : [],
            upperBound: measured.upperBound, reason: reason)
    }

    /// What each window does on the confirmation items and to text, with bands for all of them together.
    private static func confirmed(
        _ windows: [SavedEvidence.Window], _ items: [Int], _ evidence: SavedEvidence, seed: UInt64
    ) -> (windows: [Confirmed], upperBound: Double) {
        let view = EvidenceView(evidence)
        let band = MeanBand(
            items.map { item in windows.map { $0.margins[item] } }, seed: seed)
        let base = evidence.scans?.baseMargins ?? []
        func accuracy(_ window: SavedEvidence.Window) -> PairedShare? {
            guard !base.isEmpty else { return nil }
            let before = items.map { base[$0] > 0 }
            let after = items.map { base[$0] + window.margins[$0] > 0 }
            return PairedShare(
                gained: zip(before, after).count { !$0 && $1 },
                lost: zip(before, after).count { $0 && !$1 }, items: items.count,
                comparisons: windows.count)
        }
        let all = windows.indices.map { index in
            Confirmed(
                kind: windows[index].kind, start: windows[index].start,
                length: windows[index].length, iterations: windows[index].iterations ?? 1,
                items: items.count, change: band.means[index], low: band.bandLow[index],
                high: band.bandHigh[index],
                accuracy: accuracy(windows[index]), text: view.textChange(windows[index]),
                overhead: windows[index].overhead(of: evidence.layers))
        }
        return (all, band.upperBound.max() ?? .nan)
    }

    /// Whether `other` is another choice at the same cost. A window one layer off at either end is the same
    /// choice.
    static func isRival(
        _ other: Int, of best: Int, _ windows: [SavedEvidence.Window], _ layers: Int
    ) -> Bool {
        let grid = Windows(layers: layers)
        func cost(_ index: Int) -> Int {
            windows[index].length * ((windows[index].iterations ?? 1) - 1)
        }
        return other != best && cost(other) == cost(best)
            && (windows[other].kind != windows[best].kind
                || !grid.split(windows[other].layers).isNear(grid.split(windows[best].layers)))
    }

    private static func reason(
        _ best: Confirmed, rivals: Int, gains: Bool, isHarmful: Bool, unbeaten: Confirmed?,
        harmed: Confirmed?, limits: Limits, bound: Double, count: Int
    ) -> String {
        let gain =
            "On items that chose nothing, \(name(best)) gains \(significant(best.change)) nats of margin"
        let rest = [best.accuracy.map(accuracy), best.text.map(text)].compactMap(\.self)
        let more = rest.isEmpty ? "" : " \(rest.joined(separator: " "))"
        if gains, let unbeaten {
            return gain + ", but not clearly more than \(name(unbeaten)) at the same cost "
                + "(\(significant(unbeaten.change)))." + more
        }
        if gains {
            return gain
                + ", at least \(significant(best.low)) of them for all confirmed windows together"
                + (rivals == 0
                    ? "; no rival of the same cost was confirmed."
                    : ", and beats " + (rivals == 1 ? "its one rival" : "all \(rivals) rivals")
                        + " confirmed at the same cost.") + more
        }
        if isHarmful, best.low > 0 {
            return gain + ", but its accuracy falls." + more
        }
        if let harmed, let cost = harmed.text {
            return
                "\(sentence(name(harmed))) gains \(significant(harmed.change)) nats of margin, but costs text "
                + "\(significant(cost)) nats per token, more than --max-text-cost "
                + "\(significant(limits.textCost)) allows; no cheaper window gains for certain."
        }
        return
            "No window of this frozen model gains more than \(significant(bound)) nats of margin "
            + "(95 %, \(count) confirmed windows together)."
    }

    private static func accuracy(_ change: PairedShare) -> String {
        func points(_ share: Double) -> String {
            let value = (share * 1000).rounded() / 10
            return (value > 0 ? "+" : "") + "\(value)"
        }
        let clear = change.low > 0 || change.high < 0
        return "Its accuracy changes by \(points(change.change)) points (\(points(change.low)) to "
            + "\(points(change.high))\(clear ? "" : ", not clear of 0"))."
    }

    private static func text(_ cost: Double) -> String {
        cost > 0
            ? "It costs plain text \(significant(cost)) nats per token."
            : "Plain text does not suffer (\(significant(cost)) nats per token)."
    }

    private static func sentence(_ words: String) -> String {
        words.prefix(1).uppercased() + words.dropFirst()
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
