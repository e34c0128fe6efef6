import Files
import Foundation
import Tokenizers

/// Turns data files into documents. Knows texts and token ids, not models.
///
/// `.txt` and token files are one stream, cut into consecutive windows; each window is one document and
/// a remainder shorter than a window is dropped. Each line of a `.jsonl` file is one document, cut to
/// its first tokens.
public struct CorpusReader: Sendable {
    /// Opened where text is first read.
    public let tokenizer: LazyTokenizer
    public let vocabularySize: Int
    /// The length of a window, an added BOS included.
    public let sequenceLength: Int
    /// The most windows or documents; nil for all.
    public let limit: Int?
    public let bos: BOSPolicy
    /// The field of a JSON line that holds its text.
    public var textKey = "text"
    /// Nothing is read behind the document that reaches so many tokens; nil for no such limit.
    public let tokenLimit: Int?

    public init(
        tokenizer: Tokenizer?, vocabularySize: Int, sequenceLength: Int, limit: Int? = nil,
        bos: BOSPolicy = .auto, tokenLimit: Int? = nil
    ) {
        self.init(
            tokenizer: LazyTokenizer(tokenizer), vocabularySize: vocabularySize,
            sequenceLength: sequenceLength, limit: limit, bos: bos, tokenLimit: tokenLimit)
    }

    public init(
        tokenizer: LazyTokenizer, vocabularySize: Int, sequenceLength: Int, limit: Int? = nil,
        bos: BOSPolicy = .auto, tokenLimit: Int? = nil
    ) {
        self.tokenizer = tokenizer
        self.vocabularySize = vocabularySize
        self.sequenceLength = sequenceLength
        self.limit = limit
        self.bos = bos
        self.tokenLimit = tokenLimit
    }

    /// - Parameter onEmpty: called with the number, from 1, of each line whose text or list of ids is
    ///   empty. Such lines are no documents and do not count.
    /// - Throws: `CorpusError` naming the file and, where there is one, the line.
    public func read(
        path: String, onEmpty: (_ line: Int) -> Void = { _ in }
    ) throws(CorpusError) -> [Document] {
        switch Kind(path) {
        case .ids: return try tokenFile(path)
        case .text: return try textFile(path)
        case .lines: return try lines(try TextLines(path: path), path, onEmpty)
        case nil: throw .unknownKind(path: path)
        }
    }

    /// What a file's name says of its content, letter case apart.
    private enum Kind {
        case text, lines, ids

        init?(_ path: String) {
            let name = path.lowercased()
            let plain = name.hasSuffix(".gz") ? name.dropLast(3) : name[...]
            if [".jsonl", ".ndjson", ".json"].contains(where: plain.hasSuffix) {
                self = .lines
            } else if name.hasSuffix(".txt") {
                self = .text
            } else if [".u16", ".u32", ".npy"].contains(where: name.hasSuffix) {
                self = .ids
            } else {
                return nil
            }
        }
    }

    /// The documents of standard input, as of a `.jsonl` file where its first line is a JSON object and
    /// as of a `.txt` file else, with the SHA-256 of all that came in.
    /// - Throws: `CorpusError`, naming "standard input".
    public func readStandardInput(
        onEmpty: (_ line: Int) -> Void = { _ in }
    ) throws(CorpusError) -> (documents: [Document], sha256: String) {
        let input = StandardInput()
        let name = StandardInput.name
        let documents =
            try input.holdsObjects()
            ? lines(TextLines(input), name, onEmpty)
            : read(text: Self.text(input.contents(), path: name), path: name)
        return (documents, try input.digest())
    }

    /// The windows of a text; `path` names it in errors.
    public func read(text: String, path: String) throws(CorpusError) -> [Document] {
        let tokenizer = try opened(for: path)
        guard !text.isEmpty else { throw .empty(path: path) }
        let ids = try encode(text, path)
        try check(ids, tokenizer, path: path, place: "the text")
        return try windows(ids, prefix: try prefix(before: .text, path), path: path)
    }

    private func opened(for path: String) throws(CorpusError) -> Tokenizer {
        guard let tokenizer = try openedIfAny(for: path) else { throw .noTokenizer(path: path) }
        return tokenizer
    }

    private func openedIfAny(for path: String) throws(CorpusError) -> Tokenizer? {
        do {
            return try tokenizer.get()
        } catch {
            throw .tokenizer(path: path, error)
        }
    }

    /// Throws for the first id that the embedding has no row for.
    private func check(
        _ ids: [Int32], _ tokenizer: Tokenizer, path: String, place: String
    ) throws(CorpusError) {
        guard tokenizer.vocabularySize > vocabularySize,
            let id = ids.first(where: { Int($0) >= vocabularySize })
        else { return }
        throw .tokenWithoutRow(
            path: path, place: place, token: tokenizer.token(id) ?? "", id: Int(id),
            vocabularySize: vocabularySize)
    }

