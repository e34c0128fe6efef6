extension Activation {
    /// States that come from elsewhere than a session, for taps that are fed by hand.
    package init(
        states: UnsafePointer<Float>, boundary: Int, positions: Range<Int>, width: Int
    ) {
        self.init(
            site: .resid, index: boundary, step: nil, positions: positions, width: width,
            values: states)
    }
}
