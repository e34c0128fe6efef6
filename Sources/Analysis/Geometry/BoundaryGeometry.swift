import Corpus
import Foundation
import Models
import Plans
import Records
import Tensors

/// The geometry of the states at every boundary: dimensions of their covariance, prompt entropy and
/// curvature of documents, and CKA between boundaries. A tap on `resid`. Positions of added tokens are
/// left out, and attention sinks where a finder names them.
///
/// Which positions are massive is known at a document's end. The states of those that `SinkFinder` holds
/// back wait there, at most `SinkFinder.mostHeld` positions at all boundaries; those that turn out ordinary
/// are then taken in as one more block.
package final class BoundaryGeometry: Tap {
    private let boundaries: Int
    private let width: Int
    package let moments = MomentsTap(sites: [.resid])
    private let shape: DocumentShape
    private let sums: GeometrySums
    private let sample: TokenSample
    private let sinks: SinkFinder?
    /// The block of the current document's moments; nil before the first.
    private var openBlock: Int?
    /// The block of the current document.
    private var sampleBlock = 0
    /// [boundaries][block, d], the current block of positions.
    private let block: FloatBuffer
    private let blockRows: Int
    private var document = Document(tokens: [])
    /// The first position of the document that may count.
    private var first = 0
    /// The document's index in the whole text.
    private var index = 0
    private var waiting: [Waiting] = []

    /// A position whose states wait for the document's end.
    private struct Waiting {
        var position: Int
        /// [boundaries][d]
        var states: FloatBuffer
    }

    /// - Parameters:
    ///   - documents: all that will be run; only their lengths matter.
    ///   - sinks: names what is left out; its `begin`, `observe` and `end` are called before those of this
    ///     tap. nil keeps all positions but those of added tokens.
    ///   - textTokens: tokens of the whole text without added ones; nil when these documents are all of it.
    ///   - textDocuments: documents of the whole text, which the jackknife's blocks are made of; nil for no
    ///     jackknife.
    ///   - isShard: whether the sums are kept, for others to add to.
    package init(
        boundaries: Int, width: Int, documents: [Document], sinks: SinkFinder? = nil,
        textTokens: Int? = nil, textDocuments: Int? = nil, isShard: Bool = false
    ) {
        self.boundaries = boundaries
        self.width = width
        self.sinks = sinks
        let longest = documents.map(\.tokens.count).max() ?? 1
        shape = DocumentShape(boundaries: boundaries, width: width, longest: longest)
        sums = GeometrySums(
            boundaries: boundaries, width: width, documents: textDocuments, keeps: isShard)
        sample = TokenSample(
            tokens: textTokens
                ?? documents.reduce(0) { $0 + $1.tokens.count - $1.addedTokens })
        blockRows = max(1, min(longest, BlockRunner.blockLength))
        block = FloatBuffer(count: boundaries * blockRows * width)
    }

    package func wants(_ site: Site) -> Bool { site == .resid }

    package func begin(_ document: Document, index: Int) {
        self.document = document
        self.index = index
        first = sinks == nil ? document.addedTokens : SinkFinder.firstOrdinary(document)
        shape.begin(document, first: first)
        waiting = []
        let next = sums.momentBlock(of: index)
        if next != openBlock { closeBlock() }
        openBlock = next
        sampleBlock = sums.block(of: index)
        sums.begin(block: sampleBlock)
    }

    package func observe(_ activation: Activation) {
        shape.observe(activation)
        memcpy(
            block.pointer + activation.index * blockRows * width, activation.values,
            activation.positions.count * width * 4)
        if activation.index == boundaries - 1 { takeBlock(activation.positions) }
    }

    /// A row of the current block.
    private func state(_ boundary: Int, _ row: Int) -> UnsafeMutablePointer<Float> {
        block.pointer + (boundary * blockRows + row) * width
    }

    private func takeBlock(_ positions: Range<Int>) {
        let held = Set(sinks?.held ?? [])
        var rows: [Int] = []
        for position in max(positions.lowerBound, first)..<max(first, positions.upperBound) {
            let row = position - positions.lowerBound
            if held.contains(position) {
                let states = FloatBuffer(count: boundaries * width)
                for boundary in 0..<boundaries {
                    memcpy(
                        states.pointer + boundary * width, state(boundary, row), width * 4)
                }
                waiting.append(Waiting(position: position, states: states))
                continue
            }
            if sample.contains(document: index, position: position) {
                sums.sample(block: sampleBlock) { UnsafePointer(state($0, row)) }
            }
            rows.append(row)
        }
        guard let start = rows.first else { return }
        for boundary in 0..<boundaries {
            for (place, row) in rows.enumerated() where start + place != row {
                memcpy(state(boundary, start + place), state(boundary, row), width * 4)
            }
            moments.take(
                state(boundary, start), rows: rows.count, width: width,
                at: StatePlace(.resid, index: boundary))
        }
    }

    package func end() {
        let leftOut =
            sinks?.leftOut ?? document.tokens.indices.map { $0 < document.addedTokens }
        let ordinary = waiting.filter { !leftOut[$0.position] }
        for item in ordinary where sample.contains(document: index, position: item.position) {
            sums.sample(block: sampleBlock) {
                UnsafePointer(item.states.pointer + $0 * width)
            }
        }
        if !ordinary.isEmpty {
            let rows = FloatBuffer(count: ordinary.count * width)
            for boundary in 0..<boundaries {
                for (row, item) in ordinary.enumerated() {
                    memcpy(
                        rows.pointer + row * width, item.states.pointer + boundary * width,
                        width * 4)
                }
                moments.take(
                    rows.pointer, rows: ordinary.count, width: width,
                    at: StatePlace(.resid, index: boundary))
            }
        }
        waiting = []
        shape.end(leftOut: leftOut)
    }

    /// Tokens that CKA looked at.
    package var alignedTokens: Int { sums.sampledTokens }

    /// Linear CKA of all pairs of boundaries.
    package func alignments() -> [[Double?]] { sums.alignments() }

    /// Hands the moments of a block over, which is whole or all that runs here.
    private func closeBlock() {
        guard let openBlock else { return }
        sums.add(
            block: openBlock,
            (0..<boundaries).map { moments.moments[StatePlace(.resid, index: $0)] })
        moments.restore([:])
    }

    /// Prompt entropy and curvature, by document.
    package var shapes: [DocumentTable] { [shape.entropies, shape.curvatures] }

    /// Ends the run: ranks, CKA and their jackknife.
    /// - Throws: `AnalysisError.momentsOutOfRange`.
    package func results() throws(AnalysisError) -> GeometryResults {
        try moments.check()
        closeBlock()
        return try GeometryResults(sums)
    }

    /// What a shard hands on, after `results`.
    var kept: GeometrySums.Kept { sums.kept }
}

/// What follows from the sums of the geometry. Values of a whole run have no standard error.
package struct GeometryResults {
    /// Of all positions at each boundary; nil where nothing passed.
    package let moments: [Moments?]
    /// Effective rank and participation ratio at each boundary; nil where undefined.
    package let dimensions: [Spectrum.Dimensions?]
    package let alignments: [[Double?]]
    /// None where there are too few documents; ranks are missing where the blocks' sums cannot be kept.
    package let jackknife: [JackknifeValues]
    /// What is missing, and why.
    package let notes: [String]

    init(_ sums: GeometrySums) throws(AnalysisError) {
        let moments = try sums.finish()
        var dimensions = [Spectrum.Dimensions?](repeating: nil, count: moments.count)
        dimensions.withUnsafeMutableBufferPointer { places in
            nonisolated(unsafe) let places = places
            Parallel.forEach(moments.count) { places[$0] = moments[$0]?.dimensions() }
        }
        self.moments = moments
        self.dimensions = dimensions
        alignments = sums.alignments()
        jackknife = sums.jackknife(
            names: (Metric.effectiveRank.name, Metric.participationRatio.name, "cka"))
        notes = [sums.missingBlocks].compactMap { $0 }
    }
}