    // MARK: Kinds of files

    /// The windows of a file of ids. What no window needs is not read.
    private func tokenFile(_ path: String) throws(CorpusError) -> [Document] {
        let file = try Self.mapped(path)
        let layout = try TokenFileLayout(
            path: path, bytes: file.bytes, vocabularySize: vocabularySize)
        let bytes = UnsafeRawBufferPointer(rebasing: file.bytes[layout.start...])
        let width = layout.width
        guard bytes.count % width == 0 else {
            throw .unreadable(
                path: path,
                problem: "\(bytes.count) bytes are not a whole number of \(width)-byte ids")
        }
        guard !bytes.isEmpty else { throw .empty(path: path) }
        let prefix = try prefix(before: .ids, path)
        let step = try room(beside: prefix)
        let held = bytes.count / width
        var ids: [Int32] = []
        // Of fewer than a window needs all are read: a wrong kind of file shows at its ids first.
        let count =
            held < step ? held : windowCount(tokens: held, step: step, prefix: prefix) * step
        ids.reserveCapacity(count)
        try withExtendedLifetime(file) { () throws(CorpusError) in
            for index in 0..<count {
                var id = 0
                for place in 0..<width { id |= Int(bytes[index * width + place]) << (8 * place) }
                guard id >= 0, id < vocabularySize else {
                    throw .tokenOutOfRange(
                        path: path, place: "token \(index)", id: id,
                        vocabularySize: vocabularySize)
                }
                ids.append(Int32(id))
            }
        }
        guard held >= step else { throw .tooShort(path: path, tokens: held, window: step) }
        return try windows(ids, prefix: prefix, path: path)
    }

    /// The windows of a text file. Where only the first ones are wanted, the text behind them is not read.
    private func textFile(_ path: String) throws(CorpusError) -> [Document] {
        let file = try Self.mapped(path)
        let bytes = file.bytes
        return try withExtendedLifetime(file) { () throws(CorpusError) in
            guard let wanted = try wantedTokens(path), !bytes.isEmpty else {
                return try read(text: Self.text(bytes, path: path), path: path)
            }
            // The beginning of a text has the tokens of the whole text, but for the last ones, which what
            // follows may change. So two beginnings must agree on what is wanted, and the shorter one
            // must go well beyond it.
            var known: ArraySlice<Int32>?
            // No token of usual text is longer than 8 bytes on average.
            var size = wanted < bytes.count / 8 ? wanted * 8 + 65_536 : bytes.count
            while size < bytes.count, let end = bytes[..<size].lastIndex(of: 0x0A) {
                let beginning = try Self.text(bytes[...end], path: path)
                let ids = try encode(beginning, path)
                if ids.count >= wanted + Self.margin {
                    if let known, known == ids.prefix(wanted) {
                        return try read(text: beginning, path: path)
                    }
                    known = ids.prefix(wanted)
                }
                size *= 2
            }
            return try read(text: Self.text(bytes, path: path), path: path)
        }
    }

    /// Tokens behind the wanted ones that a beginning of a text must have too.
    private static let margin = 1024

    /// Tokens of the data that the wanted windows take; nil where all are wanted.
    private func wantedTokens(_ path: String) throws(CorpusError) -> Int? {
        let prefix = try prefix(before: .text, path)
        let step = try room(beside: prefix)
        let windows = windowCount(tokens: .max, step: step, prefix: prefix)
        let (tokens, overflow) = windows.multipliedReportingOverflow(by: step)
        return overflow || windows == .max / step ? nil : tokens
    }

    private func encode(_ text: String, _ path: String) throws(CorpusError) -> [Int32] {
        let tokenizer = try opened(for: path)
        do {
            return try tokenizer.encode(text, addSpecialTokens: false)
        } catch {
            throw .unreadable(path: path, problem: error.description)
        }
    }

    private func lines(
        _ lines: TextLines, _ path: String, _ onEmpty: (Int) -> Void
    ) throws(CorpusError) -> [Document] {
        var documents: [Document] = []
        var firstEmpty: Int?
        var number = 0
        var tokens = 0
        while documents.count < limit ?? .max, tokens < tokenLimit ?? .max,
            let line = try lines.next()
        {
            number += 1
            if TextLines.isBlank(line) { continue }
            let json: JSON
            do {
                json = try JSON.parse(line)
            } catch {
                throw .line(path: path, line: number, problem: "not valid JSON: \(error)")
            }
            guard var document = try document(json, path: path, line: number) else {
                firstEmpty = firstEmpty ?? number
                onEmpty(number)
                continue
            }
            document.labels = json["labels"]?.objectValue ?? [:]
            if let label = json["label"] { document.labels["label"] = label }
            documents.append(document)
            tokens += document.tokens.count
        }
        guard !documents.isEmpty else {
            guard let firstEmpty else { throw .empty(path: path) }
            throw .line(
                path: path, line: firstEmpty,
                problem: "the document is empty, and no other line holds one; give some text")
        }
        return documents
    }

