import Checkpoints
import Files
import Models

/// Why a checkpoint cannot be exported.
public enum ExportError: Error, Equatable, CustomStringConvertible {
    /// A name that no format has.
    case unknownFormat(name: String, known: [String])
    /// The format is not for a checkpoint of this kind.
    case wrongSource(path: String, format: String, problem: String)
    /// The format cannot express this plan of this family.
    case impossible(path: String, format: String, problem: String)
    /// The place is the model's own, or one around it.
    case overModel(out: String, model: String)
    case model(ModelError)
    case file(FileError)

    public var description: String {
        switch self {
        case .unknownFormat(let name, let known):
            "--format \(name.quotedForMessage): unknown; give one of \(known.joined(separator: ", "))"
        case .wrongSource(let path, let format, let problem):
            "\(path): cannot be exported as \(format): \(problem)".onOneLine
        case .impossible(let path, let format, let problem):
            "\(path): \(format) cannot express this: \(problem)".onOneLine
        case .overModel(let out, let model):
            "--out \(out): would replace or change the model \(model) that is read; choose another name"
                .onOneLine
        case .model(let error): error.description
        case .file(let error): error.description
        }
    }
}
