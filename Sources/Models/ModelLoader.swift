import Checkpoints
import Tensors

extension Transformer {
    /// Makes a model of a checkpoint. Reads no weights but the norms and biases; the checkpoint's files
    /// stay mapped while the model lives.
    ///
    /// Loading is total: a tensor that is missing, left over or of the wrong shape is an error.
    /// - Parameter arithmetic: of all products with weights; has to be available.
    /// - Throws: `ModelError`.
    public static func load(
        _ checkpoint: Checkpoint, arithmetic: Arithmetic = .f32
    ) throws(ModelError) -> Transformer {
        let family = try ModelRegistry.family(of: checkpoint)
        let loader: ModelLoader
        if checkpoint.format == .gguf {
            let reader = GGUFConfigurationReader(
                checkpoint: checkpoint, architecture: family.ggufArchitecture ?? "")
            var configuration = try family.configureGGUF(reader)
            configuration.assumptions = reader.assumptions
            loader = ModelLoader(checkpoint, family, configuration, arithmetic, prefix: "")
        } else {
            let reader = ConfigurationReader(checkpoint: checkpoint)
            var configuration = try family.configure(reader)
            configuration.assumptions = reader.assumptions
            loader = ModelLoader(
                checkpoint, family, configuration, arithmetic,
                prefix: try ModelLoader.prefix(of: checkpoint))
        }
        try loader.checkConfiguration()
        return try loader.load()
    }
}

/// Finds each weight by its role and keeps book of what was used.
private final class ModelLoader {
    let checkpoint: Checkpoint
    let family: ModelFamily
    let configuration: ModelConfiguration
    let arithmetic: Arithmetic
    /// What stands before `embed_tokens.weight` and `layers.` in safetensors.
    let prefix: String
    var used: Set<String> = []
    var missing: [String] = []
    var parameters = 0

    init(
        _ checkpoint: Checkpoint, _ family: ModelFamily, _ configuration: ModelConfiguration,
        _ arithmetic: Arithmetic, prefix: String
    ) {
        self.checkpoint = checkpoint
        self.family = family
        self.configuration = configuration
        self.arithmetic = arithmetic
        self.prefix = prefix
    }

    var isGGUF: Bool { checkpoint.format == .gguf }

    /// `model.`, nothing, or a wrapper's prefix: whatever stands before the embedding's name.
    static func prefix(of checkpoint: Checkpoint) throws(ModelError) -> String {
        let ending = "embed_tokens.weight"
        let candidates = Array(checkpoint.tensors.keys).filter {
            $0 == ending || $0.hasSuffix("." + ending)
        }
        guard let name = candidates.first else {
            throw .missingTensors(path: checkpoint.path, names: ["model.embed_tokens.weight"])
        }
        guard candidates.count == 1 else {
            throw .leftoverTensors(path: checkpoint.path, names: candidates)
        }
        return String(name.dropLast(ending.count))
    }

    func checkConfiguration() throws(ModelError) {
        let c = configuration
        guard c.headCount % c.keyValueHeadCount == 0 else {
            throw .configuration(
                path: checkpoint.path, field: "num_key_value_heads",
                problem: "\(c.keyValueHeadCount) does not divide the \(c.headCount) attention heads"
            )
        }
    }

    func load() throws(ModelError) -> Transformer {
        let c = configuration
        let embeddingName = isGGUF ? "token_embd.weight" : prefix + "embed_tokens.weight"
        let embedding = try matrix(embeddingName, rows: c.vocabularySize, columns: c.hiddenSize)
        let finalNorm = try norm(
            isGGUF ? "output_norm.weight" : prefix + "norm.weight", width: c.hiddenSize)
        var layers: [DecoderLayer?] = []
        for index in 0..<c.layerCount { layers.append(try layer(index)) }
        let unembedding = try head(embedding: embedding, embeddingName: embeddingName)

        if !missing.isEmpty { throw .missingTensors(path: checkpoint.path, names: missing) }
        let ignored = try checkLeftovers()
        guard let embedding, let unembedding, let finalNorm else {
            throw .missingTensors(path: checkpoint.path, names: [embeddingName])
        }
        return Transformer(
            configuration: c, embedding: embedding, unembedding: unembedding, finalNorm: finalNorm,
            layers: layers.compactMap(\.self), parameterCount: parameters, ignoredTensors: ignored)
    }

