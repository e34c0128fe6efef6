import Corpus
import Models
import Plans
import Records

extension MeasuringPass {
    /// How long states are, and how much of that lies in one coordinate.
    public static let norms = MeasuringPass(
        PassDeclaration(
            name: "norms", summary: "length of states, and the share of their largest coordinate",
            metrics: [.stateNorm, .largestShare],
            sections: [
                PassSection(
                    id: "norms", title: "How long states are", short: "Norms",
                    introduction: [
                        .cited(
                            "A few coordinates of a few tokens can be thousands of times larger than the "
                                + "rest (massive activations). They decide what f16 can hold and what an "
                                + "angle or a norm means.", .massive)
                    ],
                    figures: [
                        PassFigure(
                            "state-norm", title: "Length of the state",
                            caption: "Mean over positions; sinks are often the longest.",
                            .lines([.init(.stateNorm, "Length")]), yLabel: "‖h‖"),
                        PassFigure(
                            "largest-share", title: "Share of the largest coordinate",
                            caption:
                                "Of the squared length; 1 would be a state of one coordinate, 1/d one that "
                                + "is spread evenly (d = {hidden_size}).",
                            .lines([.init(.largestShare, "Largest coordinate")]), yLabel: "share"),
                    ])
            ]), isStandard: false
    ) { NormsMeasurement($0) }
}

extension Metric {
    public static let stateNorm = Metric(
        name: "state_norm", title: "Length of the state", place: .boundary, least: 0,
        explanation: "Euclidean length of the residual stream, averaged over positions.",
        formula: "E ‖hₗ‖", high: "states are long", source: .massive, isOverPositions: true)
    public static let largestShare = Metric(
        name: "largest_coordinate_share", title: "Share of the largest coordinate",
        place: .boundary, least: 0, most: 1,
        explanation:
            "Share of a state's squared length that lies in its largest coordinate, averaged over "
            + "positions.",
        formula: "E maxᵢ hₗᵢ² / ‖hₗ‖²", high: "one coordinate carries the state",
        source: .massive, isOverPositions: true)
}

extension Citation {
    fileprivate static let massive = arxiv("Sun et al., massive activations (2024)", "2402.17762")
}

private final class NormsMeasurement: PassMeasurement {
    private let width: Int
    private let room: Int
    /// [metrics][boundaries][positions]
    private var values: [Double]
    private let boundaries: Int
    private let twins: TwinTables

    init(_ context: PassContext) {
        width = context.width
        room = context.longest
        boundaries = context.boundaries
        values = [Double](repeating: 0, count: 2 * boundaries * room)
        twins = TwinTables([.stateNorm, .largestShare], context)
    }

    func wants(_ site: Site) -> Bool { site == .resid }

    func observe(_ activation: Activation) {
        for position in activation.positions {
            let row = activation.row(position)
            var (sum, largest) = (0.0, 0.0)
            for index in 0..<width {
                let square = Double(row[index]) * Double(row[index])
                sum += square
                largest = max(largest, square)
            }
            let place = activation.index * room + position
            values[place] = sum.squareRoot()
            values[boundaries * room + place] = sum > 0 ? largest / sum : 0
        }
    }

    func end(_ document: Document, sinks: [Bool]) {
        twins.add(sinks: sinks) { metric, boundary, leftOut in
            let first = (metric * boundaries + boundary) * room
            var (sum, count) = (0.0, 0.0)
            for position in document.addedTokens..<document.tokens.count
            where leftOut?[position] != true {
                sum += values[first + position]
                count += 1
            }
            return (sum, count)
        }
    }

    var tables: [DocumentTable] { twins.all }
    func results() -> PassResults { PassResults(tables: tables) }
}
