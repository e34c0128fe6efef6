import Files

extension HuggingFaceReader {
    /// The `model` of the file, which must be BPE.
    func bytePairModel(_ node: Node) throws(TokenizerError) -> BytePairModel {
        // Files from before the field existed are told by their members.
        let type = node.json["type"]?.stringValue ?? (node.json["merges"] == nil ? "none" : "BPE")
        guard type == "BPE" else { throw node.unsupported("model", type, ["BPE"]) }
        if let dropout = node.json["dropout"]?.doubleValue, dropout != 0 {
            throw node.invalid("\"dropout\" makes tokenization random; set it to null")
        }
        let vocabulary = try vocabulary(node.member("vocab"))
        var options = BytePairModel.Options()
        if let unknown = node.json["unk_token"]?.stringValue {
            guard let id = vocabulary.id(of: unknown.utf8) else {
                throw node.invalid(
                    "\"unk_token\" \"\(unknown.prefix(80))\" is not in the vocabulary")
            }
            options.unknown = id
        }
        options.fusesUnknown = try node.bool("fuse_unk", default: false)
        options.hasByteFallback = try node.bool("byte_fallback", default: false)
        options.ignoresMerges = try node.bool("ignore_merges", default: false)
        options.continuingPrefix = Array(
            (node.json["continuing_subword_prefix"]?.stringValue ?? "").utf8)
        options.wordSuffix = Array((node.json["end_of_word_suffix"]?.stringValue ?? "").utf8)
        let merges = try merges(
            node, vocabulary: vocabulary, prefix: options.continuingPrefix.count)
        return BytePairModel(vocabulary: vocabulary, merges: merges, options: options)
    }

    private func vocabulary(_ node: Node) throws(TokenizerError) -> Vocabulary {
        guard let members = node.json.objectValue else {
            throw node.invalid("is \(node.json.kind), not an object")
        }
        var vocabulary = Vocabulary(minimumCapacity: members.count)
        for (token, json) in members {
            guard let id = json.intValue.flatMap(Int32.init(exactly:)), id >= 0 else {
                throw node.invalid("\"\(token.prefix(80))\" has an id that is not a number")
            }
            // The parser has refused duplicate keys.
            _ = vocabulary.insert(token.utf8, id: id)
        }
        return vocabulary
    }

    /// Merges are `"a b"` or `["a", "b"]`; the place in the list is the rank.
    private func merges(
        _ node: Node, vocabulary: Vocabulary, prefix: Int
    ) throws(TokenizerError) -> PairTable {
        guard let list = node.json["merges"]?.arrayValue else {
            throw node.invalid("\"merges\" is missing or no array")
        }
        var merges = MergeList(path: path, place: "model.merges", count: list.count)
        for (index, json) in list.enumerated() {
            let pair: (left: Substring, right: Substring)
            if let text = json.stringValue {
                if text.hasPrefix("#version") { continue }
                let parts = text.utf8.split(separator: 0x20, omittingEmptySubsequences: false)
                guard parts.count == 2 else {
                    throw merges.invalid(index, "is not two tokens with one space between them")
                }
                pair = (Substring(parts[0]), Substring(parts[1]))
            } else if let parts = json.arrayValue, parts.count == 2,
                let left = parts[0].stringValue, let right = parts[1].stringValue
            {
                pair = (left[...], right[...])
            } else {
                throw merges.invalid(index, "is not a pair of tokens")
            }
            try merges.add(
                pair.left.utf8, pair.right.utf8, at: index, in: vocabulary, prefix: prefix)
        }
        return merges.table
    }

    /// The added tokens with the ids that `tokenizers` gives them: a token of the model keeps its id,
    /// the others are numbered on from the size of the model's vocabulary, whatever the file says.
    func addedTokens(
        _ nodes: [Node], model: BytePairModel
    ) throws(TokenizerError) -> [AddedToken] {
        var tokens: [AddedToken] = []
        var indices = ByteTable(minimumCapacity: nodes.count)
        var next = Int32(clamping: model.vocabulary.count)
        for node in nodes {
            let content = try node.bytes("content")
            if content.isEmpty { continue }
            let (index, isNew) = indices.insert(content)
            var id = isNew ? model.vocabulary.id(of: content) : tokens[index].id
            if id == nil {
                id = next
                next += 1
            }
            let isSpecial = try node.bool("special", default: false)
            var token = AddedToken(
                content: content, id: id ?? next, isSpecial: isSpecial,
                isNormalized: try node.bool("normalized", default: !isSpecial),
                stripsLeft: try node.bool("lstrip", default: false),
                stripsRight: try node.bool("rstrip", default: false),
                isSingleWord: try node.bool("single_word", default: false))
            if isNew {
                tokens.append(token)
            } else {
                // Named twice: the last settings count, but special once is special for good.
                token.isSpecial = isSpecial || tokens[index].isSpecial
                tokens[index] = token
            }
        }
        return tokens
    }
}

/// Builds the table of a list of merges, whose pairs and results must be tokens.
struct MergeList {
    let path: String
    let place: String
    private(set) var table: PairTable

    init(path: String, place: String, count: Int) {
        self.path = path
        self.place = place
        table = PairTable(minimumCapacity: count)
    }

    func invalid(_ index: Int, _ problem: String) -> TokenizerError {
        .invalid(path: path, place: "\(place)[\(index)]", problem: problem)
    }

    /// - Parameter prefix: How many bytes of `right` the merged token leaves out.
    mutating func add(
        _ left: Substring.UTF8View, _ right: Substring.UTF8View, at index: Int,
        in vocabulary: Vocabulary, prefix: Int
    ) throws(TokenizerError) {
        func id(_ token: some Collection<UInt8>) throws(TokenizerError) -> Int32 {
            guard let id = vocabulary.id(of: token) else {
                let text = String(decoding: Array(token.prefix(80)), as: UTF8.self)
                throw invalid(index, "\"\(text)\" is not in the vocabulary")
            }
            return id
        }
        let merged = Array(left) + right.dropFirst(prefix)
        table[try id(left), try id(right)] = PairTable.Value(
            first: UInt32(clamping: index), second: try id(merged))
    }
}

extension Tokenizer {
    /// Reads a `tokenizer.json`.
    /// - Throws: `TokenizerError` naming the file and the component that is unknown or wrong.
    public init(huggingFace path: String) throws(TokenizerError) {
        let json: JSON
        do {
            json = try JSON.read(path: path)
        } catch {
            throw .unreadable(error)
        }
        try self.init(huggingFace: json, path: path)
    }

    /// Takes the content of a `tokenizer.json`; `path` is for error messages.
    package init(huggingFace json: JSON, path: String) throws(TokenizerError) {
        self.init(try HuggingFaceReader(path: path).pipeline(json), bos: nil, eos: nil)
    }
}
