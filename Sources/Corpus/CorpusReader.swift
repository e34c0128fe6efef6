import Files
import Foundation
import Tokenizers

/// Turns data files into documents. Knows texts and token ids, not models.
///
/// `.txt` and token files are one stream, cut into consecutive windows; each window is one document and
/// a remainder shorter than a window is dropped. Each line of a `.jsonl` file is one document, cut to
/// its first tokens.
public struct CorpusReader: Sendable {
    public let tokenizer: Tokenizer?
    public let vocabularySize: Int
    /// The length of a window, an added BOS included.
    public let sequenceLength: Int
    /// The most windows or documents; nil for all.
    public let limit: Int?
    public let bos: BOSPolicy
    /// Nothing is read behind the document that reaches so many tokens; nil for no such limit.
    public let tokenLimit: Int?

    public init(
        tokenizer: Tokenizer?, vocabularySize: Int, sequenceLength: Int, limit: Int? = nil,
        bos: BOSPolicy = .auto, tokenLimit: Int? = nil
    ) {
        self.tokenizer = tokenizer
        self.vocabularySize = vocabularySize
        self.sequenceLength = sequenceLength
        self.limit = limit
        self.bos = bos
        self.tokenLimit = tokenLimit
    }

    /// - Throws: `CorpusError` naming the file and, where there is one, the line.
    public func read(path: String) throws(CorpusError) -> [Document] {
        if path.hasSuffix(".u16") || path.hasSuffix(".u32") {
            return try tokenFile(path)
        }
        if path.hasSuffix(".txt") {
            let file = try Self.mapped(path)
            return try read(
                text: try withExtendedLifetime(file) { () throws(CorpusError) in
                    try Self.text(file.bytes, path: path)
                }, path: path)
        }
        if path.hasSuffix(".jsonl") || path.hasSuffix(".jsonl.gz") {
            return try lines(try TextLines(path: path), path)
        }
        throw .unknownKind(path: path)
    }

    /// The documents of standard input, as of a `.jsonl` file where its first line is a JSON object and
    /// as of a `.txt` file else, with the SHA-256 of all that came in.
    /// - Throws: `CorpusError`, naming "standard input".
    public func readStandardInput() throws(CorpusError) -> (
        documents: [Document], sha256: String
    ) {
        let input = StandardInput()
        let name = StandardInput.name
        let documents =
            try input.holdsObjects()
            ? lines(TextLines(input), name)
            : read(text: Self.text(input.contents(), path: name), path: name)
        return (documents, try input.digest())
    }

    /// The windows of a text; `path` names it in errors.
    public func read(text: String, path: String) throws(CorpusError) -> [Document] {
        guard let tokenizer else { throw .noTokenizer(path: path) }
        guard !text.isEmpty else { throw .empty(path: path) }
        let ids: [Int32]
        do {
            ids = try tokenizer.encode(text, addSpecialTokens: false)
        } catch {
            throw .unreadable(path: path, problem: error.description)
        }
        return try windows(ids, prefix: try prefix(path), path: path)
    }

    // MARK: Kinds of files

    /// The windows of a file of ids. What no window needs is not read.
    private func tokenFile(_ path: String) throws(CorpusError) -> [Document] {
        let file = try Self.mapped(path)
        let bytes = file.bytes
        let width = path.hasSuffix(".u16") ? 2 : 4
        guard bytes.count % width == 0 else {
            throw .unreadable(
                path: path,
                problem: "\(bytes.count) bytes are not a whole number of \(width)-byte ids")
        }
        guard !bytes.isEmpty else { throw .empty(path: path) }
        let prefix = try tokenFilePrefix(path)
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
                guard id < vocabularySize else {
                    throw .tokenOutOfRange(
                        path: path, place: "token \(index)", id: id,
                        vocabularySize: vocabularySize)
                }
                ids.append(Int32(id))
            }
        }
        return try windows(ids, prefix: prefix, path: path)
    }

    private func lines(
        _ lines: TextLines, _ path: String
    ) throws(CorpusError) -> [Document] {
        var documents: [Document] = []
        var number = 0
        var tokens = 0
        while documents.count < limit ?? .max, tokens < tokenLimit ?? .max,
            let line = try lines.next()
        {
            number += 1
            if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) { continue }
            let json: JSON
            do {
                json = try JSON.parse(line)
            } catch {
                throw .line(path: path, line: number, problem: "not valid JSON: \(error)")
            }
            var document = try document(json, path: path, line: number)
            document.labels = json["labels"]?.objectValue ?? [:]
            if let label = json["label"] { document.labels["label"] = label }
            documents.append(document)
            tokens += document.tokens.count
        }
        guard !documents.isEmpty else { throw .empty(path: path) }
        return documents
    }

    private func document(
        _ json: JSON, path: String, line: Int
    ) throws(CorpusError) -> Document {
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
            guard !ids.isEmpty else {
                throw .line(path: path, line: line, problem: "\"tokens\" is empty")
            }
            let prefix = try tokenFilePrefix(path)
            return try document(ids, prefix: prefix)
        }
        let request = json["request"] ?? json
        let text: String
        if let whole = json["text"]?.stringValue {
            text = whole
        } else if let context = request["context"]?.stringValue,
            let continuation = request["continuation"]?.stringValue
        {
            text = context + continuation
        } else {
            throw .line(
                path: path, line: line,
                problem: "expected \"text\", \"tokens\", or \"context\" with \"continuation\"")
        }
        guard let tokenizer else { throw .noTokenizer(path: path) }
        let ids: [Int32]
        do {
            ids = try tokenizer.encode(text, addSpecialTokens: false)
        } catch {
            throw .line(path: path, line: line, problem: error.description)
        }
        guard !ids.isEmpty else {
            throw .line(path: path, line: line, problem: "the text is empty")
        }
        let prefix = try prefix(path)
        return try document(ids, prefix: prefix)
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

    /// What stands before a document of text.
    private func prefix(_ path: String) throws(CorpusError) -> [Int32] {
        switch bos {
        case .never: return []
        case .auto: return tokenizer?.prefixTokens ?? []
        case .always:
            if let added = tokenizer?.prefixTokens, !added.isEmpty { return added }
            guard let id = tokenizer?.bosToken else { throw .noBOS(path: path) }
            return [id]
        }
    }

    /// What stands before a document given as ids: nothing unless asked for.
    private func tokenFilePrefix(_ path: String) throws(CorpusError) -> [Int32] {
        bos == .always ? try prefix(path) : []
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
