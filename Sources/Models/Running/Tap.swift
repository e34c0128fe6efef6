import Corpus
import Plans

/// One block of positions at one site, valid only during the call that hands it over.
public struct Activation {
    public let place: StatePlace
    /// Which of the texts that run together in the block; 0 where one text runs.
    public let sequence: Int
    /// Positions in the document.
    public let positions: Range<Int>
    /// Values per position.
    public let width: Int
    /// [positions, width], row-major.
    public let values: UnsafePointer<Float>

    /// Values of a plan without loops that come from elsewhere than a pass, for taps that are fed by
    /// hand; of `resid` unless said otherwise, where `boundary` is the boundary, else the step.
    package init(
        states: UnsafePointer<Float>, boundary: Int, positions: Range<Int>, width: Int,
        site: Site = .resid
    ) {
        self.init(
            place: StatePlace(site, index: boundary), positions: positions, width: width,
            values: states)
    }

    init(
        place: StatePlace, sequence: Int = 0, positions: Range<Int>, width: Int,
        values: UnsafePointer<Float>
    ) {
        self.place = place
        self.sequence = sequence
        self.positions = positions
        self.width = width
        self.values = values
    }

    public var site: Site { place.site }
    /// The executed step the site belongs to; for `resid` the boundary: 0 is the embedding output,
    /// s + 1 the state after step s.
    public var index: Int { place.index }

    public func row(_ position: Int) -> UnsafePointer<Float> {
        values + (position - positions.lowerBound) * width
    }
}

/// Looks at a pass while it runs, keeps its own sums and forgets the rest.
///
/// For each document: `begin`, then its positions in blocks of at most `BlockRunner.blockLength`, each
/// block through all steps before the next, then `end`; after the last document `finish`. Calls come
/// from one thread, in order. Taps only look: no order among them changes a result.
public protocol Tap: AnyObject {
    /// Asked before a site is handed over; sites nobody wants cost nothing.
    func wants(_ site: Site) -> Bool
    /// - Parameter index: the document's number in the whole data set.
    func begin(_ document: Document, index: Int) throws
    func observe(_ activation: Activation) throws(ModelError)
    /// The document has gone through.
    func end() throws
    /// The last document has gone through.
    func finish() throws
}

extension Tap {
    public func begin(_ document: Document, index: Int) throws {}
    public func end() throws {}
    public func finish() throws {}
}
