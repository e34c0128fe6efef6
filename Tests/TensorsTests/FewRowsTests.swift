// Products of few rows, which read a weight as it is stored, have the bytes of the packed products: of
// etd_product and etd_product_bf16 themselves, at each level, and of a row among many others in
// MatrixProduct. That the packed products are right is shown in ProductKernelTests and MatrixProductTests.

import CKernels
import Foundation
import Tensors
import TestSupport
import Testing

@Suite struct FewRowsTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let rows, count, depth: Int
        var testDescription: String { "\(rows) rows, \(count) stored rows of \(depth)" }
    }

    static let cases = [
        Case(rows: 1, count: 1, depth: 1), Case(rows: 1, count: 32, depth: 64),
        Case(rows: 2, count: 31, depth: 33), Case(rows: 3, count: 7, depth: 100),
        Case(rows: 4, count: 17, depth: 577), Case(rows: 1, count: 9, depth: 2),
        Case(rows: 4, count: 32, depth: 15), Case(rows: 2, count: 16, depth: 1023),
        Case(rows: 7, count: 32, depth: 300), Case(rows: 16, count: 5, depth: 77),
    ]

    /// Stored values that are numbers of moderate size: what is drawn at random, but for the scales of the
    /// blocks, which are decoded to something else than that for some types; so only finite ones are kept.
    static func stored(
        _ type: ElementType, rows: Int, depth: Int
    ) -> (bytes: [UInt8], values: [Float]) {
        var random = SeededRandom(UInt64(type.rawValue) &* 1_000_003 &+ UInt64(rows * depth))
        let blocks = rows * depth / type.blockLength
        var bytes: [UInt8] = []
        var values: [Float] = []
        while values.count < blocks * type.blockLength {
            let block: [UInt8]
            if type == .f32 {
                let value = Float.random(in: -1...1, using: &random).bitPattern.littleEndian
                block = withUnsafeBytes(of: value, Array.init)
            } else {
                block = (0..<type.blockBytes).map { _ in UInt8.random(in: 0...255, using: &random) }
            }
            var decoded = [Float](repeating: 0, count: type.blockLength)
            #expect(etd_decode(type.rawValue, block, &decoded, type.blockLength) == 0)
            guard decoded.allSatisfy({ $0.magnitude < 1e4 }) else { continue }
            bytes += block
            values += decoded
        }
        return (bytes, values)
    }

    /// Gives `body` the addresses of rows of `size` bytes, in reverse order.
    private static func withReversed<Result>(
        _ bytes: [UInt8], rows: Int, size: Int,
        _ body: (UnsafePointer<UnsafeRawPointer?>) -> Result
    ) -> Result {
        // One byte off any alignment.
        let moved = [0] + bytes
        return moved.withUnsafeBytes { memory in
            let places = (0..<rows).map { row in
                memory.baseAddress.map { $0 + 1 + (rows - 1 - row) * size }
            }
            return places.withUnsafeBufferPointer { body($0.baseAddress!) }
        }
    }

    private func reversed(_ values: [Float], rows: Int, depth: Int) -> [Float] {
        (0..<rows).reversed().flatMap { values[$0 * depth..<($0 + 1) * depth] }
    }

    private func check(_ type: ElementType, _ shape: Case) {
        let (bytes, values) = Self.stored(type, rows: shape.count, depth: shape.depth)
        let right = reversed(values, rows: shape.count, depth: shape.depth)
        var random = SeededRandom(UInt64(shape.depth))
        let stride = shape.depth + 3
        let x = random.normals(shape.rows * stride)
        let left = (0..<shape.rows).flatMap { x[$0 * stride..<$0 * stride + shape.depth] }
        let outStride = shape.count + 2
        for (found, expected) in atEachLevel({ () -> ([Float], [Float]) in
            var out = [Float](repeating: 42, count: shape.rows * outStride)
            let status = Self.withReversed(
                bytes, rows: shape.count, size: type.bytes(count: shape.depth)
            ) {
                etd_dot_rows(
                    type.rawValue, x, shape.rows, stride, $0, shape.count,
                    type.bytes(count: shape.depth), shape.depth, &out, outStride)
            }
            #expect(status == 0)
            return (
                out,
                ProductKernelTests.product(
                    left, right,
                    .init(rows: shape.rows, columns: shape.count, depth: shape.depth), gap: 2)
            )
        }) {
            #expect(bits(found) == bits(expected))
        }
    }

    @Test(arguments: [ElementType.f32, .bf16, .f16, .f64], cases)
    func plainTypesGiveThePackedBytes(_ type: ElementType, _ shape: Case) { check(type, shape) }

    @Test(arguments: ElementType.allCases.filter { $0.blockLength > 1 })
    func blockTypesGiveThePackedBytes(_ type: ElementType) {
        for (rows, count, blocks) in [
            (1, 5, 1), (2, 32, 3), (3, 17, 2), (4, 31, 9), (5, 32, 8), (8, 6, 11), (9, 32, 1),
            (16, 19, 10),
        ] {
            check(type, Case(rows: rows, count: count, depth: blocks * type.blockLength))
        }
    }

    @Test func whatIsTooMuchOrNoWholeBlockIsRefused() {
        let bytes = [UInt8](repeating: 0, count: 34 * 33)
        let x = [Float](repeating: 0, count: 17 * 32)
        var out = [Float](repeating: 42, count: 17 * 33)
        func status(_ type: ElementType, rows: Int, count: Int, depth: Int) -> Int32 {
            Self.withReversed(bytes, rows: count, size: 34) {
                etd_dot_rows(type.rawValue, x, rows, 32, $0, count, 34, depth, &out, 33)
            }
        }
        #expect(status(.q8_0, rows: 17, count: 1, depth: 32) == -1)
        #expect(status(.q8_0, rows: 1, count: 33, depth: 32) == -1)
        #expect(status(.q8_0, rows: 1, count: 1, depth: 31) == -1)
        #expect(out.allSatisfy { $0 == 42 })
        #expect(status(.q8_0, rows: 16, count: 32, depth: 32) == 0)
    }

    @Test(
        .enabled(if: etd_multiplies_bf16() == 1, "this CPU, or ETD_CPU, has no AVX512-BF16"),
        arguments: cases.filter { $0.rows <= 4 } + [Case(rows: 3, count: 30, depth: 4101)])
    func bf16GivesThePackedBytes(_ shape: Case) {
        let (bytes, values) = Self.stored(.bf16, rows: shape.count, depth: shape.depth)
        let right = reversed(values, rows: shape.count, depth: shape.depth)
        var random = SeededRandom(UInt64(shape.depth))
        let left = BF16TileTests.packedLeft(
            random.normals(shape.rows * shape.depth),
            .init(rows: shape.rows, columns: 1, depth: shape.depth))
        let packed = BF16TileTests.packedRight(
            right, .init(rows: 1, columns: shape.count, depth: shape.depth))
        let stride = shape.count + 2
        var expected = [Float](repeating: 42, count: shape.rows * stride)
        var out = expected
        etd_product_bf16(
            left, shape.rows, packed, shape.count, shape.depth, &expected, stride, 0)
        Self.withReversed(bytes, rows: shape.count, size: 2 * shape.depth) {
            etd_dot_rows_bf16(left, shape.rows, $0, shape.count, shape.depth, &out, stride)
        }
        #expect(bits(out) == bits(expected))
    }

    /// What a batch gives a row is what it gets alone or among few, in every arithmetic that promises it.
    @Test(arguments: Arithmetic.allCases, [ElementType.f32, .bf16, .q8_0])
    func aRowAloneHasTheBytesOfABatch(_ arithmetic: Arithmetic, _ type: ElementType) {
        guard arithmetic.isAvailable else { return }
        guard arithmetic != .bf16 || BF16Engine.current == .tile else { return }
        let (rows, columns, depth) = (37, 203, 96)
        var random = SeededRandom(77)
        let x = random.normals(rows * depth)
        let bias = random.normals(columns)
        let order = (0..<Int32(columns)).shuffled(using: &random)
        for order in [nil, order] {
            let weight = StoredWeight(type, rows: columns, columns: depth, order: order)
            func product(_ range: Range<Int>) -> [Float] {
                var out = [Float](repeating: .nan, count: range.count * columns)
                out.withUnsafeMutableBufferPointer { out in
                    MatrixProduct.multiply(
                        Array(x[range.lowerBound * depth..<range.upperBound * depth]),
                        rows: range.count, in: arithmetic,
                        into: [.init(weight.matrix, bias: bias, out: out.baseAddress!)])
                }
                return out
            }
            let all = product(0..<rows)
            for first in [0, 5, 20] {
                for count in [1, 2, 3, 4, 5, 6, 8, 9, 16, 17] {
                    let part = all[first * columns..<(first + count) * columns]
                    #expect(bits(product(first..<first + count)) == bits(Array(part)))
                }
            }
        }
    }

    private func atEachLevel<Result>(_ body: () -> Result) -> [Result] {
        let before = etd_cpu_level()
        defer { etd_cpu_set_level(before) }
        return (0...etd_cpu_best_level()).map { level in
            #expect(etd_cpu_set_level(level) == 0)
            return body()
        }
    }
}
