import Corpus
import Models
import Plans
import Tensors

/// What the geometry sums up over documents, closed after each of the jackknife's blocks: second moments of
/// the whole text and of each block, and the sample of tokens that CKA looks at. Sums are exact, so shards add
/// up to the bytes of one run.
final class GeometrySums {
    /// What a shard hands on.
    struct Kept {
        /// The moments of each block that the shard has a part of, at each boundary; nil where nothing
        /// passed.
        var blocks: [(block: Int, moments: [Moments?])] = []
        /// The states of the sampled tokens in order, [tokens][boundaries, d].
        var sample: [Float] = []
        /// The block of each sampled token.
        var sampleBlocks: [Int32] = []
    }

    let boundaries: Int
    let width: Int
    /// nil without a jackknife of ranks.
    private let blocks: MomentBlocks?
    /// Of the whole text; nil where no jackknife is asked for, or there are too few.
    private let documents: Int?
    /// Why ranks have no jackknife where there are documents enough.
    let missingBlocks: String?
    private let alignment: KernelAlignment
    private let keeps: Bool
    private(set) var kept = Kept()
    private var totals: [Moments?]
    private var failed: Int?
    /// Moments of a block that has not been closed.
    private var open: [Moments?]
    private var openBlock = 0

    /// - Parameters:
    ///   - documents: of the whole text; nil for no jackknife.
    ///   - keeps: whether this is a shard, whose sums others add to theirs.
    init(boundaries: Int, width: Int, documents: Int?, keeps: Bool) {
        self.boundaries = boundaries
        self.width = width
        self.keeps = keeps
        self.documents = documents.flatMap {
            JackknifeBlocks.block(of: 0, documents: $0) == nil ? nil : $0
        }
        do {
            blocks =
                self.documents == nil
                ? nil : try MomentBlocks(boundaries: boundaries, width: width)
            missingBlocks = nil
        } catch let error {
            blocks = nil
            missingBlocks = "ranks have no jackknife: \(error.problem)"
        }
        alignment = KernelAlignment(boundaries: boundaries, width: width)
        totals = Array(repeating: nil, count: boundaries)
        open = totals
    }

    /// The block of a document; 0 without blocks.
    func block(of document: Int) -> Int {
        documents.flatMap { JackknifeBlocks.block(of: document, documents: $0) } ?? 0
    }

    /// The same for moments, which may be too large for blocks.
    func momentBlock(of document: Int) -> Int { blocks == nil ? 0 : block(of: document) }

    /// A document of this block comes next.
    func begin(block: Int) { alignment.begin(block: documents == nil ? nil : block) }

    /// Takes in a sampled token.
    /// - Parameter state: its state [d] at a boundary.
    func sample(block: Int, _ state: (Int) -> UnsafePointer<Float>) {
        alignment.add(state)
        guard keeps else { return }
        kept.sampleBlocks.append(Int32(block))
        for boundary in 0..<boundaries {
            kept.sample += UnsafeBufferPointer(start: state(boundary), count: width)
        }
    }

    var sampledTokens: Int { alignment.tokens }

    /// Takes in the moments of a block or of a part of one, in the order of the blocks.
    func add(block: Int, _ moments: [Moments?]) {
        if block != openBlock { close() }
        openBlock = block
        for (boundary, part) in moments.enumerated() {
            guard let part else { continue }
            if let sum = open[boundary] {
                if !sum.merge(part) { failed = failed ?? boundary }
            } else {
                open[boundary] = part
            }
        }
        if keeps { kept.blocks.append((block, moments)) }
    }

    private func close() {
        for boundary in 0..<boundaries {
            guard let part = open[boundary] else { continue }
            blocks?.save(openBlock, boundary, part)
            guard blocks != nil || totals[boundary] != nil || keeps else {
                totals[boundary] = part
                continue
            }
            // A sum of its own: the block's stays as it is.
            let sum = totals[boundary] ?? Moments(width: width)
            totals[boundary] = sum
            if !sum.merge(part) { failed = failed ?? boundary }
        }
        open = Array(repeating: nil, count: boundaries)
    }

    /// Ends the text. Moments of all documents at each boundary; nil where nothing passed.
    /// - Throws: `AnalysisError.momentsOutOfRange`.
    func finish() throws(AnalysisError) -> [Moments?] {
        close()
        for (boundary, sum) in totals.enumerated() where sum?.isInRange == false {
            failed = failed ?? boundary
        }
        if let failed {
            throw .momentsOutOfRange(place: StatePlace(.resid, index: failed).description)
        }
        return totals
    }

    func alignments() -> [[Double?]] { alignment.alignments() }

    /// Ranks and CKA without one block of documents after the other; none without blocks. After `finish`
    /// and `alignments`.
    func jackknife(names: (rank: String, ratio: String, alignment: String)) -> [JackknifeValues] {
        guard documents != nil else { return [] }
        let aligned = JackknifeValues(
            name: names.alignment, values: alignment.alignmentsWithoutBlocks())
        guard let blocks else { return [aligned] }
        let found = blocks.dimensions(totals)
        return [
            JackknifeValues(
                name: names.rank, values: found.map { $0.map { $0?.effectiveRank ?? .nan } }),
            JackknifeValues(
                name: names.ratio, values: found.map { $0.map { $0?.participationRatio ?? .nan } }),
            aligned,
        ]
    }
}
