import Plans
import Statistics

extension Verdict {
    /// The candidate's window, looped, against confirmed windows of the same kind that run as many layers more.
    /// Empty where the candidate was not confirmed, or nothing else of its cost was.
    static func rivals(of split: Split, _ evidence: SavedEvidence, seed: UInt64) -> [Rival] {
        guard let scans = evidence.scans else { return [] }
        let items = scans.isConfirmation.indices.filter { scans.isConfirmation[$0] }
        let windows = scans.windows.filter { window in
            (window.iterations ?? 1) > 1 && items.contains { window.margins[$0].isFinite }
        }
        var found: [Rival] = []
        for own in windows.indices where windows[own].layers == split.thinkRange {
            let others = windows.indices.filter {
                windows[$0].kind == windows[own].kind
                    && isRival($0, of: own, windows, evidence.layers)
            }
            let seen = items.filter { item in
                ([own] + others).allSatisfy { windows[$0].margins[item].isFinite }
            }
            guard !others.isEmpty, seen.count >= 20 else { continue }
            let band = MeanBand(
                seen.map { item in
                    others.map { windows[own].margins[item] - windows[$0].margins[item] }
                }, seed: seed)
            found += others.indices.map { place in
                let window = windows[others[place]]
                return Rival(
                    kind: window.kind, start: window.start, length: window.length,
                    iterations: window.iterations ?? 1, difference: band.means[place],
                    low: band.bandLow[place], high: band.bandHigh[place])
            }
        }
        return found
    }
}
