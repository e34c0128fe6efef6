import Corpus
import Models
import Plans
import Records

extension MeasuringPass {
    /// Block influence (ShortGPT).
    public static let influence = MeasuringPass(
        PassDeclaration(
            name: "influence", summary: "block influence", metrics: [.blockInfluence],
            sections: [
                PassSection(
                    id: "writing", title: "What each layer adds", short: "Contribution",
                    figures: [
                        PassFigure(
                            "influence", title: "Block influence",
                            caption:
                                "How much a layer changes the state's direction, over all tokens.",
                            .bars(.blockInfluence, tone: 1), yLabel: "1 − mean cosine")
                    ])
            ])
    ) { InfluenceMeasurement($0) }
}

extension Metric {
    public static let blockInfluence = Metric(
        name: "block_influence", title: "Block influence", place: .layer, least: 0, most: 2,
        explanation: """
            1 minus the mean cosine between the states before and after the layer (ShortGPT). A low \
            value says that the layer changes directions little, not that it does not matter.
            """,
        formula: "BI(l) = 1 − E cos(hₗ, hₗ₊₁)", high: "the layer changes directions much",
        source: .arxiv("ShortGPT (2024)", "2403.03853"), isOverPositions: true)
}

private final class InfluenceMeasurement: PassMeasurement {
    private let turns: LayerTurns
    private let twins: TwinTables

    init(_ context: PassContext) {
        turns = context.layerTurns()
        twins = TwinTables([.blockInfluence], context)
    }

    func wants(_ site: Site) -> Bool { false }
    func observe(_ activation: Activation) {}

    func end(_ document: Document, sinks: [Bool]) {
        twins.add(sinks: sinks) { _, layer, leftOut in
            let cosine = turns.sum(.cosine, layer: layer, document, without: leftOut)
            return (cosine.count - cosine.sum, cosine.count)
        }
    }

    var tables: [DocumentTable] { twins.all }
    func results() -> PassResults { PassResults(tables: tables) }
}
