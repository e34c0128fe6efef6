// hf-etd and peft: what the files say, and what this package reads of them. What transformers and PEFT
// compute with them is scripts/peers/export.py.

import Checkpoints
import Export
import Files
import Foundation
import Models
import Plans
import TestSupport
import Testing

@Suite struct LoopedFolderTests {
    private static let wrapped = ["gemma3-wrapped-v4", "gemma3-wrapped-v5"]

    /// The weights are the base model's, and so is what a reader that knows nothing of `etd` computes.
    @Test(arguments: Source.folders)
    func weightsStandThereOnce(_ source: Source) throws {
        let scratch = try ScratchDirectory()
        let job = try source.job()
        let out = scratch.file("out")
        let format = try ExportFormat.named("hf-etd")
        guard !Self.wrapped.contains(source.name) else {
            #expect(throws: ExportError.self) {
                try format.export(job, to: out, overwrite: false)
            }
            #expect(try scratch.names().isEmpty)
            return
        }
        try format.export(job, to: out, overwrite: false)
        let tokens = try source.tokens(1)
        #expect(try logits(open(out), tokens) == logits(open(source.path), tokens))
        let config = try JSON.read(path: out + "/config.json")
        let etd = try #require(config["etd"])
        let (split, iterations) = try source.looped()
        #expect(
            ["encoder", "think", "decoder", "iterations"].map { etd[$0]?.intValue }
                == [split.encoder, split.think, split.decoder, iterations])
        #expect(etd.objectValue.map { Array($0.keys) }?.suffix(2) == ["kv_policy", "router"])
        let code = try String(contentsOfFile: out + "/modeling_etd.py", encoding: .utf8)
        let original = try JSON.read(path: source.path + "/config.json")
        let parent = try #require(original["architectures"]?.arrayValue?.first?.stringValue)
        #expect(code.contains("from transformers import \(parent) as Base"))
        #expect(parent == "LlamaForCausalLM" || !code.contains("LlamaForCausalLM"))
    }
}

@Suite struct PEFTTests {
    /// Refused where PEFT's copies would not be right.
    private static let refused = ["gemma3", "olmo3", "qwen", "gpt2", "pythia", "neox"]

    @Test(arguments: Source.folders)
    func replicatesTheThinkBlock(_ source: Source) throws {
        let scratch = try ScratchDirectory()
        let job = try source.job()
        let out = scratch.file("out")
        let format = try ExportFormat.named("peft")
        guard !Self.refused.contains(where: source.name.hasPrefix) else {
            let error = #expect(throws: ExportError.self) {
                try format.export(job, to: out, overwrite: false)
            }
            #expect(error?.description.contains("PEFT") == true)
            #expect(try scratch.names().isEmpty)
            return
        }
        try format.export(job, to: out, overwrite: false)
        let config = try JSON.read(path: out + "/adapter_config.json")
        // PEFT's rule: the layers of each range, one range after the other.
        let ranges = try #require(config["layer_replication"]?.arrayValue)
        let steps = ranges.flatMap { range -> [Int] in
            let ends = range.arrayValue?.compactMap(\.intValue) ?? []
            return Array(ends[0]..<ends[1])
        }
        #expect(steps == job.plan.steps.map(\.layer))
        let adapter = try TensorArchive(path: out + "/adapter_model.safetensors")
        #expect(adapter.tensors.count == 2 * steps.count)
        #expect(adapter.tensors.values.allSatisfy { $0.decoded().allSatisfy { $0 == 0 } })
    }

    /// arXiv 2510.07358's plan as PEFT writes it: [[0, 11], [7, 16]] is 7-4*2-5.
    @Test func rangesOverlapByTheThinkBlock() throws {
        let scratch = try ScratchDirectory()
        let source = Source(name: "llama-deep")
        let job = try source.job(Split(encoder: 3, think: 2, decoder: 3), 3)
        let out = scratch.file("out")
        try ExportFormat.named("peft").export(job, to: out, overwrite: false)
        let config = try JSON.read(path: out + "/adapter_config.json")
        #expect(config["layer_replication"]?.text(indent: 0) == "[[0,5],[3,5],[3,8]]")
    }
}

