import Models
import Plans
import Records

/// Shards of one probe, in the order of their documents, and what they give together: the bytes of one run,
/// since values by document are taken in again in order and all other sums are exact.
public struct ProbeShards: Sendable {
    /// One shard.
    public struct Part: Sendable {
        public var evidence: ProbeEvidence
        public var kept: ShardSums?

        public init(evidence: ProbeEvidence, kept: ShardSums?) {
            self.evidence = evidence
            self.kept = kept
        }
    }

    let parts: [Part]
    /// Of the model.
    let layers: Int
    let width: Int

    var boundaries: Int { layers + 1 }
    var documents: Int { parts.reduce(0) { $0 + $1.evidence.tokens.count } }
    /// Sums of the geometry; empty where it was not measured.
    var kept: [ShardSums] { parts.compactMap(\.kept) }

    /// - Parameters:
    ///   - layers: of the model.
    ///   - width: of its states.
    public init(_ parts: [Part], layers: Int, width: Int) {
        self.parts = parts
        self.layers = layers
        self.width = width
    }

    /// Pairs of boundaries of all documents; nil where a shard has none.
    var pairs: PairValues? {
        let found = parts.compactMap(\.evidence.pairs)
        guard let first = found.first, found.count == parts.count else { return nil }
        return PairValues(
            name: first.name, pairs: first.pairs, values: found.flatMap(\.values))
    }

    /// The table of a metric over all documents; nil where a shard has none.
    private func table(_ metric: Metric, _ name: String) -> DocumentTable? {
        let found = parts.compactMap { part in
            part.evidence.tables.first { $0.name == name }.map { ($0, part.evidence.tokens) }
        }
        guard let first = found.first, found.count == parts.count else { return nil }
        let table = DocumentTable(metric, places: first.0.places)
        for (values, tokens) in found {
            for document in tokens.indices {
                table.add { place in
                    let index = document * values.places + place
                    let count = values.counts?[index] ?? Double(tokens[document])
                    return count > 0 ? (values.sums[index], count) : (0, 0)
                }
            }
        }
        return table
    }

    /// What one run over all documents would have measured, without self-checks and sinks.
    /// - Throws: `AnalysisError.momentsOutOfRange`.
    public func merged() throws(AnalysisError) -> Probe.Result {
        var found: [(pass: MeasuringPass, results: PassResults)] = []
        for pass in MeasuringPass.all {
            let metrics = pass.declaration.metrics
            var results = PassResults(
                tables: metrics.flatMap(\.withTwin).compactMap { table($0, $0.name) })
            results.heads = metrics.filter(\.hasHeads).compactMap {
                table($0, $0.name + ProbeEvidence.headsEnding)
            }
            results.tuned = metrics.flatMap(\.withTwin).compactMap {
                table($0, ProbeEvidence.tunedBeginning + $0.name)
            }
            found.append((pass, try pass.merge(self, results)))
        }
        var result = Probe.Result()
        for part in parts {
            result.evidence.sha256 += part.evidence.sha256
            result.evidence.tokens += part.evidence.tokens
        }
        result.documents = documents
        result.collect(found, plan: .identity(layers: layers), layers: layers)
        return result
    }
}
