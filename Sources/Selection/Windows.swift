import Files
import Plans

/// Windows of layers that may be think blocks, and which of them stands out by some score.
///
/// The lengths and free ends are those of `PlateauWindows`: max(2, ⌊L/8⌋) to max(3, ⌊L/3⌋) layers, ⌈L/8⌉ free
/// at either end.
struct Windows {
    let layers: Int
    let edge: Int
    let lengths: ClosedRange<Int>

    init(layers: Int) {
        self.layers = layers
        edge = (layers + 7) / 8
        lengths = max(2, layers / 8)...max(3, layers / 3)
    }

    /// Every window, by length and start.
    var all: [Range<Int>] {
        lengths.flatMap { length -> [Range<Int>] in
            let last = layers - edge - length
            return edge <= last ? (edge...last).map { $0..<$0 + length } : []
        }
    }

    func split(_ window: Range<Int>) -> Split {
        Split(
            encoder: window.lowerBound, think: window.count,
            decoder: layers - window.upperBound)
    }

    /// The window whose score lies furthest above the mean of the windows of its length, in their standard
    /// deviations: scores of one length are comparable, those of different lengths seldom.
    /// - Returns: nil where no length has three windows that differ.
    func standout(_ score: (Range<Int>) -> Double?) -> (window: Range<Int>, z: Double)? {
        var best: (window: Range<Int>, z: Double)?
        for length in lengths {
            let scored = all.filter { $0.count == length }.compactMap { window in
                score(window).flatMap { $0.isFinite ? (window, $0) : nil }
            }
            guard scored.count >= 3 else { continue }
            let mean = scored.reduce(0) { $0 + $1.1 } / Double(scored.count)
            let squares = scored.reduce(0) { $0 + ($1.1 - mean) * ($1.1 - mean) }
            let deviation = (squares / Double(scored.count - 1)).squareRoot()
            guard deviation > 1e-12 * abs(mean), deviation > 0 else { continue }
            for (window, value) in scored {
                let z = (value - mean) / deviation
                if z > best?.z ?? 0 { best = (window, z) }
            }
        }
        return best
    }

    /// The window that stands out by the mean of values by layer.
    /// - Parameter high: whether high values are looked for.
    func standout(layers values: [Double], high: Bool) -> (window: Range<Int>, z: Double)? {
        let windows = PlateauWindows(distances: high ? values.map { -$0 } : values)
        return windows.leading.map { leading in
            (
                leading.split.encoder..<leading.split.encoder + leading.split.think,
                leading.depth ?? 0
            )
        }
    }
}

extension Selector {
    /// The split of a window.
    static func split(_ found: (window: Range<Int>, z: Double)?, _ view: EvidenceView) -> Split? {
        found.map { Windows(layers: view.layers).split($0.window) }
    }

    /// A curve for the split file, nulls where undefined.
    static func curve(_ values: [Double]?) -> JSON {
        values.map { .array($0.map { .number($0.isFinite ? $0 : nil) }) } ?? .null
    }
}
