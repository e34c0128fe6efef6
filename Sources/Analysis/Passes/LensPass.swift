import Corpus
import Models
import Plans
import Records
import Tensors

extension MeasuringPass {
    /// The logit lens at every boundary, and a tuned lens beside it where the run has one.
    public static let lens = MeasuringPass(
        PassDeclaration(
            name: "lens", summary: "the logit lens at every boundary", metrics: Metric.lens,
            sections: [lensSection, tunedSection])
    ) { LensMeasurement($0) }

    private static let lensSection = PassSection(
        id: "lens", title: "The logit lens", short: "Lens",
        introduction: [
            .text(
                """
                What the model would say if it stopped at a boundary: the state after that many layers, \
                through the final norm and the unembedding. Early readings are biased for many models; \
                trends say more than values.
                """)
        ],
        figures: [
            PassFigure(
                "entropy", title: "Lens entropy", caption: "How undecided the early reading is.",
                .lines([.init(.entropy, "Entropy")]), yLabel: "nats"),
            PassFigure(
                "cross-entropy", title: "Lens cross-entropy",
                caption: "How well the text's next token could already be predicted.",
                .lines([.init(.crossEntropy, "Cross-entropy")]), yLabel: "nats per token"),
            PassFigure(
                "kl", title: "Divergence from the output",
                caption: "Distance to what the model finally says, in both directions.",
                .lines([
                    .init(.klToFinal, "KL(lens‖output)"), .init(.klFromFinal, "KL(output‖lens)"),
                ]), yLabel: "nats"),
            PassFigure(
                "agreement", title: "Agreement with the output",
                caption: "How often the early reading already names the final choice.",
                .lines([.init(.top1Agreement, "Top-1"), .init(.top5Agreement, "Top-5")]),
                yLabel: "share", top: 1),
        ])

    private static let tunedSection = PassSection(
        id: "tuned-lens", title: "Tuned against plain lens", short: "Tuned lens",
        introduction: [
            .cited(
                """
                The plain lens reads an early state with a norm and an unembedding that were made for \
                the last one; where layers rotate, shift or scale what they pass on, it misreads what is \
                there. The tuned lens first applies an affine map, trained for each boundary. The gap \
                between the curves is that bias, not thought: what both still miss is what later layers \
                add.
                """, .tunedLens),
            .tunedLens(.klFromFinal),
        ],
        figures: [
            PassFigure(
                "tuned-kl", title: "KL(output‖lens)",
                caption: "What the tuned lens was trained to make small.", .lenses(.klFromFinal),
                yLabel: "nats"),
            PassFigure(
                "tuned-cross-entropy", title: "Cross-entropy",
                caption: "How well either reading predicts the text's next token.",
                .lenses(.crossEntropy), yLabel: "nats per token"),
            PassFigure(
                "tuned-entropy", title: "Entropy", caption: "How undecided either reading is.",
                .lenses(.entropy), yLabel: "nats"),
            PassFigure(
                "tuned-agreement", title: "Top-1 agreement",
                caption: "How often either reading already names the final choice.",
                .lenses(.top1Agreement), yLabel: "share", top: 1),
        ])
}

extension Metric {
    public static let entropy = Metric(
        name: "entropy", title: "Lens entropy", place: .boundary, unit: "nats", least: 0,
        explanation: """
            Entropy, in nats, of the next-token distribution that the final norm and the unembedding \
            read from the state at this boundary (logit lens).
            """,
        formula: "H(pₗ) = −Σ pₗ ln pₗ, where pₗ = softmax(W_U · Norm(hₗ))",
        high: "the reading is undecided", source: .logitLens, isOverPositions: true)
    public static let klToFinal = Metric(
        name: "kl_to_final", title: "KL(lens‖output)", place: .boundary, unit: "nats",
        explanation: "Divergence of the lens distribution from the model's output, in nats.",
        formula: "KL(pₗ‖p_L) = Σ pₗ ln(pₗ / p_L)", high: "far from the output",
        source: .tunedLens, isOverPositions: true)
    public static let klFromFinal = Metric(
        name: "kl_from_final", title: "KL(output‖lens)", place: .boundary, unit: "nats",
        explanation: "Divergence of the model's output from the lens distribution, in nats.",
        formula: "KL(p_L‖pₗ) = Σ p_L ln(p_L / pₗ)", high: "far from the output",
        source: .tunedLens, isOverPositions: true)
    public static let top1Agreement = Metric(
        name: "top1_agreement", title: "Top-1 agreement", place: .boundary, unit: "share", least: 0,
        most: 1,
        explanation: "Share of positions where lens and output prefer the same token.",
        formula: "E [argmax pₗ = argmax p_L]", high: "the output's choice is already there",
        source: .logitLens, isOverPositions: true)
    public static let top5Agreement = Metric(
        name: "top5_agreement", title: "Top-5 agreement", place: .boundary, unit: "share", least: 0,
        most: 1,
        explanation: "Mean share of the output's five most likely tokens among the lens's five.",
        formula: "E |top5(pₗ) ∩ top5(p_L)| / 5, ties to the lower id",
        high: "the output's choices are already there", source: .logitLens, isOverPositions: true)
    public static let crossEntropy = Metric(
        name: "cross_entropy", title: "Lens cross-entropy", place: .boundary,
        unit: "nats per token", least: 0,
        explanation: """
            Mean -log probability, in nats, that the lens gives the token that follows in the document.
            """,
        formula: "−E ln pₗ(next token), over positions with a next token in the document",
        high: "the next token is not yet predicted", source: .tunedLens, isOverPositions: true)
    /// In the order of the files.
    public static let lens = [
        entropy, klToFinal, klFromFinal, top1Agreement, top5Agreement, crossEntropy,
    ]
}

