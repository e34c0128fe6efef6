// Checkpoints that are not the model their configuration describes: each is a tiny golden with one thing
// changed, and must fail with an error that names that thing.

import Checkpoints
import Files
import Foundation
import Models
import TestSupport
import Testing

@Suite struct BadModelTests {
    /// The error of loading the golden `name` after `change`, and the folder it was loaded from.
    private func failure(
        _ name: String, _ change: (inout EditableCheckpoint) throws -> Void
    ) throws -> (error: ModelError?, path: String) {
        var checkpoint = try EditableCheckpoint(Locations.golden("models/\(name)"))
        try change(&checkpoint)
        let directory = try checkpoint.write()
        let opened = try Checkpoint.open(directory.path)
        do {
            _ = try Transformer.load(opened)
            return (nil, directory.path)
        } catch {
            let isOneLine = !error.description.contains { $0.isNewline }
            #expect(isOneLine, "\(error)")
            #expect(error.description.hasPrefix(directory.path), "\(error)")
            return (error, directory.path)
        }
    }

    /// The field and the problem of a configuration error.
    private func configurationFailure(
        _ name: String, _ change: (inout EditableCheckpoint) throws -> Void
    ) throws -> (field: String, problem: String)? {
        let (error, directory) = try failure(name, change)
        guard case .configuration(let path, let field, let problem)? = error else {
            Issue.record("no configuration error, but \(String(describing: error))")
            return nil
        }
        #expect(path.hasPrefix(directory))
        return (field, problem)
    }

    @Test(arguments: ["llama-gqa", "olmo2-gqa", "gemma3"])
    func anUnchangedCopyLoads(_ name: String) throws {
        #expect(try failure(name) { _ in }.error == nil)
    }

    // MARK: Tensors

    @Test func missingTensorsAreAllNamed() throws {
        let gone = ["model.layers.0.mlp.up_proj.weight", "model.layers.2.self_attn.q_proj.weight"]
        let (error, path) = try failure("llama-gqa") { checkpoint in
            for name in gone { checkpoint.tensors[name] = nil }
        }
        #expect(error == .missingTensors(path: path, names: gone))
        for name in gone { #expect(error?.description.contains(name) == true) }
    }

    @Test(arguments: [
        ("llama-gqa", "model.norm.weight"), ("gemma3", "model.layers.7.self_attn.k_norm.weight"),
        ("llama-gqa", "model.embed_tokens.weight"), ("olmo2-gqa", "lm_head.weight"),
        ("olmo2-gqa", "model.layers.4.post_feedforward_layernorm.weight"),
        ("llama-bias", "model.layers.1.mlp.down_proj.bias"),
    ])
    func anyMissingTensorIsNamed(_ name: String, _ tensor: String) throws {
        let (error, path) = try failure(name) { $0.tensors[tensor] = nil }
        #expect(error == .missingTensors(path: path, names: [tensor]))
    }

    @Test func leftoverTensorsAreAllNamed() throws {
        let extra = ["model.layers.0.self_attn.q_norm.weight", "model.layers.4.mlp.up_proj.weight"]
        let (error, path) = try failure("llama-gqa") { checkpoint in
            for name in extra {
                checkpoint.tensors[name] = .init(shape: [1], values: [1])
            }
        }
        #expect(error == .leftoverTensors(path: path, names: extra))
        for name in extra { #expect(error?.description.contains(name) == true) }
    }

    @Test func buffersOfOldCheckpointsAreNoLeftovers() throws {
        let (error, _) = try failure("llama-gqa") { checkpoint in
            checkpoint.tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = .init(
                shape: [4], values: [1, 2, 3, 4])
        }
        #expect(error == nil)
    }

    @Test(arguments: [
        ("model.layers.1.mlp.down_proj.weight", [36, 32], [32, 36]),
        ("model.layers.3.self_attn.k_proj.weight", [32, 16], [16, 32]),
        ("model.norm.weight", [1, 32], [32]),
        ("model.embed_tokens.weight", [32, 131], [131, 32]),
    ])
    func aWrongShapeIsNamedWithTheRightOne(
        _ tensor: String, _ actual: [Int], _ expected: [Int]
    ) throws {
        let (error, path) = try failure("llama-gqa") { $0.tensors[tensor]?.shape = actual }
        #expect(
            error
                == .wrongShape(path: path, tensor: tensor, expected: expected, actual: actual))
    }

    @Test func aConfigurationThatDoesNotFitTheWeightsIsAWrongShape() throws {
        let (error, path) = try failure("llama-gqa") { $0.config["vocab_size"] = 132 }
        #expect(
            error
                == .wrongShape(
                    path: path, tensor: "model.embed_tokens.weight", expected: [132, 32],
                    actual: [131, 32]))
        let fewer = try failure("llama-gqa") { $0.config["num_hidden_layers"] = 3 }
        guard case .leftoverTensors(_, let names)? = fewer.error else {
            Issue.record("\(String(describing: fewer.error))")
            return
        }
        #expect(names.count == 9)
        #expect(names.allSatisfy { $0.hasPrefix("model.layers.3.") })
    }

