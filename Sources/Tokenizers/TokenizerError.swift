import Files

/// Why a tokenizer cannot be built, told for the person at the terminal.
public enum TokenizerError: Error, Equatable, CustomStringConvertible {
    case unreadable(FileError)
    /// `component` such as "pre-tokenizer" is of a kind this package does not know.
    case unsupported(path: String, component: String, name: String, known: [String])
    /// `place` is where in the file, such as "model.merges[3]".
    case invalid(path: String, place: String, problem: String)

    public var description: String { text.onOneLine }

    private var text: String {
        switch self {
        case .unreadable(let error):
            error.description
        case .unsupported(let path, let component, let name, let known):
            "\(path): unknown \(component) \"\(name.prefix(80))\"; this package knows "
                + known.joined(separator: ", ")
        case .invalid(let path, let place, let problem):
            "\(path): \(place): \(problem)"
        }
    }
}
