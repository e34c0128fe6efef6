import Files
import Foundation

/// What the files beside a `tokenizer.json` say of tokens, by the rules of transformers 5
/// (`PreTrainedTokenizerBase._from_pretrained`, `TokenizersBackend.__init__`): `tokenizer_config.json`,
/// and where it has no `added_tokens_decoder` also `special_tokens_map.json` and `added_tokens.json`.
///
/// Every token that is named there is recognised in texts. Templates, classes and limits that stand in
/// the same files play no part.
struct NamedTokens {
    /// `tokenizer_config.json` with what overrides it.
    private var settings: [(key: String, value: Node)] = []
    /// Tokens with ids of their own, and where that is said.
    private var declared: [(id: Int32, node: Node)] = []
    /// `added_tokens.json`: a text and its id, with no settings.
    private var plain: [(id: Int32, text: String)] = []
    /// Whether there is no `added_tokens_decoder`: names then reach the tokens of `tokenizer.json` too.
    private var isLegacy = false

    /// - Throws: `TokenizerError` naming the file that is damaged.
    init(directory: String) throws(TokenizerError) {
        func optional(_ name: String) throws(TokenizerError) -> Node? {
            let path = directory + "/" + name
            guard FileManager.default.fileExists(atPath: path) else { return nil }
            let node = Node(
                path: path, place: "the file", json: try HuggingFaceReader.json(path))
            guard node.json.objectValue != nil else {
                throw node.invalid("holds \(node.json.kind), not an object")
            }
            return node
        }
        let config = try optional("tokenizer_config.json")
        if let config { take(config) }
        if let decoder = config?.json["added_tokens_decoder"]?.objectValue, let config {
            for (key, value) in decoder {
                let node = Node(
                    path: config.path, place: "added_tokens_decoder.\(key.prefix(20))", json: value)
                declared.append((try Self.id(Int(key), node), node))
            }
            declared.sort { $0.id < $1.id }
            return
        }
        isLegacy = true
        if let map = try optional("special_tokens_map.json") { take(map) }
        if let added = try optional("added_tokens.json") {
            for (text, value) in added.json.objectValue ?? [:] {
                let node = Node(path: added.path, place: "\"\(text.prefix(40))\"", json: value)
                try HuggingFaceReader.checkLength(text, node)
                plain.append((try Self.id(value.intValue, node), text))
            }
        }
    }

    private static func id(_ value: Int?, _ node: Node) throws(TokenizerError) -> Int32 {
        guard let id = value.flatMap(Int32.init(exactly:)), id >= 0 else {
            throw node.invalid("has an id that is no number from 0 to \(Int32.max)")
        }
        return id
    }

    private mutating func take(_ file: Node) {
        for (key, value) in file.json.objectValue ?? [:] {
            let node = Node(path: file.path, place: key, json: value)
            if let index = settings.firstIndex(where: { $0.key == key }) {
                settings[index].value = node
            } else {
                settings.append((key, node))
            }
        }
    }

    private func setting(_ key: String) -> Node? { settings.first { $0.key == key }?.value }

    /// The padding that `tokenizer.json` asks for names its token, unless another file has.
    mutating func takePadding(of root: JSON, path: String) {
        guard let token = root["padding"]?["pad_token"], token.stringValue != nil,
            setting("pad_token") == nil
        else { return }
        settings.append(("pad_token", Node(path: path, place: "padding.pad_token", json: token)))
    }

    // MARK: - Names

    /// What a name such as "bos_token" stands for: the text, or nil where the files say that there is
    /// none. Absent files say nothing.
    enum Name {
        case text(String)
        case none, unsaid
    }

    func name(_ key: String) -> Name {
        guard let node = setting(key) else { return .unsaid }
        return Self.text(node.json).map(Name.text) ?? .none
    }

    private static func text(_ json: JSON) -> String? {
        json.stringValue ?? json["content"]?.stringValue
    }

    private static let standard = [
        "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
    ]

    /// The tokens that have names, such as `pad_token` and `image_token`.
    private var named: [Node] {
        let others = settings.filter { $0.key.hasSuffix("_token") }.map(\.key).filter {
            !Self.standard.contains($0)
        }
        let nodes = (Self.standard + others).compactMap(setting)
        let members = setting("extra_special_tokens")
        let more = (members?.json.objectValue ?? [:]).map { key, value in
            Node(path: members?.path ?? "", place: "extra_special_tokens.\(key)", json: value)
        }
        return (nodes + more).filter { Self.text($0.json)?.isEmpty == false }
    }

