extension Activation {
    /// Values that come from elsewhere than a session, for taps that are fed by hand; of `resid` unless
    /// said otherwise, where `boundary` is the boundary, else the step.
    package init(
        states: UnsafePointer<Float>, boundary: Int, positions: Range<Int>, width: Int,
        site: Site = .resid
    ) {
        self.init(
            site: site, index: boundary, step: nil, positions: positions, width: width,
            values: states)
    }
}
