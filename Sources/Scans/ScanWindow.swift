import Plans

/// What is done to a window of layers. g is the window, x its input.
public enum ScanKind: String, CaseIterable, Sendable {
    /// The window does not run.
    case skip
    /// The window runs k times in a row: g(g(x)) for k = 2.
    case loop
    /// The window once, then x ← x + (g(x) - x)/2 for each further iteration.
    case half
    /// k Euler sub-steps: x ← x + (g(x) - x)/k (arXiv 2605.23872).
    case damped
    /// k steps of Heun's method, of size 1/k, on dx/dt = g(x) - x: two passes a step.
    case heun
    /// k steps of the classical Runge-Kutta method, of size 1/k, on the same: four passes a step.
    case rk4

    /// Kinds that are scanned where none is named; the others cost two and four passes a step.
    public static let usual: [ScanKind] = [.skip, .loop, .half, .damped]

    /// Passes of the window for `iterations`.
    func passes(_ iterations: Int?) -> Int {
        let count = iterations ?? 1
        switch self {
        case .skip: return 0
        case .loop, .half, .damped: return count
        case .heun: return 2 * count
        case .rk4: return 4 * count
        }
    }
}

/// Layers `start ..< start + length` of a model, and what is done to them.
public struct ScanWindow: Sendable, Hashable, CustomStringConvertible {
    public let kind: ScanKind
    public let start: Int
    public let length: Int
    /// k; nil for `skip`.
    public let iterations: Int?

    public init(kind: ScanKind, start: Int, length: Int, iterations: Int? = nil) {
        self.kind = kind
        self.start = start
        self.length = length
        self.iterations = iterations
    }

    public var layers: Range<Int> { start..<start + length }

    public var description: String {
        let last = start + length - 1
        let name = length == 1 ? "\(kind.rawValue) \(start)" : "\(kind.rawValue) \(start)-\(last)"
        return iterations.map { "\(name) ×\($0)" } ?? name
    }

    /// Layers that a pass of the model executes with this window, of `layers` in all.
    public func executedLayers(of layers: Int) -> Int {
        layers + length * (kind.passes(iterations) - 1)
    }

    /// Every window of `lengths` layers and every one of `ranges`, in all kinds, each once: by kind, then
    /// iterations, length and start.
    /// - Throws: `ScanError.window` for what lies beyond the model, and where no window is left.
    public static func grid(
        kinds: [ScanKind], lengths: [Int], ranges: [ClosedRange<Int>], iterations: [Int],
        layers: Int
    ) throws(ScanError) -> [ScanWindow] {
        for length in lengths where !(1...layers).contains(length) {
            throw .window(
                problem: "--lengths: \(length) is no length of a window; the model has \(layers) "
                    + "layers")
        }
        for range in ranges where range.lowerBound < 0 || range.upperBound >= layers {
            throw .window(
                problem:
                    "--windows: \(range.lowerBound)-\(range.upperBound) lies beyond the model, "
                    + "whose layers are 0-\(layers - 1)")
        }
        for count in iterations where !(1...LayerPlan.maximumSteps / layers).contains(count) {
            throw .window(
                problem: "--iterations: \(count) is outside 1..\(LayerPlan.maximumSteps / layers)")
        }
        var places: [Range<Int>] = []
        for length in lengths.sorted() {
            places += (0...layers - length).map { $0..<$0 + length }
        }
        places += ranges.map { Range($0) }
        var seen: Set<ScanWindow> = []
        var windows: [ScanWindow] = []
        for kind in ScanKind.allCases where kinds.contains(kind) {
            for count in kind == .skip ? [nil] : iterations.sorted().map(Optional.some) {
                for place in places {
                    let window = ScanWindow(
                        kind: kind, start: place.lowerBound, length: place.count,
                        iterations: count)
                    if seen.insert(window).inserted { windows.append(window) }
                }
            }
        }
        guard !windows.isEmpty else { throw .window(problem: "no window was asked for") }
        return windows
    }

    /// A split's loop and what it must beat: windows that cost as many layers, or that anyone would try first.
    ///
    /// They are the same block as far before it and behind it as it is long, or as far as the model goes; one
    /// wide block in the middle that runs twice and costs as much; and the whole stack twice.
    /// - Returns: the split's own window first; each once.
    /// - Throws: `ScanError.window` where k is below 2 or the split is not of so many layers.
    public static func rivals(
        of split: Split, iterations: Int, layers: Int
    ) throws(ScanError) -> [ScanWindow] {
        guard split.layers == layers, split.think > 0 else {
            throw .window(
                problem:
                    "--rivals: \(split.notation) has \(split.layers) layers, the model \(layers)")
        }
        guard (2...LayerPlan.maximumSteps / layers).contains(iterations) else {
            throw .window(
                problem: "--rivals: k is \(iterations); write a loop, such as "
                    + "\(split.encoder)-\(split.think)*2-\(split.decoder)")
        }
        func loop(_ start: Int, _ length: Int, _ count: Int) -> ScanWindow {
            ScanWindow(kind: .loop, start: start, length: length, iterations: count)
        }
        let think = split.think
        let wide = min(layers, think * (iterations - 1))
        let all = [
            loop(split.encoder, think, iterations),
            loop(max(0, split.encoder - think), think, iterations),
            loop(min(layers - think, split.encoder + think), think, iterations),
            loop((layers - wide) / 2, wide, 2), loop(0, layers, 2),
        ]
        return all.enumerated().filter { all[..<$0.offset].contains($0.element) == false }
            .map(\.element)
    }
}
