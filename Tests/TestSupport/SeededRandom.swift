import Foundation

/// SplitMix64 (Steele, Lea and Flood 2014): test data that is the same on every machine and in every
/// run.
public struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    public init(_ seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// `count` values, uniform between -range and range.
    public mutating func floats(_ count: Int, range: Float = 1) -> [Float] {
        (0..<count).map { _ in Float.random(in: -range...range, using: &self) }
    }

    /// `count` values of a normal distribution (Box and Muller 1958).
    public mutating func normals(_ count: Int, deviation: Double = 1) -> [Float] {
        (0..<count).map { _ in
            let radius = sqrt(-2 * log(Double.random(in: 0x1p-53...1, using: &self)))
            let angle = 2 * Double.pi * Double.random(in: 0..<1, using: &self)
            return Float(deviation * radius * cos(angle))
        }
    }
}

/// Bit patterns, so that comparing two results is comparing bytes.
public func bits(_ values: [Float]) -> [UInt32] { values.map(\.bitPattern) }

/// The largest |a - b|; infinite when the lengths differ or a difference is NaN.
public func largestDifference(_ a: [Float], _ b: [Double]) -> Double {
    guard a.count == b.count else { return .infinity }
    return zip(a, b).reduce(0) { largest, pair in
        let difference = (Double(pair.0) - pair.1).magnitude
        return difference.isNaN ? .infinity : max(largest, difference)
    }
}
