import Corpus
import Models
import Plans
import Records

extension MeasuringPass {
    /// Angular distance between the states before and after a layer: ETD's curve.
    public static let angular = MeasuringPass(
        PassDeclaration(
            name: "angular", summary: "angular distance, from which the split is proposed",
            metrics: [.angularDistanceLast, .angularDistance],
            sections: [
                PassSection(
                    id: "distance", title: "Angular distance", short: "Angular distance",
                    figures: [
                        PassFigure(
                            "distance", title: "How far each layer turns the residual stream",
                            caption:
                                "Mean and ± 1 standard error over documents. A plateau of small turns "
                                + "between two steep ends is where ETD looks for the think block.",
                            .lines([
                                .init(.angularDistanceLast, "Last token"),
                                .init(.angularDistance, "All tokens"),
                            ]), yLabel: "Angular distance (1 = opposite)", isWide: true)
                    ])
            ])
    ) { AngularMeasurement($0) }
}

extension Metric {
    public static let angularDistanceLast = Metric(
        name: "angular_distance_last", title: "Angular distance, last token", place: .layer,
        least: 0, most: 1,
        explanation: """
            arccos of the cosine between the states before and after the layer, divided by π, at the \
            last token of each document. 0: same direction; 0.5: at right angles. This is the curve \
            from which ETD proposes its split.
            """,
        formula: "d(l) = arccos( hₗ·hₗ₊₁ / (‖hₗ‖ ‖hₗ₊₁‖) ) / π, last token of each document",
        high: "the layer turns the state far", source: .etd)
    public static let angularDistance = Metric(
        name: "angular_distance", title: "Angular distance, all tokens", place: .layer, least: 0,
        most: 1,
        explanation: "The same distance, averaged over every position.",
        formula: "d(l) = arccos( hₗ·hₗ₊₁ / (‖hₗ‖ ‖hₗ₊₁‖) ) / π, mean over all positions",
        high: "the layer turns the states far", source: .gromov, isOverPositions: true)
}

private final class AngularMeasurement: PassMeasurement {
    private let turns: LayerTurns
    private let last: DocumentTable
    private let all: TwinTables

    init(_ context: PassContext) {
        turns = context.layerTurns()
        last = context.table(.angularDistanceLast)
        all = TwinTables([.angularDistance], context)
    }

    func wants(_ site: Site) -> Bool { false }
    func observe(_ activation: Activation) {}

    func end(_ document: Document, sinks: [Bool]) {
        let position = document.tokens.count - 1
        last.add { layer in
            guard position >= document.addedTokens,
                let value = turns.value(.distance, layer: layer, position: position)
            else { return (0, 0) }
            return (value, 1)
        }
        all.add(sinks: sinks) { _, layer, leftOut in
            turns.sum(.distance, layer: layer, document, without: leftOut)
        }
    }

    var tables: [DocumentTable] { [last] + all.all }
    func results() -> PassResults { PassResults(tables: tables) }
}
