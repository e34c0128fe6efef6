/// Builds a tokenizer from the vocabulary of a GGUF file, by llama.cpp's rules.
///
/// Where the entries are silent the defaults are llama.cpp's: "llama" adds a BOS and a space prefix
/// and has BOS 1, EOS 2 and unknown 0; "gpt2" adds nothing unless its `pre` says so. Control,
/// user-defined and unknown tokens are recognised in the text.
struct GGUFReader {
    let vocabulary: GGUFVocabulary
    let path: String

    private enum TokenType {
        static let normal: Int32 = 1
        static let unknown: Int32 = 2
        static let control: Int32 = 3
        static let userDefined: Int32 = 4
        static let unused: Int32 = 5
    }

    private func invalid(_ key: String, _ problem: String) -> TokenizerError {
        .invalid(path: path, place: "tokenizer.ggml.\(key)", problem: problem)
    }

    func tokenizer() throws(TokenizerError) -> Tokenizer {
        switch vocabulary.model {
        case "gpt2": return try byteLevel()
        case "llama": return try sentencePiece()
        default:
            throw .unsupported(
                path: path, component: "tokenizer.ggml.model", name: vocabulary.model,
                known: ["gpt2", "llama"])
        }
    }

    // MARK: - Shared

    private func type(_ id: Int) -> Int32 { vocabulary.types?[id] ?? TokenType.normal }

    /// All tokens, or those that `isIncluded` takes.
    private func table(
        where isIncluded: (Int) -> Bool = { _ in true }
    ) throws(TokenizerError) -> Vocabulary {
        let tokens = vocabulary.tokens
        if tokens.isEmpty { throw invalid("tokens", "is empty") }
        if let types = vocabulary.types, types.count != tokens.count {
            throw invalid("token_type", "has \(types.count) entries for \(tokens.count) tokens")
        }
        var table = Vocabulary(minimumCapacity: tokens.count)
        for (id, token) in tokens.enumerated() where isIncluded(id) {
            // llama.cpp's name for a token without a text.
            let text = token.isEmpty ? "[EMPTY_\(id)]" : token
            guard table.insert(text.utf8, id: Int32(id)) else {
                throw invalid(
                    "tokens", "holds \"\(text.prefix(80))\" twice, the second time as \(id)")
            }
        }
        return table
    }

    private func addedTokens(_ normalizer: Normalizer?) throws(TokenizerError) -> AddedVocabulary {
        var tokens: [AddedToken] = []
        for (id, text) in vocabulary.tokens.enumerated() {
            let type = type(id)
            guard
                type == TokenType.control || type == TokenType.userDefined
                    || type == TokenType.unknown, !text.isEmpty
            else { continue }
            if text.utf8.count > ByteTrie.longestKey {
                throw invalid(
                    "tokens",
                    "holds token \(id) of \(text.utf8.count) bytes, more than "
                        + "\(ByteTrie.longestKey)")
            }
            tokens.append(
                AddedToken(
                    content: Array(text.utf8), id: Int32(id),
                    isSpecial: type != TokenType.userDefined))
        }
        return try AddedVocabulary(tokens, normalizer: normalizer)
    }

    private func checked(_ id: Int32?, _ key: String) throws(TokenizerError) -> Int32? {
        if let id, id < 0 || Int(id) >= vocabulary.tokens.count {
            throw invalid(key, "is \(id), beyond the \(vocabulary.tokens.count) tokens")
        }
        return id
    }

    /// The token to add, if one is to be added.
    private func added(_ adds: Bool, _ id: Int32?, _ key: String) throws(TokenizerError) -> [Int32]
    {
        guard adds else { return [] }
        guard let id else { throw invalid(key, "is true, but there is no such token") }
        return [id]
    }

    // MARK: - gpt2

