import Corpus
import Models
import Plans
import Records

extension MeasuringPass {
    /// Ranks, prompt entropy, curvature, and CKA between boundaries.
    public static let geometry = MeasuringPass(
        PassDeclaration(
            name: "geometry", summary: "ranks, prompt entropy, curvature and CKA of the states",
            metrics: [.effectiveRank, .participationRatio, .promptEntropy, .curvature],
            sections: [
                PassSection(
                    id: "geometry", title: "The geometry of the states", short: "Geometry",
                    introduction: [
                        .text(
                            """
                            How the states of the positions lie in space at each boundary. Two ends of a \
                            stretch of boundaries with high CKA hold nearly the same arrangement of \
                            tokens, up to rotation and scale. A few very large directions, which most \
                            models have, weigh on all of these numbers: a sudden change of all at once is \
                            often theirs.
                            """), .sinks,
                    ],
                    figures: [
                        PassFigure(
                            "effective-rank", title: "Dimensions in use",
                            caption: "In how many directions the states of the positions vary, of "
                                + "{hidden_size}.",
                            .lines([
                                .init(.effectiveRank, "Effective rank"),
                                .init(.participationRatio, "Participation ratio"),
                            ]), yLabel: "directions"),
                        PassFigure(
                            "prompt-entropy", title: "Prompt entropy",
                            caption:
                                "How spread out the states of one document are. A dip is compression.",
                            .lines([.init(.promptEntropy, "Prompt entropy")]), yLabel: "nats"),
                        PassFigure(
                            "curvature", title: "Curvature",
                            caption:
                                "How sharply the path of states turns from token to token; states "
                                + "unrelated to one another give 2.09.",
                            .lines([.init(.curvature, "Curvature")]), yLabel: "radians",
                            includesZero: false),
                        PassFigure(
                            "cka", title: "CKA between boundaries",
                            caption:
                                "Likeness of the arrangement of tokens at two boundaries: 1 alike, "
                                + "0 unrelated.",
                            .pairs(matrix: "cka", valueName: "Linear CKA", isLikeness: true)),
                    ])
            ]),
        merge: { shards, found throws(AnalysisError) in
            guard !shards.kept.isEmpty else { return found }
            return try ShardSums.results(
                shards.kept, tables: found.tables, boundaries: shards.boundaries,
                width: shards.width, documents: shards.documents)
        },
        make: { GeometryMeasurement($0) })
}

extension Metric {
    public static let effectiveRank = Metric(
        name: "effective_rank", title: "Effective rank", place: .boundary, unit: "directions",
        least: 1,
        explanation: """
            In how many directions the states at this boundary vary over positions: the exponential \
            of the entropy of the covariance's normalised eigenvalues. A few directions of huge variance \
            bring it near 1, whatever the others hold.
            """,
        formula: "exp(−Σ pᵢ ln pᵢ), where pᵢ = λᵢ / Σλ of the covariance of hₗ",
        high: "the states vary in many directions",
        source: Citation(
            text: "Roy and Vetterli, The effective rank, EUSIPCO 2007",
            address: "https://www.eurasip.org/Proceedings/Eusipco/Eusipco2007/Papers/a5p-h05.pdf"))
    public static let participationRatio = Metric(
        name: "participation_ratio", title: "Participation ratio", place: .boundary,
        unit: "directions", least: 1,
        explanation: """
            The same question with more weight on the largest directions. Never above the effective rank.
            """,
        formula: "(Σλᵢ)² / Σλᵢ²", high: "the states vary in many directions",
        source: Citation(
            text: "Gao et al., A theory of multineuronal dimensionality (2017)",
            address: "https://doi.org/10.1101/214262"))
    public static let promptEntropy = Metric(
        name: "prompt_entropy", title: "Prompt entropy", place: .boundary, unit: "nats", least: 0,
        explanation: """
            How many different things the states of one document say at this boundary, in nats: the \
            matrix-based entropy of the Gram matrix of its states, centred and scaled to length 1, over \
            its first 512 positions. High: every token has a direction of its own; low: compressed.
            """,
        formula: "−Σ λᵢ ln λᵢ of ZZᵀ/n, rows of Z: (hₗ − mean) / ‖hₗ − mean‖ in a document",
        high: "every token has a direction of its own",
        source: .arxiv("Skean et al., Layer by Layer (2025)", "2502.02013"))
    public static let curvature = Metric(
        name: "curvature", title: "Curvature", place: .boundary, unit: "radians", least: 0,
        most: .pi,
        explanation: """
            Mean angle, in radians, between one step from token to token and the next. 0: a straight \
            path; 2π/3 (2.09): what states unrelated to one another give.
            """,
        formula: "E arccos( vₜ·vₜ₊₁ / (‖vₜ‖ ‖vₜ₊₁‖) ), where vₜ = hₗ[t+1] − hₗ[t]",
        high: "the path of states turns sharply",
        source: .arxiv("Hosseini and Fedorenko (2023)", "2311.04930"))
}

