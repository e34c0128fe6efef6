import Files
import Models

/// Why training cannot run or go on.
public enum LensTrainingError: Error, Equatable, CustomStringConvertible {
    case model(ModelError)
    case file(FileError)
    /// Too few documents to keep some out of training.
    case tooFewDocuments(found: Int)
    /// The half-done training at `path` is not one of this command.
    case otherTraining(path: String, difference: String)
    /// The half-done training at `path` cannot be read.
    case damaged(path: String, problem: String)
    /// The loss stopped being a number at this step.
    case diverged(step: Int, boundary: Int, rate: Float)

    /// What a pass with taps threw.
    init(_ error: any Error) {
        self =
            error as? LensTrainingError
            ?? .model(error as? ModelError ?? .stopped(reason: "\(error)"))
    }

    public var description: String {
        switch self {
        case .model(let error): error.description
        case .file(let error): error.description
        case .tooFewDocuments(let found):
            "the text makes \(found == 1 ? "one document" : "\(found) documents"), and training needs at "
                + "least two, one of which is kept out of it; give more text (--data) or shorter "
                + "windows (--sequence-length)"
        case .otherTraining(let path, let difference):
            "\(path): holds a training with \(difference); repeat that command to continue it, or give "
                + "--overwrite to start anew"
        case .damaged(let path, let problem):
            "\(path): \(problem); give --overwrite to start anew"
        case .diverged(let step, let boundary, let rate):
            "the loss is no longer finite at step \(step), boundary \(boundary): lower --rate, now \(rate)"
        }
    }
}
