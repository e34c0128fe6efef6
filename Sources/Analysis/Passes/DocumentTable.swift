import Corpus
import Records

/// Sums of one metric by document and place, and their means over documents.
///
/// Memory: 16 bytes for each document and place. These are the values that `evidence.h5` keeps, from which
/// every mean and standard error follows again.
package final class DocumentTable {
    package let metric: Metric
    /// Layers, boundaries, or heads of all layers one after the other.
    package let places: Int
    /// S_d, the sum over the document's values; NaN where it has none. [documents][places]
    package private(set) var sums: [Double] = []
    /// n_d, how many values the document has. [documents][places]
    package private(set) var counts: [Double] = []
    private var means: [DocumentMean]

    package init(_ metric: Metric, places: Int) {
        self.metric = metric
        self.places = places
        means = Array(repeating: DocumentMean(), count: places)
    }

    package var documents: Int { counts.count / max(1, places) }

    /// Takes in one document.
    /// - Parameter value: sum and count at a place.
    package func add(_ value: (_ place: Int) -> (sum: Double, count: Double)) {
        for place in 0..<places {
            let (sum, count) = value(place)
            sums.append(count > 0 ? sum : .nan)
            counts.append(count)
            means[place].add(sum: sum, count: count)
        }
    }

    package func estimate(_ place: Int) -> Estimate { means[place].estimate }

    /// Whether each count is that of the document's tokens, which then say it for all places.
    package func countsAre(_ tokens: [Int]) -> Bool {
        counts.indices.allSatisfy { counts[$0] == Double(tokens[$0 / max(1, places)]) }
    }
}

/// Tables of the metrics of a pass that are means over positions, each with its twin.
struct TwinTables {
    private var tables: [(all: DocumentTable, rest: DocumentTable?)]

    init(_ metrics: [Metric], _ context: PassContext, places: Int? = nil) {
        tables = metrics.map {
            (
                context.table($0, places: places),
                $0.isOverPositions ? context.table($0.withoutSinks, places: places) : nil
            )
        }
    }

    /// Takes in one document.
    /// - Parameter value: sum and count of a metric at a place over the positions that are not left out;
    ///   nil leaves out none.
    func add(
        sinks: [Bool],
        _ value: (_ metric: Int, _ place: Int, _ leftOut: [Bool]?) -> (sum: Double, count: Double)
    ) {
        for (index, table) in tables.enumerated() {
            table.all.add { value(index, $0, nil) }
            table.rest?.add { value(index, $0, sinks) }
        }
    }

    /// In the order of the files.
    var all: [DocumentTable] { tables.flatMap { [$0.all] + ($0.rest.map { [$0] } ?? []) } }
}

/// Values of pairs of boundaries at each document.
package struct PairValues {
    package var name: String
    /// The two boundaries of each pair.
    package var pairs: [(Int, Int)]
    /// [documents][pairs]; NaN where undefined.
    package var values: [Double]
}

/// A statistic that is no sum over documents, without one block of documents after the other.
package struct JackknifeValues {
    package var name: String
    /// [blocks][values]; NaN where undefined.
    package var values: [[Double]]
}

/// How documents are cut into consecutive blocks for the jackknife.
package enum JackknifeBlocks {
    package static let count = 20

    /// The block of a document; nil where there are too few documents for blocks.
    package static func block(of document: Int, documents: Int) -> Int? {
        documents < count ? nil : document * count / documents
    }
}
