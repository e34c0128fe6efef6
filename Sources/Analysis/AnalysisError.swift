import Models

/// Why an analysis cannot be trusted or run.
public enum AnalysisError: Error, Equatable, CustomStringConvertible {
    case model(ModelError)
    /// A check that every run makes on its first window failed; `value` should be at most `limit`.
    case selfCheckFailed(name: String, value: Double, limit: Double)

    public var description: String {
        switch self {
        case .model(let error): error.description
        case .selfCheckFailed(let name, let value, let limit):
            "self-check failed: \(name) is \(value), allowed \(limit): the numbers of this run would "
                + "be wrong, so nothing was written; please report the model"
        }
    }
}
