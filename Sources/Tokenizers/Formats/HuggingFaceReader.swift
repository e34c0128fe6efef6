import Files

/// Reads a `tokenizer.json`. Every component is known or an error that names it; none is skipped.
struct HuggingFaceReader {
    let path: String

    /// - Parameter beside: what other files of the directory say of tokens.
    func pipeline(_ root: JSON, beside: NamedTokens?) throws(TokenizerError) -> Tokenizer.Pipeline {
        guard root.objectValue != nil else {
            throw .invalid(
                path: path, place: "the file", problem: "holds \(root.kind), not an object")
        }
        let normalizer = try root["normalizer"].map { (json) throws(TokenizerError) in
            try self.normalizer(node(json, "normalizer"))
        }
        if let normalizer, normalizer.growth > Self.mostGrowth {
            throw .invalid(
                path: path, place: "normalizer",
                problem: "makes texts more than \(Int(Self.mostGrowth)) times longer")
        }
        let model = try model(node(root["model"] ?? .null, "model"))
        let added = try addedTokens(
            Node(path: path, place: "the file", json: root).elements("added_tokens", default: []),
            vocabulary: model.vocabulary, beside: beside)
        let template = try root["post_processor"].map { (json) throws(TokenizerError) in
            try postProcessor(node(json, "post_processor"))
        }
        return Tokenizer.Pipeline(
            model: model, normalizer: normalizer,
            preTokenizer: try root["pre_tokenizer"].map { (json) throws(TokenizerError) in
                try preTokenizer(node(json, "pre_tokenizer"))
            },
            decoder: try root["decoder"].map { (json) throws(TokenizerError) in
                try decoder(node(json, "decoder"))
            },
            addedTokens: try AddedVocabulary(added, normalizer: normalizer),
            prefix: template?.prefix ?? [], suffix: template?.suffix ?? [])
    }

    /// Real files stay below 20.
    private static let mostGrowth = 1024.0

    private func node(_ json: JSON, _ place: String) -> Node {
        Node(path: path, place: place, json: json)
    }

    // MARK: - Normalizers

    private func normalizer(_ node: Node) throws(TokenizerError) -> Normalizer {
        let type = try node.string("type")
        if let form = Normalizer.Form(rawValue: type) { return .unicode(form) }
        switch type {
        case "Sequence":
            var steps: [Normalizer] = []
            for element in try node.elements("normalizers") {
                steps.append(try normalizer(element))
            }
            return .sequence(steps)
        case "Replace":
            return .replace(try pattern(node), with: try node.bytes("content"))
        case "Prepend": return .prepend(try node.bytes("prepend"))
        case "Lowercase": return .lowercase
        case "Strip":
            return .strip(
                left: try node.bool("strip_left"), right: try node.bool("strip_right"))
        case "StripAccents": return .stripAccents
        case "Nmt": return .nmt
        case "ByteLevel": return .byteLevel
        case "Precompiled":
            guard let map = PrecompiledMap(base64: try node.string("precompiled_charsmap")) else {
                throw node.invalid("\"precompiled_charsmap\" is not a table of SentencePiece's")
            }
            return .precompiled(map)
        default:
            throw node.unsupported(
                "normalizer", type,
                Normalizer.Form.allCases.map(\.rawValue) + [
                    "Sequence", "Replace", "Prepend", "Lowercase", "Strip", "StripAccents",
                    "Nmt", "ByteLevel", "Precompiled",
                ])
        }
    }

    /// `{"String": …}` or `{"Regex": …}`.
    private func pattern(_ node: Node) throws(TokenizerError) -> TextPattern {
        let pattern = try node.member("pattern")
        if let literal = pattern.json["String"]?.stringValue {
            if literal.isEmpty { throw pattern.invalid("is empty") }
            return .literal(Array(literal.utf8))
        }
        guard let regex = pattern.json["Regex"]?.stringValue else {
            throw pattern.invalid("has neither \"String\" nor \"Regex\"")
        }
        return .regex(try TextRegex(regex, path: path, place: pattern.place))
    }

    // MARK: - Pre-tokenizers

    private func preTokenizer(_ node: Node) throws(TokenizerError) -> PreTokenizer {
        let type = try node.string("type")
        switch type {
        case "Sequence":
            var steps: [PreTokenizer] = []
            for element in try node.elements("pretokenizers") {
                steps.append(try preTokenizer(element))
            }
            return .sequence(steps)
        case "Split":
            return .split(
                try pattern(node), try behavior(node),
                invert: try node.bool("invert", default: false))
        case "Digits": return .digits(individual: try node.bool("individual_digits"))
        case "Punctuation":
            return .punctuation(node.json["behavior"] == nil ? .isolated : try behavior(node))
        case "Whitespace": return .whitespace
        case "WhitespaceSplit": return .whitespaceSplit
        case "ByteLevel":
            let splits = try node.bool("use_regex", default: true)
            return .byteLevel(
                addPrefixSpace: try node.bool("add_prefix_space"),
                split: splits
                    ? .regex(
                        try TextRegex(GGUFPreTokenizer.gpt2Words, path: path, place: node.place))
                    : nil)
        case "Metaspace":
            return .metaspace(
                replacement: try replacement(node), try prependScheme(node),
                split: try node.bool("split", default: true))
        default:
            throw node.unsupported(
                "pre-tokenizer", type,
                [
                    "Sequence", "Split", "Digits", "Punctuation", "Whitespace", "WhitespaceSplit",
                    "ByteLevel", "Metaspace",
                ])
        }
    }

