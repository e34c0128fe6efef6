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

    public init(
        tokenizer: Tokenizer?, vocabularySize: Int, sequenceLength: Int, limit: Int? = nil,
        bos: BOSPolicy = .auto
    ) {
        self.init(
            tokenizer: LazyTokenizer(tokenizer), vocabularySize: vocabularySize,
            sequenceLength: sequenceLength, limit: limit, bos: bos)
    }

    public init(
        tokenizer: LazyTokenizer, vocabularySize: Int, sequenceLength: Int, limit: Int? = nil,
        bos: BOSPolicy = .auto
    ) {
        self.tokenizer = tokenizer
        self.vocabularySize = vocabularySize
        self.sequenceLength = sequenceLength
        self.limit = limit
        self.bos = bos
    }

    /// - Parameter onEmpty: called with the number, from 1, of each line whose text or list of ids is
    ///   empty. Such lines are no documents and do not count.
    /// - Throws: `CorpusError` naming the file and, where there is one, the line.
    public func read(
        path: String, onEmpty: (_ line: Int) -> Void = { _ in }
    ) throws(CorpusError) -> [Document] {
        if path.hasSuffix(".u16") || path.hasSuffix(".u32") {
            let ids = try tokenFile(path)
            return try windows(ids, prefix: try prefix(before: .ids, path), path: path)
        }
        if path.hasSuffix(".txt") {
            return try read(text: try Self.text(Self.bytes(path), path: path), path: path)
        }
        if path.hasSuffix(".jsonl") || path.hasSuffix(".jsonl.gz") {
            return try lines(path, onEmpty)
        }
        throw .unknownKind(path: path)
    }

    /// The windows of a text; `path` names it in errors.
    public func read(text: String, path: String) throws(CorpusError) -> [Document] {
        let tokenizer = try opened(for: path)
        guard !text.isEmpty else { throw .empty(path: path) }
        let ids: [Int32]
        do {
            ids = try tokenizer.encode(text, addSpecialTokens: false)
        } catch {
            throw .unreadable(path: path, problem: error.description)
        }
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

    private func tokenFile(_ path: String) throws(CorpusError) -> [Int32] {
        let bytes = try Self.bytes(path)
        let width = path.hasSuffix(".u16") ? 2 : 4
        guard bytes.count % width == 0 else {
            throw .unreadable(
                path: path,
                problem: "\(bytes.count) bytes are not a whole number of \(width)-byte ids")
        }
        guard !bytes.isEmpty else { throw .empty(path: path) }
        var ids: [Int32] = []
        ids.reserveCapacity(bytes.count / width)
        for start in stride(from: 0, to: bytes.count, by: width) {
            var id = 0
            for place in 0..<width { id |= Int(bytes[start + place]) << (8 * place) }
            guard id < vocabularySize else {
                throw .tokenOutOfRange(
                    path: path, place: "token \(start / width)", id: id,
                    vocabularySize: vocabularySize)
            }
            ids.append(Int32(id))
        }
        return ids
    }

    private func lines(
        _ path: String, _ onEmpty: (Int) -> Void
    ) throws(CorpusError) -> [Document] {
        var documents: [Document] = []
        let lines = try TextLines(path: path)
        var number = 0
        while limit.map({ documents.count < $0 }) ?? true, let line = try lines.next() {
            number += 1
            if TextLines.isBlank(line) { continue }
            let json: JSON
            do {
                json = try JSON.parse(line)
            } catch {
                throw .line(path: path, line: number, problem: "not valid JSON: \(error)")
            }
            guard var document = try document(json, path: path, line: number) else {
                onEmpty(number)
                continue
            }
            document.labels = json["labels"]?.objectValue ?? [:]
            if let label = json["label"] { document.labels["label"] = label }
            documents.append(document)
        }
        guard !documents.isEmpty else { throw .empty(path: path) }
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
        let count = min(limit ?? .max, ids.count / step)
        return (0..<count).map { index in
            Document(
                tokens: prefix + ids[index * step..<(index + 1) * step], addedTokens: prefix.count)
        }
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

    static func bytes(_ path: String) throws(CorpusError) -> [UInt8] {
        do {
            return try MappedFile.contents(path: path)
        } catch {
            throw .file(error)
        }
    }

    static func text(_ bytes: [UInt8], path: String) throws(CorpusError) -> String {
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
