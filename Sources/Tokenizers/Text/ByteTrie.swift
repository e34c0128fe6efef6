/// Byte strings with a number each, for finding which of them a text goes on with.
struct ByteTrie: Sendable {
    /// Longer keys are refused where a file is read: a search looks at no more bytes than this at
    /// one place, so that its work stays linear in the text.
    static let longestKey = 1024

    /// (node, byte) → next node; node 0 is the root.
    private var edges: PairTable
    /// The number of the key that ends in each node, or -1.
    private var ends: [Int32] = [-1]
    /// Whether any key begins with this byte: most places are left with one look.
    private var isFirst = [Bool](repeating: false, count: 256)

    init(minimumCapacity: Int = 0) { edges = PairTable(minimumCapacity: minimumCapacity) }

    /// Sets the number of `key`, which is not negative. A key that is there already keeps its number;
    /// an empty one is left out.
    mutating func insert(_ key: some Collection<UInt8>, _ number: Int32) {
        guard let first = key.first else { return }
        isFirst[Int(first)] = true
        var node: Int32 = 0
        for byte in key {
            if let next = edges[node, Int32(byte)] {
                node = next.second
            } else {
                let next = Int32(ends.count)
                ends.append(-1)
                edges[node, Int32(byte)] = PairTable.Value(first: 0, second: next)
                node = next
            }
        }
        if ends[Int(node)] < 0 { ends[Int(node)] = number }
    }

    /// Every key that `text` goes on with at `start`, the shortest first.
    @inline(__always)
    func forEachMatch(
        in text: UnsafeBufferPointer<UInt8>, at start: Int,
        _ body: (_ number: Int32, _ end: Int) -> Void
    ) {
        guard start < text.count, isFirst[Int(text[start])] else { return }
        var node: Int32 = 0
        var position = start
        while position < text.count, let next = edges[node, Int32(text[position])] {
            node = next.second
            position += 1
            if ends[Int(node)] >= 0 { body(ends[Int(node)], position) }
        }
    }
}
