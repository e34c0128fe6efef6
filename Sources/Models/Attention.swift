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

    package func offset(head: Int, position: Int) -> Int {
        (head * capacity + position) * headDimension
    }
}

/// Causal softmax attention over blocks of keys, with a running maximum and sum per query, so that no
/// [T, T] matrix exists (Milakov & Gimelshein 2018; Dao et al. 2022).
package enum BlockedAttention {
    static let queriesPerTile = 64
    static let keysPerBlock = 256

    /// - Parameters:
    ///   - queries: [T, heads, head dimension], rotated; T = positions.count.
    ///   - out: [T, heads, head dimension].
    ///   - window: positions a query sees, itself included; nil for all.
    package static func run(
        queries: FloatBuffer, slot: KeyValueSlot, heads: Int, keyValueHeads: Int,
        positions: Range<Int>, window: Int?, scale: Float, out: FloatBuffer
    ) {
        let tiles = (positions.count + queriesPerTile - 1) / queriesPerTile
        let group = heads / keyValueHeads
        Parallel.forEach(heads * tiles) { item in
            // Later tiles see more keys; they go first so that no thread ends on a long one.
            let tile = tiles - 1 - item / heads
            let head = item % heads
            let first = positions.lowerBound + tile * queriesPerTile
            let last = min(positions.upperBound, first + queriesPerTile)
            attend(
                queries: queries, slot: slot, heads: heads, head: head,
                keyValueHead: head / group, tile: first..<last, origin: positions.lowerBound,
                window: window, scale: scale, out: out)
        }
    }

    private static func attend(
        queries: FloatBuffer, slot: KeyValueSlot, heads: Int, head: Int, keyValueHead: Int,
        tile: Range<Int>, origin: Int, window: Int?, scale: Float, out: FloatBuffer
    ) {
        let width = slot.headDimension
        let stride = heads * width
        let rows = tile.count
        let start = (tile.lowerBound - origin) * stride + head * width
        let needed = rows * (keysPerBlock + width + 2)
        ScratchPool.shared.withFloats(needed) { scratch in
            let scores = scratch
            let sums = scores + rows * keysPerBlock
            let maxima = sums + rows
            let mixed = maxima + rows
            for row in 0..<rows {
                sums[row] = 0
                maxima[row] = -.infinity
            }
            memset(mixed, 0, rows * width * 4)
            let firstKey = window.map { max(0, tile.lowerBound - $0 + 1) } ?? 0
            var block = firstKey / keysPerBlock * keysPerBlock
            while block < tile.upperBound {
                let end = min(block + keysPerBlock, tile.upperBound)
                let keyOffset = slot.offset(head: keyValueHead, position: block)
                MatrixProduct.tile(
                    queries.pointer + start, rows: rows, stride: stride,
                    slot.keys.pointer + keyOffset, columns: end - block, depth: width,
                    into: scores, outStride: keysPerBlock)
                for row in 0..<rows {
                    let position = tile.lowerBound + row
                    let low = max(block, window.map { position - $0 + 1 } ?? 0)
                    let high = min(end, position + 1)
                    let line = scores + row * keysPerBlock
                    guard low < high else {
                        memset(line, 0, (end - block) * 4)
                        continue
                    }
                    memset(line, 0, (low - block) * 4)
                    memset(line + (high - block), 0, (end - high) * 4)
                    let correction = etd_softmax_block(
                        line + (low - block), high - low, scale, maxima + row, sums + row)
                    if correction != 1 { etd_scale(mixed + row * width, correction, width) }
                }
                MatrixProduct.accumulateTile(
                    scores, rows: rows, stride: keysPerBlock, slot.values.pointer + keyOffset,
                    columns: width, depth: end - block, bStride: width, into: mixed,
                    outStride: width)
                block = end
            }
            for row in 0..<rows {
                let target = out.pointer + start + row * stride
                memcpy(target, mixed + row * width, width * 4)
                etd_scale(target, 1 / sums[row], width)
            }
        }
    }
    /// The weights themselves, for who wants to look at them: each row's whole softmax at once.
    ///
    /// - Parameters:
    ///   - queries: [T, heads, head dimension], rotated; T = positions.count.
    ///   - out: [T, heads, positions.upperBound], 0 for keys that a query does not see.
    package static func pattern(
        queries: FloatBuffer, slot: KeyValueSlot, heads: Int, keyValueHeads: Int,
        positions: Range<Int>, window: Int?, scale: Float, out: FloatBuffer
    ) {
        let keys = positions.upperBound
        let width = slot.headDimension
        let tiles = (positions.count + queriesPerTile - 1) / queriesPerTile
        let group = heads / keyValueHeads
        Parallel.forEach(heads * tiles) { item in
            let head = item % heads
            let first = positions.lowerBound + item / heads * queriesPerTile
            let last = min(positions.upperBound, first + queriesPerTile)
            let start = (first - positions.lowerBound) * heads + head
            MatrixProduct.tile(
                queries.pointer + start * width, rows: last - first, stride: heads * width,
                slot.keys.pointer + slot.offset(head: head / group, position: 0), columns: keys,
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
