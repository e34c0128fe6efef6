// The packed product kernel and oneDNN against OpenBLAS and f64, and what the kernel promises of its
// bytes. bf16 by oneDNN is compared only on a CPU that multiplies bf16; its plain twin on every one.

import CKernels
import COneDNN
import Foundation
import Tensors
import TestSupport
import Testing

@Suite struct ProductKernelTests {
    struct Shape: Sendable, CustomTestStringConvertible {
        let rows, columns, depth: Int
        var testDescription: String { "[\(rows), \(depth)] · [\(columns), \(depth)]ᵀ" }
    }

    static let shapes = [
        Shape(rows: 1, columns: 1, depth: 1), Shape(rows: 5, columns: 15, depth: 3),
        Shape(rows: 6, columns: 16, depth: 320), Shape(rows: 7, columns: 17, depth: 321),
        Shape(rows: 29, columns: 67, depth: 577), Shape(rows: 43, columns: 33, depth: 1000),
    ]

    /// The kernel's product of plain matrices, with rows of `gap` more values than it may write.
    static func product(
        _ left: [Float], _ right: [Float], _ shape: Shape, gap: Int = 0
    ) -> [Float] {
        let stride = shape.columns + gap
        let rowStrip = Int(etd_left_strip())
        let columnStrip = Int(etd_right_strip())
        func whole(_ count: Int, _ strip: Int) -> Int { (count + strip - 1) / strip * strip }
        let packedLeft = FloatBuffer(count: whole(shape.rows, rowStrip) * shape.depth)
        let packedRight = FloatBuffer(count: whole(shape.columns, columnStrip) * shape.depth)
        left.withUnsafeBufferPointer { left in
            for row in 0..<shape.rows {
                etd_pack_left(
                    left.baseAddress! + row * shape.depth, row, shape.depth, packedLeft.pointer)
            }
        }
        etd_pack_right(right, shape.columns, shape.depth, shape.depth, packedRight.pointer)
        var out = [Float](repeating: 42, count: shape.rows * stride)
        etd_product(
            packedLeft.pointer, shape.rows, packedRight.pointer, shape.columns, shape.depth, &out,
            stride)
        return out
    }

    static func matrices(_ shape: Shape) -> (left: [Float], right: [Float]) {
        var random = SeededRandom(UInt64(shape.rows * 31 + shape.depth))
        return (
            random.normals(shape.rows * shape.depth), random.normals(shape.columns * shape.depth)
        )
    }

    private func expectClose(_ values: [Float], _ expected: [Float], depth: Int) {
        for (value, other) in zip(values, expected) {
            #expect((value - other).magnitude <= 2e-6 * Float(depth).squareRoot() * 8)
        }
    }

    @Test(arguments: shapes) func equalsOpenBLAS(_ shape: Shape) {
        let (left, right) = Self.matrices(shape)
        var plain = [Float](repeating: .nan, count: shape.rows * shape.columns)
        MatrixProduct.tile(
            left, rows: shape.rows, stride: shape.depth, right, columns: shape.columns,
            depth: shape.depth, into: &plain, outStride: shape.columns)
        let wide = Self.product(left, right, shape, gap: 3)
        let stride = shape.columns + 3
        let inner = (0..<shape.rows).flatMap { row in
            wide[row * stride..<row * stride + shape.columns]
        }
        expectClose(inner, plain, depth: shape.depth)
        for row in 0..<shape.rows {
            #expect(wide[row * stride + shape.columns..<(row + 1) * stride].allSatisfy { $0 == 42 })
        }
    }

    /// Columns given turned, with values between that belong to others, are the same columns.
    @Test(arguments: shapes) func turnedColumnsPackAlike(_ shape: Shape) {
        let (_, right) = Self.matrices(shape)
        let stride = shape.columns + 5
        var turned = [Float](repeating: .nan, count: max(1, shape.depth * stride))
        for column in 0..<shape.columns {
            for index in 0..<shape.depth {
                turned[index * stride + column] = right[column * shape.depth + index]
            }
        }
        let strip = Int(etd_right_strip())
        let count = (shape.columns + strip - 1) / strip * strip * shape.depth
        var expected = [Float](repeating: 42, count: max(1, count))
        var got = expected
        etd_pack_right(right, shape.columns, shape.depth, shape.depth, &expected)
        etd_pack_right_turned(turned, shape.columns, stride, shape.depth, &got)
        #expect(bits(got) == bits(expected))
    }

