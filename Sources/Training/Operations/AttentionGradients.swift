import CKernels
import Foundation
import Tensors

/// Causal softmax attention over whole sequences and its gradients, in f32, a tile of queries at a time: the
/// weights are kept as one log Σ exp for each query and head and computed again on the way back (Dao et al.,
/// arXiv 2205.14135), so that no [T, T] matrix exists.
///
/// B sequences of T rows; H query heads, G heads of keys and values, D values a head. Rows of queries and
/// what is mixed are [H, D], of keys and values [G, D]. Items of work are a sequence and a head: the bytes do
/// not depend on threads.
package struct TrainingAttention {
    let sequences: Int
    let length: Int
    let heads: Int
    let keyValueHeads: Int
    let width: Int
    /// Positions a query sees, itself included; nil for all before it.
    let window: Int?
    /// Factor of the scores.
    let scale: Float
    /// The first position that a row may see, where documents do not see each other: [B · T]; nil for none.
    var firstVisible: [Int32]?

    private static let tile = 64

    package init(
        sequences: Int, length: Int, heads: Int, keyValueHeads: Int, width: Int, window: Int?,
        scale: Float, firstVisible: [Int32]? = nil
    ) {
        self.sequences = sequences
        self.length = length
        self.heads = heads
        self.keyValueHeads = keyValueHeads
        self.width = width
        self.window = window
        self.scale = scale
        self.firstVisible = firstVisible
    }

    private var queryStride: Int { heads * width }
    private var keyStride: Int { keyValueHeads * width }

    private func lines(_ values: UnsafePointer<Float>, _ stride: Int) -> ProductSide {
        ProductSide(values: values, stride: stride, isTurned: false)
    }

    private func turned(_ values: UnsafePointer<Float>, _ stride: Int) -> ProductSide {
        ProductSide(values: values, stride: stride, isTurned: true)
    }

    /// Positions that the row at `position` of `sequence` sees.
    private func visible(_ sequence: Int, _ position: Int) -> Range<Int> {
        var low = window.map { max(0, position - $0 + 1) } ?? 0
        if let firstVisible {
            low = max(low, Int(firstVisible[sequence * length + position]))
        }
        return low..<position + 1
    }

    /// Positions that some row of a tile sees.
    private func keys(_ sequence: Int, _ tile: Range<Int>) -> Range<Int> {
        visible(sequence, tile.lowerBound).lowerBound..<tile.upperBound
    }

    private var tiles: [Range<Int>] {
        stride(from: 0, to: length, by: Self.tile).map { $0..<min(length, $0 + Self.tile) }
    }

    /// mixed[B·T, H, D] = softmax(scale · q·kᵀ)·v, and log Σ exp of each query's scores into `logSums`
    /// [B·T, H].
    package func forward(
        query: UnsafePointer<Float>, key: UnsafePointer<Float>, value: UnsafePointer<Float>,
        mixed: UnsafeMutablePointer<Float>, logSums: UnsafeMutablePointer<Float>
    ) {
        nonisolated(unsafe) let (query, key, value) = (query, key, value)
        nonisolated(unsafe) let (mixed, logSums) = (mixed, logSums)
        let tiles = self.tiles
        let perTile = sequences * heads
        Parallel.forEach(perTile * tiles.count) { item in
            // Later tiles see more keys and go first.
            let tile = tiles[tiles.count - 1 - item / perTile]
            let (sequence, head) = (item % perTile).quotientAndRemainder(dividingBy: heads)
            let group = head / (heads / keyValueHeads)
            let keys = keys(sequence, tile)
            let first = sequence * length
            ScratchPool.shared.withFloats(tile.count * keys.count) { scores in
                let q = query + (first + tile.lowerBound) * queryStride + head * width
                let k = key + (first + keys.lowerBound) * keyStride + group * width
                let v = value + (first + keys.lowerBound) * keyStride + group * width
                LinearGradients.tile(
                    lines(q, queryStride), rows: tile.count, lines(k, keyStride),
                    columns: keys.count, depth: width, adds: false, into: scores,
                    stride: keys.count)
                for position in tile {
                    let line = scores + (position - tile.lowerBound) * keys.count
                    let seen = visible(sequence, position)
                    let (low, high) = (
                        seen.lowerBound - keys.lowerBound, seen.upperBound - keys.lowerBound
                    )
                    memset(line, 0, low * 4)
                    memset(line + high, 0, (keys.count - high) * 4)
                    var maximum = -Float.infinity
                    var sum: Float = 0
                    _ = etd_softmax_block(line + low, high - low, scale, &maximum, &sum)
                    etd_scale(line + low, 1 / sum, high - low)
                    logSums[(first + position) * heads + head] = maximum + log(sum)
                }
                let out = mixed + (first + tile.lowerBound) * queryStride + head * width
                LinearGradients.tile(
                    lines(scores, keys.count), rows: tile.count, turned(v, keyStride),
                    columns: width, depth: keys.count, adds: false, into: out,
                    stride: queryStride)
            }
        }
    }

    /// What the forward pass had and left.
    package struct Kept {
        package let query, key, value, mixed, logSums: UnsafePointer<Float>

        package init(
            query: UnsafePointer<Float>, key: UnsafePointer<Float>, value: UnsafePointer<Float>,
            mixed: UnsafePointer<Float>, logSums: UnsafePointer<Float>
        ) {
            self.query = query
            self.key = key
            self.value = value
            self.mixed = mixed
            self.logSums = logSums
        }
    }

    /// Gradients in queries, keys and values from that of `mixed`: with P the weights and δ = Σ g·mixed of a
    /// row, dP = g·vᵀ, dS = P·(dP - δ)·scale, dq = dS·k, dk = dSᵀ·q, dv = Pᵀ·g. All three are replaced.
    package func backward(
        _ kept: Kept, gradient: UnsafePointer<Float>, query dq: UnsafeMutablePointer<Float>,
        key dk: UnsafeMutablePointer<Float>, value dv: UnsafeMutablePointer<Float>
    ) {
        nonisolated(unsafe) let (kept, gradient, dq, dk, dv) = (kept, gradient, dq, dk, dv)
        let tiles = self.tiles
        let group = heads / keyValueHeads
        Parallel.forEach(sequences * keyValueHeads) { item in
            let (sequence, keyHead) = item.quotientAndRemainder(dividingBy: keyValueHeads)
            let first = sequence * length
            for position in 0..<length {
                let place = (first + position) * keyStride + keyHead * width
                memset(dk + place, 0, width * 4)
                memset(dv + place, 0, width * 4)
            }
            for head in keyHead * group..<(keyHead + 1) * group {
                for tile in tiles {
                    backward(kept, gradient, dq, dk, dv, sequence, keyHead, head, tile)
                }
            }
        }
    }

    /// One head, one tile of queries, on the calling thread.
    private func backward(
        _ kept: Kept, _ gradient: UnsafePointer<Float>, _ dq: UnsafeMutablePointer<Float>,
        _ dk: UnsafeMutablePointer<Float>, _ dv: UnsafeMutablePointer<Float>, _ sequence: Int,
        _ keyHead: Int, _ head: Int, _ tile: Range<Int>
    ) {
        let keys = keys(sequence, tile)
        let first = sequence * length
        let queries = (first + tile.lowerBound) * queryStride + head * width
        let columns = (first + keys.lowerBound) * keyStride + keyHead * width
        let (q, k, v) = (kept.query + queries, kept.key + columns, kept.value + columns)
        let g = gradient + queries
        ScratchPool.shared.withFloats(2 * tile.count * keys.count) { weights in
            let changes = weights + tile.count * keys.count
            LinearGradients.tile(
                lines(q, queryStride), rows: tile.count, lines(k, keyStride),
                columns: keys.count, depth: width, adds: false, into: weights, stride: keys.count)
            LinearGradients.tile(
                lines(g, queryStride), rows: tile.count, lines(v, keyStride),
                columns: keys.count, depth: width, adds: false, into: changes, stride: keys.count)
            for position in tile {
                let row = position - tile.lowerBound
                let (line, change) = (weights + row * keys.count, changes + row * keys.count)
                let seen = visible(sequence, position)
                let low = seen.lowerBound - keys.lowerBound
                let high = seen.upperBound - keys.lowerBound
                for part in [line, change] {
                    memset(part, 0, low * 4)
                    memset(part + high, 0, (keys.count - high) * 4)
                }
                etd_scaled_exp(
                    line + low, scale, kept.logSums[(first + position) * heads + head], 1,
                    high - low)
                let mean = etd_dot(
                    g + row * queryStride, kept.mixed + queries + row * queryStride, width)
                etd_softmax_backward(line + low, change + low, mean, scale, high - low)
            }
            LinearGradients.tile(
                turned(weights, keys.count), rows: keys.count, turned(g, queryStride),
                columns: width, depth: tile.count, adds: true, into: dv + columns,
                stride: keyStride)
            LinearGradients.tile(
                lines(changes, keys.count), rows: tile.count, turned(k, keyStride),
                columns: width, depth: keys.count, adds: false, into: dq + queries,
                stride: queryStride)
            LinearGradients.tile(
                turned(changes, keys.count), rows: keys.count, turned(q, queryStride),
                columns: width, depth: tile.count, adds: true, into: dk + columns,
                stride: keyStride)
        }
    }
}
