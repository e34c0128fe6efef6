import Files
import Tokenizers

/// Why a text or token file cannot be used as data.
public enum CorpusError: Error, Equatable, CustomStringConvertible {
    case file(FileError)
    case unreadable(path: String, problem: String)
    case unknownKind(path: String)
    case line(path: String, line: Int, problem: String)
    case notUTF8(path: String, offset: Int)
    case empty(path: String)
    case tooShort(path: String, tokens: Int, window: Int)
    case noTokenizer(path: String)
    /// `path` holds text, and the model's tokenizer cannot be opened.
    case tokenizer(path: String, TokenizerError)
    case noBOS(path: String)
    case tokenOutOfRange(path: String, place: String, id: Int, vocabularySize: Int)
    /// The tokenizer gives an id for the text that the embedding has no row for.
    case tokenWithoutRow(path: String, place: String, token: String, id: Int, vocabularySize: Int)
    /// Of data to train on.
    case mixture(problem: String)
    case invalidWindow(length: Int, problem: String)

    public var description: String {
        switch self {
        case .file(let error): error.description
        case .unreadable(let path, let problem): "\(path): \(problem)"
        case .unknownKind(let path):
            "\(path): unknown kind of data; expected a name ending in .txt, .jsonl, .ndjson or .json "
                + "(JSON lines, also with .gz), .u16, .u32 or .npy, or - for standard input"
        case .line(let path, let line, let problem): "\(path): line \(line): \(problem)"
        case .notUTF8(let path, let offset):
            "\(path): not UTF-8 text: the byte at offset \(offset) fits no character; convert the file"
        case .empty(let path): "\(path): holds no text; give a file that does"
        case .tooShort(let path, let tokens, let window):
            "\(path): its \(tokens) tokens do not fill one window of \(window); give more text or a "
                + "smaller --sequence-length"
        case .noTokenizer(let path):
            "\(path): reading text needs the model's tokenizer.json, which is missing; token files "
                + "(.u16, .u32) work without one"
        case .tokenizer(let path, let error):
            "\(path): reading text needs the model's tokenizer, which cannot be used: \(error)"
        case .noBOS(let path):
            "\(path): --bos always, but neither the tokenizer nor the configuration names a BOS token"
        case .tokenOutOfRange(let path, let place, let id, let vocabularySize):
            "\(path): \(place): token id \(id) is outside the vocabulary of \(vocabularySize); "
                + "were these tokens made with another tokenizer?"
        case .tokenWithoutRow(let path, let place, let token, let id, let vocabularySize):
            "\(path): \(place): gives \(token.quotedForMessage), token \(id), but the embedding has only "
                + "\(vocabularySize) rows; leave it out, or use the tokenizer that belongs to the weights"
        case .mixture(let problem): "data: \(problem); give files with weights above 0"
        case .invalidWindow(let length, let problem): "--sequence-length \(length): \(problem)"
        }
    }
}
