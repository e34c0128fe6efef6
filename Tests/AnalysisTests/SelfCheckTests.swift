// Each self-check is made to fail, and a run that one of them stops goes no further than its first document.

import Analysis
import Checkpoints
import Corpus
import Foundation
import Models
import Plans
import Tensors
import TestSupport
import Testing

@Suite struct SelfCheckTests {
    /// What the check says of two layers and two positions of width 3, the last state as given.
    private func residualSum(
        _ final: [Float], contribution: [Float] = [1, 0, -1, 2, 0, 0]
    ) -> Double {
        let check = ResidualSumCheck(width: 3, boundaries: 3)
        func show(_ site: Site, _ index: Int, _ values: [Float]) {
            values.withUnsafeBufferPointer {
                check.observe(
                    Activation(
                        states: $0.baseAddress!, boundary: index, positions: 0..<2, width: 3,
                        site: site))
            }
        }
        show(.resid, 0, [1, 2, 3, 4, 5, 6])
        show(.attentionOutput, 0, contribution)
        show(.mlpOutput, 0, [0, 0, 0, 0, 0, 1])
        show(.resid, 1, [2, 2, 2, 6, 5, 7])
        show(.attentionOutput, 1, [0, 1, 0, 0, 0, 0])
        show(.mlpOutput, 1, [0, 0, 0, -6, -5, -7])
        show(.resid, 2, final)
        return check.result.value
    }

    private func passes(_ value: Double) -> Bool { value <= 1e-4 }

    @Test func theResidualSum() {
        #expect(residualSum([2, 3, 2, 0, 0, 0]) == 0)
        // √(Σ difference²/Σ state²) of the first position.
        let expected = (0.01 * 0.01 / 17.0).squareRoot()
        #expect(abs(residualSum([2, 3, 2.01, 0, 0, 0]) - expected) < 1e-5)
        #expect(!passes(residualSum([2, 3, 2.01, 0, 0, 0])))
        // A state of zeros that should not be one.
        #expect(residualSum([0, 0, 0, 0, 0, 0]) == .infinity)
        // A NaN in the state or in a contribution, before and after rows that agree.
        #expect(residualSum([.nan, 3, 2, 0, 0, 0]).isNaN)
        #expect(residualSum([2, 3, 2, 0, .nan, 0]).isNaN)
        #expect(residualSum([2, 3, 2, 0, 0, 0], contribution: [.nan, 0, -1, 2, 0, 0]).isNaN)
        #expect(
            residualSum([2, 3, 2, 0, 0, 0], contribution: [1, 0, -1, 2, 0, .infinity])
                == .infinity)
        #expect(ResidualSumCheck(width: 1, boundaries: 1).result.limit == 1e-4)
        #expect(!passes(.nan))
    }

    /// What the check says of logits that are the plain head's but for one.
    private func headCheck(_ changes: [(index: Int, value: (Float) -> Float)]) throws -> Double {
        let model = try LensTests.model("olmo2-gqa")
        let (rows, width, vocabulary) = (3, 32, 131)
        var random = SeededRandom(4)
        let states = random.normals(rows * width)
        let logits = FloatBuffer(count: rows * vocabulary)
        try model.logits(of: states, rows: rows, into: logits.pointer)
        for change in changes {
            logits.pointer[change.index] = change.value(logits.pointer[change.index])
        }
        let check = try HeadCheck.run(
            model: model, states: states, rows: rows, lensLogits: logits)
        #expect(check.limit == 1e-4)
        return check.value
    }

    @Test func theHead() throws {
        #expect(try headCheck([]) == 0)
        #expect(try headCheck([(392, { $0 + 0.5 })]) > 0.05)
        #expect(try headCheck([(7, { _ in .nan })]).isNaN)
        // A later difference, however large, does not hide what was no number.
        #expect(try headCheck([(7, { _ in .nan }), (8, { $0 + 1e6 })]).isNaN)
        #expect(try headCheck([(8, { $0 + 1e6 }), (9, { _ in .nan })]).isNaN)
        #expect(try headCheck([(130, { _ in .infinity })]) == .infinity)
    }

    /// A bias of 3e7 that the next layer takes away again: the residual stream is rounded to whole numbers on
    /// the way, and the sum of contributions is not.
    @Test func aFailedCheckStopsAtTheFirstDocument() throws {
        var checkpoint = try EditableCheckpoint(Locations.golden("models/pythia"))
        for (layer, sign) in [(0, Float(1)), (1, -1)] {
            checkpoint.tensors["gpt_neox.layers.\(layer).mlp.dense_4h_to_h.bias"] = .init(
                shape: [32], values: [Float](repeating: sign * 3e7, count: 32))
        }
        let directory = try checkpoint.write()
        let model = try Transformer.load(Checkpoint.open(directory.path))
        let documents = (0..<5).map { first in
            Document(tokens: (0..<20).map { Int32($0 + first) })
        }
        var tokens = 0
        let error = #expect(throws: AnalysisError.self) {
            try Probe(model: model).run(documents) { tokens += $0 }
        }
        guard case .selfCheckFailed(let name, let value, let limit) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(name.contains("contributions") && value > limit)
        #expect(tokens == 20)
    }

    @Test func whatIsNoNumberHasNoStandardErrorOfZero() throws {
        var mean = DocumentMean()
        mean.add(sum: .nan, count: 3)
        mean.add(sum: 1, count: 2)
        #expect(try #require(mean.estimate.mean).isNaN)
        #expect(try #require(mean.estimate.standardError).isNaN)
    }
}

