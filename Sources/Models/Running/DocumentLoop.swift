import Corpus
import Plans

/// The one loop over documents: each from position 0, block by block, with the taps' life cycle around
/// it.
///
/// Memory: activations of one block, and keys and values of the longest document per executed step.
public final class DocumentLoop {
    private let session: Session
    private let taps: [any Tap]
    private let interventions: [any Intervention]

    public var model: Transformer { session.model }
    public var plan: LayerPlan { session.plan }

    /// - Parameter longest: tokens of the longest document.
    /// - Throws: `ModelError.tooLong`, `.invalidPlan`.
    public init(
        model: Transformer, plan: LayerPlan? = nil, longest: Int, taps: [any Tap],
        interventions: [any Intervention] = []
    ) throws(ModelError) {
        session = try Session(model: model, plan: plan, capacity: max(1, longest))
        self.taps = taps
        self.interventions = interventions
    }

    /// Runs one document.
    ///
    /// - Parameters:
    ///   - index: the document's number in the whole data set.
    ///   - extra: taps for this document alone.
    ///   - onBlock: called after each block with its positions and the raw final states [block, d].
    /// - Throws: `ModelError`, and what the taps throw when a document begins or ends.
    public func run(
        _ document: Document, index: Int, extra: [any Tap] = [],
        onBlock: (Range<Int>, UnsafePointer<Float>) throws(ModelError) -> Void = { _, _ in }
    ) throws {
        let taps = self.taps + extra
        for tap in taps { try tap.begin(document, index: index) }
        session.reset()
        try session.run(
            document.tokens, taps: taps, interventions: interventions, onBlock: onBlock)
        for tap in taps { try tap.end() }
    }

    /// Runs documents one after the other, and finishes.
    ///
    /// - Parameters:
    ///   - first: the number of the first document in the whole data set.
    ///   - progress: called after each block with its number of positions.
    /// - Throws: `ModelError`, and what the taps throw when a document or the run ends.
    public func run(
        _ documents: some Sequence<Document>, first: Int = 0, progress: (Int) -> Void = { _ in }
    ) throws {
        for (offset, document) in documents.enumerated() {
            try run(document, index: first + offset) { positions, _ in progress(positions.count) }
        }
        try finish()
    }

    /// Tells the taps that the last document has gone through.
    public func finish() throws {
        for tap in taps { try tap.finish() }
    }
}
