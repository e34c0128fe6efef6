import Files

/// Why an evaluation cannot be made, told for the person at the terminal.
public enum EvaluationError: Error, Equatable, CustomStringConvertible {
    case unknownTask(name: String, suggestion: String?, known: [String])
    case line(path: String, line: Int, problem: String)
    case file(path: String, problem: String)
    case missingData(task: String, looked: [String], source: String)
    case missingShots(task: String, shots: Int, found: Int, help: String)
    case noItems(task: String, problem: String)
    case item(task: String, id: String, problem: String)
    /// The results of two folders have nothing in common.
    case noPairs(first: String, second: String, problem: String)

    public var description: String { text.onOneLine }

    private var text: String {
        switch self {
        case .unknownTask(let name, let suggestion, let known):
            "--tasks: no task or group \(name.quotedForMessage)"
                + (suggestion.map { "; did you mean \($0)?" } ?? "; known are ")
                + (suggestion == nil ? known.joined(separator: ", ") : "")
        case .line(let path, let line, let problem): "\(path): line \(line): \(problem)"
        case .file(let path, let problem): "\(path): \(problem)"
        case .missingData(let task, let looked, let source):
            "\(task): no data (looked for \(looked.joined(separator: ", "))); \(source)"
        case .missingShots(let task, let shots, let found, let help):
            "\(task): asked for \(shots) examples before each question, found \(found); \(help)"
        case .noItems(let task, let problem): "\(task): no items are left: \(problem)"
        case .item(let task, let id, let problem): "\(task): item \(id): \(problem)"
        case .noPairs(let first, let second, let problem):
            "\(first) and \(second): no items pair by task, format and id: \(problem)"
        }
    }
}
