import Corpus
import Models
import Plans

/// Moments of what passes at chosen sites: one `Moments` per site and step. Positions of added tokens
/// are left out. A tap.
///
/// A block of positions is one of `BlockRunner`'s, so borders depend on the document alone.
public final class MomentsTap: Tap {
    private let sites: Set<Site>
    private let isChosen: (StatePlace) -> Bool
    private var addedTokens = 0
    public private(set) var moments: [StatePlace: Moments] = [:]
    /// Where sums became worthless first.
    private var failure: StatePlace?

    /// - Parameter places: which steps or boundaries of the sites; all by default.
    public init(sites: Set<Site>, where places: @escaping (StatePlace) -> Bool = { _ in true }) {
        self.sites = sites
        isChosen = places
    }

    /// Goes on from what an earlier run has summed.
    public func restore(_ moments: [StatePlace: Moments]) { self.moments = moments }

    public func begin(_ document: Document, index: Int) { addedTokens = document.addedTokens }

    public func wants(_ site: Site) -> Bool { sites.contains(site) }

    public func observe(_ activation: Activation) {
        guard isChosen(activation.place) else { return }
        let skipped = min(
            activation.positions.count, max(0, addedTokens - activation.positions.lowerBound))
        take(
            activation.values + skipped * activation.width,
            rows: activation.positions.count - skipped, width: activation.width,
            at: activation.place)
    }

    /// Takes in a block of rows [rows, width] that somebody else has chosen.
    func take(_ values: UnsafePointer<Float>, rows: Int, width: Int, at place: StatePlace) {
        guard failure == nil else { return }
        let sums = moments[place] ?? Moments(width: width)
        moments[place] = sums
        if !sums.add(values, rows: rows) { failure = place }
    }

    /// Ends a document.
    /// - Throws: `AnalysisError.momentsOutOfRange`; the moments are then worthless.
    public func end() throws(AnalysisError) {
        guard let failure else { return }
        throw .momentsOutOfRange(place: failure.description)
    }

    public func finish() throws { try check() }

    /// Ends the run, or a part of it whose moments are to be kept.
    /// - Throws: `AnalysisError.momentsOutOfRange`.
    public func check() throws(AnalysisError) {
        failure = failure ?? moments.keys.sorted().first { moments[$0]?.isInRange == false }
        try end()
    }
}
