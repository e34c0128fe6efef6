/// A map from a pair of 32-bit numbers to another, for tables of a few hundred thousand entries that
/// are read in the innermost loop.
struct PairTable: Sendable {
    /// Open addressing with linear probing; an entry is empty where `values.second` is -1.
    private var keys: [UInt64]
    private var values: [Value]
    private(set) var count = 0

    struct Value: Sendable {
        var first: UInt32
        var second: Int32
    }

    init(minimumCapacity: Int = 0) {
        var size = 32
        while size < minimumCapacity * 2 { size *= 2 }
        keys = Array(repeating: 0, count: size)
        values = Array(repeating: Value(first: 0, second: -1), count: size)
    }

    /// - Precondition: A value that is set has `second` ≥ 0.
    subscript(left: Int32, right: Int32) -> Value? {
        get {
            let key = Self.key(left, right)
            let slot = find(key)
            let value = values[slot]
            return value.second < 0 ? nil : value
        }
        set {
            guard let newValue else { return }
            precondition(newValue.second >= 0)
            if (count + 1) * 2 > keys.count { grow() }
            let key = Self.key(left, right)
            let slot = find(key)
            if values[slot].second < 0 { count += 1 }
            keys[slot] = key
            values[slot] = newValue
        }
    }

    private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    private func find(_ key: UInt64) -> Int {
        let mask = keys.count - 1
        var slot = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
        while values[slot].second >= 0, keys[slot] != key { slot = (slot + 1) & mask }
        return slot
    }

    private mutating func grow() {
        var larger = PairTable(minimumCapacity: keys.count)
        for slot in 0..<keys.count where values[slot].second >= 0 {
            let target = larger.find(keys[slot])
            larger.keys[target] = keys[slot]
            larger.values[target] = values[slot]
        }
        larger.count = count
        self = larger
    }
}
