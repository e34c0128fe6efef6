import Records

extension Scan.Result {
    /// What `scans.json` holds of the model as it is.
    public var base: ScansRecord.Values {
        Self.values(
            margins: baseMargins, nll: baseNLL,
            tokens: job.documents.map { $0.tokens.count - 1 })
    }

    /// Windows of which anything was measured: a row each for the search, one more for the confirmation.
    public var rows: [ScansRecord.Window] {
        var rows = job.windows.indices.flatMap { window in
            [("search", search), ("confirm", confirmation)].compactMap { stage, items in
                row(window, stage, items)
            }
        }
        let groups = Dictionary(grouping: rows.indices) { index in
            let row = rows[index]
            return "\(row.kind) \(row.iterations ?? 0) \(row.stage)"
        }
        for members in groups.values {
            func costs(_ index: Int) -> (margin: Double, text: Double)? {
                guard let margin = rows[index].change.margin.mean,
                    let text = rows[index].change.nll.mean
                else { return nil }
                return (margin, text)
            }
            // Where text is harmed more, the model does not work, and the line says nothing of the window.
            let works = members.filter { costs($0).map { $0.text < Self.mostTextDamage } ?? false }
            let fitted = works.compactMap(costs)
            guard fitted.count >= 3 else { continue }
            let (a, b) = ScanStatistics.line(fitted.map(\.margin), over: fitted.map(\.text))
            for index in works {
                rows[index].residual = costs(index).map { $0.margin - (a + b * $0.text) }
            }
        }
        return rows
    }

    /// Nats per token up to which windows take part in the line of margin over text.
    static let mostTextDamage = 0.8

    /// Windows of which nothing was measured.
    public var notRun: Int {
        job.windows.indices.count { window in
            margins[window].allSatisfy { $0 == nil } && nll[window].allSatisfy { $0 == nil }
        }
    }

    private func row(_ index: Int, _ stage: String, _ items: [Int]) -> ScansRecord.Window? {
        let window = job.windows[index]
        let seen = items.filter { margins[index][$0] != nil }
        let read = job.documents.indices.filter { nll[index][$0] != nil }
        guard !seen.isEmpty || stage == "search" && !read.isEmpty else { return nil }
        let own = seen.map { margins[index][$0] ?? .nan }
        let base = seen.map { baseMargins[$0] }
        let tokens = read.map { job.documents[$0].tokens.count - 1 }
        let loss = read.map { nll[index][$0] ?? .nan }
        var change = Self.values(
            margins: zip(own, base).map { $0 - $1 },
            nll: zip(loss, read).map { $0 - baseNLL[$1] }, tokens: tokens)
        change.accuracy = Self.estimate(
            ScanStatistics.mean(zip(own, base).map { Self.isRight($0) - Self.isRight($1) }))
        return ScansRecord.Window(
            kind: window.kind.rawValue, start: window.start, length: window.length,
            iterations: window.iterations, stage: stage, items: seen.count,
            documents: read.count,
            values: Self.values(margins: own, nll: loss, tokens: tokens), change: change)
    }

    private static func values(
        margins: [Double], nll: [Double], tokens: [Int]
    ) -> ScansRecord.Values {
        ScansRecord.Values(
            margin: estimate(ScanStatistics.mean(margins)),
            accuracy: estimate(ScanStatistics.mean(margins.map(isRight))),
            nll: estimate(ScanStatistics.ratio(nll, per: tokens)))
    }

    private static func isRight(_ margin: Double) -> Double {
        margin.isNaN ? .nan : margin > 0 ? 1 : 0
    }

    /// nil for what is not a number: nothing was measured, or states overflowed.
    private static func estimate(_ value: (mean: Double, error: Double?)) -> Estimate {
        guard value.mean.isFinite else { return Estimate(mean: nil, standardError: nil) }
        return Estimate(mean: value.mean, standardError: value.error)
    }

    /// Loop dynamics as means over documents.
    public var dynamicsRows: [ScansRecord.Dynamics] {
        guard let dynamics else { return [] }
        func mean(_ values: [Double], _ first: Int) -> Double? {
            let known = values[first..<first + dynamics.documents].filter(\.isFinite)
            return known.isEmpty ? nil : known.reduce(0, +) / Double(known.count)
        }
        return dynamics.windows.enumerated().map { index, window in
            func row(_ values: [Double], _ count: Int) -> [Double?] {
                (0..<count).map { mean(values, (index * count + $0) * dynamics.documents) }
            }
            return ScansRecord.Dynamics(
                start: window.start, length: window.length,
                change: row(dynamics.change, dynamics.passes),
                cosine: row(dynamics.cosine, dynamics.passes - 1))
        }
    }

    /// The effect of a skipped layer on later ones as means over documents, [layers][layers].
    public var skipEffectMap: [[Double?]]? {
        guard let effect = skipEffect else { return nil }
        return (0..<effect.layers).map { skipped in
            (0..<effect.layers).map { later in
                let first = (skipped * effect.layers + later) * effect.documents
                let known = effect.contributions[first..<first + effect.documents].filter(
                    \.isFinite)
                return known.isEmpty ? nil : known.reduce(0, +) / Double(known.count)
            }
        }
    }
}