    private func byteLevel() throws(TokenizerError) -> Tokenizer {
        guard let rule = GGUFPreTokenizer.table[vocabulary.pre ?? "default"] else {
            throw .unsupported(
                path: path, component: "tokenizer.ggml.pre", name: vocabulary.pre ?? "",
                known: GGUFPreTokenizer.table.keys.sorted())
        }
        let tokens = try table()
        guard let pairs = vocabulary.merges else { throw invalid("merges", "is missing") }
        var merges = MergeList(path: path, place: "tokenizer.ggml.merges", count: pairs.count)
        for (index, pair) in pairs.enumerated() {
            var pair = pair
            try HuggingFaceReader.withBytes(of: &pair) { (bytes) throws(TokenizerError) in
                guard let space = bytes.dropFirst().firstIndex(of: 0x20) else {
                    throw merges.invalid(index, "is not two tokens with a space between them")
                }
                try merges.add(
                    UnsafeBufferPointer(rebasing: bytes[..<space]),
                    UnsafeBufferPointer(rebasing: bytes[(space + 1)...]), at: index, in: tokens,
                    prefix: 0)
            }
        }
        var options = BytePairModel.Options()
        options.ignoresMerges = rule.ignoresMerges
        let bos = try checked(vocabulary.bos, "bos_token_id")
        let eos = try checked(vocabulary.eos, "eos_token_id")
        var steps: [PreTokenizer] = []
        for pattern in rule.patterns {
            let regex = try TextRegex(pattern, path: path, place: "tokenizer.ggml.pre")
            steps.append(.split(.regex(regex), .isolated, invert: false))
        }
        steps.append(.byteLevel(addPrefixSpace: false, split: nil))
        let addsSpace = vocabulary.addSpacePrefix ?? false
        let normalizer: Normalizer? = addsSpace ? .prepend([0x20]) : nil
        let pipeline = Tokenizer.Pipeline(
            model: .bytePair(
                BytePairModel(vocabulary: tokens, merges: merges.table, options: options)),
            normalizer: normalizer, preTokenizer: .sequence(steps), decoder: .byteLevel,
            addedTokens: try addedTokens(normalizer),
            prefix: try added(vocabulary.addBOS ?? rule.addsBOS, bos, "add_bos_token"),
            suffix: try added(vocabulary.addEOS ?? false, eos, "add_eos_token"))
        // llama.cpp assumes the same and warns; files of before May 2024 do not say.
        let assumptions =
            vocabulary.pre == nil
            ? [
                "assumed tokenizer.ggml.pre \"default\": the file does not say how text is cut into "
                    + "words, and ids may differ from those the model was trained on; convert the "
                    + "model again"
            ] : []
        return Tokenizer(pipeline, bos: bos, eos: eos, assumptions: assumptions)
    }

    // MARK: - llama

    private func sentencePiece() throws(TokenizerError) -> Tokenizer {
        let tokens = try table()
        guard let scores = vocabulary.scores else { throw invalid("scores", "is missing") }
        guard scores.count == vocabulary.tokens.count else {
            throw invalid(
                "scores", "has \(scores.count) entries for \(vocabulary.tokens.count) tokens")
        }
        if let id = scores.firstIndex(where: \.isNaN) { throw invalid("scores", "is NaN at \(id)") }
        // What SentencePiece keeps for matching; control, unknown and byte pieces are apart.
        let mergeable = try table { id in
            [TokenType.normal, TokenType.userDefined, TokenType.unused].contains(type(id))
        }
        func orDefault(_ id: Int32?, _ value: Int32) -> Int32? {
            id ?? (Int(value) < vocabulary.tokens.count ? value : nil)
        }
        let bos = try checked(orDefault(vocabulary.bos, 1), "bos_token_id")
        let eos = try checked(orDefault(vocabulary.eos, 2), "eos_token_id")
        let unknown = try checked(orDefault(vocabulary.unknown, 0), "unknown_token_id")
        let underscore = Array("\u{2581}".utf8)
        let addsSpace = vocabulary.addSpacePrefix ?? true
        let escape = Normalizer.replace(.literal([0x20]), with: underscore)
        let normalizer: Normalizer =
            addsSpace ? .sequence([.prepend([0x20]), escape]) : escape
        var decoders: [Decoder] = [
            .replace(underscore, with: [0x20]), .byteFallback, .fuse,
        ]
        if addsSpace { decoders.append(.strip(content: [0x20], start: 1, stop: 0)) }
        let pipeline = Tokenizer.Pipeline(
            model: .scoredPair(
                ScoredPairModel(
                    vocabulary: tokens, mergeable: mergeable, scores: scores, unknown: unknown)),
            normalizer: normalizer, preTokenizer: nil, decoder: .sequence(decoders),
            addedTokens: try addedTokens(normalizer),
            prefix: try added(vocabulary.addBOS ?? true, bos, "add_bos_token"),
            suffix: try added(vocabulary.addEOS ?? false, eos, "add_eos_token"))
        return Tokenizer(pipeline, bos: bos, eos: eos)
    }
}

extension Tokenizer {
    /// Builds the tokenizer of a GGUF file.
    /// - Parameter path: The file, for error messages only.
    /// - Throws: `TokenizerError`, among others for a `model` or `pre` that is not known.
    public init(vocabulary: GGUFVocabulary, path: String) throws(TokenizerError) {
        self = try GGUFReader(vocabulary: vocabulary, path: path).tokenizer()
    }
}
