import CKernels
import Foundation
import Tensors

/// Keys and values of one executed step: two arrays [kv heads, capacity, head dimension].
package final class KeyValueSlot: Sendable {
    package let keys: FloatBuffer
    package let values: FloatBuffer
    let capacity: Int
    let headDimension: Int

    package init(heads: Int, capacity: Int, headDimension: Int) {
        self.capacity = capacity
        self.headDimension = headDimension
        keys = FloatBuffer(count: heads * capacity * headDimension)
        values = FloatBuffer(count: heads * capacity * headDimension)
    }

    /// - Parameter place: a position, or where a branch keeps one (`BlockSegment`).
    package func offset(head: Int, place: Int) -> Int {
        (head * capacity + place) * headDimension
    }
}

/// Rows of a block that follow one another in a text. Positions before `shared` stand at their own place
/// in the slots; a branch's own positions, from its first on, stand at `place` and behind.
package struct BlockSegment: Sendable {
    /// Rows of the block.
    package let rows: Range<Int>
    /// The position of the first row.
    package let position: Int
    /// Where in the slots the first row's key stands.
    package let place: Int

    package init(rows: Range<Int>, position: Int, place: Int) {
        self.rows = rows
        self.position = position
        self.place = place
    }

    package func position(ofRow row: Int) -> Int { position + row - rows.lowerBound }
    package func place(ofRow row: Int) -> Int { place + row - rows.lowerBound }
    /// Positions that keys stand for.
    package var keyCount: Int { position + rows.count }
}

