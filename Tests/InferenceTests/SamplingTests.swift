// Logits processors against transformers', draws against their probabilities, and log-probabilities
// against a softmax written out.

import Files
import Foundation
import Inference
import Models
import Plans
import TestSupport
import Testing

@Suite struct SamplingTests {
    @Test func processorsAreTransformers() throws {
        let golden = try JSON.read(path: Locations.golden("inference/sampling.json").path)
        let cases = try #require(golden["cases"]?.arrayValue)
        #expect(cases.count == 32)
        for entry in cases {
            let settings = try #require(entry["settings"])
            let options = SamplingOptions(
                temperature: settings["temperature"]?.doubleValue ?? 1,
                topK: settings["top_k"]?.intValue, topP: settings["top_p"]?.doubleValue,
                minP: settings["min_p"]?.doubleValue,
                repetitionPenalty: settings["repetition_penalty"]?.doubleValue)
            var logits = (entry["logits"]?.arrayValue ?? []).compactMap {
                $0.doubleValue.map(Float.init)
            }
            let text = (entry["text"]?.arrayValue ?? []).compactMap {
                $0.intValue.map(Int32.init)
            }
            try #require(logits.count == 60 && text.count == 12)
            options.process(&logits, text: text)
            let expected = (entry["processed"]?.arrayValue ?? []).map {
                $0.doubleValue ?? -.infinity
            }
            for (found, value) in zip(logits, expected) {
                #expect(
                    Double(found) == value || abs(Double(found) - value) < 1e-5,
                    "\(settings.text(indent: 0))")
            }
        }
    }

    /// First tokens of texts with many seeds: counts lie within 5 standard deviations of n·p, p written
    /// out from the logits of one pass.
    @Test func drawsHaveTheirProbabilities() throws {
        let model = try TinyCheckpoint(name: "llama-gqa").load()
        let plan = LayerPlan.identity(layers: model.configuration.layerCount)
        let prompt = randomTokens(6, 4)
        let seeds = 4000
        let found = try Scheduler(model: model, limits: .init(requests: 512)).generate(
            (0..<seeds).map {
                .init(
                    tokens: prompt, plan: plan, stop: .init(maximumTokens: 1),
                    sampling: .init(temperature: 0.7, topK: 8, seed: UInt64($0)))
            })
        let logits = try recomputed(model, plan, prompt).map { Double($0) / 0.7 }
        let kept = logits.indices.sorted { logits[$0] > logits[$1] }.prefix(8)
        let total = kept.reduce(0) { $0 + exp(logits[$1]) }
        var counts: [Int32: Int] = [:]
        for result in found { counts[result.tokens[0], default: 0] += 1 }
        #expect(Set(counts.keys).isSubset(of: Set(kept.map(Int32.init))))
        for token in kept {
            let p = exp(logits[token]) / total
            let deviation = (Double(seeds) * p * (1 - p)).squareRoot()
            let count = Double(counts[Int32(token)] ?? 0)
            #expect(abs(count - Double(seeds) * p) < 5 * deviation + 1, "token \(token)")
        }
    }

    @Test func aSeedGivesTheSameTextAndAnotherAnother() throws {
        let model = try TinyCheckpoint(name: "llama-gqa").load()
        func text(_ seed: UInt64) throws -> [Int32] {
            try Scheduler(model: model).generate([
                .init(
                    tokens: [5, 6], plan: .identity(layers: model.configuration.layerCount),
                    stop: .init(maximumTokens: 30), sampling: .init(temperature: 1, seed: seed))
            ])[0].tokens
        }
        #expect(try text(1) == text(1))
        #expect(try text(1) != text(2))
    }

    @Test func logProbabilitiesAreTheModels() throws {
        let model = try TinyCheckpoint(name: "gemma3").load()
        let plan = try looped(model, 2)
        let prompt = randomTokens(6, 4)
        let found = try Scheduler(model: model).generate([
            .init(
                tokens: prompt, plan: plan, stop: .init(maximumTokens: 5),
                sampling: .init(temperature: 1.5, seed: 3), likeliest: 4)
        ])[0]
        let own = try #require(found.logProbabilities)
        let likeliest = try #require(found.likeliest)
        #expect(own.map(\.token) == found.tokens && likeliest.count == 5)
        for step in 0..<5 {
            let logits = try recomputed(model, plan, prompt + found.tokens[..<step]).map(
                Double.init)
            let total = log(logits.reduce(0) { $0 + exp($1) })
            #expect(abs(own[step].value - (logits[Int(own[step].token)] - total)) < 1e-5)
            let order = logits.indices.sorted { (-logits[$0], $0) < (-logits[$1], $1) }
            #expect(likeliest[step].map(\.token) == order.prefix(4).map(Int32.init))
            for entry in likeliest[step] {
                #expect(abs(entry.value - (logits[Int(entry.token)] - total)) < 1e-5)
            }
        }
    }
}
