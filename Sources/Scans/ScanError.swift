import Files

/// Why a scan cannot be made.
public enum ScanError: Error, Equatable, CustomStringConvertible {
    /// A line of the items' file.
    case line(path: String, line: Int, problem: String)
    case items(path: String, problem: String)
    /// A window, a length or a number of iterations that the model cannot have.
    case window(problem: String)
    /// The time was over before the model as it is had been measured.
    case budget(measured: String)
    /// What an interrupted scan left is damaged or is another scan's.
    case journal(path: String, problem: String)

    public var description: String { text.onOneLine }

    private var text: String {
        switch self {
        case .line(let path, let line, let problem): "\(path): line \(line): \(problem)"
        case .items(let path, let problem): "\(path): \(problem)"
        case .window(let problem): problem
        case .budget(let measured):
            "--budget: over before the model as it is was measured (\(measured)), and without that "
                + "no window means anything; give more time, or fewer items or less text; the same "
                + "command goes on from here"
        case .journal(let path, let problem): "\(path): \(problem)"
        }
    }
}
