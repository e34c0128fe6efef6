import Activations
import Files
import Records
import Selection

extension SavedEvidence {
    /// What run folders hold together. Each may have been made by `probe`, `scan` or both.
    /// - Throws: `CommandError` where they are of different models or texts, or hold nothing.
    static func read(_ runs: [String]) throws -> SavedEvidence {
        var found: SavedEvidence?
        var texts: (sha256: [String], run: String)?
        for run in runs {
            let layersPath = Paths.join(run, RunDirectory.layers)
            let scansPath = Paths.join(run, ScanRun.scans)
            let evidencePath = Paths.join(run, RunDirectory.evidence)
            let layers =
                Paths.kind(layersPath) == .missing ? nil : try LayersRecord.read(path: layersPath)
            let scans =
                Paths.kind(scansPath) == .missing ? nil : try ScansRecord.read(path: scansPath)
            guard let model = layers?.model ?? scans?.model else {
                throw CommandError.notARun(path: run, missing: RunDirectory.layers)
            }
            if let other = found?.model, other.fingerprint != model.fingerprint {
                throw CommandError.run(
                    path: run,
                    problem:
                        "is of another model (\(model.path)) than \(runs[0]) (\(other.path)); give "
                        + "runs of one model, or use `etd-analyze compare`")
            }
            if let plan = layers?.plan {
                throw CommandError.run(
                    path: run,
                    problem: "measures the looped model \(plan); give runs of the model as it is")
            }
            let file =
                Paths.kind(evidencePath) == .missing ? nil : try EvidenceFile.read(evidencePath)
            if let file, !file.sha256.isEmpty {
                if let texts, texts.sha256 != file.sha256 {
                    throw CommandError.run(
                        path: run,
                        problem:
                            "is of another text than \(texts.run): their documents differ; run both on "
                            + "the same --data and --sequence-length")
                }
                texts = (file.sha256, run)
            }
            var evidence = found ?? SavedEvidence(model: model, documents: 0)
            if let layers { evidence.take(layers) }
            if let file { evidence.take(file) }
            found = evidence
        }
        guard let found else {
            throw CommandError.flag(name: "RUN", problem: "give a run folder")
        }
        return found
    }

    private mutating func take(_ record: LayersRecord) {
        for (name, matrix) in record.matrices { matrices[name] = matrix }
        for name in record.boundaries.first?.metrics.keys ?? [] where tables[name] == nil {
            whole[name] = record.boundaryMeans(name)
        }
        for name in record.layers.first?.metrics.keys ?? [] where tables[name] == nil {
            whole[name] = record.layerMeans(name)
        }
        for name in record.boundaries.first?.tuned.keys ?? [] {
            whole["tuned_" + name] = record.boundaries.map { $0.tuned[name]?.mean ?? nil }
        }
        for name in record.layers.first?.scores.keys.sorted() ?? [] {
            scores[name] = record.layers.map { $0.scores[name] ?? nil }
        }
    }

    private mutating func take(_ file: EvidenceFile) {
        if !file.tokens.isEmpty { documents = file.tokens.count }
        for table in file.probe.layers + file.probe.boundaries {
            let counts =
                table.counts
                ?? file.tokens.flatMap { tokens in
                    [Double](repeating: Double(tokens), count: table.places)
                }
            guard counts.count == table.sums.count else { continue }
            tables[table.name] = Table(places: table.places, sums: table.sums, counts: counts)
        }
        if let blocks = file.probe.blocks {
            pairs = Pairs(
                pairs: blocks.pairs.map { (Int($0[0]), Int($0[1])) }, values: blocks.values)
        }
        if let own = file.relevance.use["reasoning"], let change = own["change"],
            let damage = own["text_damage"]
        {
            use = Use(changes: change.rows, textDamage: damage.values)
        }
        if let effect = file.skipEffect { skipEffect = Self.means(effect.contributions) }
        if let own = file.dynamics { dynamics = Self.dynamics(own) }
        if let own = Self.scans(file) { scans = own }
    }

    /// Means over documents of [layers, layers, documents].
    private static func means(_ array: EvidenceFile.NumberArray) -> [[Double?]] {
        guard array.shape.count == 3 else { return [] }
        let (rows, columns, documents) = (array.shape[0], array.shape[1], array.shape[2])
        return (0..<rows).map { row in
            (0..<columns).map { column in
                let first = (row * columns + column) * documents
                return mean(array.values[first..<first + documents])
            }
        }
    }

    private static func mean(_ values: ArraySlice<Double>) -> Double? {
        let known = values.filter(\.isFinite)
        return known.isEmpty ? nil : known.reduce(0, +) / Double(known.count)
    }

    private static func dynamics(_ file: EvidenceFile.Dynamics) -> [Dynamics] {
        let steps = means(file.change)
        return zip(file.windows.rows, steps).map { window, change in
            Dynamics(
                start: Int(window[0]), length: Int(window[1]),
                change: change.map { $0 ?? .nan })
        }
    }

    private static func scans(_ file: EvidenceFile) -> Scans? {
        guard let base = file.scans.first(where: { $0.kind == "base" }) else { return nil }
        let margins = base.margins.first ?? []
        let losses = base.nll.first ?? []
        let windows = file.scans.filter { $0.kind != "base" }.flatMap { kind in
            kind.windows.indices.map { index in
                let place = kind.windows[index]
                func change(_ values: [[Double]], _ base: [Double]) -> [Double] {
                    index < values.count ? zip(values[index], base).map { $0 - $1 } : []
                }
                return Window(
                    kind: kind.kind, start: Int(place[0]), length: Int(place[1]),
                    iterations: place[2] > 0 ? Int(place[2]) : nil,
                    margins: change(kind.margins, margins), nll: change(kind.nll, losses))
            }
        }
        return Scans(
            windows: windows, isConfirmation: file.stages.map { $0 == 1 },
            scored: file.scored.map(Double.init), baseMargins: margins)
    }
}
