// Checkpoints of libraries that quantise are told apart from broken ones, and a head stored in another
// type than the embedding it is tied to is compared by value.

import Checkpoints
import Files
import Foundation
import Models
import TestSupport
import Testing

@Suite struct QuantizedTests {
    private func error(
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

    /// The sign that a `quantized` error names, whose text must say what to use.
    private func sign(of error: ModelError?) -> String? {
        guard case .quantized(_, let sign)? = error else { return nil }
        let text = error?.description ?? ""
        #expect(text.contains(sign) && text.contains("quantised") && text.contains("GGUF"))
        #expect(!text.contains("fetch") && !text.contains { $0.isNewline })
        return sign
    }

    private static let matrix = "model.layers.0.self_attn.q_proj"

    /// A tensor of bytes in some type that no weight has.
    private static func tensor(_ type: String, _ shape: [Int], width: Int)
        -> EditableCheckpoint.Tensor
    {
        var tensor = EditableCheckpoint.Tensor(shape: shape, values: [])
        tensor.type = type
        tensor.bytes = [UInt8](repeating: 0, count: shape.reduce(width, *))
        return tensor
    }

    struct Form: Sendable, CustomTestStringConvertible {
        let method: String
        /// Stands in the place of the matrix, by the end of its name: type, shape and bytes of one.
        let weight: (name: String, type: String, shape: [Int], width: Int)
        /// Stand beside it.
        let companions: [(name: String, type: String, shape: [Int], width: Int)]
        var testDescription: String { method }
    }

    /// The tensors of AutoGPTQ, AutoAWQ, bitsandbytes (4 and 8 bits), transformers' fp8,
    /// compressed-tensors and MLX, of a matrix of 32 by 32.
    static let forms: [Form] = [
        Form(
            method: "gptq", weight: ("qweight", "I32", [4, 32], 4),
            companions: [
                ("qzeros", "I32", [1, 4], 4), ("scales", "F16", [1, 32], 2),
                ("g_idx", "I32", [32], 4),
            ]),
        Form(
            method: "awq", weight: ("qweight", "I32", [32, 4], 4),
            companions: [("qzeros", "I32", [1, 4], 4), ("scales", "F16", [1, 32], 2)]),
        Form(
            method: "bitsandbytes", weight: ("weight", "U8", [512, 1], 1),
            companions: [
                ("weight.absmax", "F32", [16], 4), ("weight.quant_map", "F32", [16], 4),
                ("weight.quant_state.bitsandbytes__nf4", "U8", [90], 1),
            ]),
        Form(
            method: "bitsandbytes", weight: ("weight", "I8", [32, 32], 1),
            companions: [("SCB", "F32", [32], 4), ("weight_format", "U8", [], 1)]),
        Form(
            method: "fp8", weight: ("weight", "F8_E4M3", [32, 32], 1),
            companions: [("weight_scale_inv", "F32", [1, 1], 4)]),
        Form(
            method: "compressed-tensors", weight: ("weight_packed", "I32", [32, 4], 4),
            companions: [("weight_scale", "BF16", [32, 1], 2)]),
        Form(
            method: "mlx", weight: ("weight", "U32", [32, 4], 4),
            companions: [("scales", "F16", [32, 1], 2), ("biases", "F16", [32, 1], 2)]),
    ]

    private func store(_ form: Form, in checkpoint: inout EditableCheckpoint) {
        checkpoint.tensors[Self.matrix + ".weight"] = nil
        for part in [form.weight] + form.companions {
            checkpoint.tensors["\(Self.matrix).\(part.name)"] = Self.tensor(
                part.type, part.shape, width: part.width)
        }
    }

    @Test(arguments: forms)
    func aQuantisedCheckpointIsNamedByItsConfiguration(_ form: Form) throws {
        let found = try error("llama-gqa") { checkpoint in
            store(form, in: &checkpoint)
            checkpoint.config["quantization_config"] = [
                "quant_method": .string(form.method), "bits": 4,
            ]
        }
        #expect(sign(of: found) == "quantization_config: \(form.method)")
    }

    @Test(arguments: forms)
    func orByATensorThatStandsBesideTheWeights(_ form: Form) throws {
        let found = try error("llama-gqa") { store(form, in: &$0) }
        #expect(sign(of: found)?.hasPrefix("tensor \(Self.matrix).") == true, "\(found as Any)")
    }

    @Test func aTypeWithoutAnythingBesideItIsNamed() throws {
        let name = Self.matrix + ".weight"
        let found = try error("llama-gqa") { checkpoint in
            checkpoint.tensors[name] = Self.tensor("F8_E4M3", [32, 32], width: 1)
        }
        guard case .unsupportedType(_, name, "F8_E4M3")? = found else {
            Issue.record("\(found as Any)")
            return
        }
        #expect(found?.description.contains("unquantised model") == true)
    }

    @Test func oldAndNestedDeclarationsCount() throws {
        func found(_ field: String, _ value: JSON, in model: String) throws -> ModelError? {
            try error(model) { checkpoint in
                checkpoint.tensors["extra.qweight"] = Self.tensor("I32", [2, 2], width: 4)
                if var text = checkpoint.config["text_config"]?.objectValue {
                    text[field] = value
                    checkpoint.config["text_config"] = .object(text)
                } else {
                    checkpoint.config[field] = value
                }
            }
        }
        let unnamed = try found("quantization_config", ["load_in_4bit": true], in: "llama-gqa")
        #expect(sign(of: unnamed) == "quantization_config: bitsandbytes")
        let mlx = try found("quantization", ["group_size": 64, "bits": 4], in: "llama-gqa")
        #expect(sign(of: mlx) == "quantization")
        let older = try found(
            "compression_config", ["quant_method": "compressed-tensors"], in: "llama-gqa")
        #expect(sign(of: older) == "compression_config: compressed-tensors")
        let nested = try found(
            "quantization_config", ["quant_method": "awq"], in: "gemma3-wrapped-v5")
        #expect(sign(of: nested) == "quantization_config: awq")
        let nothing = try error("llama-gqa") { checkpoint in
            checkpoint.config["quantization_config"] = .null
            checkpoint.config["quantization"] = [:]
        }
        #expect(nothing == nil)
    }

    /// transformers would quantise them when it loads them, which changes every number.
    @Test func plainWeightsToBeQuantisedAreNoted() throws {
        let found = try error("llama-gqa") { checkpoint in
            checkpoint.config["quantization_config"] = ["quant_method": "bitsandbytes"]
        }
        guard case .quantizedOnLoad(_, "quantization_config: bitsandbytes")? = found else {
            Issue.record("\(found as Any)")
            return
        }
        #expect(found?.description.contains("remove it from config.json") == true)
    }

    // MARK: A tied head of another type

    /// BF16 as F32: the upper half of the bits.
    private static func widened(_ tensor: EditableCheckpoint.Tensor) -> EditableCheckpoint.Tensor {
        var wide = tensor
        wide.type = "F32"
        wide.bytes = stride(from: 0, to: tensor.bytes.count, by: 2).flatMap { index in
            [0, 0, tensor.bytes[index], tensor.bytes[index + 1]]
        }
        return wide
    }

    @Test func aTiedHeadMayBeStoredInAnotherType() throws {
        let golden = GoldenModel(name: "llama-bf16")
        let embedding = "model.embed_tokens.weight"
        for (name, other) in [("lm_head.weight", embedding), (embedding, "lm_head.weight")] {
            var checkpoint = try EditableCheckpoint(golden.folder)
            let stored = try #require(checkpoint.tensors[embedding])
            #expect(stored.type == "BF16")
            checkpoint.tensors[name] = Self.widened(stored)
            checkpoint.tensors[other] = stored
            let directory = try checkpoint.write()
            let model = try Transformer.load(Checkpoint.open(directory.path))
            let (facts, tensors) = try golden.expected()
            let ours = try logits(model, GoldenModel.tokens(facts, 0))
            #expect(largestDifference(ours, try tensors.floats("logits.0").values) < 1e-4)
        }
    }

    /// Any one value: the first, the last, one on each side of the pieces in which they are compared.
    @Test(arguments: [0, 4095, 4096, 131 * 32 - 1])
    func aHeadOfAnotherTypeThatDiffersInOneValueIsRefused(_ index: Int) throws {
        let found = try error("llama-bf16") { checkpoint in
            let stored = try #require(checkpoint.tensors["model.embed_tokens.weight"])
            var head = Self.widened(stored)
            #expect(head.bytes.count == 4 * 131 * 32)
            head.bytes[4 * index] ^= 1
            checkpoint.tensors["lm_head.weight"] = head
        }
        guard case .configuration(_, "tie_word_embeddings", let problem)? = found else {
            Issue.record("\(found as Any)")
            return
        }
        #expect(problem.contains("differs"))
    }

    @Test func aHeadOfAnotherShapeDiffers() throws {
        let found = try error("llama-bf16") { checkpoint in
            let stored = try #require(checkpoint.tensors["model.embed_tokens.weight"])
            var head = Self.widened(stored)
            head.shape = [32, 131]
            checkpoint.tensors["lm_head.weight"] = head
        }
        guard case .configuration(_, "tie_word_embeddings", _)? = found else {
            Issue.record("\(found as Any)")
            return
        }
    }
}
