import Files

extension HuggingFaceReader {
    /// The `model` of the file.
    func model(_ node: Node) throws(TokenizerError) -> Tokenizer.Model {
        switch node.json["type"]?.stringValue {
        case "BPE": return .bytePair(try bytePairModel(node))
        case "Unigram": return .unigram(try unigramModel(node))
        case let type?: throw node.unsupported("model", type, ["BPE", "Unigram"])
        case nil:
            // Files from before the field existed are told by their members.
            if node.json["merges"] != nil { return .bytePair(try bytePairModel(node)) }
            if node.json["vocab"]?.arrayValue != nil { return .unigram(try unigramModel(node)) }
            throw node.unsupported("model", "none", ["BPE", "Unigram"])
        }
    }

    /// The vocabulary is a list of pieces and scores; the place in the list is the id.
    private func unigramModel(_ node: Node) throws(TokenizerError) -> UnigramModel {
        guard let list = node.json["vocab"]?.arrayValue, list.count <= Int(Int32.max) else {
            throw node.invalid("\"vocab\" is missing or no array")
        }
        var vocabulary = Vocabulary(minimumCapacity: list.count)
        var scores: [Double] = []
        scores.reserveCapacity(list.count)
        for (id, entry) in list.enumerated() {
            guard let pair = entry.arrayValue, pair.count == 2, let piece = pair[0].stringValue,
                let score = pair[1].doubleValue, score.isFinite
            else { throw node.invalid("\"vocab\"[\(id)] is not a piece and its score") }
            try Self.checkLength(piece, node)
            guard vocabulary.insert(piece.utf8, id: Int32(id)) else {
                throw node.invalid("\"vocab\" holds \"\(piece.prefix(80))\" twice")
            }
            scores.append(Self.asParsedByRust(score))
        }
        guard let unknown = node.json["unk_id"]?.intValue.flatMap(Int32.init(exactly:)),
            unknown >= 0, Int(unknown) < scores.count
        else {
            throw node.invalid(
                "\"unk_id\" should be the id of the piece for unknown text, below \(scores.count)")
        }
        return UnigramModel(
            vocabulary: vocabulary, scores: scores, unknown: unknown,
            hasByteFallback: try node.bool("byte_fallback", default: false))
    }

    /// The number that `tokenizers` reads where a file says `value`. Its JSON parser divides the digits
    /// by a power of ten, and is off by one unit in the last place for one number in ten; equal sums
    /// of scores, as of "a" + "aa" and "aa" + "a", are decided by such units.
    private static func asParsedByRust(_ value: Double) -> Double {
        let parts = "\(value.magnitude)".split(separator: "e")
        let digits = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        let fraction = digits.count > 1 ? digits[1] : ""
        let exponent = (parts.count > 1 ? Int(parts[1]) ?? 0 : 0) - fraction.count
        guard let whole = UInt64(digits[0] + fraction), abs(exponent) <= 308,
            let power = Double("1e\(abs(exponent))")
        else { return value }
        let magnitude = exponent < 0 ? Double(whole) / power : Double(whole) * power
        return value < 0 ? -magnitude : magnitude
    }

    static func checkLength(_ token: String, _ node: Node) throws(TokenizerError) {
        guard token.utf8.count <= ByteTrie.longestKey else {
            throw node.invalid(
                "holds the token \"\(token.prefix(40))…\" of \(token.utf8.count) bytes, more than "
                    + "\(ByteTrie.longestKey)")
        }
    }

    private func bytePairModel(_ node: Node) throws(TokenizerError) -> BytePairModel {
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
            if var text = json.stringValue {
                if text.hasPrefix("#version") { continue }
                try Self.withBytes(of: &text) { (bytes) throws(TokenizerError) in
                    guard let space = bytes.firstIndex(of: 0x20),
                        bytes[(space + 1)...].firstIndex(of: 0x20) == nil
                    else {
                        throw merges.invalid(index, "is not two tokens with one space between them")
                    }
                    try merges.add(
                        UnsafeBufferPointer(rebasing: bytes[..<space]),
                        UnsafeBufferPointer(rebasing: bytes[(space + 1)...]), at: index,
                        in: vocabulary, prefix: prefix)
                }
            } else if let parts = json.arrayValue, parts.count == 2,
                var left = parts[0].stringValue, var right = parts[1].stringValue
            {
                try Self.withBytes(of: &left) { (left) throws(TokenizerError) in
                    try Self.withBytes(of: &right) { (right) throws(TokenizerError) in
                        try merges.add(left, right, at: index, in: vocabulary, prefix: prefix)
                    }
                }
            } else {
                throw merges.invalid(index, "is not a pair of tokens")
            }
        }
        return merges.table
    }

    /// `String.withUTF8` with typed errors.
    static func withBytes(
        of text: inout String,
        _ body: (UnsafeBufferPointer<UInt8>) throws(TokenizerError) -> Void
    ) throws(TokenizerError) {
        let result = text.withUTF8 { bytes in
            Result { () throws(TokenizerError) in try body(bytes) }
        }
        try result.get()
    }

    /// The added tokens of the file and of those beside it.
    func addedTokens(
        _ nodes: [Node], vocabulary: Vocabulary, beside: NamedTokens?
    ) throws(TokenizerError) -> [AddedToken] {
        var list = AddedTokenList(vocabulary: vocabulary)
        for node in nodes {
            if let token = try Self.addedToken(node) { list.add(token, declaredID: nil) }
        }
        try beside?.add(to: &list, own: nodes)
        return list.tokens
    }

    /// A token as `added_tokens` and `added_tokens_decoder` write it, without its id; nil if it has no
    /// text.
    static func addedToken(_ node: Node) throws(TokenizerError) -> AddedToken? {
        let text = try node.string("content")
        if text.isEmpty { return nil }
        try checkLength(text, node)
        let isSpecial = try node.bool("special", default: false)
        return AddedToken(
            content: Array(text.utf8), id: -1, isSpecial: isSpecial,
            isNormalized: try node.bool("normalized", default: !isSpecial),
            stripsLeft: try node.bool("lstrip", default: false),
            stripsRight: try node.bool("rstrip", default: false),
            isSingleWord: try node.bool("single_word", default: false))
    }
}

