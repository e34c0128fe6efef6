import Models

/// Why an analysis cannot be trusted or run.
public enum AnalysisError: Error, Equatable, CustomStringConvertible {
    case model(ModelError)
    /// A tuned lens cannot be used; the path is nil where the problem names it.
    case tunedLens(path: String?, problem: String)
    /// Moments left their range, or met a value that is no number.
    case momentsOutOfRange(place: String)
    /// A check that every run makes on its first window failed; `value` should be at most `limit`.
    case selfCheckFailed(name: String, value: Double, limit: Double)

    /// What a pass with taps threw.
    init(_ error: any Error) {
        self =
            error as? AnalysisError
            ?? .model(error as? ModelError ?? .stopped(reason: "\(error)"))
    }

    public var description: String {
        switch self {
        case .model(let error): error.description
        case .tunedLens(let path, let problem): path.map { "\($0): \(problem)" } ?? problem
        case .momentsOutOfRange(let place):
            "the moments of \(place) leave their range: a product of two values, summed over a block of "
                + "\(BlockRunner.blockLength) positions, is beyond 2^54 (1.8e16), a sum over all positions "
                + "beyond 2^66 (7e19), or a value is no number; run fewer documents, or leave this site or layer out"
        case .selfCheckFailed(let name, let value, let limit):
            "self-check failed: \(name) is \(value), allowed \(limit): the numbers of this run would "
                + "be wrong, so nothing was written; please report the model"
        }
    }
}
