/// Tokens and their ids. Ids may have holes; a token is its bytes.
struct Vocabulary: Sendable {
    private var table: ByteTable
    /// The id of each entry of `table`.
    private var ids: [Int32] = []
    /// The entry of each id, -1 where there is none. Ids far beyond the number of tokens, which a
    /// strange file may have, are kept apart.
    private var entries: [Int32] = []
    private var distantEntries: [Int32: Int32] = [:]
    private let densestID: Int
    /// In bytes.
    private(set) var longestToken = 0

    init(minimumCapacity: Int) {
        table = ByteTable(minimumCapacity: minimumCapacity)
        ids.reserveCapacity(minimumCapacity)
        densestID = minimumCapacity * 2 + 1024
        entries.reserveCapacity(minimumCapacity)
    }

    var count: Int { table.count }
    var highestID: Int32? { ids.max() }

    /// - Returns: False if the token is there already; its id is kept then.
    mutating func insert(_ token: some Collection<UInt8>, id: Int32) -> Bool {
        let (index, isNew) = table.insert(token)
        guard isNew else { return false }
        ids.append(id)
        if id < 0 || Int(id) > densestID {
            distantEntries[id] = Int32(index)
        } else {
            while entries.count <= Int(id) { entries.append(-1) }
            entries[Int(id)] = Int32(index)
        }
        longestToken = max(longestToken, token.count)
        return true
    }

    func id(of token: UnsafeBufferPointer<UInt8>) -> Int32? {
        table.find(token).map { ids[$0] }
    }

    func id(of token: some Collection<UInt8>) -> Int32? {
        table.find(token).map { ids[$0] }
    }

    func token(_ id: Int32) -> ArraySlice<UInt8>? {
        if id >= 0, Int(id) < entries.count {
            let index = Int(entries[Int(id)])
            return index < 0 ? nil : table[index]
        }
        return distantEntries[id].map { table[Int($0)] }
    }

    /// The token that was inserted as the `index`th, and its id.
    func entry(_ index: Int) -> (token: ArraySlice<UInt8>, id: Int32) { (table[index], ids[index]) }

    /// The ids of `<0x00>` … `<0xFF>`, -1 where there is none.
    func byteTokens() -> [Int32] {
        (0..<256).map { byte in
            let digits = String(byte, radix: 16, uppercase: true)
            return id(of: "<0x\(byte < 16 ? "0" : "")\(digits)>".utf8) ?? -1
        }
    }
}
