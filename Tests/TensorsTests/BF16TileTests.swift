// The project's own bf16 tile against f64, and what it promises of its bytes. Only on a CPU with
// AVX512-BF16; oneDNN's products and the plain twin are in ProductKernelTests.

import CKernels
import Foundation
import Tensors
import TestSupport
import Testing

@Suite(.enabled(if: etd_multiplies_bf16() == 1, "this CPU, or ETD_CPU, has no AVX512-BF16"))
struct BF16TileTests {
    typealias Shape = ProductKernelTests.Shape

    /// Beside the odd ones, a depth of several parts.
    static let shapes =
        ProductKernelTests.shapes + [
            Shape(rows: 15, columns: 32, depth: 64), Shape(rows: 31, columns: 65, depth: 2047),
            Shape(rows: 14, columns: 31, depth: 4101), Shape(rows: 257, columns: 5, depth: 2050),
        ]

    private static func halves(_ values: [Float]) -> [UInt16] {
        var out = [UInt16](repeating: 0, count: values.count)
        etd_round_bf16(values, &out, values.count)
        return out
    }

    static func packedLeft(_ left: [Float], _ shape: Shape) -> [UInt16] {
        let stride = etd_left_stride_bf16(shape.depth)
        // What is no value of a row, and no pair's second half, is never used: NaN would show.
        var packed = [UInt16](repeating: 0x7FC0, count: shape.rows * stride)
        for row in 0..<shape.rows {
            let values = halves(Array(left[row * shape.depth..<(row + 1) * shape.depth]))
            packed.replaceSubrange(row * stride..<row * stride + shape.depth, with: values)
            if shape.depth % 2 == 1 { packed[row * stride + shape.depth] = 0 }
        }
        return packed
    }

    static func packedRight(_ right: [Float], _ shape: Shape, gap: Int = 0) -> [UInt16] {
        let stride = shape.depth + gap
        var source = [UInt16](repeating: 0x7FC0, count: shape.columns * stride)
        for column in 0..<shape.columns {
            source.replaceSubrange(
                column * stride..<column * stride + shape.depth,
                with: halves(Array(right[column * shape.depth..<(column + 1) * shape.depth])))
        }
        var packed = [UInt16](
            repeating: 0x7FC0, count: etd_right_size_bf16(shape.columns, shape.depth))
        etd_pack_right_bf16(source, shape.columns, stride, shape.depth, &packed)
        return packed
    }

    private static func product(
        _ left: [Float], _ right: [Float], _ shape: Shape, gap: Int = 0, adding: Float? = nil
    ) -> [Float] {
        let stride = shape.columns + gap
        var out = [Float](repeating: adding ?? 42, count: shape.rows * stride)
        etd_product_bf16(
            packedLeft(left, shape), shape.rows, packedRight(right, shape), shape.columns,
            shape.depth, &out, stride, adding == nil ? 0 : 1)
        return out
    }

    @Test(arguments: shapes) func equalsSumsInF64(_ shape: Shape) {
        let (left, right) = ProductKernelTests.matrices(shape)
        let x = left.map { Double(ProductKernelTests.rounded($0)) }
        let w = right.map { Double(ProductKernelTests.rounded($0)) }
        let stride = shape.columns + 3
        for adding in [nil, Float(1.5)] {
            let out = Self.product(left, right, shape, gap: 3, adding: adding)
            for row in 0..<shape.rows {
                for column in 0..<shape.columns {
                    var (sum, size) = (Double(adding ?? 0), 1.0)
                    for index in 0..<shape.depth {
                        let value = x[row * shape.depth + index] * w[column * shape.depth + index]
                        sum += value
                        size += value.magnitude
                    }
                    let difference = Double(out[row * stride + column]) - sum
                    #expect(difference.magnitude <= 1e-6 * size, "row \(row), column \(column)")
                }
                let untouched = out[row * stride + shape.columns..<(row + 1) * stride]
                #expect(untouched.allSatisfy { $0 == adding ?? 42 })
            }
        }
    }

    /// A value's bytes depend on its row and column alone.
    @Test(arguments: shapes) func blockingChangesNoBytes(_ shape: Shape) {
        let (left, right) = ProductKernelTests.matrices(shape)
        let all = Self.product(left, right, shape)
        let depth = shape.depth
        for row in Set([0, shape.rows / 2, shape.rows - 1]) {
            let alone = Self.product(
                Array(left[row * depth..<(row + 1) * depth]), right,
                Shape(rows: 1, columns: shape.columns, depth: depth))
            #expect(
                bits(alone) == bits(Array(all[row * shape.columns..<(row + 1) * shape.columns])))
        }
        let column = shape.columns - 1
        let single = Self.product(
            left, Array(right[column * depth..<(column + 1) * depth]),
            Shape(rows: shape.rows, columns: 1, depth: depth))
        #expect(
            bits(single) == bits((0..<shape.rows).map { all[$0 * shape.columns + column] }))
    }

    /// Rows with values between that belong to others, and columns given turned, pack alike.
    @Test(arguments: shapes) func columnsPackAlike(_ shape: Shape) {
        let (_, right) = ProductKernelTests.matrices(shape)
        let packed = Self.packedRight(right, shape)
        #expect(packed == Self.packedRight(right, shape, gap: 7))
        let stride = shape.columns + 5
        var turned = [Float](repeating: .nan, count: shape.depth * stride)
        for column in 0..<shape.columns {
            for index in 0..<shape.depth {
                turned[index * stride + column] = right[column * shape.depth + index]
            }
        }
        var got = [UInt16](repeating: 0x7FC0, count: packed.count)
        etd_pack_right_turned_bf16(turned, shape.columns, stride, shape.depth, &got)
        #expect(got == packed)
    }

    /// What is no number stays none; values below bf16's smallest normal one count as 0.
    @Test func extremes() {
        let shape = Shape(rows: 1, columns: 1, depth: 3)
        func value(_ x: Float, _ w: Float) -> Float {
            Self.product([1, x, 2], [3, w, 4], shape)[0]
        }
        #expect(value(.infinity, 1) == .infinity)
        #expect(value(.infinity, 0).isNaN)
        #expect(value(.nan, 1).isNaN)
        #expect(value(1e30, 1e30) == .infinity)
        let large = Double(ProductKernelTests.rounded(1e18))
        #expect((Double(value(-1e18, 1e18)) / -(large * large) - 1).magnitude < 1e-6)
        #expect(value(Float.leastNormalMagnitude / 4, 1) == 11)
    }
}
