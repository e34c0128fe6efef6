import Files

/// Why a checkpoint cannot be used as a model, or a pass cannot run.
public enum ModelError: Error, Equatable, CustomStringConvertible {
    case unknownArchitecture(path: String, name: String, known: [String])
    /// A field of config.json or a GGUF key that is missing, wrong, or asks for what is not built.
    case configuration(path: String, field: String, problem: String)
    case missingTensors(path: String, names: [String])
    case leftoverTensors(path: String, names: [String])
    case wrongShape(path: String, tensor: String, expected: [Int], actual: [Int])
    case unsupportedType(path: String, tensor: String, type: String)
    case nonFinite(place: String, position: Int)
    case tokenOutOfRange(id: Int32, position: Int, vocabularySize: Int)
    case tooLong(tokens: Int, context: Int)
    case invalidPlan(problem: String)
    /// Keys and values of `steps` executed layers and `positions` positions, in bytes.
    case memory(steps: Int, positions: Int, needed: Int, available: Int)
    /// A tap asked for a site that the model's layers do not have.
    case noSuchSite(site: Site, architecture: String)
    /// A tap stopped the pass, for the reason that it gives.
    case stopped(reason: String)

    public var description: String { text.onOneLine }

    private var text: String {
        switch self {
        case .unknownArchitecture(let path, let name, let known):
            "\(path): unknown architecture \"\(name)\"; known are \(known.joined(separator: ", "))"
        case .configuration(let path, let field, let problem): "\(path): \(field): \(problem)"
        case .missingTensors(let path, let names):
            "\(path): \(Self.tensors(names, "is", "are")) missing that the configuration asks for: "
                + Self.list(names) + "; fetch the whole model again"
        case .leftoverTensors(let path, let names):
            "\(path): \(Self.tensors(names, "has", "have")) no place in this architecture, so its "
                + "numbers would be wrong: " + Self.list(names) + "; check its configuration"
        case .wrongShape(let path, let tensor, let expected, let actual):
            "\(path): tensor \(tensor) has shape \(actual), but the configuration makes it \(expected); "
                + "fetch the model again"
        case .unsupportedType(let path, let tensor, let type):
            "\(path): tensor \(tensor) is stored as \(type), which is not a type of weights"
        case .nonFinite(let place, let position):
            "the output of \(place) is not finite at position \(position): the weights hold NaN or Inf "
                + "or overflow f32; `etd-analyze inspect --check` reads every weight"
        case .tokenOutOfRange(let id, let position, let vocabularySize):
            "token id \(id) at position \(position) is outside the vocabulary of \(vocabularySize); "
                + "were these tokens made with another tokenizer?"
        case .tooLong(let tokens, let context):
            "\(tokens) tokens do not fit the model's context of \(context); shorten the text or the "
                + "window (--sequence-length)"
        case .invalidPlan(let problem): problem
        case .memory(let steps, let positions, let needed, let available):
            "keys and values of \(steps) executed layers and \(positions) positions need "
                + "\(AvailableMemory.text(needed)), and \(AvailableMemory.text(available)) are "
                + "available; give fewer --iterations or shorter texts"
        case .noSuchSite(let site, let architecture):
            "the site \(site.rawValue) does not exist in this \(architecture) model: its attention and "
                + "MLP run in parallel on the layer's input; use attn_out and mlp_out"
        case .stopped(let reason): reason
        }
    }

    private static func tensors(_ names: [String], _ one: String, _ many: String) -> String {
        names.count == 1 ? "1 tensor \(one)" : "\(names.count) tensors \(many)"
    }

    private static func list(_ names: [String]) -> String {
        names.prefix(6).joined(separator: ", ") + (names.count > 6 ? ", …" : "")
    }
}