/// One row of the unembedding that is not finite, of a token that the text lacks.
@Suite struct NonFiniteLensTests {
    static let values: [Float] = [.nan, .infinity, -.infinity]

    static func model(row: Int, _ value: Float) throws -> Transformer {
        var checkpoint = try EditableCheckpoint(Locations.golden("models/llama-gqa"))
        let embedding = try TensorFixture(
            Locations.golden("models/llama-gqa/model.safetensors")
        ).floats("model.embed_tokens.weight")
        var head = embedding.values
        head[row * 32 + 9] = value
        checkpoint.tensors["lm_head.weight"] = .init(shape: [131, 32], values: head)
        checkpoint.config["tie_word_embeddings"] = false
        let directory = try checkpoint.write()
        defer { withExtendedLifetime(directory) {} }
        return try Transformer.load(Checkpoint.open(directory.path))
    }

    private static let documents = [Document(tokens: (0..<40).map { Int32($0) }, addedTokens: 1)]

    @Test(arguments: [40, 100, 130], values)
    func theLensNamesRowBoundaryAndPosition(_ row: Int, _ value: Float) throws {
        let model = try Self.model(row: row, value)
        #expect(
            throws: AnalysisError.model(
                .nonFiniteLogit(id: row, place: "boundary 0", position: 0))
        ) { try Probe(model: model).run(Self.documents) }
        // Without logits there is nothing to find.
        _ = try Probe(model: model, passes: [.angular]).run(Self.documents)
    }

    @Test func theTunedLensIsNamed() throws {
        let model = try LensTests.model("llama-gqa")
        let zeros = { FloatBuffer(count: $0) }
        let lens = TunedLens(
            width: 32, weights: (0..<4).map { _ in zeros(32 * 32) },
            biases: (0..<4).map { _ in zeros(32) })
        lens.biases[2].pointer[3] = .infinity
        #expect(
            throws: AnalysisError.model(
                .nonFiniteLogit(id: 0, place: "boundary 2 of the tuned lens", position: 0))
        ) {
            var options = ProbeOptions()
            options.tuned = lens
            return try Probe(model: model, options: options).run(Self.documents)
        }
    }

    @Test(arguments: values) func theHeadNamesRowAndPosition(_ value: Float) throws {
        let model = try Self.model(row: 77, value)
        var random = SeededRandom(1)
        let states = random.normals(3 * 32)
        var out = [Float](repeating: 0, count: 3 * 131)
        #expect(throws: ModelError.nonFiniteLogit(id: 77, place: "the head", position: 5)) {
            try model.logits(of: states, rows: 3, into: &out) { $0 + 5 }
        }
    }
}
