// Walks the registry: every family has a golden checkpoint that loads, runs and loops as transformers
// says, and one in GGUF where llama.cpp knows the family. A family without one fails here.

import Checkpoints
import Files
import Foundation
import Models
import TestSupport
import Testing

@Suite struct RegistryTests {
    private static func modelType(_ golden: GoldenModel) throws -> String? {
        try JSON.read(path: golden.folder.appending(path: "config.json").path)["model_type"]?
            .stringValue
    }

    @Test(arguments: ModelRegistry.families.map(\.modelTypes[0]))
    func everyFamilyHasAGolden(_ name: String) throws {
        let family = try #require(ModelRegistry.families.first { $0.modelTypes[0] == name })
        let goldens = try GoldenModel.all.filter { golden in
            try family.modelTypes.contains(Self.modelType(golden) ?? "")
        }
        #expect(!goldens.isEmpty, "no golden of \(name) in Tests/Goldens/models")
        for golden in goldens {
            let (facts, tensors) = try golden.expected()
            let model = try golden.load()
            #expect(family.modelTypes.contains(model.configuration.architecture))
            let tokens = GoldenModel.tokens(facts, 1)
            let plan = GoldenModel.plan(facts["looped"]?["plan"])
            let once = try logits(model, tokens)
            let looped = try logits(model, tokens, plan: plan)
            #expect(largestDifference(once, try tensors.floats("logits.1").values) < 1e-4)
            #expect(
                largestDifference(looped, try tensors.floats("looped.logits.1").values) < 1e-4)
        }
        guard let architecture = family.ggufArchitecture else { return }
        let files = goldens.map { $0.folder.appending(path: "model.gguf").path }.filter {
            FileManager.default.fileExists(atPath: $0)
        }
        #expect(!files.isEmpty, "no golden of \(name) has a model.gguf")
        for file in files {
            let checkpoint = try Checkpoint.open(file)
            #expect(checkpoint.metadata.string("general.architecture") == architecture)
            let names = try Transformer.load(checkpoint).configuration.architecture
            #expect(family.modelTypes.contains(names))
        }
    }

    @Test func namesAreNotSharedByFamilies() {
        let types = ModelRegistry.families.flatMap(\.modelTypes)
        let architectures = ModelRegistry.families.compactMap(\.ggufArchitecture)
        #expect(Set(types).count == types.count)
        #expect(Set(architectures).count == architectures.count)
    }

    /// What the two formats say of one model is the same; assumptions are about the files.
    @Test(arguments: GoldenModel.withGGUF)
    func bothFormatsGiveTheSameConfiguration(_ golden: GoldenModel) throws {
        func read(_ path: String) throws -> ModelConfiguration {
            var configuration = try Transformer.load(Checkpoint.open(path)).configuration
            configuration.assumptions = []
            // Norm weights in GGUF files have the offset in them, and llama-3's scaling is a tensor.
            configuration.normOffset = 0
            for layer in configuration.attention.indices {
                switch configuration.attention[layer].rotary?.scaling {
                case .llama3, .divisors: configuration.attention[layer].rotary?.scaling = .none
                default: break
                }
            }
            return configuration
        }
        let safetensors = try read(golden.folder.path)
        let gguf = try read(golden.folder.appending(path: "model.gguf").path)
        var known = gguf
        // Floats of GGUF metadata are f32.
        for layer in known.attention.indices {
            guard let factor = known.attention[layer].rotary?.attentionFactor,
                let other = safetensors.attention[layer].rotary?.attentionFactor
            else { continue }
            #expect((factor - other).magnitude < 1e-6)
            known.attention[layer].rotary?.attentionFactor = other
        }
        known.queryKeyValueClip = known.queryKeyValueClip.map { _ in
            safetensors.queryKeyValueClip ?? 0
        }
        #expect(known == safetensors)
    }

    // MARK: Parallel residual

    @Test func parallelLayersAddUpAndHaveNoMiddle() throws {
        let golden = GoldenModel(name: "pythia")
        let (facts, _) = try golden.expected()
        let model = try golden.load()
        #expect(model.configuration.parallelResidual)
        let tokens = GoldenModel.tokens(facts, 1)
        let recorder = Recorder([.resid, .attentionOutput, .mlpOutput])
        _ = try logits(model, tokens, taps: [recorder])
        for layer in 0..<model.configuration.layerCount {
            let before = try #require(recorder.values[.resid]?[layer])
            let after = try #require(recorder.values[.resid]?[layer + 1])
            let attention = try #require(recorder.values[.attentionOutput]?[layer])
            let mlp = try #require(recorder.values[.mlpOutput]?[layer])
            let sum = before.indices.map { before[$0] + attention[$0] + mlp[$0] }
            #expect(sum == after)
        }
        let session = try Session(model: model, capacity: tokens.count)
        #expect(throws: ModelError.noSuchSite(site: .residMid, architecture: "gpt_neox")) {
            try session.run(tokens, taps: [Recorder([.residMid])])
        }
        #expect(session.position == 0)
        let text = ModelError.noSuchSite(site: .residMid, architecture: "gpt_neox").description
        #expect(text.contains("resid_mid") && text.contains("attn_out"))
        let sequential = try GoldenModel(name: "neox-sequential").load()
        let middle = Recorder([.resid, .residMid, .attentionOutput])
        _ = try logits(sequential, tokens, taps: [middle])
        let first = try #require(middle.values[.resid]?[0])
        let added = try #require(middle.values[.attentionOutput]?[0])
        #expect(middle.values[.residMid]?[0] == zip(first, added).map { $0 + $1 })
    }

    // MARK: Rotary embeddings that depend on the length

    @Test(arguments: ["llama-dynamic", "phi3"])
    func aLongTextLeavesNothingBehind(_ name: String) throws {
        let golden = GoldenModel(name: name)
        let (facts, tensors) = try golden.expected()
        let model = try golden.load()
        let session = try Session(model: model, capacity: 23)
        for sequence in [1, 0, 1] {
            session.reset()
            var ours: [Float] = []
            try session.run(GoldenModel.tokens(facts, sequence)) {
                positions, states throws(ModelError) in
                var block = [Float](repeating: 0, count: positions.count * 131)
                try model.logits(of: states, rows: positions.count, into: &block)
                ours += block
            }
            let theirs = try tensors.floats("logits.\(sequence)").values
            #expect(largestDifference(ours, theirs) < 1e-4)
        }
    }
}