extension Citation {
    static let logitLens = Citation(
        text: "nostalgebraist, interpreting GPT: the logit lens (2020)",
        address: "https://www.lesswrong.com/posts/AcKRB8wDpdaN6v6ru/interpreting-gpt-the-logit-lens"
    )
    static let tunedLens = arxiv("Belrose et al., tuned lens (2023)", "2303.08112")
}

private final class LensMeasurement: PassMeasurement {
    /// Readings of a document that waits for its sinks, or for positions that are still to be read.
    private struct Waiting {
        var document: Document
        /// nil until the document has gone through.
        var sinks: [Bool]?
        var positions: [Int] = []
        /// [positions][metrics][boundaries]
        var plain: [Double?] = []
        var tuned: [Double?] = []
    }

    private let boundaries: Int
    private let selection: PositionSelection
    private let plain: TwinTables
    private let tuned: TwinTables?
    private var waiting: [Int: Waiting] = [:]
    /// The next document to be taken in.
    private var next: Int?
    private var tap: LensTap?

    init(_ context: PassContext) {
        boundaries = context.boundaries
        selection = context.options.lensPositions
        plain = TwinTables(Metric.lens, context)
        tuned = context.options.tuned.map { _ in TwinTables(Metric.lens, context) }
        tap = LensTap(
            model: context.model, plan: context.plan, tuned: context.options.tuned,
            selection: selection
        ) { [unowned self] document in
            { position, readings, tuned in
                self.take(document, position, readings, tuned)
            }
        }
    }

    func wants(_ site: Site) -> Bool { site == .resid }

    func begin(_ document: Document, index: Int) {
        next = next ?? index
        waiting[index] = Waiting(document: document)
        current = index
        tap?.begin(document, index: index)
    }

    private var current = 0

    func observe(_ activation: Activation) throws(ModelError) { try tap?.observe(activation) }

    func fillLogits(_ buffer: FloatBuffer) -> Bool {
        tap?.finalLogits = buffer
        return true
    }

    private func take(
        _ document: Int, _ position: Int, _ readings: [LogitLens.Reading],
        _ translated: [LogitLens.Reading]
    ) {
        waiting[document]?.positions.append(position)
        waiting[document]?.plain += values(readings)
        if tuned != nil { waiting[document]?.tuned += values(translated) }
    }

    /// [metrics][boundaries]
    private func values(_ readings: [LogitLens.Reading]) -> [Double?] {
        let final = readings[boundaries - 1]
        let shared = readings.map { reading in
            reading.topIDs.count { final.topIDs.contains($0) }
        }
        return readings.map(\.entropy) + readings.map(\.klToFinal) + readings.map(\.klFromFinal)
            + readings.map { $0.topIDs.first == final.topIDs.first ? 1 : 0 }
            + shared.map { Double($0) / Double(max(1, final.topIDs.count)) }
            + readings.map(\.crossEntropy)
    }

    func end(_ document: Document, sinks: [Bool]) {
        waiting[current]?.sinks = sinks
        settle()
    }

    /// Takes in the documents whose positions have all been read, in order.
    private func settle() {
        while let index = next, let item = waiting[index], let sinks = item.sinks {
            let length = item.document.tokens.count
            guard item.positions.count == selection.count(before: length, of: length) else {
                return
            }
            add(item, sinks)
            waiting[index] = nil
            next = index + 1
        }
    }

    private func add(_ item: Waiting, _ sinks: [Bool]) {
        let stride = Metric.lens.count * boundaries
        func sum(_ values: [Double?], _ metric: Int, _ boundary: Int, _ leftOut: [Bool]?)
            -> (sum: Double, count: Double)
        {
            var (sum, count) = (0.0, 0.0)
            for (row, position) in item.positions.enumerated() {
                if position < item.document.addedTokens || leftOut?[position] == true { continue }
                guard let value = values[row * stride + metric * boundaries + boundary] else {
                    continue
                }
                sum += value
                count += 1
            }
            return (sum, count)
        }
        plain.add(sinks: sinks) { sum(item.plain, $0, $1, $2) }
        tuned?.add(sinks: sinks) { sum(item.tuned, $0, $1, $2) }
    }

    /// Reads what waits for a full block.
    func flush() throws(AnalysisError) {
        do { try tap?.flush() } catch { throw AnalysisError(error) }
        settle()
    }

    var tables: [DocumentTable] { plain.all }

    func results() throws(AnalysisError) -> PassResults {
        try flush()
        var results = PassResults(tables: tables)
        results.tuned = tuned?.all ?? []
        return results
    }
}