    /// The unembedding. A tied model may store it all the same, as a copy of the embedding.
    private func head(
        embedding: WeightMatrix?, embeddingName: String
    ) throws(ModelError) -> WeightMatrix? {
        let c = configuration
        let names =
            isGGUF
            ? ["output.weight"]
            : ["lm_head.weight", "model.lm_head.weight", "language_model.lm_head.weight"]
        let name = names.first { checkpoint.tensors[$0] != nil } ?? names[0]
        guard c.tiedEmbeddings else {
            return try matrix(name, rows: c.vocabularySize, columns: c.hiddenSize)
        }
        if let stored = checkpoint.tensors[name], let original = checkpoint.tensors[embeddingName] {
            let same =
                stored.type == original.type && stored.shape == original.shape
                && stored.bytes.elementsEqual(original.bytes)
            guard same else {
                throw .configuration(
                    path: checkpoint.path, field: "tie_word_embeddings",
                    problem: "is true (or the family's default), but \(name) differs from "
                        + "\(embeddingName); set it to false if the head is its own")
            }
            used.insert(name)
        }
        return embedding
    }

    private func layer(_ index: Int) throws(ModelError) -> DecoderLayer? {
        let c = configuration
        let queries = c.headCount * c.headDimension
        let keys = c.keyValueHeadCount * c.headDimension
        let queryNormWidth = c.queryKeyNorm == .perHead ? c.headDimension : queries
        let keyNormWidth = c.queryKeyNorm == .perHead ? c.headDimension : keys

        func projection(
            _ role: LayerRole, _ rows: Int, _ columns: Int, bias: Bool, heads: Int? = nil
        ) throws(ModelError) -> Projection? {
            let base = name(role, index)
            let weight = try matrix(
                base + ".weight", rows: rows, columns: columns,
                order: heads.flatMap {
                    family.ggufPermutesRotary && isGGUF
                        ? Self.interleavedOrder(heads: $0, headDimension: c.headDimension) : nil
                })
            var biasValues: [Float]?
            if bias {
                biasValues = try vector(base + ".bias", width: rows)
                if let order = weight?.rowOrder, let stored = biasValues {
                    biasValues = order.map { stored[Int($0)] }
                }
            }
            return weight.map { Projection(weight: $0, bias: biasValues) }
        }
        func optionalNorm(_ role: LayerRole, _ width: Int) throws(ModelError) -> Norm? {
            guard family.names[role] != nil else { return nil }
            return try norm(name(role, index) + ".weight", width: width)
        }

        let query = try projection(
            .query, queries, c.hiddenSize, bias: c.attentionBias, heads: c.headCount)
        let key = try projection(
            .key, keys, c.hiddenSize, bias: c.attentionBias, heads: c.keyValueHeadCount)
        let value = try projection(.value, keys, c.hiddenSize, bias: c.attentionBias)
        let output = try projection(
            .attentionOutput, c.hiddenSize, queries, bias: c.attentionBias)
        let gate = try projection(.gate, c.intermediateSize, c.hiddenSize, bias: c.mlpBias)
        let up = try projection(.up, c.intermediateSize, c.hiddenSize, bias: c.mlpBias)
        let down = try projection(.down, c.hiddenSize, c.intermediateSize, bias: c.mlpBias)
        let attentionNorm = try optionalNorm(.attentionNorm, c.hiddenSize)
        let queryNorm = try optionalNorm(.queryNorm, queryNormWidth)
        let keyNorm = try optionalNorm(.keyNorm, keyNormWidth)
        let postAttentionNorm = try optionalNorm(.postAttentionNorm, c.hiddenSize)
        let mlpNorm = try optionalNorm(.mlpNorm, c.hiddenSize)
        let postMLPNorm = try optionalNorm(.postMLPNorm, c.hiddenSize)
        guard let query, let key, let value, let output, let gate, let up, let down else {
            return nil
        }
        return DecoderLayer(
            attention: c.attention[index], attentionNorm: attentionNorm, query: query, key: key,
            value: value, queryNorm: queryNorm, keyNorm: keyNorm, attentionOutput: output,
            postAttentionNorm: postAttentionNorm, mlpNorm: mlpNorm, gate: gate, up: up, down: down,
            postMLPNorm: postMLPNorm)
    }

