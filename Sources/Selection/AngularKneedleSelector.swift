import Files
import OrderedCollections
import Plans
import Records

/// Proposes a split from the angular distances at the last token, or abstains and says why.
///
/// Kneedle on the few points of a curve over layers is unstable, and often leaves an encoder or
/// decoder of one layer. Such an answer is shown as evidence but not proposed, and neither is one that fewer
/// than half of the resamples of the documents come near. The selector looks at
/// one kind of evidence alone: it recommends no number of iterations, since nothing it sees says
/// what looping a block does.
public struct AngularKneedleSelector: Sendable, Equatable {
    public static let method = "angular+kneedle"

    public let kneedle: Kneedle
    public let resamples: Int
    public let seed: UInt64

    public init(
        sensitivity: Double = 1, resamples: Int = EvidenceResampler.resamples, seed: UInt64 = 0
    ) {
        kneedle = Kneedle(sensitivity: sensitivity)
        self.resamples = resamples
        self.seed = seed
    }

    /// - Parameters:
    ///   - distances: mean angular distance at the last token over documents, nil where a layer has
    ///     none. [L]
    ///   - documentDistances: the same for each document; those with a value that is not finite are
    ///     left out of the bootstrap. [D][L]
    ///   - cost: FLOPs and cache per token of a split; asked only for one that is proposed.
    /// - Throws: `SelectionError.sensitivity`, or `.distanceCount` when a row does not have the
    ///   model's number of layers.
    public func select(
        model: ModelRecord, distances: [Double?], documentDistances: [[Double]],
        cost: (Split) -> [SplitRecord.Cost], createdBy: String
    ) throws(SelectionError) -> SplitRecord {
        guard kneedle.sensitivity.isFinite, kneedle.sensitivity >= 0 else {
            throw .sensitivity(actual: kneedle.sensitivity)
        }
        guard distances.count == model.layers else {
            throw .distanceCount(
                what: "mean over documents", actual: distances.count, expected: model.layers)
        }
        for (index, row) in documentDistances.enumerated() where row.count != model.layers {
            throw .distanceCount(
                what: "document \(index)", actual: row.count, expected: model.layers)
        }
        let evidence = LayerEvidence(
            distances: distances.map { $0 ?? .nan }, documents: documentDistances,
            kneedle: kneedle, resamples: resamples, seed: seed)
        let (proposal, windows) = (evidence.proposal, evidence.windows)
        var saved = SavedEvidence(model: model, documents: documentDistances.count)
        saved.whole["angular_distance_last"] = distances
        var view = EvidenceView(saved)
        view.angular = evidence
        let problems = SplitProblem.all(in: proposal)
        let candidate = problems.isEmpty ? proposal.split : nil
        let confidence = candidate.flatMap { evidence.distribution?.share(near: $0) }
        let isUnstable = confidence.map { $0 < Verdict.leastConfidence } ?? false
        let split = isUnstable ? nil : candidate
        return SplitRecord(
            architecture: model.architecture, layers: model.layers,
            fingerprint: model.fingerprint, method: Self.method, split: split,
            confidence: split == nil ? nil : confidence,
            abstention: split == nil
                ? Self.reason(problems, proposal, confidence, windows) : nil,
            alternatives: windows.ranked.map(\.alternative).filter { $0.split != split },
            evidence: OrderedDictionary(
                uniqueKeysWithValues: Selector.all.compactMap { selector in
                    selector(view).map { (selector.name, $0) }
                }),
            cost: split.map(cost) ?? [], createdBy: createdBy)
    }

    private static func reason(
        _ problems: [SplitProblem], _ proposal: AngularSplit, _ confidence: Double?,
        _ windows: PlateauWindows
    ) -> String {
        let conditions = problems.map(\.description).joined(separator: ", and ")
        let finding =
            switch proposal.split {
            case nil: "Kneedle gives no split: \(conditions)."
            case let split? where problems.isEmpty:
                "Kneedle's \(split.notation) is unstable: only "
                    + "\(Verdict.percent(confidence ?? 0)) of resamples of the documents give a "
                    + "think block within one layer of it at both ends."
            case let split?: "Kneedle's \(split.notation) is degenerate: \(conditions)."
            }
        guard !windows.windows.isEmpty else {
            return finding
                + " No window of this model's layers can be offered in its place; choose "
                + "a split yourself with --split and confirm it by scans."
        }
        let leading = windows.leading.map { " (leading: \($0.split.notation))" } ?? ""
        return finding + " Look at the alternatives\(leading), confirm one by scans, and name it "
            + "with --split, or take it from this file with --alternative."
    }
}

extension PlateauWindows.Window {
    fileprivate var alternative: SplitRecord.Alternative {
        var scores = ["mean_angular_distance": mean]
        if let depth { scores["depth"] = depth }
        return SplitRecord.Alternative(split: split, scores: scores)
    }
}
