// Blocked attention against a plain softmax in f64, in each arithmetic.

import Foundation
import Models
import Tensors
import TestSupport
import Testing

@Suite struct AttentionTests {
    struct Shape: Sendable, CustomStringConvertible {
        let positions, heads, keyValueHeads, width: Int
        let window: Int?

        var description: String {
            "\(positions) positions, \(heads)/\(keyValueHeads) heads of \(width), "
                + (window.map { "window \($0)" } ?? "no window")
        }
    }

    /// Blocks of keys are 256 long, tiles of queries 64; widths that are no multiple of a vector.
    static let shapes = [
        Shape(positions: 1, heads: 2, keyValueHeads: 1, width: 8, window: nil),
        Shape(positions: 70, heads: 3, keyValueHeads: 3, width: 10, window: 7),
        Shape(positions: 300, heads: 4, keyValueHeads: 2, width: 33, window: nil),
        Shape(positions: 515, heads: 2, keyValueHeads: 1, width: 64, window: 260),
    ]

    /// The nearest bfloat16, ties to even.
    private static func rounded(_ x: Float) -> Float {
        let bits = x.bitPattern
        return Float(bitPattern: (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000)
    }

    private static func buffer(_ values: [Float]) -> FloatBuffer {
        let buffer = FloatBuffer(count: values.count)
        for (index, value) in values.enumerated() { buffer[index] = value }
        return buffer
    }

    /// Softmax of scaled products over the keys that a query sees: [T, heads, width].
    private static func naive(
        _ shape: Shape, _ queries: [Float], _ keys: [Float], _ values: [Float], scale: Double
    ) -> [Double] {
        var out: [Double] = []
        let width = shape.width
        for position in 0..<shape.positions {
            let first = shape.window.map { max(0, position - $0 + 1) } ?? 0
            for head in 0..<shape.heads {
                let query = (position * shape.heads + head) * width
                let slot = head / (shape.heads / shape.keyValueHeads) * shape.positions
                let scores = (first...position).map { key in
                    scale
                        * (0..<width).reduce(0) {
                            $0 + Double(queries[query + $1])
                                * Double(keys[(slot + key) * width + $1])
                        }
                }
                let weights = scores.map { exp($0 - scores.max()!) }
                let total = weights.reduce(0, +)
                out += (0..<width).map { index in
                    zip(first...position, weights).reduce(0) {
                        $0 + $1.1 * Double(values[(slot + $1.0) * width + index])
                    } / total
                }
            }
        }
        return out
    }

    /// Queries [T, heads, width]; keys and values [heads, T, width].
    private struct Inputs {
        let queries, keys, values: [Float]

        init(_ shape: Shape) {
            var random = SeededRandom(UInt64(shape.positions))
            let stored = shape.positions * shape.keyValueHeads * shape.width
            queries = random.normals(shape.positions * shape.heads * shape.width)
            keys = random.normals(stored)
            values = random.normals(stored)
        }
    }

    private static func scale(_ shape: Shape) -> Float { 1 / Float(shape.width).squareRoot() }

    private static func attend(
        _ shape: Shape, _ inputs: Inputs, _ arithmetic: Arithmetic
    ) -> [Double] {
        var slot = KeyValueSlot(heads: shape.keyValueHeads, headDimension: shape.width)
        slot.prepare(0..<shape.positions)
        for head in 0..<shape.keyValueHeads {
            for position in 0..<shape.positions {
                for index in 0..<shape.width {
                    let source = (head * shape.positions + position) * shape.width + index
                    slot.key(head: head, position: position)?[index] = inputs.keys[source]
                    slot.value(head: head, position: position)?[index] = inputs.values[source]
                }
            }
        }
        let out = FloatBuffer(count: inputs.queries.count)
        BlockedAttention(
            queries: buffer(inputs.queries),
            texts: [.init(rows: 0..<shape.positions, position: 0, slot: slot)],
            heads: shape.heads, keyValueHeads: shape.keyValueHeads, window: shape.window,
            scale: scale(shape), arithmetic: arithmetic, out: out
        ).run()
        return (0..<out.count).map { Double(out[$0]) }
    }

    private static func differences(_ a: [Double], _ b: [Double]) -> [Double] {
        zip(a, b).map { ($0 - $1).magnitude }.sorted()
    }

    @Test(arguments: shapes, Arithmetic.allCases)
    func isSoftmaxOverTheKeysThatAreSeen(_ shape: Shape, _ arithmetic: Arithmetic) {
        guard arithmetic.isAvailable else { return }
        let inputs = Inputs(shape)
        let rounds = arithmetic.ofActivations != .f32
        let side = { (values: [Float]) in rounds ? values.map(Self.rounded) : values }
        let expected = Self.naive(
            shape, side(inputs.queries), side(inputs.keys), side(inputs.values),
            scale: Double(Self.scale(shape)))
        let found = Self.differences(Self.attend(shape, inputs, arithmetic), expected)
        // Rounded weights are off by 2⁻⁹ of themselves at most, so is what they mix; |v| is below 5.
        #expect(found.last! <= (rounds ? 5 * 0x1p-9 : 3e-6))
    }

    /// Few weights lie so near to the middle of two bfloat16 that a sum in another order tips them.
    @Test(arguments: shapes) func bf16IsItsTwin(_ shape: Shape) {
        guard Arithmetic.bf16.isAvailable, Arithmetic.bf16.ofActivations == .bf16 else { return }
        let inputs = Inputs(shape)
        let twin = Self.attend(shape, inputs, .bf16Rounded)
        let found = Self.differences(Self.attend(shape, inputs, .bf16), twin)
        #expect(found[found.count / 2] <= 1e-6 && found.last! <= 5 * 0x1p-9)
        // While f32 is another thing.
        let other = Self.differences(Self.attend(shape, inputs, .f32), twin)
        #expect(other[other.count / 2] > 1e-4)
    }
}
