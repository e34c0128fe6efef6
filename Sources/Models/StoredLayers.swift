import Checkpoints
import Files

/// Which of a checkpoint's tensors belong to which layer, and what a changed configuration of it means:
/// what writing a checkpoint with other layers needs. Reads no weights.
package struct StoredLayers: Sendable {
    package enum Place: Equatable {
        /// `rest` stands behind the layer's number and a dot.
        case layer(Int, rest: String)
        case outside
        /// No parameter, such as a mask or a table that the configuration makes again.
        case buffer
    }

    package let checkpoint: Checkpoint
    /// Its class in transformers, such as `LlamaForCausalLM`.
    package let transformersClass: String
    /// Whether the text model is a part of a larger one.
    package let isWrapped: Bool
    private let family: ModelFamily
    /// What stands before a layer's number.
    private let beginning: String

    /// - Throws: `ModelError` for an architecture that is not known, or without an embedding.
    package init(_ checkpoint: Checkpoint) throws(ModelError) {
        self.checkpoint = checkpoint
        family = try ModelRegistry.family(of: checkpoint)
        transformersClass = family.classes[0]
        isWrapped = checkpoint.config["text_config"]?.objectValue != nil
        if checkpoint.format == .gguf {
            beginning = GGUFLayout.outer.layers + "."
        } else {
            let prefix = try ModelLoader.prefix(
                of: checkpoint, embedding: family.outer.embedding)
            beginning = prefix + family.outer.layers + "."
        }
    }

    package func place(of name: String) -> Place {
        // A GGUF's tables are tensors that the configuration reads.
        let buffers = checkpoint.format == .gguf ? [] : family.buffers
        if buffers.contains(where: { name == $0 || name.hasSuffix("." + $0) }) { return .buffer }
        guard name.hasPrefix(beginning) else { return .outside }
        let rest = name.dropFirst(beginning.count)
        guard let dot = rest.firstIndex(of: "."), let layer = Int(rest[..<dot]) else {
            return .outside
        }
        return .layer(layer, rest: String(rest[rest.index(after: dot)...]))
    }

    package func name(layer: Int, rest: String) -> String { "\(beginning)\(layer).\(rest)" }

    /// The name below a layer, and the shape [out, in], of the matrix that queries come from. The matrix
    /// may be shared with keys and values, and turned round in the file (GPT-2).
    package var queryName: String { family.names[.query] ?? "" }

    /// The configuration that a checkpoint of these weights with another `config.json` has.
    /// - Parameter tensors: how many tensors it holds.
    package func configuration(
        config: JSON, tensors: Int
    ) throws(ModelError) -> ModelConfiguration {
        try family.configure(
            ConfigurationReader(checkpoint: checkpoint, config: config, tensors: tensors))
    }

    /// The same of a GGUF file with other metadata.
    package func configuration(
        metadata: GGUFMetadata, tensors: Int
    ) throws(ModelError) -> ModelConfiguration {
        guard let layout = family.gguf else {
            throw .unknownArchitecture(
                path: checkpoint.path, name: family.modelTypes[0],
                known: ModelRegistry.knownNames)
        }
        return try layout.configure(
            GGUFConfigurationReader(
                checkpoint: checkpoint, architecture: layout.architecture, metadata: metadata,
                tensors: tensors))
    }
}