/// Added tokens with the ids that `tokenizers` gives them: a token of the model keeps its id, the others
/// are numbered on from the size of the model's vocabulary, whatever `tokenizer.json` says.
struct AddedTokenList {
    private let vocabulary: Vocabulary
    private(set) var tokens: [AddedToken] = []
    private var indices = ByteTable()
    private var ids: Set<Int32> = []
    private var next: Int32

    init(vocabulary: Vocabulary) {
        self.vocabulary = vocabulary
        next = Int32(clamping: vocabulary.count)
    }

    func contains(_ content: [UInt8]) -> Bool { indices.find(content) != nil }

    /// Numbers go on behind the highest so far, as a second call of `add_tokens` does.
    mutating func continueNumbering() {
        if let highest = ids.max(), highest >= next, highest < .max { next = highest + 1 }
    }

    /// Adds a token, or gives one that is there other settings.
    /// - Parameter declaredID: taken for a new token where no other has it.
    mutating func add(_ token: AddedToken, declaredID: Int32?) {
        var token = token
        let (index, isNew) = indices.insert(token.content)
        guard isNew else {
            // Named twice: the last settings count, but special once is special for good.
            token.id = tokens[index].id
            token.isSpecial = token.isSpecial || tokens[index].isSpecial
            tokens[index] = token
            return
        }
        if let id = vocabulary.id(of: token.content) {
            token.id = id
        } else if let id = declaredID, id >= 0, vocabulary.token(id) == nil, !ids.contains(id) {
            token.id = id
        } else {
            token.id = next
            next += 1
        }
        ids.insert(token.id)
        tokens.append(token)
    }
}

/// Builds the table of a list of merges, whose pairs and results must be tokens.
struct MergeList {
    let path: String
    let place: String
    private(set) var table: PairTable
    private var merged: [UInt8] = []

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
        _ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>, at index: Int,
        in vocabulary: Vocabulary, prefix: Int
    ) throws(TokenizerError) {
        merged.removeAll(keepingCapacity: true)
        merged += left
        merged += right.dropFirst(prefix)
        func id(_ token: UnsafeBufferPointer<UInt8>) throws(TokenizerError) -> Int32 {
            guard let id = vocabulary.id(of: token) else {
                let text = String(decoding: token.prefix(80), as: UTF8.self)
                throw invalid(index, "\"\(text)\" is not in the vocabulary")
            }
            return id
        }
        let (leftID, rightID) = (try id(left), try id(right))
        guard let mergedID = vocabulary.id(of: merged) else {
            let text = String(decoding: merged.prefix(80), as: UTF8.self)
            throw invalid(index, "\"\(text)\" is not in the vocabulary")
        }
        table[leftID, rightID] = PairTable.Value(
            first: UInt32(clamping: index), second: mergedID)
    }
}

extension Tokenizer {
    /// Reads a `tokenizer.json`, and nothing beside it.
    /// - Throws: `TokenizerError` naming the file and the component that is unknown or wrong.
    public init(huggingFace path: String) throws(TokenizerError) {
        try self.init(huggingFace: HuggingFaceReader.json(path), path: path)
    }

    /// Takes the content of a `tokenizer.json`; `path` is for error messages.
    package init(huggingFace json: JSON, path: String) throws(TokenizerError) {
        self.init(
            try HuggingFaceReader(path: path).pipeline(json, beside: nil), bos: nil, eos: nil)
    }
}

extension HuggingFaceReader {
    static func json(_ path: String) throws(TokenizerError) -> JSON {
        do {
            return try JSON.read(path: path)
        } catch {
            throw .unreadable(error)
        }
    }
}
