/// SplitMix64 (Steele, Lea and Flood 2014): small, and the same sequence everywhere, unlike the
/// standard library's generator.
public struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64) {
        state = seed
    }

    /// One of many independent sequences of a seed, such as that of an epoch; stream 0 is that of the seed
    /// alone.
    ///
    /// The stream is mixed before it meets the seed: states that lie a few increments apart would give the
    /// same sequence, a few draws later.
    public init(seed: UInt64, stream: UInt64) {
        state = seed &+ Self.mix(stream)
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return Self.mix(state)
    }

    /// SplitMix64's finaliser, a bijection (Stafford's variant 13) that keeps 0.
    private static func mix(_ value: UInt64) -> UInt64 {
        var mixed = value
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A whole number in 0..<bound, all equally likely (Lemire 2019): the high half of the product
    /// of a draw and `bound`; draws that would favour some numbers are thrown away.
    /// - Parameter bound: at least 1.
    public mutating func below(_ bound: Int) -> Int {
        let bound = UInt64(bound)
        let unfair = (0 &- bound) % bound
        while true {
            let product = next().multipliedFullWidth(by: bound)
            if product.low >= unfair { return Int(product.high) }
        }
    }
}
