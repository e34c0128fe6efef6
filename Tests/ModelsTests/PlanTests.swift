// Layer plans: what they contain, and that k = 1 is the base model to the last bit.

import Checkpoints
import Foundation
import Models
import TestSupport
import Testing

@Suite struct PlanTests {
    @Test func splitsBecomeSteps() throws {
        let plan = try LayerPlan.split(encoder: 1, think: 2, decoder: 1, iterations: 3, layers: 4)
        #expect(plan.steps.map(\.layer) == [0, 1, 2, 1, 2, 1, 2, 3])
        #expect(plan.steps.map(\.iteration) == [nil, 1, 1, 2, 2, 3, 3, nil])
        let once = try LayerPlan.split(encoder: 1, think: 2, decoder: 1, iterations: 1, layers: 4)
        #expect(once == .identity(layers: 4))
    }

    @Test(arguments: [(1, 2, 2, 1), (0, 0, 4, 1), (1, 2, 1, 0), (-1, 4, 1, 2)])
    func badSplitsAreRefused(_ parts: (Int, Int, Int, Int)) {
        #expect(throws: ModelError.self) {
            try LayerPlan.split(
                encoder: parts.0, think: parts.1, decoder: parts.2, iterations: parts.3, layers: 4)
        }
    }

    /// A forward pass without plans: `PlainForward` walks `model.layers` itself.
    @Test(arguments: GoldenModel.all)
    func oneIterationIsTheBaseModelBitForBit(_ golden: GoldenModel) throws {
        let (facts, _) = try golden.expected()
        let model = try golden.load()
        let layers = model.configuration.layerCount
        let once = try LayerPlan.split(
            encoder: 1, think: layers - 2, decoder: 1, iterations: 1, layers: layers)
        for sequence in 0..<2 {
            let tokens = GoldenModel.tokens(facts, sequence)
            let planned = try logits(model, tokens, plan: once)
            let plain = try PlainForward(model: model).logits(tokens)
            #expect(planned.map(\.bitPattern) == plain.map(\.bitPattern))
        }
    }

    @Test func aPlanOfUnknownLayersIsRefused() throws {
        let model = try #require(GoldenModel.all.first).load()
        #expect(throws: ModelError.self) {
            try Session(model: model, plan: LayerPlan(steps: [.init(layer: 99)]), capacity: 4)
        }
    }

    @Test func tokensAndLengthsAreChecked() throws {
        let model = try #require(GoldenModel.all.first).load()
        let session = try Session(model: model, capacity: 4)
        #expect(
            throws: ModelError.tokenOutOfRange(id: 131, position: 1, vocabularySize: 131)
        ) { try session.run([0, 131]) }
        #expect(throws: ModelError.tooLong(tokens: 5, context: 4)) {
            try session.run([0, 1, 2, 3, 4])
        }
        #expect(throws: ModelError.tooLong(tokens: 4096, context: 128)) {
            try Session(model: model, capacity: 4096)
        }
    }
}
