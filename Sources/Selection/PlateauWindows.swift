import Plans
import Records

/// The alternatives to Kneedle's split: contiguous windows of the middle layers, as think blocks,
/// ranked by how little the layers inside turn the residual stream.
///
/// Windows hold max(2, ⌊L/8⌋) to max(3, ⌊L/3⌋) layers and keep ⌈L/8⌉ layers free at either end.
/// Means are compared only within one length: a short window finds a lower mean than a long one by
/// chance alone, as it averages over less.
public struct PlateauWindows: Sendable, Equatable {
    public struct Window: Sendable, Equatable {
        public var split: Split
        /// Mean angular distance of the window's layers, in units of π.
        public var mean: Double
        /// How far the mean lies below what as many layers drawn at random, without replacement,
        /// from all m candidate layers would average, in standard deviations of that average:
        /// (μ - mean) / (σ · √((m-n) / (n·(m-1)))). This makes lengths comparable. nil where it is
        /// undefined: all candidate layers are equal, or the window holds them all.
        public var depth: Double?
    }

    /// By length ascending; within a length by mean, lowest first, then by position.
    public let windows: [Window]
    /// Layers kept free at either end.
    public let edge: Int
    /// Lengths looked at, whether or not a window of that length fits.
    public let lengths: ClosedRange<Int>

    /// - Parameters:
    ///   - distances: angular distance at the last token, NaN where unknown; windows that hold an
    ///     unknown layer are left out. [L]
    ///   - perLength: how many windows of each length to keep.
    public init(distances: [Double], perLength: Int = 3) {
        let count = distances.count
        edge = (count + 7) / 8
        lengths = max(2, count / 8)...max(3, count / 3)
        let candidates = edge..<max(edge, count - edge)
        let spread = Spread(distances[candidates].filter(\.isFinite))
        var kept: [Window] = []
        for length in lengths where length <= candidates.count {
            let all = (candidates.lowerBound...candidates.upperBound - length)
                .compactMap { start -> Window? in
                    let values = distances[start..<start + length]
                    guard values.allSatisfy(\.isFinite) else { return nil }
                    let mean = values.reduce(0, +) / Double(length)
                    return Window(
                        split: Split(
                            encoder: start, think: length, decoder: count - start - length),
                        mean: mean, depth: spread.depth(of: mean, length: length))
                }
            // Swift's sort is stable, so equal means stay in the order of the layers.
            kept += all.sorted { $0.mean < $1.mean }.prefix(perLength)
        }
        windows = kept
    }

    /// The window to look at first, chosen across lengths: the deepest, and of equals the shorter.
    /// nil when no window has a depth above 0.
    public var leading: Window? {
        var best: Window?
        for window in windows {
            if let depth = window.depth, depth > best?.depth ?? 0 { best = window }
        }
        return best
    }

    /// The order of a split file's alternatives: the leading window, so that it is number 1 wherever
    /// they are counted, then the others as in `windows`. Being the best of its length, it stays in
    /// front of the others of that length.
    public var ranked: [Window] {
        guard let leading else { return windows }
        return [leading] + windows.filter { $0 != leading }
    }

    /// Mean and spread of the candidate layers.
    private struct Spread {
        let count: Int
        let mean: Double
        let deviation: Double

        init(_ values: [Double]) {
            count = values.count
            mean = values.reduce(0, +) / Double(max(count, 1))
            let mean = mean
            let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
            // Equal values must give exactly 0, which their rounded mean may not.
            let isFlat = values.allSatisfy { $0 == values.first }
            deviation = isFlat ? 0 : (squares / Double(count)).squareRoot()
        }

        func depth(of windowMean: Double, length: Int) -> Double? {
            guard deviation > 0, length < count else { return nil }
            let (m, n) = (Double(count), Double(length))
            return (mean - windowMean) / (deviation * ((m - n) / (n * (m - 1))).squareRoot())
        }
    }
}
