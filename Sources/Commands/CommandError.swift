import Files

/// What is wrong with the way a command was used, beyond what its arguments' types can say.
public enum CommandError: Error, Equatable, CustomStringConvertible {
    case holdsAnotherRun(path: String)
    case notADirectory(path: String)
    case notARun(path: String, missing: String)
    case tokenizer(path: String, problem: String)
    case line(path: String, line: Int, problem: String)
    case flag(name: String, problem: String)
    /// Each tensor with its first row, or value of a vector, that holds NaN or Inf.
    case nonFiniteWeights(path: String, tensors: [String])
    /// Runs that are no shards of one probe.
    case shards(path: String, problem: String)
    /// A pass over the model at `path` could not be made or trusted.
    case pass(path: String, problem: String)
    /// A run folder that cannot be read with the others.
    case run(path: String, problem: String)

    public var description: String { text.onOneLine }

    private var text: String {
        switch self {
        case .holdsAnotherRun(let path):
            "--out \(path): holds another run; choose another directory, or --overwrite to replace it"
        case .notADirectory(let path):
            "--out \(path): is not a directory; give the name of one, which is made if missing"
        case .notARun(let path, let missing):
            "\(path): is not a run directory: it has no \(missing); `etd-analyze probe` makes one"
        case .tokenizer(let path, let problem): "\(path): \(problem)"
        case .line(let path, let line, let problem): "\(path): line \(line): \(problem)"
        case .flag(let name, let problem): "\(name): \(problem)"
        case .nonFiniteWeights(let path, let tensors):
            "\(path): \(tensors.count == 1 ? "1 tensor holds" : "\(tensors.count) tensors hold") NaN or Inf: "
                + tensors.prefix(6).joined(separator: ", ") + (tensors.count > 6 ? ", …" : "")
                + "; fetch the model again"
        case .shards(let path, let problem): "\(path): \(problem)"
        case .pass(let path, let problem): "\(path): \(problem)"
        case .run(let path, let problem): "\(path): \(problem)"
        }
    }
}
