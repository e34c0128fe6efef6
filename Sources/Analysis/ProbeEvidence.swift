import Corpus
import Files
import Records

/// The values by document behind a run's means, as `evidence.h5` holds them.
public struct ProbeEvidence: Sendable {
    /// Of one metric.
    public struct Table: Sendable {
        public var name: String
        public var place: Metric.Place
        public var places: Int
        /// S_d; NaN where a document has no value. [documents][places]
        public var sums: [Double]
        /// n_d; nil where it is the document's number of tokens everywhere. [documents][places]
        public var counts: [Double]?

        public init(
            name: String, place: Metric.Place, places: Int, sums: [Double], counts: [Double]?
        ) {
            self.name = name
            self.place = place
            self.places = places
            self.sums = sums
            self.counts = counts
        }
    }

    /// Of pairs of boundaries.
    public struct Pairs: Sendable {
        public var name: String
        public var pairs: [(Int, Int)]
        /// [documents][pairs]
        public var values: [Double]

        public init(name: String, pairs: [(Int, Int)], values: [Double]) {
            self.name = name
            self.pairs = pairs
            self.values = values
        }

        init(_ values: PairValues) {
            name = values.name
            pairs = values.pairs
            self.values = values.values
        }
    }

    /// SHA-256 of each document's ids, as little-endian i32.
    public var sha256: [String] = []
    /// Tokens of each document, without added ones.
    public var tokens: [Int] = []
    public var tables: [Table] = []
    public var pairs: Pairs?
    /// Of statistics that are no sums: [blocks][values] by name.
    public var jackknife: [(name: String, values: [[Double]])] = []

    static let headsEnding = "_heads"
    static let tunedBeginning = "tuned_"

    public init() {}

    init(_ documents: some Sequence<Document>) {
        for document in documents {
            sha256.append(document.sha256)
            tokens.append(document.tokens.count - document.addedTokens)
        }
    }

    mutating func add(_ table: DocumentTable, prefix: String = "", ending: String = "") {
        tables.append(
            Table(
                name: prefix + table.metric.name + ending, place: table.metric.place,
                places: table.places, sums: table.sums,
                counts: table.countsAre(tokens) ? nil : table.counts))
    }

    /// Values of a metric by document, of documents that have all of them; empty where it was not measured.
    /// [documents][places]
    public func rows(_ name: String) -> [[Double]] {
        guard let table = tables.first(where: { $0.name == name }), table.places > 0 else {
            return []
        }
        return stride(from: 0, to: table.sums.count, by: table.places).compactMap { start in
            let row = Array(table.sums[start..<start + table.places])
            return row.contains { $0.isNaN } ? nil : row
        }
    }
}
