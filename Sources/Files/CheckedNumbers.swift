// Numbers from outside as whole numbers. `Int(x)` ends the process for NaN and for what lies beyond
// its range, so a `Double` that a file or a user gave goes through one of these two.

extension FixedWidthInteger {
    /// The whole part of `value`; nil for NaN and for what this type cannot hold.
    public init?(whole value: Double) { self.init(exactly: value.rounded(.towardZero)) }

    /// The whole part of `value`, or the end of this type's range that it lies beyond; 0 for NaN. For
    /// what is only shown.
    public init(nearest value: Double) {
        if let whole = Self(whole: value) {
            self = whole
        } else {
            self = value > 0 ? .max : value < 0 ? .min : 0
        }
    }
}

extension Sequence<Int> {
    /// The product; nil where it is beyond `Int`.
    public var checkedProduct: Int? {
        var product = 1
        for factor in self {
            let (next, overflows) = product.multipliedReportingOverflow(by: factor)
            if overflows { return nil }
            product = next
        }
        return product
    }
}