    private func name(_ role: LayerRole, _ layer: Int) -> String {
        if isGGUF {
            let name = family.ggufOverrides[role] ?? ModelFamily.ggufNames[role] ?? role.rawValue
            return "blk.\(layer).\(name)"
        }
        return "\(prefix)layers.\(layer).\(family.names[role] ?? role.rawValue)"
    }

    /// llama.cpp's converter turns each head's half-split rows into interleaved pairs: half-split row j
    /// of a head is stored at 2j (first half) or 2(j - half) + 1 (second half).
    static func interleavedOrder(heads: Int, headDimension: Int) -> [Int32] {
        let half = headDimension / 2
        return (0..<heads * headDimension).map { row in
            let (head, place) = row.quotientAndRemainder(dividingBy: headDimension)
            let stored = place < half ? 2 * place : 2 * (place - half) + 1
            return Int32(head * headDimension + stored)
        }
    }

    // MARK: Tensors by name

    /// Notes a missing tensor and gives nil, so that all of them can be named at once.
    private func tensor(_ name: String, shape: [Int]) throws(ModelError) -> StoredTensor? {
        guard let tensor = checkpoint.tensors[name] else {
            if let type = checkpoint.otherTensors[name] {
                throw .unsupportedType(path: checkpoint.path, tensor: name, type: type)
            }
            missing.append(name)
            return nil
        }
        guard tensor.shape == shape else {
            throw .wrongShape(
                path: checkpoint.path, tensor: name, expected: shape, actual: tensor.shape)
        }
        used.insert(name)
        parameters += tensor.count
        return tensor
    }

    /// - Parameter order: made when the stored shape is known to be the configuration's, which alone
    ///   may ask for any amount of memory.
    private func matrix(
        _ name: String, rows: Int, columns: Int, order: @autoclosure () -> [Int32]? = nil
    ) throws(ModelError) -> WeightMatrix? {
        guard let tensor = try tensor(name, shape: [rows, columns]) else { return nil }
        guard columns % tensor.type.blockLength == 0 else {
            throw .unsupportedType(
                path: checkpoint.path, tensor: name,
                type: "\(tensor.type) with rows of \(columns), not whole blocks")
        }
        return WeightMatrix(
            type: tensor.type, rows: rows, columns: columns, bytes: tensor.bytes, rowOrder: order(),
            arithmetic: arithmetic, owner: checkpoint)
    }

    private func vector(_ name: String, width: Int) throws(ModelError) -> [Float]? {
        try tensor(name, shape: [width])?.decoded()
    }

    private func norm(_ name: String, width: Int) throws(ModelError) -> Norm? {
        try vector(name, width: width).map {
            Norm(
                weight: $0, offset: configuration.normOffset, epsilon: configuration.normEpsilon)
        }
    }

    /// - Returns: the names that belong to other parts of a larger model.
    private func checkLeftovers() throws(ModelError) -> [String] {
        var leftovers: [String] = []
        var ignored: [String] = []
        for name in Array(checkpoint.tensors.keys) + Array(checkpoint.otherTensors.keys)
        where !used.contains(name) {
            if name.hasSuffix("rotary_emb.inv_freq") || (isGGUF && name == "rope_freqs.weight") {
                continue
            }
            let bare = name.hasPrefix("model.") ? String(name.dropFirst(6)) : name
            if family.otherParts.contains(where: bare.hasPrefix) {
                ignored.append(name)
            } else {
                leftovers.append(name)
            }
        }
        if !leftovers.isEmpty {
            throw .leftoverTensors(path: checkpoint.path, names: leftovers.sorted())
        }
        return ignored.sorted()
    }
}
