import Foundation

/// How to write for the terminal at hand: with colour or without.
public struct TerminalStyle: Sendable, Equatable {
    public enum Ink: Int, Sendable {
        case red = 31
        case green = 32
        case yellow = 33
        case blue = 34
        case cyan = 36
    }

    public var color: Bool

    public init(color: Bool) { self.color = color }

    public static let plain = TerminalStyle(color: false)

    /// Colour only on a terminal, and never when `NO_COLOR` is set to anything or `TERM` is `dumb`.
    public static func detect(
        descriptor: Int32 = STDOUT_FILENO,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) -> TerminalStyle {
        TerminalStyle(color: allowsColor(isTerminal: isatty(descriptor) == 1, environment))
    }

    /// The rule of `detect`, for a terminal or a pipe.
    public static func allowsColor(isTerminal: Bool, _ environment: [String: String]) -> Bool {
        isTerminal && (environment["NO_COLOR"] ?? "").isEmpty && environment["TERM"] != "dumb"
    }

    /// Columns of the terminal behind `descriptor`; `otherwise` for a file or a pipe.
    public static func width(descriptor: Int32 = STDOUT_FILENO, otherwise: Int = 80) -> Int {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else {
            return otherwise
        }
        return Int(size.ws_col)
    }

    public func bold(_ text: String) -> String { wrap(text, 1) }

    public func dim(_ text: String) -> String { wrap(text, 2) }

    public func ink(_ ink: Ink, _ text: String) -> String { wrap(text, ink.rawValue) }

    private func wrap(_ text: String, _ code: Int) -> String {
        color && !text.isEmpty ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }
}
