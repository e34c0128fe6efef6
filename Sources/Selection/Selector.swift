import Files
import Plans
import Records

/// A rule that reads evidence and proposes a split. Pure: it runs no model, and the same evidence gives the
/// same proposal.
///
/// Adding one is a file in Selectors/ and a line in `all` (docs/extending.md). What each says goes into the
/// split file's `evidence` under its name; what follows from all of them is `Verdict`'s to say.
public struct Selector: Sendable {
    /// In the split file.
    public let name: String
    public let title: String
    /// What it does, in a sentence with its formula.
    public let explanation: String
    /// What it cannot do without.
    public let reads: [EvidenceNeed]
    /// What it has been seen to predict: damage to text, reasoning, or nothing.
    public let predicts: String
    public let source: Citation
    /// The split of a view, degenerate or not; nil where nothing stands out.
    let split: @Sendable (EvidenceView) -> Split?
    /// What it wants to show: curves and settings.
    let values: @Sendable (EvidenceView) -> JSON

    init(
        name: String, title: String, explanation: String, reads: [EvidenceNeed], predicts: String,
        source: Citation, split: @escaping @Sendable (EvidenceView) -> Split?,
        values: @escaping @Sendable (EvidenceView) -> JSON
    ) {
        self.name = name
        self.title = title
        self.explanation = explanation
        self.reads = reads
        self.predicts = predicts
        self.source = source
        self.split = split
        self.values = values
    }

    /// Every selector, in the order of the split file (method.md's rows 1 to 14).
    public static let all: [Selector] = [
        .kneedle, .plateau, .blocks, .influence, .contribution, .skipEffect, .lens, .tunedLens,
        .read, .stages, .use, .loops, .gentleLoops, .dynamics,
    ]

    /// What the selector needs and the evidence lacks.
    public func missing(in evidence: SavedEvidence) -> [EvidenceNeed] {
        reads.filter { !$0.isMet(by: evidence) }
    }

    /// The winner of a view; nil where evidence is missing or nothing stands out.
    public func winner(_ view: EvidenceView) -> Split? {
        missing(in: view.evidence).isEmpty ? split(view) : nil
    }

    /// What the selector says of some evidence; nil where what it reads was not measured.
    public func callAsFunction(_ view: EvidenceView) -> SplitRecord.Evidence? {
        guard missing(in: view.evidence).isEmpty else { return nil }
        return SplitRecord.Evidence(proposal: split(view), values: values(view))
    }
}

/// A piece of evidence, and the command that makes it.
public enum EvidenceNeed: Sendable, Hashable, CustomStringConvertible {
    /// A metric of `layers.json` with values by document.
    case metric(String)
    /// A metric of the whole run, or a matrix over pairs of boundaries.
    case whole(String)
    /// A score of the layers.
    case score(String)
    /// Scans of a kind.
    case scans(String)
    case pairs, skipEffect, dynamics

    public func isMet(by evidence: SavedEvidence) -> Bool {
        switch self {
        case .metric(let name): evidence.tables[name] != nil || evidence.whole[name] != nil
        case .whole(let name): evidence.whole[name] != nil || evidence.matrices[name] != nil
        case .score(let name):
            name == "use" && evidence.use != nil || evidence.scores[name] != nil
        case .scans(let kind):
            evidence.scans?.windows.contains { $0.kind == kind } ?? false
        case .pairs: evidence.pairs != nil
        case .skipEffect: evidence.skipEffect != nil
        case .dynamics: !evidence.dynamics.isEmpty
        }
    }

    /// Whether resamples of documents and items draw it; else it is the same in all of them.
    func isDrawn(in evidence: SavedEvidence) -> Bool {
        switch self {
        case .metric(let name): evidence.tables[name] != nil
        case .score(let name): name == "use" && evidence.use != nil
        case .scans, .pairs: true
        case .whole, .skipEffect, .dynamics: false
        }
    }

    public var description: String {
        switch self {
        case .metric(let name), .whole(let name), .score(let name): name
        case .scans(let kind): "\(kind) scans"
        case .pairs: "block distances"
        case .skipEffect: "the skip effect on later layers"
        case .dynamics: "loop dynamics"
        }
    }

    /// The command that makes it, for a model and a folder.
    public func command(model: String, run: String) -> String {
        let start = "etd-analyze"
        switch self {
        case .scans(let kind):
            return "\(start) scan --model \(model) --item-tasks all --kinds \(kind) --out \(run)"
        case .dynamics:
            return "\(start) scan --model \(model) --item-tasks all --kinds loop --out \(run)"
        case .score, .skipEffect:
            return "\(start) probe --model \(model) --relevance --out \(run)"
        case .metric(let name) where name.hasPrefix("tuned_"):
            return
                "\(start) probe --model \(model) --tuned LENS.safetensors --out \(run)   (LENS from "
                + "`\(start) tune-lens`)"
        case .metric, .whole, .pairs: return "\(start) probe --model \(model) --out \(run)"
        }
    }
}
