import Activations
import Analysis
import Records

extension EvidenceFile {
    /// The same with a probe's values in the place of any that were there.
    func adding(_ evidence: ProbeEvidence, base: ProbeEvidence?) -> EvidenceFile {
        var file = self
        file.sha256 = evidence.sha256
        file.tokens = evidence.tokens.map(Int64.init)
        file.probe = Self.probe(evidence)
        // Of an earlier probe's states.
        file.relevance = Relevance()
        file.base = base.map(Self.probe) ?? Probe()
        return file
    }

    private static func probe(_ evidence: ProbeEvidence) -> Probe {
        var probe = Probe()
        for table in evidence.tables {
            let copy = Table(
                name: table.name, places: table.places, sums: table.sums, counts: table.counts)
            if table.place == .layer {
                probe.layers.append(copy)
            } else {
                probe.boundaries.append(copy)
            }
        }
        probe.blocks = evidence.pairs.map { pairs in
            Blocks(
                name: pairs.name, pairs: pairs.pairs.map { [Int32($0.0), Int32($0.1)] },
                values: pairs.values)
        }
        probe.jackknife = evidence.jackknife.map { name, values in
            Table(
                name: name, places: values.first?.count ?? 0, sums: values.flatMap(\.self),
                counts: nil)
        }
        return probe
    }
}

extension ProbeEvidence {
    /// What a probe left in `evidence.h5`.
    init(_ file: EvidenceFile) {
        self.init()
        sha256 = file.sha256
        tokens = file.tokens.map(Int.init)
        for (tables, place) in [
            (file.probe.layers, Metric.Place.layer), (file.probe.boundaries, .boundary),
        ] {
            self.tables += tables.map {
                Table(
                    name: $0.name, place: place, places: $0.places, sums: $0.sums,
                    counts: $0.counts)
            }
        }
        pairs = file.probe.blocks.map { blocks in
            Pairs(
                name: blocks.name, pairs: blocks.pairs.map { (Int($0[0]), Int($0[1])) },
                values: blocks.values)
        }
    }
}
