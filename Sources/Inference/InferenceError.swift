import Files
import Models

/// Why a request cannot be run, or a run cannot go on.
public enum InferenceError: Error, Equatable, CustomStringConvertible {
    case emptyPrompt
    case promptTooLong(tokens: Int, context: Int)
    case tokenOutOfRange(id: Int32, position: Int, vocabularySize: Int)
    case maximumTokens(Int)
    case emptyStop
    /// A stop string, and nothing that turns tokens into text.
    case stopWithoutText(String)
    /// A setting of the sampler, by its name.
    case sampling(name: String, problem: String)
    /// Keys and values of one request, and what all requests together may take, in bytes.
    case cacheMemory(needed: Int, limit: Int)
    /// The pass stopped.
    case pass(ModelError)

    public var description: String { text.onOneLine }

    private var text: String {
        switch self {
        case .emptyPrompt:
            "the prompt is empty, and the model puts no BOS before it; give at least one token"
        case .promptTooLong(let tokens, let context):
            "the prompt has \(tokens) tokens, and the model's context is \(context); shorten it"
        case .tokenOutOfRange(let id, let position, let vocabularySize):
            "token id \(id) at position \(position) is outside the vocabulary of \(vocabularySize); "
                + "was the prompt made with another tokenizer?"
        case .maximumTokens(let count):
            "max_tokens is \(count); give 1 or more"
        case .emptyStop:
            "a stop string is empty, so every text would end before it begins; give it a character"
        case .stopWithoutText(let string):
            "the stop string \"\(string)\" needs the model's tokenizer, which is missing"
        case .sampling(let name, let problem): "\(name) \(problem)"
        case .cacheMemory(let needed, let limit):
            "keys and values of this request need \(AvailableMemory.text(needed)), and all requests "
                + "together may take \(AvailableMemory.text(limit)); give fewer iterations, fewer "
                + "new tokens or more --cache-memory"
        case .pass(let error): "\(error)"
        }
    }
}
