/// Byte strings numbered 0, 1, 2, … in the order of their insertion.
///
/// Tokens are keyed by their bytes, never by `String`, whose equality is canonical equivalence:
/// vocabularies hold composed and decomposed spellings as different tokens. All keys share one
/// buffer, and a look-up neither allocates nor counts references.
struct ByteTable: Sendable {
    private var bytes: [UInt8] = []
    /// Key i is `bytes[ends[i - 1]..<ends[i]]`.
    private var ends: [Int] = []
    /// Open addressing with linear probing: the number of a key, or -1. The size is a power of two.
    private var slots: [Int32]
    /// The upper half of each key's hash, so that most mismatches need no look at the bytes.
    private var tags: [UInt32] = []

    init(minimumCapacity: Int = 16) {
        var size = 32
        while size < minimumCapacity * 2 { size *= 2 }
        slots = Array(repeating: -1, count: size)
    }

    var count: Int { ends.count }

    subscript(index: Int) -> ArraySlice<UInt8> {
        bytes[(index == 0 ? 0 : ends[index - 1])..<ends[index]]
    }

    /// The number of `key`, or nil if it was never inserted.
    func find(_ key: UnsafeBufferPointer<UInt8>) -> Int? {
        let hash = Self.hash(key)
        let tag = UInt32(truncatingIfNeeded: hash >> 32)
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while true {
            let index = Int(slots[slot])
            if index < 0 { return nil }
            if tags[index] == tag, isEqual(index, key) { return index }
            slot = (slot + 1) & mask
        }
    }

    func find(_ key: some Collection<UInt8>) -> Int? {
        let found = key.withContiguousStorageIfAvailable { find($0) }
        return found ?? Array(key).withUnsafeBufferPointer { find($0) }
    }

    /// The number of `key`, which is inserted if it is new.
    @discardableResult
    mutating func insert(_ key: UnsafeBufferPointer<UInt8>) -> (index: Int, isNew: Bool) {
        if let index = find(key) { return (index, false) }
        if (count + 1) * 2 > slots.count { grow() }
        let hash = Self.hash(key)
        bytes.append(contentsOf: key)
        ends.append(bytes.count)
        tags.append(UInt32(truncatingIfNeeded: hash >> 32))
        place(Int32(count - 1), hash)
        return (count - 1, true)
    }

    @discardableResult
    mutating func insert(_ key: some Collection<UInt8>) -> (index: Int, isNew: Bool) {
        let result = key.withContiguousStorageIfAvailable { insert($0) }
        return result ?? Array(key).withUnsafeBufferPointer { insert($0) }
    }

    private func isEqual(_ index: Int, _ key: UnsafeBufferPointer<UInt8>) -> Bool {
        let start = index == 0 ? 0 : ends[index - 1]
        guard ends[index] - start == key.count else { return false }
        for offset in 0..<key.count where bytes[start + offset] != key[offset] { return false }
        return true
    }

    private mutating func place(_ index: Int32, _ hash: UInt64) {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] >= 0 { slot = (slot + 1) & mask }
        slots[slot] = index
    }

    private mutating func grow() {
        slots = Array(repeating: -1, count: slots.count * 2)
        for index in 0..<count {
            let hash = self[index].withUnsafeBufferPointer { Self.hash($0) }
            place(Int32(index), hash)
        }
    }

    /// Multiply and fold, eight bytes at a time.
    private static func hash(_ key: UnsafeBufferPointer<UInt8>) -> UInt64 {
        var state = UInt64(truncatingIfNeeded: key.count) &+ 0x9E37_79B9_7F4A_7C15
        let raw = UnsafeRawBufferPointer(key)
        var offset = 0
        while offset < key.count {
            var word: UInt64 = 0
            if offset + 8 <= key.count {
                word = raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            } else {
                for byte in raw[offset...] { word = word << 8 | UInt64(byte) }
            }
            let (high, low) = (state ^ word).multipliedFullWidth(by: 0xD6E8_FEB8_6659_FD93)
            state = high ^ low
            offset += 8
        }
        let (high, low) = state.multipliedFullWidth(by: 0xA076_1D64_78BD_642F)
        return high ^ low
    }
}
