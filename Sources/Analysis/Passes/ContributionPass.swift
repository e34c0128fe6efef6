import Corpus
import Models
import Plans
import Records

extension MeasuringPass {
    /// Length and direction of what a layer adds.
    public static let contribution = MeasuringPass(
        PassDeclaration(
            name: "contribution", summary: "what a layer adds: its length and direction",
            metrics: [.contribution, .contributionCosine],
            sections: [
                PassSection(
                    id: "writing", title: "What each layer adds", short: "Contribution",
                    figures: [
                        PassFigure(
                            "contribution", title: "Contribution",
                            caption: "Length of what a layer adds, relative to what it adds it to.",
                            .lines([.init(.contribution, "Contribution")]), yLabel: "‖u‖ / ‖h‖"),
                        PassFigure(
                            "cosine", title: "Contribution cosine",
                            caption:
                                "Above 0 a layer strengthens the state, below 0 it erases, near 0 it "
                                + "writes something new.",
                            .bars(.contributionCosine, tone: 2), yLabel: "cos(u, h)"),
                    ])
            ])
    ) { ContributionMeasurement($0) }
}

extension Metric {
    public static let contribution = Metric(
        name: "contribution", title: "Contribution", place: .layer, least: 0,
        explanation: "Length of what the layer adds, relative to the state it is added to.",
        formula: "E ‖uₗ‖ / ‖hₗ‖, where uₗ = hₗ₊₁ − hₗ", high: "the layer writes much",
        source: .csordas, isOverPositions: true)
    public static let contributionCosine = Metric(
        name: "contribution_cosine", title: "Contribution cosine", place: .layer, least: -1,
        most: 1,
        explanation: """
            Cosine between what the layer adds and the state it is added to: positive strengthens, \
            negative erases, near 0 writes something new.
            """,
        formula: "E cos(uₗ, hₗ), where uₗ = hₗ₊₁ − hₗ", high: "the layer strengthens what is there",
        source: .csordas, isOverPositions: true)
}

extension Citation {
    static let csordas = arxiv("Csordás et al. (2025)", "2505.13898")
}

private final class ContributionMeasurement: PassMeasurement {
    private static let series = [LayerTurns.Series.contribution, .contributionCosine]
    private let turns: LayerTurns
    private let twins: TwinTables

    init(_ context: PassContext) {
        turns = context.layerTurns()
        twins = TwinTables([.contribution, .contributionCosine], context)
    }

    func wants(_ site: Site) -> Bool { false }
    func observe(_ activation: Activation) {}

    func end(_ document: Document, sinks: [Bool]) {
        twins.add(sinks: sinks) { metric, layer, leftOut in
            turns.sum(Self.series[metric], layer: layer, document, without: leftOut)
        }
    }

    var tables: [DocumentTable] { twins.all }
    func results() -> PassResults { PassResults(tables: tables) }
}