/// Causal softmax attention over blocks of keys, with a running maximum and sum per query, so that no
/// [T, T] matrix exists (Milakov & Gimelshein 2018; Dao et al. 2022).
///
/// Blocks of keys begin at multiples of `keysPerBlock`, and each value of a product is one chain: the
/// bytes of a row depend on its own text only, not on what runs beside it or was run before.
package struct BlockedAttention {
    static let queriesPerTile = 64
    static let keysPerBlock = 256

    /// [T, heads, head dimension], rotated.
    let queries: FloatBuffer
    let slot: KeyValueSlot
    let heads: Int
    let keyValueHeads: Int
    /// Positions a query sees, itself included; nil for all.
    let window: Int?
    let scale: Float
    /// Of both products; weights, sums and maxima are f32 in any.
    let arithmetic: Arithmetic
    /// [T, heads, head dimension].
    let out: FloatBuffer

    package init(
        queries: FloatBuffer, slot: KeyValueSlot, heads: Int, keyValueHeads: Int, window: Int?,
        scale: Float, arithmetic: Arithmetic = .f32, out: FloatBuffer
    ) {
        self.queries = queries
        self.slot = slot
        self.heads = heads
        self.keyValueHeads = keyValueHeads
        self.window = window
        self.scale = scale
        self.arithmetic = arithmetic.ofActivations
        self.out = out
    }

    /// - Parameter segments: the block's rows, in order.
    package func run(_ segments: [BlockSegment]) {
        let rows = segments.last?.rows.upperBound ?? 0
        let tiles = (rows + Self.queriesPerTile - 1) / Self.queriesPerTile
        Parallel.forEach(heads * tiles) { item in
            // Later tiles see more keys; they go first so that no thread ends on a long one.
            let first = (tiles - 1 - item / heads) * Self.queriesPerTile
            attend(
                head: item % heads, tile: first..<min(rows, first + Self.queriesPerTile), segments)
        }
    }

    /// One head, one tile of queries, on the calling thread.
    private func attend(head: Int, tile: Range<Int>, _ segments: [BlockSegment]) {
        let width = slot.headDimension
        let block = Self.keysPerBlock
        let left = PackedRows.floats(rows: tile.count, width: max(width, block), arithmetic)
        let right = max(
            PackedColumns.floats(columns: block, width: width, arithmetic),
            PackedColumns.floats(columns: width, width: block, arithmetic))
        let sizes = [
            tile.count * block, tile.count, tile.count, tile.count * width, tile.count * width,
            left, right, 2 * block * width,
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
                part: places[4], left: places[5], right: places[6], gathered: places[7])
            for row in 0..<tile.count {
                work.sums[row] = 0
                work.maxima[row] = -.infinity
            }
            memset(work.mixed, 0, tile.count * width * 4)
            let parts = segments.compactMap { segment -> BlockSegment? in
                let rows = segment.rows.clamped(to: tile)
                guard !rows.isEmpty else { return nil }
                return BlockSegment(
                    rows: rows, position: segment.position(ofRow: rows.lowerBound),
                    place: segment.place(ofRow: rows.lowerBound))
            }
            // Blocks of keys that all branches share go by once for all rows.
            let shared =
                segments.count > 1 ? (segments.map(\.position).min() ?? 0) / block * block : 0
            var start = firstBlock(seenFrom: parts.map(\.position).min() ?? 0)
            while start < shared {
                take(head, tile, keys: start..<start + block, parts, nil, work)
                start += block
            }
            for part in parts {
                let segment = segments.first { $0.rows.contains(part.rows.lowerBound) }
                var start = max(shared, firstBlock(seenFrom: part.position))
                while start < part.keyCount {
                    take(
                        head, tile, keys: start..<min(start + block, part.keyCount), [part],
                        segment, work)
                    start += block
                }
            }
            for row in tile {
                let target = out.pointer + (row * heads + head) * width
                memcpy(target, work.mixed + (row - tile.lowerBound) * width, width * 4)
                etd_scale(target, 1 / work.sums[row - tile.lowerBound], width)
            }
        }
    }

    /// Memory of one tile; its rows count from the tile's first.
    private struct Work {
        let scores, sums, maxima, mixed, part, left, right, gathered: UnsafeMutablePointer<Float>
    }

    /// Where the block begins that holds the first key which a query at `position` sees.
    private func firstBlock(seenFrom position: Int) -> Int {
        let key = window.map { max(0, position - $0 + 1) } ?? 0
        return key / Self.keysPerBlock * Self.keysPerBlock
    }

    /// Takes one block of keys in for the rows of `parts`, which follow one another.
    /// - Parameter segment: whose keys they are; nil for keys that all share.
    private func take(
        _ head: Int, _ tile: Range<Int>, keys: Range<Int>, _ parts: [BlockSegment],
        _ segment: BlockSegment?, _ work: Work
    ) {
        let width = slot.headDimension
        let block = Self.keysPerBlock
        let rows = (parts.first?.rows.lowerBound ?? 0)..<(parts.last?.rows.upperBound ?? 0)
        let keyValueHead = head / (heads / keyValueHeads)
        let queryRows = PackedRows(work.left, width: width, arithmetic)
        for row in rows {
            queryRows.store(
                queries.pointer + (row * heads + head) * width, row: row - rows.lowerBound)
        }
        let (keyRows, valueRows) = rowsOf(keys, keyValueHead, segment, work.gathered)
        PackedColumns(
            keyRows, count: keys.count, width: width, stride: width, arithmetic,
            memory: work.right
        ).multiply(
            queryRows, rows: 0..<rows.count, columns: 0..<keys.count, into: work.scores,
            stride: block)
        let weights = PackedRows(work.left, width: keys.count, arithmetic)
        for part in parts {
            for row in part.rows {
                let position = part.position(ofRow: row)
                let low = max(keys.lowerBound, window.map { position - $0 + 1 } ?? 0)
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
            turned: valueRows, count: width, width: keys.count, stride: width, arithmetic,
            memory: work.right
        ).multiply(
            weights, rows: 0..<rows.count, columns: 0..<width, into: work.part, stride: width)
        etd_add(
            work.mixed + (rows.lowerBound - tile.lowerBound) * width, work.part, rows.count * width)
    }

    /// Keys and values [keys, head dimension]: in place, or gathered where a branch begins among them.
    private func rowsOf(
        _ keys: Range<Int>, _ keyValueHead: Int, _ segment: BlockSegment?,
        _ gathered: UnsafeMutablePointer<Float>
    ) -> (keys: UnsafePointer<Float>, values: UnsafePointer<Float>) {
        let width = slot.headDimension
        let position = segment?.position ?? keys.upperBound
        let place = segment?.place ?? keys.upperBound
        if position == place || position >= keys.upperBound {
            let offset = slot.offset(head: keyValueHead, place: keys.lowerBound)
            return (
                UnsafePointer(slot.keys.pointer) + offset,
                UnsafePointer(slot.values.pointer) + offset
            )
        }
        let border = min(max(position, keys.lowerBound), keys.upperBound)
        let values = gathered + Self.keysPerBlock * width
        func copy(_ range: Range<Int>, from place: Int) {
            guard !range.isEmpty else { return }
            let source = slot.offset(head: keyValueHead, place: place)
            let target = (range.lowerBound - keys.lowerBound) * width
            memcpy(gathered + target, slot.keys.pointer + source, range.count * width * 4)
            memcpy(values + target, slot.values.pointer + source, range.count * width * 4)
        }
        copy(keys.lowerBound..<border, from: keys.lowerBound)
        copy(border..<keys.upperBound, from: place + border - position)
        return (UnsafePointer(gathered), UnsafePointer(values))
    }

    /// The weights themselves, for who wants to look at them: each row's whole softmax at once, in f32.
    ///
    /// - Parameters:
    ///   - positions: of the queries.
    ///   - out: [T, heads, positions.upperBound], 0 for keys that a query does not see.
    package func pattern(_ positions: Range<Int>, into out: FloatBuffer) {
        let keys = positions.upperBound
        let width = slot.headDimension
        let tiles = (positions.count + Self.queriesPerTile - 1) / Self.queriesPerTile
        let group = heads / keyValueHeads
        Parallel.forEach(heads * tiles) { item in
            let head = item % heads
            let first = positions.lowerBound + item / heads * Self.queriesPerTile
            let last = min(positions.upperBound, first + Self.queriesPerTile)
            let start = (first - positions.lowerBound) * heads + head
            MatrixProduct.tile(
                queries.pointer + start * width, rows: last - first, stride: heads * width,
                slot.keys.pointer + slot.offset(head: head / group, place: 0), columns: keys,
                depth: width, into: out.pointer + start * keys, outStride: heads * keys)
            for position in first..<last {
                let line =
                    out.pointer + ((position - positions.lowerBound) * heads + head) * keys
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
}
