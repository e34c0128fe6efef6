/// What plain text shows of windows beside their loss, ready for `evidence.h5`.
extension Scan.Result {
    /// What a skipped layer does to those behind it.
    public struct SkipEffect: Sendable {
        public var layers: Int
        public var documents: Int
        /// ‖u_l - u'_l‖/‖u_l‖ by skipped layer, later layer and document; NaN where there is none.
        public var contributions: [Double]
        /// ‖p - p'‖ at the last position, by skipped layer and document.
        public var output: [Double]
    }

    /// nil where it was not measured.
    public var skipEffect: SkipEffect? {
        let carriers = job.effects.enumerated().filter { $0.element == .later }.map(\.offset)
        guard let layers = carriers.first.flatMap({ effects[$0].first?.count }).map({ $0 - 1 })
        else { return nil }
        let documents = job.documents.count
        var effect = SkipEffect(
            layers: layers, documents: documents,
            contributions: [Double](repeating: .nan, count: layers * layers * documents),
            output: [Double](repeating: .nan, count: layers * documents))
        for window in carriers {
            let skipped = job.windows[window].start
            for (document, values) in effects[window].enumerated() {
                for later in 0..<layers {
                    effect.contributions[(skipped * layers + later) * documents + document] =
                        values[later]
                }
                effect.output[skipped * documents + document] = values[layers]
            }
        }
        return effect
    }

    /// How looped windows go on.
    public struct Dynamics: Sendable {
        /// Start and length.
        public var windows: [(start: Int, length: Int)]
        public var passes: Int
        public var documents: Int
        /// ‖T^k h - T^(k-1) h‖/‖h‖ by window, k from 1, and document.
        public var change: [Double]
        /// The cosine of the k-th change and the one before, by window, k from 2, and document.
        public var cosine: [Double]
    }

    /// nil where it was not measured.
    public var dynamics: Dynamics? {
        var found = Dynamics(
            windows: [], passes: job.dynamics, documents: job.documents.count, change: [],
            cosine: [])
        for (window, effect) in job.effects.enumerated() {
            guard case .dynamics(let passes) = effect, !job.documents.isEmpty else { continue }
            found.windows.append((job.windows[window].start, job.windows[window].length))
            for step in 0..<passes { found.change += effects[window].map { $0[step] } }
            for step in passes..<2 * passes - 1 { found.cosine += effects[window].map { $0[step] } }
        }
        return found.windows.isEmpty ? nil : found
    }
}