    /// - Returns: nil for one that is empty.
    private func document(
        _ json: JSON, path: String, line: Int
    ) throws(CorpusError) -> Document? {
        if let values = json["tokens"]?.arrayValue {
            var ids: [Int32] = []
            for value in values {
                guard let id = value.intValue else {
                    throw .line(path: path, line: line, problem: "\"tokens\" holds \(value.kind)")
                }
                guard id >= 0, id < vocabularySize else {
                    throw .tokenOutOfRange(
                        path: path, place: "line \(line)", id: id, vocabularySize: vocabularySize)
                }
                ids.append(Int32(id))
            }
            if ids.isEmpty { return nil }
            let prefix = try prefix(before: .ids, path)
            return try document(ids, prefix: prefix)
        }
        let request = json["request"] ?? json
        let text: String
        if let whole = json[textKey]?.stringValue {
            text = whole
        } else if let context = request["context"]?.stringValue,
            let continuation = request["continuation"]?.stringValue
        {
            text = context + continuation
        } else {
            throw .line(path: path, line: line, problem: noText(json))
        }
        let tokenizer = try opened(for: path)
        let ids: [Int32]
        do {
            ids = try tokenizer.encode(text, addSpecialTokens: false)
        } catch {
            throw .line(path: path, line: line, problem: error.description)
        }
        if ids.isEmpty { return nil }
        try check(ids, tokenizer, path: path, place: "line \(line)")
        let prefix = try prefix(before: .text, path)
        return try document(ids, prefix: prefix)
    }

    /// What a line without a text lacks, and where it has texts.
    private func noText(_ json: JSON) -> String {
        let expected =
            "expected \(textKey.quotedForMessage), \"tokens\", or \"context\" with \"continuation\""
        guard let members = json.objectValue else {
            return expected + "; it is no JSON object, which each line has to be"
        }
        let fields = members.filter { $0.value.stringValue != nil }.map(\.key)
        return fields.isEmpty
            ? expected
            : expected + "; texts stand under "
                + fields.prefix(5).map(\.quotedForMessage).joined(separator: ", ")
                + ", of which --text-key can name one"
    }

    /// One document cut to its first tokens.
    private func document(
        _ ids: [Int32], prefix: [Int32]
    ) throws(CorpusError) -> Document {
        Document(
            tokens: prefix + ids.prefix(try room(beside: prefix)), addedTokens: prefix.count)
    }

    // MARK: Windows

    private func windows(
        _ ids: [Int32], prefix: [Int32], path: String
    ) throws(CorpusError) -> [Document] {
        let step = try room(beside: prefix)
        guard ids.count >= step else {
            throw .tooShort(path: path, tokens: ids.count, window: step)
        }
        let count = windowCount(tokens: ids.count, step: step, prefix: prefix)
        return (0..<count).map { index in
            Document(
                tokens: prefix + ids[index * step..<(index + 1) * step], addedTokens: prefix.count)
        }
    }

    /// How many windows of `step` of `tokens` tokens are wanted.
    private func windowCount(tokens: Int, step: Int, prefix: [Int32]) -> Int {
        let length = step + prefix.count
        let enough = tokenLimit.map { $0 / length + ($0 % length > 0 ? 1 : 0) } ?? .max
        return min(limit ?? .max, enough, tokens / step)
    }

    /// Tokens of the data that fit a window behind `prefix`; at least 1.
    private func room(beside prefix: [Int32]) throws(CorpusError) -> Int {
        guard sequenceLength > prefix.count else {
            throw .invalidWindow(
                length: sequenceLength, problem: "leaves no room beside the added BOS")
        }
        return sequenceLength - prefix.count
    }

    /// What stands before a document.
    private func prefix(
        before input: BOSPolicy.Input, _ path: String
    ) throws(CorpusError) -> [Int32] {
        let prefix = try bos.prefix(before: input) { () throws(CorpusError) in
            try openedIfAny(for: path)
        }
        guard let prefix else { throw .noBOS(path: path) }
        return prefix
    }

    // MARK: Bytes

    private static func mapped(_ path: String) throws(CorpusError) -> MappedFile {
        do {
            return try MappedFile(path: path)
        } catch {
            throw .file(error)
        }
    }

    static func text(_ bytes: some Collection<UInt8>, path: String) throws(CorpusError) -> String {
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        // Only now is the place worth finding: where the first ill-formed sequence begins.
        var parser = Unicode.UTF8.ForwardParser()
        var iterator = bytes.makeIterator()
        var offset = 0
        while case .valid(let scalar) = parser.parseScalar(from: &iterator) {
            offset += scalar.count
        }
        throw .notUTF8(path: path, offset: offset)
    }
}
