import Files
import Plans

/// Why a checkpoint cannot be used as a model, or a pass cannot run.
public enum ModelError: Error, Equatable, CustomStringConvertible {
    case unknownArchitecture(path: String, name: String, known: [String])
    /// A field of config.json or a GGUF key that is missing, wrong, or asks for what is not built.
    case configuration(path: String, field: String, problem: String)
    case missingTensors(path: String, names: [String])
    case leftoverTensors(path: String, names: [String])
    case wrongShape(path: String, tensor: String, expected: [Int], actual: [Int])
    case unsupportedType(path: String, tensor: String, type: String)
    /// Weights in the form of a library that quantises; `sign` is where the file says so.
    case quantized(path: String, sign: String)
    /// The configuration asks for a quantisation of weights that the file holds as they are.
    case quantizedOnLoad(path: String, sign: String)
    case nonFinite(place: String, position: Int)
    /// `id` is the first vocabulary id, so the row of the unembedding, whose logit at `place`, such as
    /// "boundary 3", is NaN, infinite or too large to compute with.
    case nonFiniteLogit(id: Int, place: String, position: Int)
    case tokenOutOfRange(id: Int32, position: Int, vocabularySize: Int)
    case tooLong(tokens: Int, context: Int)
    case invalidPlan(problem: String)
    /// A rule of adaptive depth, as written, that is unknown or that the model cannot follow.
    case haltingRule(text: String, problem: String)
    /// Keys and values of `steps` executed layers and `positions` positions, in bytes.
    case memory(steps: Int, positions: Int, needed: Int, available: Int)
    /// A tap asked for a site that the model's layers do not have.
    case noSuchSite(site: Site, architecture: String)
    /// A pass over steps whose cache lacks the positions before.
    case cacheGap(step: Int, held: Int, position: Int)
    /// What an intervention is to write does not fit the place.
    case intervention(place: StatePlace, problem: String)
    /// A tap or an intervention stopped the pass, for the reason that it gives.
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
            "\(path): tensor \(tensor) is stored as \(type), which is not a type of weights; "
                + Self.unquantized
        case .quantized(let path, let sign):
            "\(path): its weights are quantised (\(sign)), in a form that is not read; "
                + Self.unquantized
        case .quantizedOnLoad(let path, let sign):
            "\(path): \(sign) asks for quantising the weights, which are stored as they are; remove "
                + "it from config.json to run them unquantised"
        case .nonFinite(let place, let position):
            "the output of \(place) is not finite at position \(position): the weights hold NaN or Inf "
                + "or overflow f32; `etd-analyze inspect --check` reads every weight"
        case .nonFiniteLogit(let id, let place, let position):
            "the logit of vocabulary id \(id) at \(place), position \(position), is not finite: row \(id) "
                + "of the unembedding or the final norm holds NaN or Inf, or overflows f32; "
                + "`etd-analyze inspect --check` reads every weight"
        case .tokenOutOfRange(let id, let position, let vocabularySize):
            "token id \(id) at position \(position) is outside the vocabulary of \(vocabularySize); "
                + "were these tokens made with another tokenizer?"
        case .tooLong(let tokens, let context):
            "\(tokens) tokens do not fit the model's context of \(context); shorten the text or the "
                + "window (--sequence-length)"
        case .invalidPlan(let problem): problem
        case .haltingRule(let text, let problem): "\"\(text)\": \(problem)"
        case .memory(let steps, let positions, let needed, let available):
            "keys and values of \(steps) executed layers and \(positions) positions need "
                + "\(AvailableMemory.text(needed)), and \(AvailableMemory.text(available)) are "
                + "available; give fewer --iterations or shorter texts"
        case .noSuchSite(let site, let architecture):
            "the site \(site.rawValue) does not exist in this \(architecture) model: its attention and "
                + "MLP run in parallel on the layer's input; use attn_out and mlp_out"
        case .cacheGap(let step, let held, let position):
            "the cache of step \(step) holds \(held) positions, but the pass goes on at position "
                + "\(position); run the text through that step first"
        case .intervention(let place, let problem):
            "an intervention at \(place.dataSet), step \(place.step.map { "\($0)" } ?? "none"): "
                + problem
        case .stopped(let reason): reason
        }
    }

    private static let unquantized =
        "use the unquantised model that it was made from (BF16, F16 or F32 safetensors) or a GGUF file "
        + "of it"

    private static func tensors(_ names: [String], _ one: String, _ many: String) -> String {
        names.count == 1 ? "1 tensor \(one)" : "\(names.count) tensors \(many)"
    }

    private static func list(_ names: [String]) -> String {
        names.prefix(6).joined(separator: ", ") + (names.count > 6 ? ", …" : "")
    }
}
