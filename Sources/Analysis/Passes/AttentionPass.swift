import Corpus
import Foundation
import Models
import Plans
import Records
import Tensors

extension MeasuringPass {
    /// How widely each head looks, and how much of it goes to a document's first position.
    public static let attention = MeasuringPass(
        PassDeclaration(
            name: "attention", summary: "entropy of attention and its share on the first position",
            metrics: [.attentionEntropy, .firstPositionShare],
            sections: [
                PassSection(
                    id: "attention", title: "Where attention goes", short: "Attention",
                    introduction: [
                        .text(
                            """
                            A head of low entropy looks at few positions. A high share on the first \
                            position is what an attention sink draws: such a head adds little there.
                            """)
                    ],
                    figures: [
                        PassFigure(
                            "attention-entropy", title: "Attention entropy",
                            caption: "Mean over a layer's heads and all positions.",
                            .lines([.init(.attentionEntropy, "Entropy")]), yLabel: "nats"),
                        PassFigure(
                            "first-position", title: "Share on the first position",
                            caption: "Mean over a layer's heads and all positions.",
                            .lines([.init(.firstPositionShare, "Share")]), yLabel: "share", top: 1),
                        PassFigure(
                            "attention-entropy-heads", title: "Attention entropy by head",
                            caption: "Each head of each layer.", .heads(.attentionEntropy)),
                        PassFigure(
                            "first-position-heads", title: "Share on the first position by head",
                            caption: "Each head of each layer.", .heads(.firstPositionShare)),
                    ])
            ]), isStandard: false
    ) { AttentionMeasurement($0) }
}

extension Metric {
    public static let attentionEntropy = Metric(
        name: "attention_entropy", title: "Attention entropy", place: .layer, unit: "nats",
        least: 0,
        explanation: """
            Entropy of a position's attention weights over the positions it sees, averaged over the \
            layer's heads. 0: one position gets all.
            """,
        formula: "H = −Σⱼ aⱼ ln aⱼ, mean over heads and positions", high: "attention is spread out",
        source: .attentionEntropy, isOverPositions: true, hasHeads: true)
    public static let firstPositionShare = Metric(
        name: "first_position_share", title: "Attention on the first position", place: .layer,
        unit: "share", least: 0, most: 1,
        explanation: "Share of attention that goes to the document's first position.",
        formula: "a₀, mean over heads and positions",
        high: "the first position is an attention sink",
        source: .arxiv("Xiao et al., attention sinks (2023)", "2309.17453"),
        isOverPositions: true, hasHeads: true)
}

extension Citation {
    fileprivate static let attentionEntropy = arxiv(
        "Zhai et al., attention entropy (2023)", "2303.06296")
}

private final class AttentionMeasurement: PassMeasurement {
    private let layers: Int
    private let heads: Int
    private let room: Int
    /// [metrics][layers][heads][room]
    private let values: UnsafeMutablePointer<Double>
    private let byLayer: TwinTables
    private let byHead: [DocumentTable]

    init(_ context: PassContext) {
        layers = context.steps
        heads = context.model.configuration.headCount
        room = context.longest
        values = .allocate(capacity: 2 * layers * heads * room)
        let metrics = [Metric.attentionEntropy, .firstPositionShare]
        byLayer = TwinTables(metrics, context)
        let places = layers * heads
        byHead = metrics.map { DocumentTable($0, places: places) }
    }

    deinit { values.deallocate() }

    private func place(_ metric: Int, _ layer: Int, _ head: Int) -> Int {
        ((metric * layers + layer) * heads + head) * room
    }

    func wants(_ site: Site) -> Bool { site == .attentionPattern }

    func observe(_ activation: Activation) {
        let keys = activation.width / heads
        let (layer, first, heads) = (activation.index, activation.positions.lowerBound, heads)
        let (entropy, share) = (place(0, layer, 0), place(1, layer, 0))
        nonisolated(unsafe) let (weights, values) = (activation.values, self.values)
        let room = room
        Parallel.forEach(activation.positions.count) { row in
            for head in 0..<heads {
                let pattern = weights + (row * heads + head) * keys
                var sum = 0.0
                for key in 0..<min(keys, first + row + 1) where pattern[key] > 0 {
                    let weight = Double(pattern[key])
                    sum -= weight * log(weight)
                }
                values[entropy + head * room + first + row] = sum
                values[share + head * room + first + row] = Double(pattern[0])
            }
        }
    }

    /// The sum over a document's positions.
    private func sum(
        _ metric: Int, _ layer: Int, _ head: Int, _ document: Document, without sinks: [Bool]?
    ) -> (sum: Double, count: Double) {
        let row = values + place(metric, layer, head)
        var (sum, count) = (0.0, 0.0)
        for position in document.addedTokens..<document.tokens.count {
            if sinks?[position] == true { continue }
            sum += row[position]
            count += 1
        }
        return (sum, count)
    }

    func end(_ document: Document, sinks: [Bool]) {
        byLayer.add(sinks: sinks) { metric, layer, leftOut in
            var (total, count) = (0.0, 0.0)
            for head in 0..<heads {
                let part = sum(metric, layer, head, document, without: leftOut)
                total += part.sum
                count = part.count
            }
            return (total / Double(heads), count)
        }
        for (metric, table) in byHead.enumerated() {
            table.add { sum(metric, $0 / heads, $0 % heads, document, without: nil) }
        }
    }

    var tables: [DocumentTable] { byLayer.all }

    func results() -> PassResults {
        var results = PassResults(tables: tables)
        results.heads = byHead
        return results
    }
}
