import Foundation

/// CPython's `random.Random(seed)` for whole-number seeds: the Mersenne Twister MT19937 (Matsumoto and
/// Nishimura 1998, `init_by_array`), `random()`, and `sample` as `Lib/random.py` of Python 3.11 to 3.14
/// draws. OLMES takes its subsets with it, and it is the generator of the bootstrap here, so that both
/// can be checked against Python.
public struct PythonRandom: Sendable {
    private static let length = 624
    private static let middle = 397

    private var state: [UInt32]
    private var index = PythonRandom.length

    public init(seed: UInt64) {
        state = [UInt32](repeating: 0, count: Self.length)
        state[0] = 19_650_218
        for i in 1..<Self.length {
            let before = state[i - 1]
            state[i] = 1_812_433_253 &* (before ^ (before >> 30)) &+ UInt32(i)
        }
        // The seed in 32-bit digits, the lowest first.
        let high = UInt32(seed >> 32)
        let key =
            high == 0
            ? [UInt32(truncatingIfNeeded: seed)] : [UInt32(truncatingIfNeeded: seed), high]
        var i = 1
        var j = 0
        for _ in 0..<max(Self.length, key.count) {
            let before = state[i - 1]
            state[i] = (state[i] ^ ((before ^ (before >> 30)) &* 1_664_525)) &+ key[j] &+ UInt32(j)
            i += 1
            j += 1
            if i >= Self.length {
                state[0] = state[Self.length - 1]
                i = 1
            }
            if j >= key.count { j = 0 }
        }
        for _ in 0..<Self.length - 1 {
            let before = state[i - 1]
            state[i] = (state[i] ^ ((before ^ (before >> 30)) &* 1_566_083_941)) &- UInt32(i)
            i += 1
            if i >= Self.length {
                state[0] = state[Self.length - 1]
                i = 1
            }
        }
        state[0] = 0x8000_0000
    }

    /// The next 32 bits.
    public mutating func next() -> UInt32 {
        if index == Self.length { generate() }
        var y = state[index]
        index += 1
        y ^= y >> 11
        y ^= (y << 7) & 0x9D2C_5680
        y ^= (y << 15) & 0xEFC6_0000
        return y ^ (y >> 18)
    }

    private mutating func generate() {
        state.withUnsafeMutableBufferPointer { state in
            for i in 0..<Self.length {
                let y = (state[i] & 0x8000_0000) | (state[(i + 1) % Self.length] & 0x7FFF_FFFF)
                let matrix: UInt32 = y & 1 == 0 ? 0 : 0x9908_B0DF
                state[i] = state[(i + Self.middle) % Self.length] ^ (y >> 1) ^ matrix
            }
        }
        index = 0
    }

    /// A double in [0, 1) with 53 random bits.
    public mutating func random() -> Double {
        let high = Double(next() >> 5)
        let low = Double(next() >> 6)
        return (high * 67_108_864 + low) * (1 / 9_007_199_254_740_992)
    }

    /// A number below `bound`, by rejection.
    public mutating func below(_ bound: Int) -> Int {
        precondition(0 < bound && bound < 1 << 32)
        let bits = Int.bitWidth - bound.leadingZeroBitCount
        while true {
            let value = Int(next() >> UInt32(32 - bits))
            if value < bound { return value }
        }
    }

    /// What `random.sample(range(population), count)` gives.
    public mutating func sample(population: Int, count: Int) -> [Int] {
        precondition(0 <= count && count <= population)
        var setSize = 21
        if count > 5 {
            setSize += Int(pow(4, ceil(log(Double(count * 3)) / log(4))))
        }
        var result: [Int] = []
        result.reserveCapacity(count)
        if population <= setSize {
            var pool = Array(0..<population)
            for i in 0..<count {
                let j = below(population - i)
                result.append(pool[j])
                pool[j] = pool[population - i - 1]
            }
            return result
        }
        var taken: Set<Int> = []
        for _ in 0..<count {
            var j = below(population)
            while !taken.insert(j).inserted { j = below(population) }
            result.append(j)
        }
        return result
    }
}
