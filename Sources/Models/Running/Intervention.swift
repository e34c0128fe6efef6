import CKernels
import Corpus
import Plans
import Tensors

/// One block of positions at one site that may be written to, valid only during the call.
public struct EditableActivation {
    public let place: StatePlace
    /// Which of the texts that run together in the block; 0 where one text runs.
    public let sequence: Int
    /// Positions in the document.
    public let positions: Range<Int>
    /// Values per position.
    public let width: Int
    /// [positions, width], row-major.
    public let values: UnsafeMutablePointer<Float>

    public func row(_ position: Int) -> UnsafeMutablePointer<Float> {
        values + (position - positions.lowerBound) * width
    }
}

/// Writes into a pass while it runs: the twin of `Tap`.
///
/// Interventions at one place run in the order in which they are given, before any tap looks; a tap sees
/// what the pass goes on with. Sites nobody wants cost nothing.
public protocol Intervention: AnyObject {
    func wants(_ site: Site) -> Bool
    /// - Throws: `ModelError.stopped` to end the pass.
    func edit(_ activation: EditableActivation) throws(ModelError)
}

/// Writes a given value at chosen places and positions.
public final class SiteEdit: Intervention {
    public enum Operation: Sendable {
        /// The values become this vector [width].
        case replace([Float])
        /// This vector [width] is added, such as a steering direction.
        case add([Float])
        case scale(Float)
        case zero
        /// The values become those that a `StateRecorder` saw at the same place and position.
        case patch(SavedStates)
    }

    private let site: Site
    private let operation: Operation
    private let isChosen: @Sendable (StatePlace) -> Bool
    private let positions: Range<Int>?

    /// - Parameters:
    ///   - positions: of the document; all when nil.
    ///   - places: which steps or boundaries of the site; all by default.
    public init(
        _ operation: Operation, at site: Site, positions: Range<Int>? = nil,
        where places: @escaping @Sendable (StatePlace) -> Bool = { _ in true }
    ) {
        self.site = site
        self.operation = operation
        self.positions = positions
        isChosen = places
    }

    public func wants(_ site: Site) -> Bool { site == self.site }

    /// - Throws: `ModelError.intervention` for a vector of another width, or where the saved states
    ///   lack a position.
    public func edit(_ activation: EditableActivation) throws(ModelError) {
        guard isChosen(activation.place) else { return }
        let width = activation.width
        for position in positions?.clamped(to: activation.positions) ?? activation.positions {
            let row = activation.row(position)
            switch operation {
            case .zero: row.update(repeating: 0, count: width)
            case .scale(let factor): etd_scale(row, factor, width)
            case .replace(let vector):
                try check(vector.count, activation)
                row.update(from: vector, count: width)
            case .add(let vector):
                try check(vector.count, activation)
                etd_add(row, vector, width)
            case .patch(let saved):
                guard let values = saved.row(activation.place, position: position) else {
                    throw .intervention(
                        place: activation.place,
                        problem: "the saved states do not hold position \(position) there")
                }
                try check(values.count, activation)
                values.withUnsafeBufferPointer { row.update(from: $0.baseAddress!, count: width) }
            }
        }
    }

    private func check(_ count: Int, _ activation: EditableActivation) throws(ModelError) {
        guard count == activation.width else {
            throw .intervention(
                place: activation.place,
                problem: "\(count) values were given for \(activation.width)")
        }
    }
}

/// What a pass held at chosen places, whole: for patches and for passes that start from a boundary.
public struct SavedStates: Sendable {
    struct Values: Sendable {
        /// Of the first row.
        var position: Int
        var width: Int
        var values: [Float]
    }

    var states: [StatePlace: Values] = [:]

    public init() {}

    /// The values at one position, [width]; nil where nothing was saved.
    public func row(_ place: StatePlace, position: Int) -> ArraySlice<Float>? {
        guard let saved = states[place] else { return nil }
        let start = (position - saved.position) * saved.width
        guard start >= 0, start + saved.width <= saved.values.count else { return nil }
        return saved.values[start..<start + saved.width]
    }

    /// All values at a place, [positions, width]; nil where nothing was saved.
    public func values(_ place: StatePlace) -> [Float]? { states[place]?.values }
}

/// Keeps whole what passes at chosen places of one document. A tap.
///
/// Attention patterns are kept as far as their block reaches, so only those of a text of one block have
/// one width.
public final class StateRecorder: Tap {
    private let sites: Set<Site>
    private let isChosen: (StatePlace) -> Bool
    public private(set) var saved = SavedStates()

    public init(
        _ sites: Set<Site>, where places: @escaping (StatePlace) -> Bool = { _ in true }
    ) {
        self.sites = sites
        isChosen = places
    }

    public func wants(_ site: Site) -> Bool { sites.contains(site) }

    public func begin(_ document: Document, index: Int) { saved = SavedStates() }

    public func observe(_ activation: Activation) {
        guard isChosen(activation.place) else { return }
        let new = UnsafeBufferPointer(
            start: activation.values, count: activation.positions.count * activation.width)
        if saved.states[activation.place] == nil {
            saved.states[activation.place] = SavedStates.Values(
                position: activation.positions.lowerBound, width: activation.width, values: [])
        }
        saved.states[activation.place]?.values += new
    }
}
