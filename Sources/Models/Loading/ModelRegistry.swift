import Checkpoints

/// Every family this package runs: one line each. To add one, write its file in `Families/` and its
/// line here.
public enum ModelRegistry {
    public static let families: [ModelFamily] = [
        .llama,
        .mistral,
        .olmo,
        .olmo2,
        .olmo3,
        .qwen2,
        .qwen3,
        .phi3,
        .gemma3,
        .gptNeoX,
        .gpt2,
    ]

    /// The names `config.json` and GGUF files call these families by.
    public static var knownNames: [String] {
        families.flatMap { family in
            family.modelTypes
                + [family.gguf?.architecture].compactMap(\.self)
                .filter { !family.modelTypes.contains($0) }
        }
    }

    /// - Throws: `ModelError.unknownArchitecture` with the name found and the names known.
    static func family(of checkpoint: Checkpoint) throws(ModelError) -> ModelFamily {
        func unknown(_ name: String) -> ModelError {
            .unknownArchitecture(path: checkpoint.path, name: name, known: knownNames)
        }
        if checkpoint.format == .gguf {
            let name = checkpoint.metadata.string("general.architecture") ?? "(none)"
            guard let family = families.first(where: { $0.gguf?.architecture == name }) else {
                throw unknown(name)
            }
            return family
        }
        let classes = (checkpoint.config["architectures"]?.arrayValue ?? [])
            .compactMap(\.stringValue)
        if let name = checkpoint.config["model_type"]?.stringValue {
            guard let family = families.first(where: { $0.modelTypes.contains(name) }) else {
                throw unknown(name)
            }
            return family
        }
        guard
            let family = families.first(where: { family in
                classes.contains(where: family.classes.contains)
            })
        else { throw unknown(classes.first ?? "(no model_type in config.json)") }
        return family
    }
}

/// The part a weight plays in a decoder layer, whatever its file calls it.
public enum LayerRole: String, Sendable, CaseIterable {
    case attentionNorm, query, key, value, queryNorm, keyNorm, attentionOutput, postAttentionNorm
    case mlpNorm, gate, up, down, postMLPNorm
}

/// One family: how its configuration reads and what its weights are called.
public struct ModelFamily: Sendable {
    /// `model_type` values of config.json.
    public let modelTypes: [String]
    /// `architectures` values, for a config.json without `model_type`.
    let classes: [String]
    let configure: @Sendable (ConfigurationReader) throws(ModelError) -> ModelConfiguration
    /// Names below `layers.<l>.` in safetensors; the roles listed are the roles the family has.
    ///
    /// Roles of one name are one stored matrix: the rows of each role after those of the one before,
    /// in the order of `LayerRole`.
    let names: [LayerRole: String]
    /// Names outside the layers.
    var outer = OuterNames()
    /// In safetensors, the rows of roles of one name alternate head by head.
    var fusedByHead = false
    /// Safetensors hold the projections turned round: [in, out].
    var transposed = false
    /// Tensors that are no parameters, such as masks and tables: whole names, or their ends after a
    /// dot.
    var buffers = ["rotary_emb.inv_freq"]
    /// Beginnings of names, without any prefix, that belong to other parts of a larger model and
    /// play no role in the text model.
    var otherParts: [String] = []
    /// Nil if llama.cpp has no architecture of this family's own.
    var gguf: GGUFLayout?

    /// `general.architecture` of a GGUF file.
    public var ggufArchitecture: String? { gguf?.architecture }
}

/// What stands outside the layers in safetensors, after a prefix such as `model.` or none.
struct OuterNames: Sendable {
    var embedding = "embed_tokens"
    /// Position embeddings, where they are learned.
    var positions = ""
    var layers = "layers"
    var finalNorm = "norm"
    /// Names of the unembedding, none of which takes the embedding's prefix.
    var heads = ["lm_head"]
}

/// A family in GGUF files, as llama.cpp's converter writes it.
struct GGUFLayout: Sendable {
    let architecture: String
    let configure: @Sendable (GGUFConfigurationReader) throws(ModelError) -> ModelConfiguration
    /// Names below `blk.<l>.` where they differ from `GGUFLayout.names`.
    var names: [LayerRole: String] = [:]
    /// Query and key rows stand in interleaved rotary order.
    var permutesRotary = false

    static let names: [LayerRole: String] = [
        .attentionNorm: "attn_norm", .query: "attn_q", .key: "attn_k", .value: "attn_v",
        .queryNorm: "attn_q_norm", .keyNorm: "attn_k_norm", .attentionOutput: "attn_output",
        .postAttentionNorm: "post_attention_norm", .mlpNorm: "ffn_norm", .gate: "ffn_gate",
        .up: "ffn_up", .down: "ffn_down", .postMLPNorm: "post_ffw_norm",
    ]
    static let outer = OuterNames(
        embedding: "token_embd", positions: "position_embd", layers: "blk",
        finalNorm: "output_norm", heads: ["output"])
    /// Tensors that the configuration reads.
    static let buffers = [
        "rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight",
    ]
}