    private func behavior(_ node: Node) throws(TokenizerError) -> SplitBehavior {
        let name = try node.string("behavior")
        guard let behavior = SplitBehavior(rawValue: name) else {
            throw node.unsupported(
                "split behavior", name, SplitBehavior.allCases.map(\.rawValue))
        }
        return behavior
    }

    /// Older files say `add_prefix_space`, newer ones `prepend_scheme`.
    private func prependScheme(_ node: Node) throws(TokenizerError) -> PreTokenizer.PrependScheme {
        guard node.json["prepend_scheme"] != nil else {
            return try node.bool("add_prefix_space", default: true) ? .always : .never
        }
        let name = try node.string("prepend_scheme")
        guard let scheme = PreTokenizer.PrependScheme(rawValue: name) else {
            throw node.unsupported(
                "prepend scheme", name, PreTokenizer.PrependScheme.allCases.map(\.rawValue))
        }
        return scheme
    }

    private func replacement(_ node: Node) throws(TokenizerError) -> [UInt8] {
        let text = try node.string("replacement")
        guard text.unicodeScalars.count == 1 else {
            throw node.invalid("\"replacement\" is not one character")
        }
        return Array(text.utf8)
    }

    // MARK: - Decoders

    private func decoder(_ node: Node) throws(TokenizerError) -> Decoder {
        let type = try node.string("type")
        switch type {
        case "Sequence":
            var steps: [Decoder] = []
            for element in try node.elements("decoders") { steps.append(try decoder(element)) }
            return .sequence(steps)
        case "ByteLevel": return .byteLevel
        case "ByteFallback": return .byteFallback
        case "Fuse": return .fuse
        case "Replace":
            // Decoding has no way to fail, and no known file looks for more than a string here.
            guard case .literal(let literal) = try pattern(node) else {
                throw node.invalid(
                    "\"pattern\" of a decoder should be a \"String\", not a \"Regex\"")
            }
            return .replace(literal, with: try node.bytes("content"))
        case "Strip":
            let content = try node.string("content")
            guard content.unicodeScalars.count == 1 else {
                throw node.invalid("\"content\" is not one character")
            }
            return .strip(
                content: Array(content.utf8), start: try node.count("start"),
                stop: try node.count("stop"))
        case "BPEDecoder":
            let suffix = try node.bytes("suffix")
            if suffix.isEmpty { throw node.invalid("\"suffix\" is empty") }
            return .wordSuffix(suffix)
        case "Metaspace":
            return .metaspace(
                replacement: try replacement(node),
                dropsFirst: try prependScheme(node) != .never)
        default:
            throw node.unsupported(
                "decoder", type,
                [
                    "Sequence", "ByteLevel", "ByteFallback", "Fuse", "Replace", "Strip",
                    "Metaspace", "BPEDecoder",
                ])
        }
    }

    // MARK: - Post-processors

    private typealias Template = (prefix: [Int32], suffix: [Int32])

    private func postProcessor(_ node: Node) throws(TokenizerError) -> Template {
        let type = try node.string("type")
        switch type {
        case "ByteLevel": return ([], [])
        case "Sequence":
            // A second template would see the first one's parts as a pair of texts.
            var whole: Template = ([], [])
            for element in try node.elements("processors") {
                let step = try postProcessor(element)
                if step.prefix.isEmpty && step.suffix.isEmpty { continue }
                guard whole.prefix.isEmpty && whole.suffix.isEmpty else {
                    throw node.invalid("adds tokens in more than one step")
                }
                whole = step
            }
            return whole
        case "TemplateProcessing": return try template(node)
        case "RobertaProcessing", "BertProcessing":
            return ([try pairID(node, "cls")], [try pairID(node, "sep")])
        default:
            throw node.unsupported(
                "post-processor", type,
                [
                    "ByteLevel", "Sequence", "TemplateProcessing", "RobertaProcessing",
                    "BertProcessing",
                ])
        }
    }

    /// A `["<s>", 1]` pair.
    private func pairID(_ node: Node, _ key: String) throws(TokenizerError) -> Int32 {
        guard let pair = node.json[key]?.arrayValue, pair.count == 2,
            let id = pair[1].intValue.flatMap(Int32.init(exactly:)), id >= 0
        else { throw node.invalid("\"\(key)\" is not a pair of a token and its id") }
        return id
    }

    private func template(_ node: Node) throws(TokenizerError) -> Template {
        let tokens = try node.member("special_tokens", default: [:])
        var result: Template = ([], [])
        var sequences = 0
        for element in try node.elements("single") {
            if element.json["Sequence"] != nil {
                sequences += 1
                continue
            }
            let name = try element.member("SpecialToken").string("id")
            guard let ids = tokens.json[name]?["ids"]?.arrayValue else {
                throw element.invalid("\"\(name.prefix(80))\" is not among the special tokens")
            }
            for json in ids {
                guard let id = json.intValue.flatMap(Int32.init(exactly:)), id >= 0 else {
                    throw element.invalid("\"\(name.prefix(80))\" has an id that is not a number")
                }
                if sequences == 0 { result.prefix.append(id) } else { result.suffix.append(id) }
            }
        }
        guard sequences == 1 else {
            throw node.invalid("\"single\" holds the text \(sequences) times, not once")
        }
        return result
    }
}
