extension SavedEvidence {
    /// Every second document and item, so that two verdicts can be set side by side that share none.
    public enum Half: String, Sendable, CaseIterable {
        case first, second
    }

    /// What every second document and item says. Items of the search and of the confirmation are halved each.
    /// What was saved as a mean over all of them (scores, CKA, dynamics, USE's text damage) stays as it is.
    public func half(_ half: Half) -> SavedEvidence {
        let parity = half == .first ? 0 : 1
        func every(_ indices: some Sequence<Int>) -> [Int] {
            indices.enumerated().filter { $0.offset % 2 == parity }.map(\.element)
        }
        var own = self
        let kept = every(0..<documents)
        own.documents = kept.count
        func rows(_ values: [Double], _ width: Int) -> [Double] {
            kept.flatMap { values[$0 * width..<($0 + 1) * width] }
        }
        own.tables = tables.mapValues { table in
            Table(
                places: table.places, sums: rows(table.sums, table.places),
                counts: rows(table.counts, table.places))
        }
        own.pairs = pairs.map {
            Pairs(pairs: $0.pairs, values: rows($0.values, $0.pairs.count))
        }
        own.use = use.map { use in
            Use(
                changes: every(use.changes.indices).map { use.changes[$0] },
                textDamage: use.textDamage)
        }
        own.scans = scans.map { scans in
            let items = [false, true].flatMap { stage in
                every(scans.isConfirmation.indices.filter { scans.isConfirmation[$0] == stage })
            }.sorted()
            let documents = every(scans.scored.indices)
            return Scans(
                windows: scans.windows.map { window in
                    var window = window
                    window.margins = items.map { window.margins[$0] }
                    window.nll = documents.filter { $0 < window.nll.count }.map { window.nll[$0] }
                    return window
                }, isConfirmation: items.map { scans.isConfirmation[$0] },
                scored: documents.map { scans.scored[$0] },
                baseMargins: scans.baseMargins.isEmpty
                    ? [] : items.map { scans.baseMargins[$0] })
        }
        return own
    }
}
