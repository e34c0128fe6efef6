import CKernels
import Corpus
import Models
import Plans
import Tensors

/// Finds the positions of a document that are attention sinks (Xiao et al. 2023, arXiv 2309.17453) or hold
/// massive activations (Sun et al. 2024, arXiv 2402.17762): its first position, and each whose state is
/// longer than 20 times the document's median at a third of the boundaries or more. A tap on `resid`; its
/// calls come before those of the taps that ask it.
///
/// The median at a boundary is that of ‖h_l‖ over the document's positions without added tokens; of an even
/// number the mean of the two in the middle. It is known when the document ends, and so are its massive
/// positions: a document's answer does not depend on the other documents, so that shards agree. A tap that
/// keeps sums of states cannot wait so long with all of them. It holds back those positions alone whose
/// state is longer than 5 times the median so far, up to the end of their block, at a third of the
/// boundaries; at most `mostHeld` of a document, the first ones. Only a position that was held back can be
/// massive.
///
/// Memory: a length (8 bytes) for each boundary and position of one document.
public final class SinkFinder: Tap {
    /// How many medians long a massive state is.
    public static let factor = 20.0
    /// How many medians of the document so far make a position wait for the document's end.
    public static let heldFactor = 5.0
    /// The most positions of a document that wait.
    public static let mostHeld = 256

    private let boundaries: Int
    private let longest: Int
    /// ‖h_l‖, [boundaries][longest].
    private let lengths: UnsafeMutablePointer<Double>
    private var document = Document(tokens: [])
    /// Positions of the current document that wait for its end, ascending.
    public private(set) var held: [Int] = []
    /// For each position of the document that has ended: whether it is added, first or massive.
    public private(set) var leftOut: [Bool] = []
    /// What was found in the documents so far.
    public private(set) var counts = Counts()

    /// Numbers of positions over documents; added tokens are not among them.
    public struct Counts: Sendable, Equatable {
        /// All positions.
        public var positions = 0
        /// Documents' first positions, unless these are added tokens.
        public var first = 0
        /// Massive ones that are not first.
        public var massive = 0
    }

    /// - Parameters:
    ///   - boundaries: executed steps + 1.
    ///   - longest: tokens of the longest document.
    public init(boundaries: Int, longest: Int) {
        self.boundaries = boundaries
        self.longest = longest
        lengths = .allocate(capacity: max(1, boundaries * longest))
    }

    deinit { lengths.deallocate() }

    public func wants(_ site: Site) -> Bool { site == .resid }

    public func begin(_ document: Document, index: Int) {
        precondition(document.tokens.count <= longest)
        self.document = document
        held = []
    }

    /// The position from which on a document's positions may be ordinary: a first token that was added is
    /// its first position.
    public static func firstOrdinary(_ document: Document) -> Int { max(1, document.addedTokens) }

    public func observe(_ activation: Activation) {
        let rows = activation.positions.count
        let width = activation.width
        let place = lengths + activation.index * longest + activation.positions.lowerBound
        nonisolated(unsafe) let target = place
        nonisolated(unsafe) let values = activation.values
        let chunk = 64
        Parallel.forEach((rows + chunk - 1) / chunk) { index in
            for row in index * chunk..<min(rows, (index + 1) * chunk) {
                target[row] = etd_sum_squares(values + row * width, width).squareRoot()
            }
        }
        guard activation.index == boundaries - 1 else { return }
        let medians = self.medians(activation.positions.upperBound)
        let first = max(activation.positions.lowerBound, Self.firstOrdinary(document))
        for position in first..<max(first, activation.positions.upperBound)
        where held.count < Self.mostHeld && isLong(position, Self.heldFactor, medians) {
            held.append(position)
        }
    }

    /// Ends a document, whose massive positions are then known.
    public func end() {
        let count = document.tokens.count
        let medians = self.medians(count)
        leftOut = (0..<count).map { $0 < Self.firstOrdinary(document) }
        for position in held where isLong(position, Self.factor, medians) {
            leftOut[position] = true
            counts.massive += 1
        }
        counts.positions += count - document.addedTokens
        if document.addedTokens == 0, count > 0 { counts.first += 1 }
    }

    /// Whether the state is longer than `factor` medians at a third of the boundaries or more.
    private func isLong(_ position: Int, _ factor: Double, _ medians: [Double]) -> Bool {
        let long = (0..<boundaries).count { boundary in
            medians[boundary] > 0
                && lengths[boundary * longest + position] > factor * medians[boundary]
        }
        return 3 * long >= boundaries
    }

    /// The median length at each boundary over the positions before `end` without added tokens; 0 without
    /// any.
    private func medians(_ end: Int) -> [Double] {
        let added = min(end, document.addedTokens)
        var medians = [Double](repeating: 0, count: boundaries)
        guard end > added else { return medians }
        medians.withUnsafeMutableBufferPointer { places in
            nonisolated(unsafe) let places = places
            nonisolated(unsafe) let lengths = self.lengths
            let longest = self.longest
            Parallel.forEach(boundaries) { boundary in
                let start = lengths + boundary * longest + added
                let sorted = UnsafeBufferPointer(start: start, count: end - added).sorted()
                let middle = sorted.count / 2
                places[boundary] =
                    sorted.count.isMultiple(of: 2)
                    ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
            }
        }
        return medians
    }
}
