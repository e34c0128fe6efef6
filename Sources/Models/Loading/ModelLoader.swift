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
        let loader = try loader(of: checkpoint, arithmetic: arithmetic)
        try loader.checkConfiguration()
        return try loader.load()
    }

    /// - Throws: `ModelError`.
    static func loader(
        of checkpoint: Checkpoint, arithmetic: Arithmetic
    ) throws(ModelError) -> ModelLoader {
        let family = try ModelRegistry.family(of: checkpoint)
        try Quantization.refuse(checkpoint)
        if checkpoint.format == .gguf, let layout = family.gguf {
            let reader = GGUFConfigurationReader(
                checkpoint: checkpoint, architecture: layout.architecture)
            var configuration = try layout.configure(reader)
            configuration.assumptions = reader.assumptions
            return ModelLoader(
                checkpoint, family, configuration, arithmetic, outer: GGUFLayout.outer, prefix: "")
        } else {
            let reader = ConfigurationReader(checkpoint: checkpoint)
            var configuration = try family.configure(reader)
            configuration.assumptions = reader.assumptions
            return ModelLoader(
                checkpoint, family, configuration, arithmetic, outer: family.outer,
                prefix: try ModelLoader.prefix(of: checkpoint, embedding: family.outer.embedding))
        }
    }
}

/// Finds each weight by its role and keeps book of what was used.
final class ModelLoader {
    let checkpoint: Checkpoint
    let family: ModelFamily
    let configuration: ModelConfiguration
    let arithmetic: Arithmetic
    let outer: OuterNames
    /// What stands before the names of `outer` in safetensors.
    let prefix: String
    var used: Set<String> = []
    var missing: [String] = []
    var parameters = 0
    /// The last matrix turned round, which up to three roles share.
    var turned: (name: String, weight: TransposedWeight)?

    init(
        _ checkpoint: Checkpoint, _ family: ModelFamily, _ configuration: ModelConfiguration,
        _ arithmetic: Arithmetic, outer: OuterNames, prefix: String
    ) {
        self.checkpoint = checkpoint
        self.family = family
        self.configuration = configuration
        self.arithmetic = arithmetic
        self.outer = outer
        self.prefix = prefix
    }

    var isGGUF: Bool { checkpoint.format == .gguf }

