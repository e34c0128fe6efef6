import CKernels
import Corpus
import Foundation
import Models
import Plans
import Records
import Tensors

extension MeasuringPass {
    /// Angular distance over blocks of layers: between all pairs of boundaries, at the last token.
    public static let blocks = MeasuringPass(
        PassDeclaration(
            name: "blocks", summary: "angular distance of every block of layers, last token",
            metrics: [],
            sections: [
                PassSection(
                    id: "blocks", title: "Blocks of layers", short: "Blocks",
                    introduction: [
                        .cited(
                            """
                            How far a block of layers turns the state of a document's last token, from \
                            the boundary before it to the one behind it. A block that turns little is \
                            redundant for the direction of the state, which does not say that it does \
                            not matter.
                            """, .gromov)
                    ],
                    figures: [
                        PassFigure(
                            "blocks", title: "Angular distance of blocks",
                            caption:
                                "Arccos of the cosine between two boundaries' states, over π; mean "
                                + "over documents.",
                            .pairs(
                                matrix: "block_distance_last", valueName: "Angular distance",
                                isLikeness: false))
                    ])
            ]),
        merge: { shards, found throws(AnalysisError) in
            guard let pairs = shards.pairs else { return found }
            return BlocksMeasurement.results(pairs, boundaries: shards.boundaries)
        },
        make: { BlocksMeasurement($0) })
}

private final class BlocksMeasurement: PassMeasurement {
    private let boundaries: Int
    private let width: Int
    /// The last token's state at each boundary, [boundaries, d].
    private let states: FloatBuffer
    private var distances: [Double] = []
    private let pairs: [(Int, Int)]
    private var length = 0

    init(_ context: PassContext) {
        boundaries = context.boundaries
        width = context.width
        states = FloatBuffer(count: boundaries * width)
        let count = boundaries
        pairs = (0..<count).flatMap { first in
            (first + 1..<max(first + 1, count)).map { (first, $0) }
        }
    }

    func wants(_ site: Site) -> Bool { site == .resid }
    func begin(_ document: Document, index: Int) { length = document.tokens.count }

    func observe(_ activation: Activation) {
        guard activation.positions.upperBound == length else { return }
        memcpy(
            states.pointer + activation.index * width, activation.row(length - 1), width * 4)
    }

    func end(_ document: Document, sinks: [Bool]) {
        guard length > document.addedTokens else {
            distances += [Double](repeating: .nan, count: pairs.count)
            return
        }
        var found = [Double](repeating: .nan, count: pairs.count)
        found.withUnsafeMutableBufferPointer { found in
            nonisolated(unsafe) let (found, states) = (found, self.states.pointer)
            let (pairs, width) = (self.pairs, self.width)
            let chunk = 64
            Parallel.forEach((pairs.count + chunk - 1) / chunk) { index in
                for pair in index * chunk..<min(pairs.count, (index + 1) * chunk) {
                    let p = etd_pair_products(
                        states + pairs[pair].0 * width, states + pairs[pair].1 * width, width)
                    guard p.hh > 0, p.gg > 0 else { continue }
                    let cosine = p.hg / (p.hh.squareRoot() * p.gg.squareRoot())
                    found[pair] = acos(cosine.clampedOrNaN(to: -1...1)) / .pi
                }
            }
        }
        distances += found
    }

    var tables: [DocumentTable] { [] }

    func results() -> PassResults {
        Self.results(
            PairValues(
                name: Metric.angularDistanceLast.name, pairs: pairs, values: distances),
            boundaries: boundaries)
    }

    /// Means over the documents of pairs.
    static func results(_ pairs: PairValues, boundaries: Int) -> PassResults {
        let means = DocumentTable(.angularDistanceLast, places: pairs.pairs.count)
        for document in 0..<pairs.values.count / max(1, pairs.pairs.count) {
            means.add { place in
                let value = pairs.values[document * pairs.pairs.count + place]
                return value.isNaN ? (0, 0) : (value, 1)
            }
        }
        var matrix = [[Double?]](
            repeating: [Double?](repeating: nil, count: boundaries), count: boundaries)
        for boundary in 0..<boundaries { matrix[boundary][boundary] = 0 }
        for (index, pair) in pairs.pairs.enumerated() {
            matrix[pair.0][pair.1] = means.estimate(index).mean
            matrix[pair.1][pair.0] = matrix[pair.0][pair.1]
        }
        var results = PassResults()
        results.matrices = [("block_distance_last", matrix)]
        results.pairs = pairs
        return results
    }
}
