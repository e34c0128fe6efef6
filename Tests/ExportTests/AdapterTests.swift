// LoRA adapters as PEFT saves them, opened as models: logits against PEFT's own (scripts/goldens/adapters.py)
// and against this package's plans.

import Checkpoints
import Export
import Files
import Foundation
import Models
import Plans
import TestSupport
import Testing

@Suite struct AdapterTests {
    static let names = [
        "llama-plain", "llama-stabilised", "llama-looped", "gpt2-turned", "gemma3-plain",
        "mistral-head",
    ]

    private func path(_ name: String) -> String { Locations.golden("adapters/\(name)").path }

    private func base(of name: String) throws -> Source {
        let config = try JSON.read(path: path(name) + "/adapter_config.json")
        let given = try #require(config["base_model_name_or_path"]?.stringValue)
        return Source(name: Paths.name(of: given))
    }

    @Test(arguments: names)
    func logitsEqualPEFTs(_ name: String) throws {
        let expected = try TensorFixture(
            Locations.golden("adapters/\(name)/expected.safetensors")
        ).floats("logits").values
        let found = try logits(open(path(name)), base(of: name).tokens(1))
        #expect(found.count == expected.count)
        #expect(largestDifference(found, expected.map(Double.init)) < 1e-4)
    }

    /// The adapter that `peft` exports adds nothing, so it is the looped plan, bit for bit; so is an
    /// adapter's own export as an ordinary model.
    @Test func anExportedAdapterIsTheLoopedPlan() throws {
        let source = Source(name: "llama-gqa")
        let folder = try ScratchDirectory()
        let job = try source.job()
        try ExportFormat.named("peft").export(job, to: folder.file("adapter"), overwrite: false) {
            _, _ in
        }
        let tokens = try source.tokens(1)
        let looped = try logits(open(source.path), tokens, plan: job.plan)
        let opened = try open(folder.file("adapter"))
        #expect(opened.configuration.layerCount == job.plan.steps.count)
        #expect(bits(try logits(opened, tokens)) == bits(looped))
    }

    @Test func anAdapterIsMergedByExport() throws {
        let folder = try ScratchDirectory()
        let checkpoint = try Checkpoint.open(path("gemma3-plain"))
        let model = try Transformer.load(checkpoint)
        let split = Split(encoder: 1, think: model.configuration.layerCount - 2, decoder: 1)
        let job = try ExportJob(
            checkpoint: checkpoint, configuration: model.configuration, split: split,
            iterations: 1, createdBy: "a test")
        let out = folder.file("merged")
        try ExportFormat.named("hf-unrolled").export(job, to: out, overwrite: false) { _, _ in }
        let tokens = try base(of: "gemma3-plain").tokens(1)
        #expect(bits(try logits(open(out), tokens)) == bits(try logits(model, tokens)))
        #expect(try Checkpoint.open(out).basePath == nil)
        #expect(
            throws: ExportError.self, "an adapter of an adapter"
        ) {
            try ExportFormat.named("peft").export(
                job, to: folder.file("again"), overwrite: false
            ) { _, _ in }
        }
    }

    /// What is written has the base's types; what runs is not rounded.
    @Test func mergedWeightsAreRoundedToBeWritten() throws {
        let base = try Checkpoint.open(try self.base(of: "mistral-head").path)
        let name = "model.layers.0.self_attn.o_proj.weight"
        let stored = try #require(base.tensors[name])
        #expect(stored.type == .bf16)
        let exact = try #require(try Checkpoint.open(path("mistral-head")).tensors[name])
        let rounded = try #require(
            try Checkpoint.open(path("mistral-head"), roundsMerged: true).tensors[name])
        #expect(exact.type == .f32 && rounded.type == .bf16)
        // To the nearest, ties to even.
        let expected = bits(exact.decoded()).map { ($0 + 0x7FFF + ($0 >> 16 & 1)) & 0xFFFF_0000 }
        let same = bits(rounded.decoded()) == expected
        #expect(same)
        let unchanged = bits(stored.decoded()) == expected
        #expect(!unchanged)
    }

    /// An adapter's own checkpoint is another model than its base.
    @Test func fingerprintsDiffer() throws {
        let adapter = try Checkpoint.open(path("llama-plain"))
        let base = try Checkpoint.open(try base(of: "llama-plain").path)
        #expect(adapter.fingerprint != base.fingerprint)
        #expect(adapter.basePath.map(Paths.name(of:)) == "llama-gqa")
        #expect(try adapter.sha256OfFiles().count == 2)
    }

    /// A copy of an adapter with another configuration.
    private func changed(
        _ name: String, _ change: (inout JSON.Object) -> Void
    ) throws -> ScratchDirectory {
        let folder = try ScratchDirectory()
        var config =
            try JSON.read(path: path(name) + "/adapter_config.json").objectValue ?? [:]
        config["base_model_name_or_path"] = .string(try base(of: name).path)
        change(&config)
        try folder.write(JSON.object(config).text().utf8, to: "adapter_config.json")
        try FileManager.default.copyItem(
            atPath: path(name) + "/adapter_model.safetensors",
            toPath: folder.file("adapter_model.safetensors"))
        return folder
    }

    @Test(
        arguments: [
            ("base_model_name_or_path", JSON.string("no/such"), "no/such"),
            ("base_model_name_or_path", JSON.null, "base_model_name_or_path is missing"),
            ("peft_type", "IA3", "only LORA is read"),
            ("use_dora", true, "use_dora is true"),
            ("lora_alpha", 0, "lora_alpha is no number above 0"),
            ("layer_replication", [[0, 9]], "names layer 4"),
            ("layer_replication", [[2, 1]], "no [start, end]"),
            ("alpha_pattern", ["layers.[12]": 3], "only plain names"),
        ] as [(String, JSON, String)])
    func whatIsNoAdapterIsRefused(field: String, value: JSON, part: String) throws {
        let folder = try changed("llama-plain") { $0[field] = value }
        let error = #expect(throws: CheckpointError.self) {
            try Checkpoint.open(folder.path)
        }
        #expect(error?.description.contains(part) == true, "\(String(describing: error))")
    }

    @Test func anAdapterOfAnotherBaseIsRefused() throws {
        for other in ["phi3", "olmo2-mha"] {
            let folder = try changed("llama-plain") {
                $0["base_model_name_or_path"] = .string(Source(name: other).path)
            }
            let error = #expect(throws: CheckpointError.self) {
                try Checkpoint.open(folder.path)
            }
            #expect(
                error?.description.contains("the adapter of another base model") == true,
                "\(String(describing: error))")
        }
    }
}
