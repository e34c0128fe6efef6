// An unrolled checkpoint of every golden family gives, as an ordinary model, the bits that the looped plan
// gives on the original. That plan's logits are compared with transformers' in ModelsTests; what
// transformers computes on an export is scripts/peers/export.py.

import Checkpoints
import Export
import Files
import Foundation
import Models
import Plans
import TestSupport
import Testing

@Suite struct UnrolledTests {
    @Test(arguments: Source.folders)
    func foldersGiveTheLoopedLogits(_ source: Source) throws {
        let scratch = try ScratchDirectory()
        let job = try source.job()
        let out = scratch.file("out")
        try ExportFormat.named("hf-unrolled").export(job, to: out, overwrite: false)
        let unrolled = try open(out)
        #expect(unrolled.configuration.layerCount == job.plan.steps.count)
        #expect(unrolled.configuration.tiedEmbeddings == job.configuration.tiedEmbeddings)
        for sequence in 0..<2 {
            let tokens = try source.tokens(sequence)
            let looped = try logits(open(source.path), tokens, plan: job.plan)
            #expect(try logits(unrolled, tokens) == looped)
        }
        // Transformers' own logits, through the exported folder alone.
        let theirs = try TensorFixture(
            Locations.golden("models/\(source.name)/expected.safetensors")
        ).floats("looped.logits.1").values
        let ours = try logits(unrolled, try source.tokens(1))
        #expect(zip(ours, theirs).allSatisfy { ($0 - $1).magnitude < 1e-4 })
    }

    /// Gemma-3's and OLMo-3's plans of the goldens move the sliding layers out of llama.cpp's period.
    private static let outOfStep: Set<String> = ["gemma3-linear", "olmo3"]

    @Test(arguments: Source.ggufs)
    func ggufsGiveTheLoopedLogits(_ source: Source) throws {
        let scratch = try ScratchDirectory()
        let job = try source.job()
        let out = scratch.file("out.gguf")
        let format = try ExportFormat.named("gguf-unrolled")
        guard !Self.outOfStep.contains(source.name) else {
            let error = #expect(throws: ExportError.self) {
                try format.export(job, to: out, overwrite: false)
            }
            #expect(error?.description.contains("sliding layers") == true)
            #expect(try scratch.names().isEmpty)
            return
        }
        try format.export(job, to: out, overwrite: false)
        let unrolled = try open(out)
        for sequence in 0..<2 {
            let tokens = try source.tokens(sequence)
            let looped = try logits(open(source.path), tokens, plan: job.plan)
            #expect(try logits(unrolled, tokens) == looped)
        }
    }

    /// A think block of a whole period keeps the pattern.
    @Test(arguments: [("gemma3-linear", 7), ("olmo3", 5)])
    func ggufsOfPeriodicFamilies(_ name: String, _ layers: Int) throws {
        let scratch = try ScratchDirectory()
        let source = Source(name: name, isGGUF: true)
        let configuration = try open(source.path).configuration
        let first = try #require(configuration.attention.firstIndex { $0.window == nil })
        let split = Split(encoder: 1, think: first + 1, decoder: layers - first - 2)
        let job = try source.job(split, 2)
        let out = scratch.file("out.gguf")
        try ExportFormat.named("gguf-unrolled").export(job, to: out, overwrite: false)
        let tokens = try source.tokens(1)
        let looped = try logits(open(source.path), tokens, plan: job.plan)
        #expect(try logits(open(out), tokens) == looped)
    }

    @Test func oneIterationIsTheBaseModel() throws {
        let scratch = try ScratchDirectory()
        let source = Source(name: "llama-gqa")
        let job = try source.job(Split(encoder: 1, think: 2, decoder: 1), 1)
        let out = scratch.file("out")
        try ExportFormat.named("hf-unrolled").export(job, to: out, overwrite: false)
        let base = try Checkpoint.open(source.path)
        #expect(try Checkpoint.open(out).fingerprint == base.fingerprint)
    }

    /// The tables that transformers reads: layer types by executed layer, no field of another export.
    @Test func configurationsSayTheLayersThatRun() throws {
        let scratch = try ScratchDirectory()
        let source = Source(name: "gemma3")
        let job = try source.job(Split(encoder: 3, think: 2, decoder: 3), 2)
        let out = scratch.file("out")
        try ExportFormat.named("hf-unrolled").export(job, to: out, overwrite: false)
        let config = try JSON.read(path: out + "/config.json")
        #expect(config["num_hidden_layers"]?.intValue == 10)
        let kinds = config["layer_types"]?.arrayValue?.compactMap(\.stringValue).map {
            $0.prefix(1)
        }
        #expect(kinds == ["s", "s", "s", "f", "s", "f", "s", "s", "s", "f"])
        let card = try String(contentsOfFile: out + "/README.md", encoding: .utf8)
        #expect(card.contains("3-2*2-3") && card.contains("written 2 times"))
    }

    /// transformers 4's spelling has a pattern in the place of types, and that would place the sliding
    /// layers anew.
    @Test func patternsBecomeLayerTypes() throws {
        let scratch = try ScratchDirectory()
        let folder = scratch.file("model")
        let golden = Locations.golden("models/gemma3")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for name in ["model.safetensors", "config.json"] {
            try FileManager.default.copyItem(
                atPath: golden.appending(path: name).path, toPath: folder + "/" + name)
        }
        var config = try JSON.read(path: folder + "/config.json").objectValue ?? [:]
        config["layer_types"] = nil
        config["sliding_window_pattern"] = 4
        try AtomicFile.write(.object(config), to: folder + "/config.json")
        let checkpoint = try Checkpoint.open(folder)
        let model = try Transformer.load(checkpoint)
        let job = try ExportJob(
            checkpoint: checkpoint, configuration: model.configuration,
            split: Split(encoder: 3, think: 2, decoder: 3), iterations: 3, createdBy: "a test")
        let out = scratch.file("out")
        try ExportFormat.named("hf-unrolled").export(job, to: out, overwrite: false)
        let tokens = try Source(name: "gemma3").tokens(1)
        #expect(try logits(open(out), tokens) == logits(model, tokens, plan: job.plan))
    }

    @Test func tokenizerAndLicenceGoWithIt() throws {
        let scratch = try ScratchDirectory()
        let folder = scratch.file("model")
        let golden = Locations.golden("models/llama-gqa")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for name in ["model.safetensors", "config.json"] {
            try FileManager.default.copyItem(
                atPath: golden.appending(path: name).path, toPath: folder + "/" + name)
        }
        for name in ["tokenizer.json", "LICENSE.txt", "optimizer.pt"] {
            try Data(name.utf8).write(to: URL(filePath: folder + "/" + name))
        }
        let checkpoint = try Checkpoint.open(folder)
        let job = try ExportJob(
            checkpoint: checkpoint, configuration: Transformer.load(checkpoint).configuration,
            split: Split(encoder: 1, think: 2, decoder: 1), iterations: 2, createdBy: "a test")
        let out = scratch.file("out")
        try ExportFormat.named("hf-unrolled").export(job, to: out, overwrite: false)
        #expect(
            try Paths.names(in: out) == [
                "LICENSE.txt", "README.md", "config.json", "model.safetensors", "tokenizer.json",
            ])
        #expect(
            try String(contentsOfFile: out + "/tokenizer.json", encoding: .utf8)
                == "tokenizer.json")
    }
}
