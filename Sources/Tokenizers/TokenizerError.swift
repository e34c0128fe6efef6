import Files

/// Why a tokenizer cannot be built, told for the person at the terminal.
public enum TokenizerError: Error, Equatable, CustomStringConvertible {
    case unreadable(FileError)
    /// `component` such as "pre-tokenizer" is of a kind this package does not know.
    case unsupported(path: String, component: String, name: String, known: [String])
    /// `place` is where in the file, such as "model.merges[3]".
    case invalid(path: String, place: String, problem: String)
    /// A regular expression of the file's that cannot be matched in a text within bounds of time and
    /// memory that grow with the text; `characters` is its length in UTF-16 units.
    case patternTooCostly(
        path: String, place: String, pattern: String, characters: Int, limit: PatternLimit)

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
        case .patternTooCostly(let path, let place, let pattern, let characters, let limit):
            "\(path): \(place): the pattern \"\(pattern.prefix(120))\" takes more than \(limit) on a "
                + "text of \(characters) characters; use a tokenizer whose pattern does not backtrack "
                + "like this, or shorter texts"
        }
    }
}

/// What a match may use up.
public enum PatternLimit: Equatable, Sendable, CustomStringConvertible {
    /// Each is a position where no match begins, or some thousand states of the search.
    case steps(Int)
    /// On a processor, of the time that texts of this length are given.
    case time
    /// Of the matching engine, which keeps the states it may go back to.
    case memory

    public var description: String {
        switch self {
        case .steps(let count): "\(count) steps"
        case .time: "the time that is many times a real tokenizer's"
        case .memory: "the memory that the matching engine has"
        }
    }
}
