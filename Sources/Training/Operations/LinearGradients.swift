import CKernels
import Foundation
import Tensors

// The products behind y = x·Wᵀ + b. Shape letters: R rows, K inputs, N outputs; x [R, K], W [N, K], y [R, N].
// Gradients of weights and biases add to what is there; those of inputs replace it or add, as asked.
// Borders of tiles depend on shapes alone, and the depth is taken in order: at f32 the bytes depend on no
// number of threads.

/// A side of a product in memory: its rows (left) or columns (right) of `depth` values each.
struct ProductSide {
    let values: UnsafePointer<Float>
    /// Floats from one line of memory to the next.
    let stride: Int
    /// Whether a line of memory goes across the side's rows or columns, not along the depth.
    let isTurned: Bool
}

package enum LinearGradients {
    /// out[R, N] = x·Wᵀ + b, plus what an adapter adds.
    package static func forward(
        _ x: UnsafePointer<Float>, rows: Int, into targets: [(Linear, UnsafeMutablePointer<Float>)],
        in arithmetic: Arithmetic
    ) {
        MatrixProduct.multiply(
            x, rows: rows, in: arithmetic,
            into: targets.map { .init($0.weight.matrix, out: $1) })
        for (linear, out) in targets {
            linear.adapter?.addForward(x, rows: rows, into: out, in: arithmetic)
            guard let bias = linear.bias?.values else { continue }
            let width = linear.weight.rows
            Rows.forEach(rows) { row in etd_add(out + row * width, bias.pointer, width) }
        }
    }

    /// dx[R, K] = g·W, or += where `adds`.
    static func input(
        _ g: UnsafePointer<Float>, rows: Int, _ weight: Parameter, adds: Bool,
        into dx: UnsafeMutablePointer<Float>, in arithmetic: Arithmetic
    ) {
        product(
            ProductSide(values: g, stride: weight.rows, isTurned: false), rows: rows,
            ProductSide(
                values: weight.values.pointer, stride: weight.columns, isTurned: true),
            columns: weight.columns, depth: weight.rows, adds: adds, into: dx, in: arithmetic)
    }

    /// dW[N, K] += gᵀ·x and db[N] += Σ g, for what of them is trained.
    static func weight(
        _ g: UnsafePointer<Float>, rows: Int, _ x: UnsafePointer<Float>, _ linear: Linear,
        in arithmetic: Arithmetic
    ) {
        if let gradient = linear.weight.gradient {
            product(
                ProductSide(values: g, stride: linear.weight.rows, isTurned: true),
                rows: linear.weight.rows,
                ProductSide(values: x, stride: linear.weight.columns, isTurned: true),
                columns: linear.weight.columns, depth: rows, adds: true,
                into: gradient.pointer, in: arithmetic)
        }
        if let gradient = linear.bias?.gradient {
            Rows.sum(rows, width: linear.weight.rows, into: gradient.pointer) { row, sums in
                etd_add(sums, g + row * linear.weight.rows, linear.weight.rows)
            }
        }
    }

    /// Values of the depth that are laid out together: sides of tiles then stay in the second-level cache.
    private static let depthBlock = 512
    private static let tileColumns = 128
    private static var tileRows: Int { max(1, 224 / PackedRows.rowGranule) * PackedRows.rowGranule }

    /// out[rows, columns] = left·right, or += where `adds`.
    static func product(
        _ left: ProductSide, rows: Int, _ right: ProductSide, columns: Int, depth: Int, adds: Bool,
        into out: UnsafeMutablePointer<Float>, in arithmetic: Arithmetic
    ) {
        let rowStarts = Array(stride(from: 0, to: rows, by: tileRows))
        let columnStarts = Array(stride(from: 0, to: columns, by: tileColumns))
        let block = min(depth, depthBlock)
        let leftFloats = PackedRows.floats(rows: tileRows, width: block, arithmetic)
        let rightFloats = PackedColumns.floats(columns: tileColumns, width: block, arithmetic)
        let needed = rowStarts.count * leftFloats + columnStarts.count * rightFloats
        nonisolated(unsafe) let (left, right, out) = (left, right, out)
        ScratchPool.shared.withFloats(needed) { memory in
            nonisolated(unsafe) let memory = memory
            var lefts = [PackedRows?](repeating: nil, count: rowStarts.count)
            var rights = [PackedColumns?](repeating: nil, count: columnStarts.count)
            for start in stride(from: 0, to: depth, by: block) {
                let range = start..<min(depth, start + block)
                lefts.withUnsafeMutableBufferPointer { lefts in
                    rights.withUnsafeMutableBufferPointer { rights in
                        nonisolated(unsafe) let (lefts, rights) = (lefts, rights)
                        Parallel.forEach(lefts.count + rights.count) { index in
                            if index < lefts.count {
                                let first = rowStarts[index]
                                lefts[index] = packed(
                                    left, first..<min(rows, first + tileRows), range, arithmetic,
                                    memory + index * leftFloats)
                            } else {
                                let place = index - lefts.count
                                let first = columnStarts[place]
                                rights[place] = packed(
                                    right, columns: first..<min(columns, first + tileColumns),
                                    range, arithmetic,
                                    memory + lefts.count * leftFloats + place * rightFloats)
                            }
                        }
                        Parallel.forEach(lefts.count * rights.count) { index in
                            let (place, line) = index.quotientAndRemainder(
                                dividingBy: lefts.count)
                            guard let side = lefts[line], let other = rights[place] else { return }
                            let count = min(rows - rowStarts[line], tileRows)
                            let target = out + rowStarts[line] * columns + columnStarts[place]
                            if adds || start > 0 {
                                other.accumulate(
                                    side, rows: 0..<count, columns: 0..<other.count, into: target,
                                    stride: columns)
                            } else {
                                other.multiply(
                                    side, rows: 0..<count, columns: 0..<other.count, into: target,
                                    stride: columns)
                            }
                        }
                    }
                }
            }
        }
    }

    /// A small product in f32 on the calling thread: out[rows, columns] = left·right, or += where `adds`.
    static func tile(
        _ left: ProductSide, rows: Int, _ right: ProductSide, columns: Int, depth: Int, adds: Bool,
        into out: UnsafeMutablePointer<Float>, stride: Int
    ) {
        let leftFloats = PackedRows.floats(rows: rows, width: depth, .f32)
        let rightFloats = PackedColumns.floats(columns: columns, width: depth, .f32)
        ScratchPool.shared.withFloats(leftFloats + rightFloats) { memory in
            let lines = packed(left, 0..<rows, 0..<depth, .f32, memory)
            let other = packed(
                right, columns: 0..<columns, 0..<depth, .f32, memory + leftFloats)
            if adds {
                other.accumulate(
                    lines, rows: 0..<rows, columns: 0..<columns, into: out, stride: stride)
            } else {
                other.multiply(
                    lines, rows: 0..<rows, columns: 0..<columns, into: out, stride: stride)
            }
        }
    }

    private static func packed(
        _ side: ProductSide, _ rows: Range<Int>, _ depth: Range<Int>, _ arithmetic: Arithmetic,
        _ memory: UnsafeMutablePointer<Float>
    ) -> PackedRows {
        if side.isTurned {
            return PackedRows(
                turned: side.values + depth.lowerBound * side.stride + rows.lowerBound,
                count: rows.count, width: depth.count, stride: side.stride, arithmetic,
                memory: memory)
        }
        let packed = PackedRows(memory, width: depth.count, arithmetic)
        for row in rows {
            packed.store(
                side.values + row * side.stride + depth.lowerBound, row: row - rows.lowerBound)
        }
        return packed
    }

    private static func packed(
        _ side: ProductSide, columns: Range<Int>, _ depth: Range<Int>, _ arithmetic: Arithmetic,
        _ memory: UnsafeMutablePointer<Float>
    ) -> PackedColumns {
        guard side.isTurned else {
            return PackedColumns(
                side.values + columns.lowerBound * side.stride + depth.lowerBound,
                count: columns.count, width: depth.count, stride: side.stride, arithmetic,
                memory: memory)
        }
        let start = side.values + depth.lowerBound * side.stride + columns.lowerBound
        guard arithmetic == .bf16, BF16Engine.current == .oneDNN else {
            return PackedColumns(
                turned: start, count: columns.count, width: depth.count, stride: side.stride,
                arithmetic, memory: memory)
        }
        // oneDNN's layout is made of lines that stand close together.
        return ScratchPool.shared.withFloats(depth.count * columns.count) { lines in
            for line in 0..<depth.count {
                memcpy(lines + line * columns.count, start + line * side.stride, columns.count * 4)
            }
            return PackedColumns(
                turned: lines, count: columns.count, width: depth.count, stride: columns.count,
                arithmetic, memory: memory)
        }
    }
}