private final class GeometryMeasurement: PassMeasurement {
    private let geometry: BoundaryGeometry

    init(_ context: PassContext) {
        let options = context.options
        geometry = BoundaryGeometry(
            boundaries: context.boundaries, width: context.width, documents: context.documents,
            sinks: options.sinks == .drop ? context.sinks : nil,
            textTokens: options.shard?.textTokens,
            textDocuments: options.makesEvidence
                ? options.shard?.textDocuments ?? context.documents.count : nil,
            isShard: options.shard != nil)
    }

    func wants(_ site: Site) -> Bool { site == .resid }
    func begin(_ document: Document, index: Int) { geometry.begin(document, index: index) }
    func observe(_ activation: Activation) { geometry.observe(activation) }
    func end(_ document: Document, sinks: [Bool]) { geometry.end() }

    var tables: [DocumentTable] { geometry.shapes }

    func results() throws(AnalysisError) -> PassResults {
        var results = try PassResults(tables: tables, geometry.results())
        let kept = geometry.kept
        if !kept.blocks.isEmpty { results.kept = ShardSums(kept) }
        return results
    }
}

extension PassResults {
    fileprivate init(tables: [DocumentTable], _ geometry: GeometryResults) {
        self.init(tables: tables)
        whole = [
            (.effectiveRank, geometry.dimensions.map { $0?.effectiveRank }),
            (.participationRatio, geometry.dimensions.map { $0?.participationRatio }),
        ]
        matrices = [("cka", geometry.alignments)]
        jackknife = geometry.jackknife
        notes = geometry.notes
    }
}

/// Sums of the geometry that a shard keeps beside its values by document.
public struct ShardSums: @unchecked Sendable {
    /// Moments of each block of documents at each boundary; nil where nothing passed.
    public var blocks: [(block: Int, moments: [Moments?])]
    /// States of the sampled tokens, [tokens][boundaries, d].
    public var sample: [Float]
    /// The block of each sampled token.
    public var sampleBlocks: [Int32]

    init(_ kept: GeometrySums.Kept) {
        blocks = kept.blocks
        sample = kept.sample
        sampleBlocks = kept.sampleBlocks
    }

    public init(
        blocks: [(block: Int, moments: [Moments?])], sample: [Float], sampleBlocks: [Int32]
    ) {
        self.blocks = blocks
        self.sample = sample
        self.sampleBlocks = sampleBlocks
    }

    /// The geometry of the shards' documents together, as one run would have it.
    /// - Parameters:
    ///   - shards: in the order of their documents.
    ///   - documents: of the whole text.
    /// - Throws: `AnalysisError.momentsOutOfRange`.
    static func results(
        _ shards: [ShardSums], tables: [DocumentTable], boundaries: Int, width: Int, documents: Int
    ) throws(AnalysisError) -> PassResults {
        let sums = GeometrySums(
            boundaries: boundaries, width: width, documents: documents, keeps: false)
        for shard in shards {
            for part in shard.blocks { sums.add(block: part.block, part.moments) }
            shard.sample.withUnsafeBufferPointer { sample in
                guard let base = sample.baseAddress else { return }
                for (token, block) in shard.sampleBlocks.enumerated() {
                    sums.begin(block: Int(block))
                    sums.sample(block: Int(block)) {
                        base + (token * boundaries + $0) * width
                    }
                }
            }
        }
        return try PassResults(tables: tables, GeometryResults(sums))
    }
}
