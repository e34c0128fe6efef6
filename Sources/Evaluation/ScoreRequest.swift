import Files
import Tokenizers

/// Why a line cannot be scored.
public enum ScoreError: Error, Equatable, CustomStringConvertible {
    case line(path: String, line: Int, problem: String)
    /// `line` holds text, and the model's tokenizer cannot be opened.
    case tokenizer(path: String, line: Int, TokenizerError)

    public var description: String {
        switch self {
        case .line(let path, let line, let problem): "\(path): line \(line): \(problem)"
        case .tokenizer(let path, let line, let error):
            "\(path): line \(line): needs the model's tokenizer, which cannot be used: \(error)"
        }
    }
}

/// Token ids, and from which one on they are scored.
public struct ScoreRequest: Sendable, Equatable {
    public var tokens: [Int32]
    /// Tokens `firstScored...` are scored, each from those before it; at least 1.
    public var firstScored: Int
    /// What the line calls itself, of any kind; nil where it does not.
    public var id: JSON?

    public init(tokens: [Int32], firstScored: Int, id: JSON? = nil) {
        self.tokens = tokens
        self.firstScored = firstScored
        self.id = id
    }
}

/// Reads lines of JSON as requests: `{"tokens"}`, `{"text"}`, `{"context", "continuation"}`, or an
/// OLMES request, which holds the last two under `request`.
///
/// The border between context and continuation is lm-evaluation-harness's: trailing white space of the
/// context moves to the continuation, both are tokenized together, and the continuation is what follows
/// the first len(tokenize(context)) ids. An empty context is BOS, else EOS.
public struct ScoreRequestReader: Sendable {
    let tokenizer: LazyTokenizer
    let bos: BOSPolicy
    let path: String

    /// - Parameters:
    ///   - tokenizer: opened at the first line that needs it.
    ///   - path: names the file in errors.
    public init(tokenizer: LazyTokenizer, bos: BOSPolicy, path: String) {
        self.tokenizer = tokenizer
        self.bos = bos
        self.path = path
    }

    public init(tokenizer: Tokenizer?, bos: BOSPolicy, path: String) {
        self.init(tokenizer: LazyTokenizer(tokenizer), bos: bos, path: path)
    }

    /// - Parameter number: the line's number in the file, from 1.
    public func read(_ line: [UInt8], number: Int) throws(ScoreError) -> ScoreRequest {
        func wrong(_ problem: String) -> ScoreError {
            .line(path: path, line: number, problem: problem)
        }
        let json: JSON
        do {
            json = try JSON.parse(line)
        } catch {
            throw wrong("not valid JSON: \(error)")
        }
        if let values = json["tokens"]?.arrayValue {
            var ids: [Int32] = []
            for value in values {
                guard let id = value.intValue.flatMap({ Int32(exactly: $0) }) else {
                    throw wrong("\"tokens\" holds \(value.text(indent: 0)), which is no token id")
                }
                ids.append(id)
            }
            let prefix = try bos.prefix(before: .ids) { () throws(ScoreError) in
                try opened(number)
            }
            guard let prefix else { throw wrong(Self.noBOS) }
            ids = prefix + ids
            guard ids.count >= 2 else { throw wrong("\"tokens\" needs two ids or more") }
            return ScoreRequest(tokens: ids, firstScored: 1, id: json["id"])
        }
        let request = json["request"] ?? json
        if let text = json["text"]?.stringValue {
            let ids = try encode(text, try opened(number), wrong)
            guard ids.count >= 2 else {
                throw wrong("\"text\" is \(ids.count) tokens; scoring needs two or more")
            }
            return ScoreRequest(tokens: ids, firstScored: 1, id: json["id"])
        }
        guard let context = request["context"]?.stringValue,
            let continuation = request["continuation"]?.stringValue
        else {
            throw wrong(
                "expected \"tokens\", \"text\", \"context\" with \"continuation\", or an OLMES request"
            )
        }
        var scored = try split(context, continuation, try opened(number), wrong)
        scored.id = json["id"]
        return scored
    }

    private func opened(_ line: Int) throws(ScoreError) -> Tokenizer? {
        do {
            return try tokenizer.get()
        } catch {
            throw .tokenizer(path: path, line: line, error)
        }
    }

    private func split(
        _ context: String, _ continuation: String, _ tokenizer: Tokenizer?,
        _ wrong: (String) -> ScoreError
    ) throws(ScoreError) -> ScoreRequest {
        guard let tokenizer else { throw wrong(Self.noTokenizer) }
        // Scalars, not characters: a line feed after a carriage return is white space of its own.
        let scalars = context.unicodeScalars
        let kept = scalars.lastIndex { !Self.isStripped($0) }.map { scalars.index(after: $0) }
        let border = kept ?? scalars.startIndex
        let head = String(scalars[..<border])
        let tail = String(scalars[border...]) + continuation
        if head.isEmpty {
            let ids = try ids(of: tail, tokenizer, wrong)
            guard !ids.isEmpty else { throw wrong("the continuation is empty") }
            guard let start = tokenizer.bosToken ?? tokenizer.eosToken else {
                throw wrong(
                    "an empty context needs a BOS or EOS token, and the tokenizer names none")
            }
            if ids[0] == start, ids.count > 1 { return ScoreRequest(tokens: ids, firstScored: 1) }
            return ScoreRequest(tokens: [start] + ids, firstScored: 1)
        }
        let whole = try encode(head + tail, tokenizer, wrong)
        let first = try encode(head, tokenizer, wrong).count
        guard first < whole.count else {
            throw wrong(
                tail.isEmpty
                    ? "the continuation is empty"
                    : "no token is left for the continuation: the context alone is \(first) ids, "
                        + "with the continuation it is \(whole.count); end the context at a word")
        }
        return ScoreRequest(tokens: whole, firstScored: max(1, first))
    }

    /// What Python's `str.rstrip`, which the harness uses, takes for white space: Unicode's property
    /// and the four information separators.
    private static func isStripped(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isWhitespace || (0x1C...0x1F).contains(scalar.value)
    }

    private static let noTokenizer =
        "text needs the model's tokenizer.json, which is missing; {\"tokens\"} lines work without it"

    /// The text's ids behind what `--bos` adds, and without what a tokenizer adds behind a text.
    private func encode(
        _ text: String, _ tokenizer: Tokenizer?, _ wrong: (String) -> ScoreError
    ) throws(ScoreError) -> [Int32] {
        guard let tokenizer else { throw wrong(Self.noTokenizer) }
        let ids = try ids(of: text, tokenizer, wrong)
        guard let prefix = bos.prefix(before: .text, { tokenizer }) else {
            throw wrong(Self.noBOS)
        }
        return prefix + ids
    }

    private static let noBOS = "--bos always, but the model names no BOS token"

    private func ids(
        of text: String, _ tokenizer: Tokenizer, _ wrong: (String) -> ScoreError
    ) throws(ScoreError) -> [Int32] {
        do {
            return try tokenizer.encode(text, addSpecialTokens: false)
        } catch {
            throw wrong(error.description)
        }
    }
}