    /// One row alone, and one column alone, have the bytes that they have among others.
    @Test(arguments: shapes) func bytesDoNotDependOnTheOtherRows(_ shape: Shape) {
        let (left, right) = Self.matrices(shape)
        let all = Self.product(left, right, shape)
        let (row, column) = (shape.rows - 1, shape.columns / 2)
        let alone = Self.product(
            Array(left[row * shape.depth..<(row + 1) * shape.depth]), right,
            Shape(rows: 1, columns: shape.columns, depth: shape.depth))
        #expect(bits(alone) == bits(Array(all[row * shape.columns..<(row + 1) * shape.columns])))
        let single = Self.product(
            left, Array(right[column * shape.depth..<(column + 1) * shape.depth]),
            Shape(rows: shape.rows, columns: 1, depth: shape.depth))
        #expect(
            bits(single)
                == bits((0..<shape.rows).map { all[$0 * shape.columns + column] }))
    }

    @Test(
        .enabled(if: Arithmetic.oneDNNVersion != nil, "this build has no oneDNN"),
        arguments: shapes)
    func oneDNNEqualsOpenBLAS(_ shape: Shape) {
        let (left, right) = Self.matrices(shape)
        var plain = [Float](repeating: .nan, count: shape.rows * shape.columns)
        MatrixProduct.tile(
            left, rows: shape.rows, stride: shape.depth, right, columns: shape.columns,
            depth: shape.depth, into: &plain, outStride: shape.columns)
        var out = [Float](repeating: .nan, count: shape.rows * shape.columns)
        let status = etd_onednn_multiply(
            Int32(ETD_ONEDNN_F32.rawValue), left, shape.rows, shape.depth, right, shape.columns,
            shape.depth, shape.depth, &out, shape.columns)
        #expect(status == 0)
        expectClose(out, plain, depth: shape.depth)
    }

    // MARK: bf16

    @Test func bf16RoundsToNearestEven() {
        let cases: [(UInt32, UInt16)] = [
            (0x3F80_0000, 0x3F80), (0x3F80_8000, 0x3F80), (0x3F81_8000, 0x3F82),
            (0x3F80_8001, 0x3F81), (0x7F7F_FFFF, 0x7F80), (0x7F80_0000, 0x7F80),
            (0xFF80_0000, 0xFF80), (0x8000_0000, 0x8000), (0x0000_8001, 0x0001),
            (0x7F80_0001, 0x7FC0), (0xFFC1_2345, 0xFFC1),
        ]
        var out = [UInt16](repeating: 1, count: cases.count)
        etd_round_bf16(cases.map { Float(bitPattern: $0.0) }, &out, cases.count)
        // A signalling NaN may come quiet out of a register.
        for (value, expected) in zip(out, cases.map(\.1)) { #expect(value == expected) }
    }

    static func rounded(_ value: Float) -> Float {
        var half: UInt16 = 0
        etd_round_bf16([value], &half, 1)
        return Float(bitPattern: UInt32(half) << 16)
    }

    /// A weight over `values`, stored in f32.
    static func weight(_ values: [Float], _ shape: Shape) -> WeightMatrix {
        let buffer = FloatBuffer(count: values.count)
        for (index, value) in values.enumerated() { buffer[index] = value }
        return WeightMatrix(
            type: .f32, rows: shape.columns, columns: shape.depth,
            bytes: UnsafeRawBufferPointer(start: buffer.pointer, count: values.count * 4),
            owner: buffer)
    }

    @Test(arguments: shapes, [Arithmetic.bf16Rounded, .bf16])
    func bf16RoundsBothSides(_ shape: Shape, _ arithmetic: Arithmetic) {
        guard arithmetic.isAvailable else { return }
        let (left, right) = Self.matrices(shape)
        var out = [Float](repeating: .nan, count: shape.rows * shape.columns)
        out.withUnsafeMutableBufferPointer { out in
            MatrixProduct.multiply(
                left, rows: shape.rows, in: arithmetic,
                into: [.init(Self.weight(right, shape), out: out.baseAddress!)])
        }
        let x = left.map { Double(Self.rounded($0)) }
        let w = right.map { Double(Self.rounded($0)) }
        for row in 0..<shape.rows {
            for column in 0..<shape.columns {
                let products = (0..<shape.depth).map {
                    x[row * shape.depth + $0] * w[column * shape.depth + $0]
                }
                let magnitude = products.reduce(0) { $0 + $1.magnitude }
                let difference = Double(out[row * shape.columns + column]) - products.reduce(0, +)
                #expect(difference.magnitude <= 1e-6 * magnitude)
            }
        }
    }
}