@Suite struct TargetTests {
    private let source = Source(name: "llama-gqa")

    @Test func existingTargetsAreRefused() throws {
        let scratch = try ScratchDirectory()
        let job = try source.job()
        let format = try ExportFormat.named("hf-unrolled")
        let out = scratch.file("out")
        try format.export(job, to: out, overwrite: false)
        #expect(throws: ExportError.file(.exists(path: out))) {
            try format.export(job, to: out, overwrite: false)
        }
        try ExportFormat.named("hf-etd").export(job, to: out + "/", overwrite: true)
        #expect(Paths.kind(out + "/modeling_etd.py") == .file)
        #expect(try scratch.names() == ["out"])
        // An empty folder is no export.
        let empty = scratch.file("empty")
        try FileManager.default.createDirectory(atPath: empty, withIntermediateDirectories: true)
        try format.export(job, to: empty, overwrite: false)
    }

    @Test func foldersOfOtherThingsAreNeverReplaced() throws {
        let scratch = try ScratchDirectory()
        let out = scratch.file("home")
        try FileManager.default.createDirectory(atPath: out, withIntermediateDirectories: true)
        try Data("mine".utf8).write(to: URL(filePath: out + "/thesis.tex"))
        let error = #expect(throws: ExportError.self) {
            try ExportFormat.named("hf-etd").export(try source.job(), to: out, overwrite: true)
        }
        #expect(error?.description.contains("thesis.tex") == true)
        #expect(try Paths.names(in: out) == ["thesis.tex"])
    }

    @Test func theModelIsNeverReplaced() throws {
        let scratch = try ScratchDirectory()
        let folder = scratch.file("model")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for name in ["model.safetensors", "config.json"] {
            try FileManager.default.copyItem(
                atPath: source.path + "/" + name, toPath: folder + "/" + name)
        }
        let link = scratch.file("link")
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: folder)
        let checkpoint = try Checkpoint.open(folder)
        let job = try ExportJob(
            checkpoint: checkpoint, configuration: Transformer.load(checkpoint).configuration,
            split: Split(encoder: 1, think: 2, decoder: 1), iterations: 2, createdBy: "a test")
        for out in [folder, link, scratch.path] {
            #expect(throws: ExportError.overModel(out: out, model: folder)) {
                try ExportFormat.named("hf-etd").export(job, to: out, overwrite: true)
            }
        }
        #expect(try Paths.names(in: folder) == ["config.json", "model.safetensors"])
    }

    @Test func sourcesOfAnotherKindAreRefused() throws {
        let scratch = try ScratchDirectory()
        let gguf = try Source(name: "llama-gqa", isGGUF: true).job()
        for name in ["hf-unrolled", "hf-etd", "peft"] {
            let error = #expect(throws: ExportError.self) {
                try ExportFormat.named(name).export(gguf, to: scratch.file("a"), overwrite: false)
            }
            #expect(error?.description.contains("it is a GGUF file") == true)
        }
        let error = #expect(throws: ExportError.self) {
            try ExportFormat.named("gguf-unrolled").export(
                try source.job(), to: scratch.file("a"), overwrite: false)
        }
        #expect(error?.description.contains("it is no GGUF file") == true)
        #expect(try scratch.names().isEmpty)
    }

    /// llama.cpp takes 512 layers.
    @Test func tooManyLayersAreRefused() throws {
        let scratch = try ScratchDirectory()
        let source = Source(name: "llama-gqa", isGGUF: true)
        let split = Split(encoder: 1, think: 2, decoder: 1)
        let format = try ExportFormat.named("gguf-unrolled")
        let error = #expect(throws: ExportError.self) {
            try format.export(
                try source.job(split, 256), to: scratch.file("a.gguf"), overwrite: false)
        }
        #expect(error?.description.contains("514 layers, and llama.cpp takes 512") == true)
        try format.export(try source.job(split, 255), to: scratch.file("a.gguf"), overwrite: false)
        #expect(try open(scratch.file("a.gguf")).configuration.layerCount == 512)
    }
}
