import HeapModule

/// Bytes `start..<end` of the word that is being tokenized, and the token they stand for (-1: none).
struct Symbol {
    var id: Int32
    var start: Int32
    var end: Int32
}

/// Which neighbours merge: the smaller the rank, the sooner; equal ranks from left to right.
protocol MergeRule {
    func merge(_ left: Symbol, _ right: Symbol) -> (rank: UInt32, id: Int32)?
}

/// Merges neighbouring symbols, best first, until no pair merges. Kept between words for its memory.
///
/// Short words scan for the best pair; long ones keep a heap, so that a document that is one word
/// (Gemma splits nothing) takes O(n log n) time and O(n) memory.
struct Merger {
    private var ranks: [UInt64] = []
    private var ids: [Int32] = []
    private var links: [(previous: Int32, next: Int32)] = []

    /// Up to here the scan is faster than the heap.
    private static let scanLimit = 32

    mutating func run(_ symbols: inout [Symbol], by rule: some MergeRule) {
        if symbols.count < 2 { return }
        if symbols.count <= Self.scanLimit {
            scan(&symbols, by: rule)
        } else {
            runHeap(&symbols, by: rule)
        }
    }

    private mutating func runHeap(_ symbols: inout [Symbol], by rule: some MergeRule) {
        let count = symbols.count
        links.removeAll(keepingCapacity: true)
        links.reserveCapacity(count)
        for index in 0..<count {
            links.append((Int32(index) - 1, index + 1 < count ? Int32(index) + 1 : -1))
        }
        // An entry is a rank over a position: the least comes first. An entry whose pair has changed
        // since is told by its rank, looked up again when it comes up; a pair that happens to have
        // the same rank is due at just this moment, too.
        var initial: [UInt64] = []
        initial.reserveCapacity(count)
        for index in 0..<(count - 1) {
            if let merge = rule.merge(symbols[index], symbols[index + 1]) {
                initial.append(UInt64(merge.rank) << 32 | UInt64(index))
            }
        }
        var heap = Heap(initial)
        while let entry = heap.popMin() {
            let position = Int(entry & 0xFFFF_FFFF)
            let next = Int(links[position].next)
            // A symbol that was merged away has an empty range.
            guard next >= 0, symbols[position].start < symbols[position].end,
                let merge = rule.merge(symbols[position], symbols[next]),
                UInt64(merge.rank) == entry >> 32
            else { continue }
            symbols[position].id = merge.id
            symbols[position].end = symbols[next].end
            symbols[next].end = symbols[next].start
            let following = links[next].next
            links[position].next = following
            if following >= 0 {
                links[Int(following)].previous = Int32(position)
                if let merge = rule.merge(symbols[position], symbols[Int(following)]) {
                    heap.insert(UInt64(merge.rank) << 32 | UInt64(position))
                }
            }
            let previous = links[position].previous
            if previous >= 0,
                let merge = rule.merge(symbols[Int(previous)], symbols[position])
            {
                heap.insert(UInt64(merge.rank) << 32 | UInt64(previous))
            }
        }
        symbols.removeAll { $0.start == $0.end }
    }

    private mutating func scan(_ symbols: inout [Symbol], by rule: some MergeRule) {
        let none = UInt64.max
        ranks.removeAll(keepingCapacity: true)
        ids.removeAll(keepingCapacity: true)
        for index in 0..<(symbols.count - 1) {
            let merge = rule.merge(symbols[index], symbols[index + 1])
            ranks.append(merge.map { UInt64($0.rank) } ?? none)
            ids.append(merge?.id ?? -1)
        }
        while true {
            var best = 0
            var bestRank = none
            for index in 0..<ranks.count where ranks[index] < bestRank {
                best = index
                bestRank = ranks[index]
            }
            if bestRank == none { return }
            symbols[best].id = ids[best]
            symbols[best].end = symbols[best + 1].end
            symbols.remove(at: best + 1)
            ranks.remove(at: best)
            ids.remove(at: best)
            for index in [best - 1, best] where index >= 0 && index < ranks.count {
                let merge = rule.merge(symbols[index], symbols[index + 1])
                ranks[index] = merge.map { UInt64($0.rank) } ?? none
                ids[index] = merge?.id ?? -1
            }
        }
    }
}
