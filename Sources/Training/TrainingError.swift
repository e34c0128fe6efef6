import Checkpoints
import Corpus
import Files
import Models
import Plans

/// Why a training cannot begin or go on.
public enum TrainingError: Error, CustomStringConvertible {
    case file(FileError)
    case checkpoint(CheckpointError)
    case model(ModelError)
    case corpus(CorpusError)
    case plan(PlanError)
    /// A key of the configuration that is wrong or not known.
    case key(path: String, key: String, problem: String)
    /// A value of the forward pass is NaN or infinite; `place` is the first layer where one is.
    case nonFinite(place: String)
    /// A checkpoint that cannot be gone on from.
    case resume(path: String, problem: String)

    public var description: String {
        switch self {
        case .file(let error): error.description
        case .checkpoint(let error): error.description
        case .model(let error): error.description
        case .corpus(let error): error.description
        case .plan(let error): error.description
        case .key(let path, let key, let problem): "\(path): \(key): \(problem)".onOneLine
        case .nonFinite(let place): "NaN or Inf first appears at \(place)"
        case .resume(let path, let problem): "\(path): \(problem)".onOneLine
        }
    }
}