    /// Special tokens without a name.
    private var extra: [Node] {
        for key in ["extra_special_tokens", "additional_special_tokens"] {
            guard let node = setting(key), let list = node.json.arrayValue, !list.isEmpty else {
                continue
            }
            return list.enumerated().map { index, value in
                Node(path: node.path, place: "\(key)[\(index)]", json: value)
            }.filter { Self.text($0.json)?.isEmpty == false }
        }
        return []
    }

    // MARK: - Adding

    /// Adds the tokens to those of `tokenizer.json`.
    ///
    /// A new token has the id that a file declares for it, where no other has that id already, and is
    /// else numbered on. transformers numbers on in any case: the two agree wherever the declared ids
    /// follow one another, as in what it writes itself.
    /// - Parameter own: the `added_tokens` of `tokenizer.json`.
    func add(to list: inout AddedTokenList, own: [Node]) throws(TokenizerError) {
        let named = named
        let names = Set(named.compactMap { Self.text($0.json) })
        list.continueNumbering()
        func isNamed(_ token: AddedToken) -> Bool {
            names.contains(String(decoding: token.content, as: UTF8.self))
        }
        for (id, node) in declared {
            guard var token = try HuggingFaceReader.addedToken(node) else { continue }
            token.isSpecial = token.isSpecial || isNamed(token)
            list.add(token, declaredID: id)
        }
        if isLegacy {
            for node in own {
                guard let token = try HuggingFaceReader.addedToken(node), isNamed(token),
                    !token.isSpecial
                else { continue }
                var special = token
                special.isSpecial = true
                list.add(special, declaredID: nil)
            }
            let specials = names.union(extra.compactMap { Self.text($0.json) })
            // An id that tokenizer.json gives to a token is that token's.
            let taken = Set(own.compactMap { $0.json["id"]?.intValue })
            for (id, text) in plain.sorted(by: { $0.id < $1.id })
            where !text.isEmpty && !taken.contains(Int(id)) {
                let isSpecial = specials.contains(text)
                list.add(
                    AddedToken(
                        content: Array(text.utf8), id: -1, isSpecial: isSpecial,
                        isNormalized: !isSpecial), declaredID: id)
            }
        }
        list.continueNumbering()
        for (node, isNamed) in named.map({ ($0, true) }) + extra.map({ ($0, false) }) {
            guard var token = try Self.token(node) else { continue }
            if list.contains(token.content) { continue }
            token.isSpecial = token.isSpecial || isNamed
            list.add(token, declaredID: nil)
        }
    }

    /// A text alone is a special token; in `special_tokens_map.json` all are.
    private static func token(_ node: Node) throws(TokenizerError) -> AddedToken? {
        if let text = node.json.stringValue {
            if text.isEmpty { return nil }
            try HuggingFaceReader.checkLength(text, node)
            return AddedToken(content: Array(text.utf8), id: -1, isSpecial: true)
        }
        var members = node.json.objectValue ?? [:]
        if node.path.hasSuffix("/special_tokens_map.json") { members["special"] = true }
        return try HuggingFaceReader.addedToken(
            Node(path: node.path, place: node.place, json: .object(members)))
    }
}

extension Tokenizer {
    /// Reads the `tokenizer.json` of a directory, and what the files beside it say of tokens.
    ///
    /// BOS and EOS are what `tokenizer_config.json` names; where it says null there is none. Where no
    /// such file names or denies them they are the ids of `config.json`.
    /// - Throws: `TokenizerError` naming the file and what is unknown or wrong.
    public init(directory: String) throws(TokenizerError) {
        let path = directory + "/tokenizer.json"
        let json = try HuggingFaceReader.json(path)
        var named = try NamedTokens(directory: directory)
        named.takePadding(of: json, path: path)
        let pipeline = try HuggingFaceReader(path: path).pipeline(json, beside: named)
        let plain = Tokenizer(pipeline, bos: nil, eos: nil)
        let file = directory + "/config.json"
        let config: JSON? =
            FileManager.default.fileExists(atPath: file) ? try HuggingFaceReader.json(file) : nil
        func id(_ name: String) -> Int32? {
            switch named.name(name + "_token") {
            case .text(let token): return plain.id(of: token)
            case .none: return nil
            case .unsaid:
                let value = config?[name + "_token_id"]
                return (value?.intValue ?? value?.arrayValue?.first?.intValue).flatMap {
                    Int32(exactly: $0)
                }
            }
        }
        self = plain.with(bos: id("bos"), eos: id("eos"))
    }
}
