// Checkpoints as they lie on the Hub: prefixes, buffers that are no parameters, leftover pickles, heads
// stored twice. Each is a tiny golden with that one thing changed, and must give the golden's logits or
// a clear error.

import Checkpoints
import Files
import Foundation
import Models
import TestSupport
import Testing

@Suite struct HubFileTests {
    /// Loads the golden `name` after `change` and checks its logits.
    private func expectTheSame(
        _ name: String, _ change: (inout EditableCheckpoint) throws -> Void,
        at location: SourceLocation = #_sourceLocation
    ) throws {
        let golden = GoldenModel(name: name)
        var checkpoint = try EditableCheckpoint(golden.folder)
        try change(&checkpoint)
        let directory = try checkpoint.write()
        let model = try Transformer.load(Checkpoint.open(directory.path))
        let (facts, tensors) = try golden.expected()
        let ours = try logits(model, GoldenModel.tokens(facts, 0))
        #expect(
            largestDifference(ours, try tensors.floats("logits.0").values) < 1e-4,
            sourceLocation: location)
    }

    private func failure(
        _ name: String, _ change: (inout EditableCheckpoint) throws -> Void
    ) throws -> ModelError? {
        var checkpoint = try EditableCheckpoint(Locations.golden("models/\(name)"))
        try change(&checkpoint)
        let directory = try checkpoint.write()
        let opened = try Checkpoint.open(directory.path)
        do {
            _ = try Transformer.load(opened)
            return nil
        } catch { return error }
    }

    // MARK: Prefixes

    struct Prefix: Sendable, CustomTestStringConvertible {
        let model, old, new: String
        var testDescription: String { "\(model): \"\(old)\" becomes \"\(new)\"" }
    }

    @Test(arguments: [
        Prefix(model: "llama-gqa", old: "model.", new: ""),
        Prefix(model: "qwen3", old: "model.", new: ""),
        Prefix(model: "olmo2-mha", old: "", new: "model."),
        Prefix(model: "gpt2", old: "", new: "transformer."),
        Prefix(model: "gpt2-inner", old: "transformer.", new: ""),
        Prefix(model: "pythia", old: "gpt_neox.", new: ""),
        Prefix(model: "neox-sequential", old: "", new: "gpt_neox."),
        Prefix(model: "olmo", old: "model.", new: "model.language_model."),
    ])
    func anyPrefixWillDo(_ prefix: Prefix) throws {
        try expectTheSame(prefix.model) { checkpoint in
            var renamed = checkpoint.tensors
            for (name, tensor) in checkpoint.tensors where name.hasPrefix(prefix.old) {
                guard !name.hasPrefix("lm_head"), !name.hasPrefix("embed_out") else { continue }
                renamed[name] = nil
                renamed[prefix.new + name.dropFirst(prefix.old.count)] = tensor
            }
            checkpoint.tensors = renamed
        }
    }

    /// transformers 5 calls the head of GPT-NeoX `lm_head`, its files `embed_out`.
    @Test func bothNamesOfGPTNeoXsHead() throws {
        try expectTheSame("pythia") { checkpoint in
            let head = try #require(checkpoint.tensors["embed_out.weight"])
            checkpoint.tensors["embed_out.weight"] = nil
            checkpoint.tensors["lm_head.weight"] = head
        }
        try expectTheSame("gpt2") { checkpoint in
            checkpoint.tensors["lm_head.weight"] = checkpoint.tensors["wte.weight"]
        }
    }

    /// Every golden in one weight file.
    private static let names = GoldenModel.all.map(\.name).filter { $0 != "llama-sharded" }

    @Test(arguments: names)
    func withoutAModelTypeTheClassDecides(_ name: String) throws {
        try expectTheSame(name) { $0.config["model_type"] = nil }
    }

    // MARK: Buffers

    @Test func theGoldensOfOldFamiliesHaveBuffers() throws {
        let neox = try EditableCheckpoint(Locations.golden("models/pythia")).tensors
        for name in ["bias", "masked_bias", "rotary_emb.inv_freq"] {
            #expect(neox["gpt_neox.layers.1.attention.\(name)"] != nil)
        }
        #expect(neox["gpt_neox.layers.0.attention.bias"]?.type == "BOOL")
        let gpt2 = try EditableCheckpoint(Locations.golden("models/gpt2")).tensors
        #expect(gpt2["h.2.attn.bias"]?.shape == [1, 1, 4, 4])
        #expect(gpt2["h.2.attn.masked_bias"]?.shape == [])
    }

    /// As files of Llama's first years have them, with a table that is not the model's: it is not read.
    @Test(arguments: ["llama-gqa", "mistral", "olmo", "qwen2"])
    func tablesOfFrequenciesAreNotRead(_ name: String) throws {
        try expectTheSame(name) { checkpoint in
            checkpoint.tensors["model.layers.1.self_attn.rotary_emb.inv_freq"] = .init(
                shape: [4], values: [.nan, 1, 2, 3])
        }
    }

    @Test(arguments: [
        ("llama-gqa", "model.layers.0.attn.bias"), ("llama-gqa", "model.layers.0.attention.bias"),
        ("gpt2", "h.0.attn.rotary_emb.inv_freq"), ("gpt2", "h.0.attn.c_attn.masked"),
        ("pythia", "gpt_neox.layers.0.attn.bias"), ("pythia", "gpt_neox.layers.3.attention.dense"),
    ])
    func anotherFamilysBufferIsALeftover(_ name: String, _ tensor: String) throws {
        guard
            case .leftoverTensors(_, let names)? = try failure(
                name,
                { checkpoint in
                    checkpoint.tensors[tensor] = .init(shape: [1], values: [1])
                })
        else {
            Issue.record("\(tensor) was taken")
            return
        }
        #expect(names == [tensor])
    }

    /// A parameter's name that ends like a buffer's is no buffer.
    @Test func aBiasThatIsAParameterMustBeThere() throws {
        for (name, tensor) in [
            ("gpt2", "h.1.attn.c_attn.bias"), ("pythia", "gpt_neox.layers.1.attention.dense.bias"),
            ("gpt2", "ln_f.bias"), ("pythia", "gpt_neox.layers.0.input_layernorm.bias"),
            ("gpt2", "wpe.weight"), ("qwen2", "model.layers.0.self_attn.v_proj.bias"),
            ("pythia", "gpt_neox.layers.2.attention.query_key_value.weight"),
        ] {
            let error = try failure(name) { $0.tensors[tensor] = nil }
            guard case .missingTensors(_, let names)? = error else {
                Issue.record("\(tensor): \(String(describing: error))")
                continue
            }
            #expect(names == [tensor])
        }
    }

    @Test func fusedAndTurnedShapesAreNamedAsTheyAreStored() throws {
        let turned = try failure("gpt2") { checkpoint in
            checkpoint.tensors["h.0.attn.c_attn.weight"]?.shape = [72, 24]
        }
        guard case .wrongShape(_, "h.0.attn.c_attn.weight", [24, 72], [72, 24])? = turned else {
            Issue.record("\(String(describing: turned))")
            return
        }
        let name = "gpt_neox.layers.0.attention.query_key_value.weight"
        let fused = try failure("pythia") { $0.tensors[name]?.shape = [48, 64] }
        guard case .wrongShape(_, name, [96, 32], [48, 64])? = fused else {
            Issue.record("\(String(describing: fused))")
            return
        }
    }

    // MARK: Heads

    @Test(arguments: names)
    func aTiedHeadMayBeStoredAllTheSame(_ name: String) throws {
        let tied = try GoldenModel(name: name).load().configuration.tiedEmbeddings
        try expectTheSame(name) { checkpoint in
            let embedding = try #require(
                checkpoint.tensors.first {
                    ["embed_tokens.weight", "embed_in.weight", "wte.weight"].contains(
                        $0.key.split(separator: ".").suffix(2).joined(separator: "."))
                }?.value)
            let heads = ["lm_head.weight", "embed_out.weight"]
            let stored = checkpoint.tensors.keys.contains(where: heads.contains)
            #expect(tied || stored)
            if tied { checkpoint.tensors["lm_head.weight"] = embedding }
        }
    }

    @Test(arguments: ["gpt2", "neox-sequential", "qwen2"])
    func aTiedHeadThatDiffersIsRefused(_ name: String) throws {
        let error = try failure(name) { checkpoint in
            let embedding = try #require(
                checkpoint.tensors.first {
                    $0.key.contains("embed_") || $0.key.contains("wte")
                }?.value)
            var head = embedding
            head.bytes[5] ^= 1
            checkpoint.tensors["lm_head.weight"] = head
        }
        guard case .configuration(_, "tie_word_embeddings", let problem)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(problem.contains("lm_head.weight") && problem.contains("set it to false"))
    }

    /// With the flag off, the head that is there is the head.
    @Test func anUntiedHeadIsUsed() throws {
        var checkpoint = try EditableCheckpoint(Locations.golden("models/qwen3"))
        checkpoint.config["tie_word_embeddings"] = false
        var head = try #require(checkpoint.tensors["model.embed_tokens.weight"])
        head.bytes = [UInt8](repeating: 0, count: head.bytes.count)
        checkpoint.tensors["lm_head.weight"] = head
        let directory = try checkpoint.write()
        let model = try Transformer.load(Checkpoint.open(directory.path))
        #expect(try logits(model, [1, 2, 3]).allSatisfy { $0 == 0 })
    }

    // MARK: Directories

    @Test func leftoverPicklesBesideSafetensorsAreNotRead() throws {
        let checkpoint = try EditableCheckpoint(Locations.golden("models/qwen3"))
        let directory = try checkpoint.write()
        try directory.write("not read".utf8, to: "pytorch_model.bin")
        try directory.write("not read".utf8, to: "model.pth")
        _ = try Transformer.load(Checkpoint.open(directory.path))
    }

    @Test(arguments: [
        "pytorch_model.bin", "consolidated.00.pth", "pytorch_model-00001-of-00002.bin",
    ])
    func onlyPicklesIsAnErrorThatSaysHowToConvert(_ name: String) throws {
        let directory = try ScratchDirectory()
        try directory.write("{}".utf8, to: "config.json")
        try directory.write("pickle".utf8, to: name)
        let error = #expect(throws: CheckpointError.self) {
            try Checkpoint.open(directory.path)
        }
        let text = error?.description ?? ""
        for part in [directory.path, name, "only safetensors", "save_pretrained"] {
            #expect(text.contains(part), "\(text)")
        }
    }
}
