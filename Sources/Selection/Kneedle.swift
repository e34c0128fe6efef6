/// Kneedle (Satopää et al. 2011) for one kind of curve: convex and decreasing, on x = 0, 1, …, n-1,
/// without smoothing.
///
/// Follows the reference implementation `kneed` 0.9.0 with `online=False`, `curve="convex"`,
/// `direction="decreasing"`, `interp_method="interp1d"` to the last bit, since ties are common: on a
/// plateau the difference curve falls by exactly the mean step, and at S = 1 rounding alone decides
/// whether that is below the threshold. (mean(Δx) is 1/(n-1) here. The reference averages rounded
/// steps, which gives the same double for all n up to 300 but 87, 91, 181 and 281; there a curve
/// that meets a threshold exactly may come out differently.)
public struct Kneedle: Sendable, Equatable {
    /// S: how many mean steps the difference curve must fall below a maximum for a knee.
    public let sensitivity: Double

    public init(sensitivity: Double = 1) {
        self.sensitivity = sensitivity
    }

    /// Why a curve has no knee.
    public enum Absence: Sendable, Equatable, CustomStringConvertible {
        /// Fewer than three points have no inside.
        case tooShort(count: Int)
        /// The value at `index` is missing, NaN or infinite (or the curve's range overflows).
        case notFinite(index: Int)
        /// All values are equal, so the curve cannot be normalised.
        case constant
        /// The difference curve never falls below a threshold before its next local maximum.
        case neverFalls

        public var description: String {
            switch self {
            case .tooShort(let count):
                "the curve has \(count) \(count == 1 ? "point" : "points"), Kneedle needs three"
            case .notFinite(let index): "the value at position \(index) is not a finite number"
            case .constant: "the curve is flat"
            case .neverFalls: "the difference curve never falls below a threshold"
            }
        }
    }

    /// A curve as Kneedle sees it. The arrays are empty for a curve that is too short, not finite
    /// or constant.
    public struct Analysis: Sendable, Equatable {
        /// x, mapped to 0…1. [n]
        public var normalizedX: [Double] = []
        /// y, mapped to 0…1 and flipped upside down, which turns a convex decreasing curve into a
        /// concave increasing one. [n]
        public var normalized: [Double] = []
        /// D = `normalized` - `normalizedX`. [n]
        public var difference: [Double] = []
        /// Positions where D is at least as high as at both neighbours, ends and plateaus included.
        public var maxima: [Int] = []
        /// Positions where D is at most as high as at both neighbours, ends and plateaus included.
        public var minima: [Int] = []
        /// D_m - S · mean(Δx), one for each of `maxima`.
        public var thresholds: [Double] = []
        /// Position of the first knee.
        public var knee: Int?
        /// Why there is no knee; nil when there is one.
        public var absence: Absence?

        /// The threshold that D fell below after the knee.
        public var kneeThreshold: Double? {
            knee.flatMap { knee in maxima.firstIndex(of: knee).map { thresholds[$0] } }
        }
    }

    /// - Parameter y: the curve over x = 0, 1, …, n-1. [n]
    public func analyze(_ y: [Double]) -> Analysis {
        var analysis = Analysis()
        if let problem = Self.unfit(y) {
            analysis.absence = problem
            return analysis
        }
        let last = Double(y.count - 1)
        let low = y.reduce(y[0], min)
        let range = y.reduce(y[0], max) - low
        analysis.normalizedX = y.indices.map { Double($0) / last }
        analysis.normalized = y.map { 1 - ($0 - low) / range }
        analysis.difference = zip(analysis.normalized, analysis.normalizedX).map { $0 - $1 }
        analysis.maxima = Self.extrema(analysis.difference, by: >=)
        analysis.minima = Self.extrema(analysis.difference, by: <=)
        let drop = sensitivity * (1 / last)
        analysis.thresholds = analysis.maxima.map { analysis.difference[$0] - drop }
        analysis.knee = Self.firstKnee(analysis)
        analysis.absence = analysis.knee == nil ? .neverFalls : nil
        return analysis
    }

    private static func unfit(_ y: [Double]) -> Absence? {
        if y.count < 3 { return .tooShort(count: y.count) }
        if let index = y.firstIndex(where: { !$0.isFinite }) { return .notFinite(index: index) }
        let low = y.reduce(y[0], min)
        let high = y.reduce(y[0], max)
        if low == high { return .constant }
        // Finite values whose distance is not, such as ±1e308.
        guard (high - low).isFinite else { return .notFinite(index: y.firstIndex(of: high) ?? 0) }
        return nil
    }

    /// Positions whose value compares with both neighbours; an end has only one.
    private static func extrema(
        _ values: [Double], by compares: (Double, Double) -> Bool
    ) -> [Int] {
        values.indices.filter { index in
            (index == 0 || compares(values[index], values[index - 1]))
                && (index == values.count - 1 || compares(values[index], values[index + 1]))
        }
    }

    /// Walks D from its first maximum. A maximum arms its threshold; a minimum disarms it until the
    /// next maximum. A point of a plateau is both, and stays disarmed.
    private static func firstKnee(_ analysis: Analysis) -> Int? {
        let maxima = Dictionary(
            uniqueKeysWithValues: zip(analysis.maxima, analysis.thresholds))
        let minima = Set(analysis.minima)
        var armed: (position: Int, threshold: Double)?
        for index in analysis.difference.indices.dropLast() {
            if let threshold = maxima[index] { armed = (index, threshold) }
            if minima.contains(index) { armed = nil }
            if let armed, analysis.difference[index + 1] < armed.threshold { return armed.position }
        }
        return nil
    }
}