    @Test func weightsOfWholeNumbersAreRefused() throws {
        let tensor = "model.layers.0.mlp.gate_proj.weight"
        let (error, path) = try failure("llama-gqa") { $0.tensors[tensor]?.type = "I32" }
        #expect(error == .unsupportedType(path: path, tensor: tensor, type: "I32"))
    }

    // MARK: Tied heads

    @Test func aTiedHeadMayBeStoredIfItIsTheEmbedding() throws {
        let (error, _) = try failure("llama-gqa") { checkpoint in
            checkpoint.tensors["lm_head.weight"] = checkpoint.tensors["model.embed_tokens.weight"]
        }
        #expect(error == nil)
    }

    @Test func aTiedHeadThatDiffersIsRefused() throws {
        let wrong = try configurationFailure("llama-gqa") { checkpoint in
            var head = try #require(checkpoint.tensors["model.embed_tokens.weight"])
            head.bytes[head.bytes.count - 3] ^= 1
            checkpoint.tensors["lm_head.weight"] = head
        }
        #expect(wrong?.field == "tie_word_embeddings")
        #expect(wrong?.problem.contains("lm_head.weight") == true)
    }

    @Test func anUntiedModelNeedsItsHead() throws {
        let (error, path) = try failure("llama-gqa") {
            $0.config["tie_word_embeddings"] = false
        }
        #expect(error == .missingTensors(path: path, names: ["lm_head.weight"]))
    }

    // MARK: Configurations

