/// Comparisons in which a NaN stays one, as IEEE 754-2019's `maximum` and `minimum`.
///
/// `Swift.max(0, .nan)` is 0, so that a figure that is no number comes out as a good one. For numbers the
/// results are those of `Swift.max` and `Swift.min`, to the sign of a zero.
extension FloatingPoint {
    /// The greater of two values; NaN where either is.
    package static func propagatingMaximum(_ a: Self, _ b: Self) -> Self {
        b >= a || b.isNaN ? b : a
    }

    /// The lesser of two values; NaN where either is.
    package static func propagatingMinimum(_ a: Self, _ b: Self) -> Self {
        b < a || b.isNaN ? b : a
    }

    /// The nearest value in `range`; NaN for NaN.
    package func clampedOrNaN(to range: ClosedRange<Self>) -> Self {
        Self.propagatingMinimum(
            range.upperBound, Self.propagatingMaximum(range.lowerBound, self))
    }
}
