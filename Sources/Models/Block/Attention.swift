import CKernels
import Foundation
import Tensors

/// Causal softmax attention over blocks of keys, with a running maximum and sum per query, so that no
/// [T, T] matrix exists (Milakov & Gimelshein 2018; Dao et al. 2022).
///
/// Blocks of keys begin at multiples of `keysPerBlock`, and each value of a product is one chain: the
/// bytes of a row depend on its own text only, not on what runs beside it or was run before.
package struct BlockedAttention {
    static let queriesPerTile = 64
    static let keysPerBlock = KeyValuePage.positions

    /// Rows of the block that belong to one text, and the keys and values that it has.
    package struct Text {
        /// Rows of the block.
        let rows: Range<Int>
        /// Of the first row: where its own key stands in the slot.
        let position: Int
        /// Holds the positions before and the rows' own.
        let slot: KeyValueSlot
        /// Where rows' own keys stand, when there are others between them; nil where they follow one
        /// another.
        private let gaps: Gaps?

        /// What is known of each row from `first` on.
        private struct Gaps {
            let first: Int
            /// Ascending.
            let positions: [Int]
            /// The first key that a row sees in a layer with a window, where keys of some positions are
            /// missing between; nil where that follows from the window.
            let lowest: [Int]?
        }

        package init(rows: Range<Int>, position: Int, slot: KeyValueSlot) {
            self.rows = rows
            self.position = position
            self.slot = slot
            gaps = nil
        }

        /// - Parameters:
        ///   - positions: where each row's own key stands in the slot, ascending.
        ///   - lowest: the first key in the slot that each row sees; what the window says when nil.
        package init(rows: Range<Int>, positions: [Int], lowest: [Int]?, slot: KeyValueSlot) {
            precondition(rows.count == positions.count)
            self.rows = rows
            position = positions.first ?? 0
            self.slot = slot
            gaps = Gaps(first: rows.lowerBound, positions: positions, lowest: lowest)
        }

        private init(rows: Range<Int>, of text: Text) {
            self.rows = rows
            position = text.position(ofRow: rows.lowerBound)
            slot = text.slot
            gaps = text.gaps
        }

        func position(ofRow row: Int) -> Int {
            if let gaps { return gaps.positions[row - gaps.first] }
            return position + row - rows.lowerBound
        }

        /// The first key that a row sees.
        func lowest(ofRow row: Int, window: Int?) -> Int {
            if let gaps, let lowest = gaps.lowest { return lowest[row - gaps.first] }
            return window.map { max(0, position(ofRow: row) - $0 + 1) } ?? 0
        }

        /// Keys that the last row sees, and those before them.
        var keyCount: Int { rows.isEmpty ? position : position(ofRow: rows.upperBound - 1) + 1 }

        /// The part of it in a tile of rows.
        func clamped(to tile: Range<Int>) -> Text? {
            let part = rows.clamped(to: tile)
            return part.isEmpty ? nil : Text(rows: part, of: self)
        }
    }

    /// [T, heads, head dimension], rotated.
    let queries: FloatBuffer
    /// The texts of the block, whose rows follow one another.
    let texts: [Text]
    let heads: Int
    let keyValueHeads: Int
    /// Positions a query sees, itself included; nil for all.
    let window: Int?
    let scale: Float
    /// Of both products; weights, sums and maxima are f32 in any.
    let arithmetic: Arithmetic
    /// [T, heads, head dimension].
    let out: FloatBuffer

    /// The head dimension. Stored: to look it up in a text costs a reference count in every row.
    private let width: Int

    package init(
        queries: FloatBuffer, texts: [Text], heads: Int, keyValueHeads: Int, window: Int?,
        scale: Float, arithmetic: Arithmetic = .f32, out: FloatBuffer
    ) {
        self.queries = queries
        self.texts = texts
        width = texts.first?.slot.headDimension ?? 0
        self.heads = heads
        self.keyValueHeads = keyValueHeads
        self.window = window
        self.scale = scale
        self.arithmetic = arithmetic.ofActivations
        self.out = out
    }

    package func run() {
        let rows = texts.last?.rows.upperBound ?? 0
        let tiles = (rows + Self.queriesPerTile - 1) / Self.queriesPerTile
        Parallel.forEach(heads * tiles) { item in
            // Later tiles see more keys; they go first so that no thread ends on a long one.
            let first = (tiles - 1 - item / heads) * Self.queriesPerTile
            attend(head: item % heads, tile: first..<min(rows, first + Self.queriesPerTile))
        }
    }

    /// One head, one tile of queries, on the calling thread.
    private func attend(head: Int, tile: Range<Int>) {
        let block = Self.keysPerBlock
        let left = PackedRows.floats(rows: tile.count, width: max(width, block), arithmetic)
        let right = max(
            PackedColumns.floats(columns: block, width: width, arithmetic),
            PackedColumns.floats(columns: width, width: block, arithmetic))
        let sizes = [
            tile.count * block, tile.count, tile.count, tile.count * width, tile.count * width,
            left, right,
        ]
        ScratchPool.shared.withFloats(sizes.reduce(0, +)) { scratch in
            var places: [UnsafeMutablePointer<Float>] = []
            var next = scratch
            for size in sizes {
                places.append(next)
                next += size
            }
            let work = Work(
                scores: places[0], sums: places[1], maxima: places[2], mixed: places[3],
                part: places[4], left: places[5], right: places[6])
            for row in 0..<tile.count {
                work.sums[row] = 0
                work.maxima[row] = -.infinity
            }
            memset(work.mixed, 0, tile.count * width * 4)
            let parts = texts.compactMap { $0.clamped(to: tile) }
            let firsts = parts.map { text in
                text.lowest(ofRow: text.rows.lowerBound, window: window) / block * block
            }
            let end = parts.map(\.keyCount).max() ?? 0
            for start in stride(from: firsts.min() ?? 0, to: end, by: block) {
                takeBlock(start, head, tile, parts, firsts, work)
            }
            for row in tile {
                let target = out.pointer + (row * heads + head) * width
                memcpy(target, work.mixed + (row - tile.lowerBound) * width, width * 4)
                etd_scale(target, 1 / work.sums[row - tile.lowerBound], width)
            }
        }
    }

    /// Takes the keys from `start` on in, for every text that sees them. Texts that begin alike share
    /// pages, and a page that several texts in a row have goes by once for all of them.
    private func takeBlock(
        _ start: Int, _ head: Int, _ tile: Range<Int>, _ parts: [Text], _ firsts: [Int],
        _ work: Work
    ) {
        let block = Self.keysPerBlock
        func page(_ index: Int) -> KeyValuePage? {
            start >= firsts[index] && start < parts[index].keyCount
                ? parts[index].slot.pages[start / block] : nil
        }
        func keys(_ index: Int) -> Range<Int> {
            start..<min(start + block, parts[index].keyCount)
        }
        var first = 0
        while first < parts.count {
            guard let shared = page(first) else {
                first += 1
                continue
            }
            var end = first + 1
            while end < parts.count, page(end) === shared, keys(end) == keys(first) { end += 1 }
            take(head, tile, keys: keys(first), shared, parts[first..<end], work)
            first = end
        }
    }

    /// Memory of one tile; its rows count from the tile's first.
    private struct Work {
        let scores, sums, maxima, mixed, part, left, right: UnsafeMutablePointer<Float>
    }

    /// Takes one page of keys in for the rows of `parts`, which follow one another.
    private func take(
        _ head: Int, _ tile: Range<Int>, keys: Range<Int>, _ page: KeyValuePage,
        _ parts: ArraySlice<Text>, _ work: Work
    ) {
        let block = Self.keysPerBlock
        let rows = (parts.first?.rows.lowerBound ?? 0)..<(parts.last?.rows.upperBound ?? 0)
        let keyValueHead = head / (heads / keyValueHeads)
        let queryRows = PackedRows(work.left, width: width, arithmetic)
        for row in rows {
            queryRows.store(
                queries.pointer + (row * heads + head) * width, row: row - rows.lowerBound)
        }
        PackedColumns(
            page.keys(head: keyValueHead), count: keys.count, width: width, stride: width,
            arithmetic,
            memory: work.right
        ).multiply(
            queryRows, rows: 0..<rows.count, columns: 0..<keys.count, into: work.scores,
            stride: block)
        let weights = PackedRows(work.left, width: keys.count, arithmetic)
        for part in parts {
            for row in part.rows {
                let position = part.position(ofRow: row)
                let low = max(keys.lowerBound, part.lowest(ofRow: row, window: window))
                let high = min(keys.upperBound, position + 1)
                let line = work.scores + (row - rows.lowerBound) * block
                let inTile = row - tile.lowerBound
                if low < high {
                    let (before, seen) = (low - keys.lowerBound, high - low)
                    memset(line, 0, before * 4)
                    memset(line + before + seen, 0, (keys.count - before - seen) * 4)
                    let correction = etd_softmax_block(
                        line + before, seen, scale, work.maxima + inTile, work.sums + inTile)
                    if correction != 1 { etd_scale(work.mixed + inTile * width, correction, width) }
                } else {
                    memset(line, 0, keys.count * 4)
                }
                weights.store(line, row: row - rows.lowerBound)
            }
        }
        PackedColumns(
            turned: page.values(head: keyValueHead), count: width, width: keys.count, stride: width,
            arithmetic,
            memory: work.right
        ).multiply(
            weights, rows: 0..<rows.count, columns: 0..<width, into: work.part, stride: width)
        etd_add(
            work.mixed + (rows.lowerBound - tile.lowerBound) * width, work.part, rows.count * width)
    }

    /// The weights of one text themselves, for those who look at them: each row's whole softmax at once,
    /// in f32.
    ///
    /// - Parameter out: [T, heads, keys of the text], 0 for keys that a query does not see.
    package func pattern(text index: Int, into out: FloatBuffer) {
        let text = texts[index]
        let keys = text.keyCount
        let tiles = (text.rows.count + Self.queriesPerTile - 1) / Self.queriesPerTile
        let group = heads / keyValueHeads
        Parallel.forEach(heads * tiles) { item in
            let head = item % heads
            let first = item / heads * Self.queriesPerTile
            let last = min(text.rows.count, first + Self.queriesPerTile)
            let start = first * heads + head
            ScratchPool.shared.withFloats(keys * width) { gathered in
                gather(text, keys, into: gathered) { $0.keys(head: head / group) }
                MatrixProduct.tile(
                    queries.pointer + (text.rows.lowerBound * heads + start) * width,
                    rows: last - first, stride: heads * width, gathered, columns: keys,
                    depth: width, into: out.pointer + start * keys, outStride: heads * keys)
            }
            for row in first..<last {
                let position = text.position + row
                let line = out.pointer + (row * heads + head) * keys
                let low = max(0, window.map { position - $0 + 1 } ?? 0)
                memset(line, 0, low * 4)
                memset(line + position + 1, 0, (keys - position - 1) * 4)
                var maximum = -Float.infinity
                var sum: Float = 0
                _ = etd_softmax_block(
                    line + low, position + 1 - low, scale, &maximum, &sum)
                etd_scale(line + low, 1 / sum, position + 1 - low)
            }
        }
    }

    /// Mixes one text's values anew by given weights, in f32: what attention gives where something has
    /// written to its pattern.
    ///
    /// - Parameter weights: [T, heads, keys of the text].
    package func mix(_ weights: FloatBuffer, text index: Int) {
        let text = texts[index]
        let keys = text.keyCount
        let group = heads / keyValueHeads
        Parallel.forEach(heads) { head in
            ScratchPool.shared.withFloats(keys * width) { gathered in
                gather(text, keys, into: gathered) { $0.values(head: head / group) }
                for row in 0..<text.rows.count {
                    let line = weights.pointer + (row * heads + head) * keys
                    let target =
                        out.pointer + ((text.rows.lowerBound + row) * heads + head) * width
                    memset(target, 0, width * 4)
                    for key in 0..<keys where line[key] != 0 {
                        let value = gathered + key * width
                        for column in 0..<width { target[column] += line[key] * value[column] }
                    }
                }
            }
        }
    }

    /// Keys or values of one head, close together: [keys, head dimension]. Zeros where a sliding window
    /// has passed.
    private func gather(
        _ text: Text, _ keys: Int, into out: UnsafeMutablePointer<Float>,
        _ rows: (KeyValuePage) -> UnsafeMutablePointer<Float>
    ) {
        let size = KeyValuePage.positions
        for (index, page) in text.slot.pages.enumerated() where index * size < keys {
            let count = min(size, keys - index * size) * width
            if let page {
                memcpy(out + index * size * width, rows(page), count * 4)
            } else {
                memset(out + index * size * width, 0, count * 4)
            }
        }
    }
}