    @Test(arguments: ["mamba", "bert"])
    func anUnknownArchitectureListsTheKnown(_ name: String) throws {
        let (error, path) = try failure("llama-gqa") { $0.config["model_type"] = .string(name) }
        #expect(
            error
                == .unknownArchitecture(path: path, name: name, known: ModelRegistry.knownNames))
        for known in ["llama", "olmo2", "gemma3", "gemma3_text"] {
            #expect(ModelRegistry.knownNames.contains(known))
            #expect(error?.description.contains(known) == true)
        }
    }

    @Test func withoutAModelTypeTheClassDecides() throws {
        let (known, _) = try failure("olmo2-gqa") { $0.config["model_type"] = nil }
        #expect(known == nil)
        let (unknown, path) = try failure("olmo2-gqa") { checkpoint in
            checkpoint.config["model_type"] = nil
            checkpoint.config["architectures"] = ["RwkvForCausalLM"]
        }
        #expect(
            unknown
                == .unknownArchitecture(
                    path: path, name: "RwkvForCausalLM", known: ModelRegistry.knownNames))
    }

    struct WrongField: Sendable, CustomTestStringConvertible {
        let model, key: String
        let value: JSON?
        /// The field that the error names, and a part of what it says.
        let field, says: String
        var testDescription: String { "\(model): \(key)" }

        init(_ model: String, _ key: String, _ value: JSON?, field: String? = nil, _ says: String) {
            self.model = model
            self.key = key
            self.value = value
            self.field = field ?? key
            self.says = says
        }
    }

    @Test(arguments: [
        WrongField("llama-gqa", "head_dim", 7, "even head dimension, not 7"),
        WrongField("gemma3", "attn_logit_softcapping", 50.0, "50.0 is not supported"),
        WrongField("gemma3", "final_logit_softcapping", 30.0, "30.0 is not supported"),
        WrongField("gemma3", "use_bidirectional_attention", true, "true is not supported"),
        WrongField("llama-gqa", "num_key_value_heads", 3, "does not divide the 4"),
        WrongField("llama-gqa", "num_hidden_layers", nil, "is missing"),
        WrongField("llama-gqa", "hidden_size", 0, "positive whole number, found 0"),
        WrongField("llama-gqa", "hidden_size", -32, "found -32"),
        WrongField("llama-gqa", "vocab_size", "many", "found \"many\""),
        WrongField("llama-gqa", "intermediate_size", 36.5, "found 36.5"),
        WrongField("llama-gqa", "rms_norm_eps", 0.0, "expected a positive number"),
        WrongField("llama-gqa", "hidden_act", "relu", "\"relu\" is not supported"),
        WrongField("llama-gqa", "tie_word_embeddings", "yes", "expected true or false"),
        WrongField(
            "llama-gqa", "rope_parameters",
            ["rope_theta": 1e4, "rope_type": "proportional", "factor": 2],
            field: "rope_parameters.rope_type", "\"proportional\" is not supported"),
        WrongField(
            "llama-gqa", "rope_parameters", ["rope_theta": 1e4, "rope_type": "yarn", "factor": -2],
            field: "rope_parameters.factor", "expected a positive number"),
        WrongField(
            "llama-gqa", "rope_parameters", ["rope_theta": 1e4, "partial_rotary_factor": 0.5],
            field: "partial_rotary_factor", "0.5 is not supported"),
        WrongField(
            "pythia", "rope_parameters", ["rope_theta": 1e4, "partial_rotary_factor": 1.5],
            field: "rotary_pct", "up to 1, found 1.5"),
        WrongField(
            "llama-gqa", "rope_parameters", ["rope_type": "longrope", "short_factor": [1, 1]],
            field: "rope_parameters.short_factor", "expected 4 positive numbers"),
        WrongField("gpt2", "n_head", 5, "does not divide n_embd 24"),
        WrongField("gpt2", "add_cross_attention", true, "true is not supported"),
        WrongField("gpt2", "scale_attn_by_inverse_layer_idx", true, "true is not supported"),
        WrongField("gpt2", "activation_function", "relu", "\"relu\" is not supported"),
        WrongField("olmo", "clip_qkv", -1, "expected a positive number, found -1"),
        WrongField("olmo3", "layer_types", ["full_attention"], "1 entries for 5 layers"),
        WrongField("qwen2-sliding", "sliding_window", 0, "found 0"),
        WrongField("mistral", "sliding_window", "wide", "found \"wide\""),
        WrongField(
            "llama-gqa", "rope_parameters", ["rope_theta": 1e4, "rope_type": "linear"],
            field: "rope_parameters.factor", "expected a positive number"),
        WrongField(
            "llama-gqa", "rope_parameters", ["rope_theta": -1, "rope_type": "default"],
            field: "rope_theta", "found -1"),
        WrongField("gemma3", "layer_types", ["full_attention"], "1 entries for 8 layers"),
        WrongField(
            "gemma3", "layer_types", .array(Array(repeating: "chunked_attention", count: 8)),
            "\"chunked_attention\" is not supported"),
        WrongField("gemma3", "sliding_window", 0, "found 0"),
    ])
    func aWrongFieldIsNamed(_ wrong: WrongField) throws {
        let failure = try configurationFailure(wrong.model) { checkpoint in
            checkpoint.config[wrong.key] = wrong.value
        }
        #expect(failure?.field == wrong.field)
        #expect(failure?.problem.contains(wrong.says) == true, "\(failure?.problem ?? "nothing")")
    }

    // MARK: Running

    @Test func whatIsNotFiniteNamesTheLayer() throws {
        var checkpoint = try EditableCheckpoint(Locations.golden("models/llama-gqa"))
        let name = "model.layers.2.mlp.down_proj.weight"
        let shape = try #require(checkpoint.tensors[name]?.shape)
        checkpoint.tensors[name] = .init(
            shape: shape, values: [Float](repeating: .nan, count: shape[0] * shape[1]))
        let directory = try checkpoint.write()
        let model = try Transformer.load(Checkpoint.open(directory.path))
        let session = try Session(model: model, capacity: 8)
        #expect(throws: ModelError.nonFinite(place: "layer 2", position: 0)) {
            try session.run([1, 2, 3])
        }
    }
}
