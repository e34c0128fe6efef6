// Compares probes of SmolLM2-135M-Instruct and Gemma-3-270M with what transformers computes from the
// same dequantised weights (scripts/goldens/real_models.py). Windows of 128 ids; other lengths and texts
// are not covered here.

import Analysis
import Checkpoints
import Corpus
import Files
import Foundation
import Models
import Records
import Tensors
import TestSupport
import Testing

struct RealGolden: CustomTestStringConvertible, Sendable {
    let name: String
    var testDescription: String { name }
    var isFetched: Bool { Locations.model(name) != nil }
    static let all = ["smollm2-135m-instruct", "gemma-3-270m"].map(RealGolden.init(name:))
    static let fetched = all.filter(\.isFetched)
}

@Suite(.serialized) struct RealModelProbeTests {
    @Test(
        .enabled(
            if: !RealGolden.fetched.isEmpty,
            "no real model is fetched: scripts/fetch-model smollm2-135m-instruct"),
        arguments: RealGolden.fetched)
    func probeAgreesWithTransformers(_ golden: RealGolden) throws {
        let file = Locations.golden("models/real/\(golden.name).json")
        let expected = try JSON.read(path: file.path)
        let path = try #require(Locations.model(golden.name)).path
        let model = try Transformer.load(Checkpoint.open(path))
        let documents = try #require(expected["windows"]?.arrayValue).map { window in
            Document(tokens: (window.arrayValue ?? []).compactMap { $0.intValue.map(Int32.init) })
        }
        #expect(documents.count == 4)
        let result = try Probe(model: model).run(documents)

        func compare(
            _ metric: Metric, _ part: String, _ values: [LayersRecord.Metrics], tolerance: Double
        ) throws {
            for suffix in ["", "_se"] {
                guard let list = expected[part]?[metric.name + suffix]?.arrayValue else {
                    #expect(suffix == "_se", "\(metric.name) has no golden")
                    continue
                }
                #expect(list.count == values.count)
                for (index, (theirs, estimates)) in zip(list, values).enumerated() {
                    let estimate = try #require(estimates[metric.name])
                    let ours = try #require(suffix.isEmpty ? estimate.mean : estimate.standardError)
                    let value = try #require(theirs.doubleValue)
                    #expect(
                        abs(ours - value) <= tolerance * max(1, abs(value)),
                        "\(metric.name)\(suffix) at \(index): \(ours), transformers \(value)")
                }
            }
        }
        let layers = result.layers.map(\.metrics)
        for metric in [
            Metric.angularDistanceLast, .angularDistance, .blockInfluence, .contribution,
            .contributionCosine,
        ] {
            try compare(metric, "layers", layers, tolerance: 1e-4)
        }
        let boundaries = result.boundaries.map(\.metrics)
        for metric in [Metric.entropy, .klToFinal, .klFromFinal, .crossEntropy] {
            try compare(metric, "boundaries", boundaries, tolerance: 1e-3)
        }
        // Shares move by whole positions where two logits are nearly equal: 512 positions, at most
        // two of which may fall the other way.
        for metric in [Metric.top1Agreement, .top5Agreement] {
            try compare(metric, "boundaries", boundaries, tolerance: 2.0 / 512)
        }
    }

    /// Rounding both sides of every product to bf16 moves means over positions by less than one would
    /// read off a chart: by the plain twin, and by the CPU's own products where it has them.
    @Test(
        .enabled(
            if: Locations.model("smollm2-135m-instruct") != nil,
            "no real model is fetched: scripts/fetch-model smollm2-135m-instruct"))
    func bf16StaysNearF32() throws {
        let file = Locations.golden("models/real/smollm2-135m-instruct.json")
        let windows = try #require(try JSON.read(path: file.path)["windows"]?.arrayValue)
        let documents = windows.prefix(2).map { window in
            Document(tokens: (window.arrayValue ?? []).compactMap { $0.intValue.map(Int32.init) })
        }
        let path = try #require(Locations.model("smollm2-135m-instruct")).path
        let checkpoint = try Checkpoint.open(path)
        let results = try [Arithmetic.f32, .bf16Rounded, .bf16].filter(\.isAvailable).map {
            try Probe(model: Transformer.load(checkpoint, arithmetic: $0)).run(documents)
        }
        func means(_ metric: Metric, _ values: [LayersRecord.Metrics]) throws -> [Double] {
            try values.map { try #require($0[metric.name]?.mean) }
        }
        let angular = try results.map {
            try means(.angularDistance, $0.layers.map(\.metrics))
        }
        let entropy = try results.map { try means(.entropy, $0.boundaries.map(\.metrics)) }
        for other in 1..<results.count {
            // Not the same arithmetic under two names.
            #expect(angular[0] != angular[other])
            let distances = zip(angular[0], angular[other]).map { ($0 - $1).magnitude }
            let entropies = zip(entropy[0], entropy[other]).map { ($0 - $1).magnitude }
            for difference in distances { #expect(difference < 1e-3) }
            for difference in entropies { #expect(difference < 2e-2) }
            print(
                "bf16 against f32: angular distance", distances.max() ?? 0, "entropy",
                entropies.max() ?? 0)
        }
    }
}
