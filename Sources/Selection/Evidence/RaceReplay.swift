import Statistics

/// A race run again on resampled items: what a scan's rule would have kept, had it drawn these.
///
/// Items count as a round together where the same number of windows saw them. A window leaves where the scan
/// itself had dropped it, since the values it lacks count against it; the others as `RaceRule` says.
struct RaceReplay: Sendable {
    /// Windows of one kind, as places in the scan's list.
    private let windows: [Int]
    /// Items seen so far after each round.
    private let rounds: [[Int]]
    /// By round and place in `windows`, whether the scan has its values.
    private let ran: [[Bool]]

    /// - Returns: nil where no window of the kind repeats and saw items of the search.
    init?(_ scans: SavedEvidence.Scans, kind: String) {
        let all = scans.windows.indices.filter {
            scans.windows[$0].kind == kind && (scans.windows[$0].iterations ?? 1) > 1
        }
        let search = scans.isConfirmation.indices.filter { !scans.isConfirmation[$0] }
        let seen = search.map { item in
            all.count { scans.windows[$0].margins[item].isFinite }
        }
        let steps = Set(seen.filter { $0 > 0 }).sorted(by: >)
        guard !steps.isEmpty else { return nil }
        windows = all
        rounds = steps.map { step in
            zip(search, seen).filter { $0.1 >= step }.map(\.0)
        }
        ran = rounds.map { items in
            all.map { window in
                items.allSatisfy { scans.windows[window].margins[$0].isFinite }
            }
        }
    }

    /// What is left after the last round, best first, as places in the scan's list.
    /// - Parameter times: how often each item was drawn; nil: once.
    func survivors(_ scans: SavedEvidence.Scans, times: [Double]?) -> [Int] {
        var alive = Array(windows.indices)
        for (round, items) in rounds.enumerated() {
            let stayed = ran[min(round + 1, rounds.count - 1)]
            let racing = alive.filter { stayed[$0] }
            let values = racing.map { place in
                items.map { scans.windows[windows[place]].margins[$0] }
            }
            alive = RaceRule.survivors(
                values, field: alive.count,
                times: times.map { times in items.map { $0 < times.count ? times[$0] : 1 } }
            ).map { racing[$0] }
        }
        return alive.map { windows[$0] }
    }
}
