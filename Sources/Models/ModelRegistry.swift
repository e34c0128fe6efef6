import Checkpoints

/// Every family this package runs: one line each. To add one, write its file in `Families/` and its
/// line here.
public enum ModelRegistry {
    public static let families: [ModelFamily] = [
        .llama,
        .olmo2,
        .gemma3,
    ]

    /// The names `config.json` and GGUF files call these families by.
    public static var knownNames: [String] {
        families.flatMap { family in
            family.modelTypes
                + [family.ggufArchitecture].compactMap(\.self)
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
            guard let family = families.first(where: { $0.ggufArchitecture == name }) else {
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
    let modelTypes: [String]
    /// `architectures` values, for a config.json without `model_type`.
    let classes: [String]
    /// `general.architecture` of a GGUF file; nil if llama.cpp has none.
    let ggufArchitecture: String?
    let configure: @Sendable (ConfigurationReader) throws(ModelError) -> ModelConfiguration
    let configureGGUF: @Sendable (GGUFConfigurationReader) throws(ModelError) -> ModelConfiguration
    /// Names below `layers.<l>.` in safetensors; the roles listed are the roles the family has.
    let names: [LayerRole: String]
    /// Names below `blk.<l>.` in GGUF files, where they differ from `ModelFamily.ggufNames`.
    var ggufOverrides: [LayerRole: String] = [:]
    /// GGUF stores query and key rows in interleaved rotary order (llama.cpp's `llama` only).
    var ggufPermutesRotary = false
    /// Added to norm weights read from safetensors; GGUF files hold the sum already.
    var normOffset: Float = 0
    /// Beginnings of names, without any prefix, that belong to other parts of a larger model and
    /// play no role in the text model.
    var otherParts: [String] = []

    static let ggufNames: [LayerRole: String] = [
        .attentionNorm: "attn_norm", .query: "attn_q", .key: "attn_k", .value: "attn_v",
        .queryNorm: "attn_q_norm", .keyNorm: "attn_k_norm", .attentionOutput: "attn_output",
        .postAttentionNorm: "post_attention_norm", .mlpNorm: "ffn_norm", .gate: "ffn_gate",
        .up: "ffn_up", .down: "ffn_down", .postMLPNorm: "post_ffw_norm",
    ]

    /// Names that the families derived from Llama share.
    static let projectionNames: [LayerRole: String] = [
        .query: "self_attn.q_proj", .key: "self_attn.k_proj", .value: "self_attn.v_proj",
        .attentionOutput: "self_attn.o_proj", .gate: "mlp.gate_proj", .up: "mlp.up_proj",
        .down: "mlp.down_proj",
    ]
}