    /// `model.`, nothing, or a wrapper's prefix: whatever stands before the embedding's name.
    static func prefix(
        of checkpoint: Checkpoint, embedding: String
    ) throws(ModelError) -> String {
        let ending = embedding + ".weight"
        let candidates = Array(checkpoint.tensors.keys).filter {
            $0 == ending || $0.hasSuffix("." + ending)
        }
        guard let name = candidates.first else {
            throw .missingTensors(path: checkpoint.path, names: ["model." + ending])
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
        // Sums of such widths stay far from overflow.
        guard max(c.headCount, c.keyValueHeadCount) * c.headDimension <= 1 << 40 else {
            throw .configuration(
                path: checkpoint.path, field: "head_dim",
                problem: "\(c.headCount) heads of \(c.headDimension) are more than any file holds")
        }
    }

    func load() throws(ModelError) -> Transformer {
        let c = configuration
        let embeddingName = prefix + outer.embedding + ".weight"
        let embedding = try matrix(embeddingName, rows: c.vocabularySize, columns: c.hiddenSize)
        let positions =
            c.learnedPositions
            ? try matrix(
                prefix + outer.positions + ".weight", rows: c.contextLength, columns: c.hiddenSize)
            : nil
        let finalNorm = try streamNorm(prefix + outer.finalNorm)
        var layers: [DecoderLayer?] = []
        for index in 0..<c.layerCount { layers.append(try layer(index)) }
        let unembedding = try head(embedding: embedding, embeddingName: embeddingName)

        if !missing.isEmpty { throw .missingTensors(path: checkpoint.path, names: missing) }
        let ignored = try checkLeftovers()
        guard let embedding, let unembedding, let finalNorm else {
            throw .missingTensors(path: checkpoint.path, names: [embeddingName])
        }
        return Transformer(
            configuration: c, arithmetic: arithmetic, embedding: embedding,
            positionEmbedding: positions, unembedding: unembedding, finalNorm: finalNorm,
            layers: layers.compactMap(\.self),
            parameterCount: parameters, ignoredTensors: ignored)
    }

    /// The unembedding. A tied model may store it all the same, as a copy of the embedding.
    private func head(
        embedding: WeightMatrix?, embeddingName: String
    ) throws(ModelError) -> WeightMatrix? {
        let c = configuration
        let prefixes = isGGUF ? [""] : ["", "model.", "language_model."]
        let names = outer.heads.flatMap { head in prefixes.map { "\($0)\(head).weight" } }
        let name = names.first { checkpoint.tensors[$0] != nil } ?? names[0]
        guard c.tiedEmbeddings else {
            return try matrix(name, rows: c.vocabularySize, columns: c.hiddenSize)
        }
        if let stored = checkpoint.tensors[name], let original = checkpoint.tensors[embeddingName] {
            guard stored.hasValues(of: original) else {
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
        func headNorm(_ role: LayerRole, heads: Int) throws(ModelError) -> Norm? {
            guard family.names[role] != nil else { return nil }
            let width = c.headDimension * (c.queryKeyNorm == .perHead ? 1 : heads)
            return try vector(name(role, index) + ".weight", width: width).map {
                Norm(
                    type: .rms, weight: $0, bias: nil, offset: c.normOffset,
                    epsilon: c.normEpsilon)
            }
        }
        func optionalNorm(_ role: LayerRole) throws(ModelError) -> Norm? {
            family.names[role] == nil ? nil : try streamNorm(name(role, index))
        }

        let query = try projection(.query, index, bias: c.attentionBias)
        let key = try projection(.key, index, bias: c.attentionBias)
        let value = try projection(.value, index, bias: c.attentionBias)
        let output = try projection(.attentionOutput, index, bias: c.attentionOutputBias)
        let gate = c.gatedMLP ? try projection(.gate, index, bias: c.mlpBias) : nil
        let up = try projection(.up, index, bias: c.mlpBias)
        let down = try projection(.down, index, bias: c.mlpBias)
        let attentionNorm = try optionalNorm(.attentionNorm)
        let queryNorm = try headNorm(.queryNorm, heads: c.headCount)
        let keyNorm = try headNorm(.keyNorm, heads: c.keyValueHeadCount)
        let postAttentionNorm = try optionalNorm(.postAttentionNorm)
        let mlpNorm = try optionalNorm(.mlpNorm)
        let postMLPNorm = try optionalNorm(.postMLPNorm)
        guard let query, let key, let value, let output, let up, let down,
            !c.gatedMLP || gate != nil
        else { return nil }
        return DecoderLayer(
            attention: c.attention[index], attentionNorm: attentionNorm, query: query, key: key,
            value: value, queryNorm: queryNorm, keyNorm: keyNorm, attentionOutput: output,
            postAttentionNorm: postAttentionNorm, mlpNorm: mlpNorm, gate: gate, up: up, down: down,
            postMLPNorm: postMLPNorm)
    }

    private func name(_ role: LayerRole, _ layer: Int) -> String {
        let own =
            isGGUF ? family.gguf?.names[role] ?? GGUFLayout.names[role] : family.names[role]
        return "\(prefix)\(outer.layers).\(layer).\(own ?? role.rawValue)"
    }

    // MARK: Projections

    /// Rows and columns of a role's matrix, [out, in].
    private func shape(_ role: LayerRole) -> (rows: Int, columns: Int) {
        let c = configuration
        let queries = c.headCount * c.headDimension
        switch role {
        case .query: return (queries, c.hiddenSize)
        case .key, .value: return (c.keyValueHeadCount * c.headDimension, c.hiddenSize)
        case .attentionOutput: return (c.hiddenSize, queries)
        case .down: return (c.hiddenSize, c.intermediateSize)
        default: return (c.intermediateSize, c.hiddenSize)
        }
    }

    /// Where a role's matrix is stored: which rows of which tensor.
    private func place(_ role: LayerRole, _ layer: Int) -> MatrixPlace {
        let base = name(role, layer)
        // Roles of one name share a stored matrix.
        let sharing = LayerRole.allCases.filter {
            family.names[$0] != nil && name($0, layer) == base
        }
        let before = sharing.prefix { $0 != role }.reduce(0) { $0 + shape($1).rows }
        let stored = sharing.reduce(0) { $0 + shape($1).rows }
        return MatrixPlace(
            name: base, rows: shape(role).rows, columns: shape(role).columns, storedRows: stored,
            isTransposed: family.transposed && !isGGUF, order: order(role, sharing, before))
    }

    private func order(
        _ role: LayerRole, _ sharing: [LayerRole], _ before: Int
    ) -> MatrixPlace.Order {
        let width = configuration.headDimension
        if sharing.count > 1, family.fusedByHead, !isGGUF {
            return .byHead(
                headDimension: width, count: sharing.count,
                place: sharing.firstIndex(of: role) ?? 0)
        }
        if isGGUF, family.gguf?.permutesRotary == true, role == .query || role == .key {
            return .interleaved(headDimension: width)
        }
        return .from(before)
    }

    private func projection(
        _ role: LayerRole, _ layer: Int, bias: Bool
    ) throws(ModelError) -> Projection? {
        let place = place(role, layer)
        let weight =
            place.isTransposed
            ? try transposed(
                place.name + ".weight", stored: place.storedRows, columns: place.columns)
            : try matrix(place.name + ".weight", rows: place.storedRows, columns: place.columns)
        let biasValues =
            bias
            ? try vector(place.name + ".bias", width: place.storedRows).map { place.of($0) } : nil
        return weight.map { Projection(weight: place.of($0), bias: biasValues) }
    }

    /// Where every parameter of the model is stored, by its role.
    package func places() -> ParameterPlaces {
        let c = configuration
        var layers: [[LayerRole: MatrixPlace]] = []
        for index in 0..<c.layerCount {
            var roles: [LayerRole: MatrixPlace] = [:]
            for role in LayerRole.allCases where family.names[role] != nil {
                roles[role] =
                    role.isNorm
                    ? MatrixPlace(whole: name(role, index), rows: 1, columns: 0)
                    : place(role, index)
            }
            layers.append(roles)
        }
        let heads = outer.heads.flatMap { head in
            ["", "model.", "language_model."].map { "\($0)\(head)" }
        }
        return ParameterPlaces(
            layers: layers, embedding: prefix + outer.embedding,
            positions: c.learnedPositions ? prefix + outer.positions : nil,
            finalNorm: prefix + outer.finalNorm,
            unembedding: heads.first { checkpoint.tensors[$0 + ".weight"] != nil } ?? heads[0])
    }

    private func transposed(
        _ name: String, stored: Int, columns: Int
    ) throws(ModelError) -> WeightMatrix? {
        guard let tensor = try tensor(name, shape: [columns, stored]) else { return nil }
        if turned?.name != name { turned = (name, TransposedWeight(tensor)) }
        return turned?.weight.matrix
    }

    // MARK: Tensors by name

    /// Notes a missing tensor and gives nil, so that all of them can be named at once.
    private func tensor(_ name: String, shape: [Int]) throws(ModelError) -> StoredTensor? {
        guard let tensor = checkpoint.tensors[name] else {
            if let type = checkpoint.otherTensors[name] {
                throw .unsupportedType(path: checkpoint.path, tensor: name, type: type)
            }
            if !missing.contains(name) { missing.append(name) }
            return nil
        }
        guard tensor.shape == shape else {
            throw .wrongShape(
                path: checkpoint.path, tensor: name, expected: shape, actual: tensor.shape)
        }
        // A matrix that several projections share counts once.
        if used.insert(name).inserted { parameters += tensor.count }
        return tensor
    }

    private func matrix(
        _ name: String, rows: Int, columns: Int
    ) throws(ModelError) -> WeightMatrix? {
        guard let tensor = try tensor(name, shape: [rows, columns]) else { return nil }
        guard columns % tensor.type.blockLength == 0 else {
            throw .unsupportedType(
                path: checkpoint.path, tensor: name,
                type: "\(tensor.type) with rows of \(columns), not whole blocks")
        }
        return WeightMatrix(
            type: tensor.type, rows: rows, columns: columns, bytes: tensor.bytes,
            owner: checkpoint)
    }

    private func vector(_ name: String, width: Int) throws(ModelError) -> [Float]? {
        try tensor(name, shape: [width])?.decoded()
    }

    /// A norm of the residual stream, with the weight and bias that the family's norms have.
    private func streamNorm(_ name: String) throws(ModelError) -> Norm? {
        let c = configuration
        let weight = c.normWeight ? try vector(name + ".weight", width: c.hiddenSize) : nil
        let bias = c.normBias ? try vector(name + ".bias", width: c.hiddenSize) : nil
        return Norm(
            type: c.normType, weight: weight, bias: bias, offset: c.normOffset,
            epsilon: c.normEpsilon)
    }

    /// - Returns: the names that belong to other parts of a larger model.
    private func checkLeftovers() throws(ModelError) -> [String] {
        var leftovers: [String] = []
        var ignored: [String] = []
        for name in Array(checkpoint.tensors.keys) + Array(checkpoint.otherTensors.keys)
        where !used.contains(name) {
            let buffers = isGGUF ? GGUFLayout.buffers : family.buffers
            if buffers.contains(where: { name == $0 || name.hasSuffix("." + $0) }) { continue }
            let bare = name.hasPrefix("model.") ? String(name.dropFirst(6)) : name
            let isRouter = ["etd.router.weight", "etd.router.bias"].contains(name)
            if isRouter || family.otherParts.contains(where: bare.hasPrefix) {
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
