// The one pass over the unembedding against a plain softmax in f64, in f32 and, where the CPU multiplies
// it, in bf16; vocabularies that fill no panel and rows that fill no tile.

import Checkpoints
import Foundation
import LensTraining
import Models
import Tensors
import TestSupport
import Testing

@Suite struct ObjectiveTests {
    /// A model whose unembedding is as long as several panels and an odd rest.
    private func model(vocabulary: Int, _ arithmetic: Arithmetic) throws -> (Transformer, [Float]) {
        var copy = try EditableCheckpoint(Locations.golden("models/llama-gqa"))
        var random = SeededRandom(5)
        let width = 32
        let weight = random.normals(vocabulary * width, deviation: 0.7)
        for name in ["model.embed_tokens.weight", "lm_head.weight"] where copy.tensors[name] != nil
        {
            copy.tensors[name] = .init(shape: [vocabulary, width], values: weight)
        }
        copy.config["vocab_size"] = .number(vocabulary)
        let directory = try copy.write()
        defer { withExtendedLifetime(directory) {} }
        return (
            try Transformer.load(Checkpoint.open(directory.path), arithmetic: arithmetic), weight
        )
    }

    private func largestErrors(
        vocabulary: Int, rows: Int, _ arithmetic: Arithmetic
    ) throws -> (sums: Double, expected: Double) {
        let (model, weight) = try model(vocabulary: vocabulary, arithmetic)
        let width = model.configuration.hiddenSize
        var random = SeededRandom(6)
        let normed = random.normals(rows * width, deviation: 1.5)
        let memory = FloatBuffer(count: PackedRows.floats(rows: rows, width: width, arithmetic))
        let packed = PackedRows(memory.pointer, width: width, arithmetic)
        for row in 0..<rows {
            normed.withUnsafeBufferPointer {
                packed.store($0.baseAddress! + row * width, row: row)
            }
        }
        let expected = FloatBuffer(count: rows * width)
        let sums = FloatBuffer(count: rows)
        let nonFinite = LensObjective(model: model).run(
            packed, rows: rows, expected: expected.pointer, logSums: sums.pointer)
        #expect(nonFinite.isEmpty)
        var worst = (sums: 0.0, expected: 0.0)
        for row in stride(from: 0, to: rows, by: max(1, rows / 7)) {
            let logits = (0..<vocabulary).map { id in
                (0..<width).reduce(0.0) {
                    $0 + Double(normed[row * width + $1]) * Double(weight[id * width + $1])
                }
            }
            let logSum = log(logits.reduce(0) { $0 + exp($1) })
            worst.sums = max(worst.sums, abs(Double(sums[row]) - logSum))
            for place in 0..<width {
                let mean = (0..<vocabulary).reduce(0.0) {
                    $0 + exp(logits[$1] - logSum) * Double(weight[$1 * width + place])
                }
                worst.expected = max(
                    worst.expected, abs(Double(expected[row * width + place]) - mean))
            }
        }
        return worst
    }

    @Test(arguments: [(131, 1), (256, 300), (1000, 13), (777, 505)])
    func expectationsAreThoseOfAPlainSoftmax(_ vocabulary: Int, _ rows: Int) throws {
        let errors = try largestErrors(vocabulary: vocabulary, rows: rows, .f32)
        #expect(errors.sums < 2e-5 && errors.expected < 2e-5, "\(errors)")
    }

    @Test(.enabled(if: Arithmetic.bf16.isAvailable, "this CPU multiplies no bf16"))
    func roundedProductsStayNear() throws {
        let errors = try largestErrors(vocabulary: 777, rows: 300, .bf16)
        #expect(errors.sums < 0.1 && errors.expected < 0.1, "\(errors)")
        #expect(errors.expected > 1e-5, "not rounded at all: \(errors)")
    }
}
