import Checkpoints

/// Reads the model's keys of a GGUF file, which stand below the architecture's name.
public final class GGUFConfigurationReader {
    let path: String
    let metadata: GGUFMetadata
    let architecture: String
    let checkpoint: Checkpoint
    private let tensors: Int
    private(set) var assumptions: [String] = []

    /// - Parameters:
    ///   - metadata: in the place of the checkpoint's.
    ///   - tensors: how many the file of that metadata holds.
    init(
        checkpoint: Checkpoint, architecture: String, metadata: GGUFMetadata? = nil,
        tensors: Int? = nil
    ) {
        path = checkpoint.path
        self.metadata = metadata ?? checkpoint.metadata
        self.tensors = tensors ?? checkpoint.tensors.count
        self.architecture = architecture
        self.checkpoint = checkpoint
    }

    func error(_ key: String, _ problem: String) -> ModelError {
        .configuration(path: path, field: key, problem: problem)
    }

    func assume(_ text: String) {
        if !assumptions.contains(text) { assumptions.append(text) }
    }

    func count(_ key: String, default fallback: Int? = nil) throws(ModelError) -> Int {
        let full = "\(architecture).\(key)"
        guard metadata[full] != nil else {
            guard let fallback else { throw error(full, "is missing") }
            return fallback
        }
        guard let value = metadata.int(full), value > 0, value <= 1 << 31 else {
            throw error(full, "expected a positive whole number")
        }
        if let problem = LayerLimit.problem(value, key, tensors: tensors) {
            throw error(full, problem)
        }
        return value
    }

    func number(_ key: String, default fallback: Double? = nil) throws(ModelError) -> Double {
        let full = "\(architecture).\(key)"
        guard metadata[full] != nil else {
            guard let fallback else { throw error(full, "is missing") }
            assume("\(full) is not given: \(fallback), the family's default")
            return fallback
        }
        guard let value = metadata.double(full), value > 0, value.isFinite else {
            throw error(full, "expected a positive number")
        }
        return value
    }

    func flag(_ key: String, default fallback: Bool) throws(ModelError) -> Bool {
        let full = "\(architecture).\(key)"
        guard metadata[full] != nil else {
            assume("\(full) is not given: \(fallback), the family's default")
            return fallback
        }
        guard let value = metadata.bool(full) else { throw error(full, "expected a boolean") }
        return value
    }

    /// The sliding window; nil without one, which some converters write as 0.
    func window() throws(ModelError) -> Int? {
        let key = "attention.sliding_window"
        let value = metadata["\(architecture).\(key)"]
        guard value != nil, metadata.int("\(architecture).\(key)") != 0 else { return nil }
        return try count(key)
    }

    /// Fails where the file asks for caps of scores or logits, which are not built; 0 is none.
    func refuseSoftcapping() throws(ModelError) {
        for key in ["attn_logit_softcapping", "final_logit_softcapping"] {
            let full = "\(architecture).\(key)"
            guard metadata[full] != nil, metadata.double(full) != 0 else { continue }
            throw error(full, "is not supported")
        }
    }

    /// Fails where the file asks for attention that sees what follows.
    func refuseBidirectional() throws(ModelError) {
        let full = "\(architecture).attention.causal"
        guard metadata[full] != nil, metadata.bool(full) != true else { return }
        throw error(full, "only true is supported: this reads causal models")
    }

    func has(_ tensor: String) -> Bool { checkpoint.tensors[tensor] != nil }

    /// The vocabulary's size: rows of the embedding, which the file always holds.
    func vocabularySize() throws(ModelError) -> Int {
        guard let embedding = checkpoint.tensors["token_embd.weight"], embedding.shape.count == 2
        else { throw .missingTensors(path: path, names: ["token_embd.weight"]) }
        return embedding.shape[0]
    }
}
