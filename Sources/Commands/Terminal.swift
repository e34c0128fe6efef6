import ArgumentParser
import Files
import Foundation

/// The process's standard streams.
public enum Terminal {
    /// One line on standard error, printable whatever a file's name or content put into it.
    public static func note(_ text: String) { writeError(text.onOneLine + "\n") }

    private static func writeError(_ text: String) {
        // What cannot be written is not worth stopping the work for.
        try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
    }

    /// Runs the program as its arguments say and ends the process. Every error goes through here, so
    /// nothing that a stranger's file holds reaches the terminal as it stands.
    public static func main<Program: ParsableCommand>(_ program: Program.Type) -> Never {
        let arguments = Array(CommandLine.arguments.dropFirst())
        if arguments.first == "help", let advice = UsageAdvice(program),
            case .problem(let problem) = advice.examine(arguments)
        {
            end(program, with: ValidationError(problem))
        }
        do {
            var command = try parse(program, arguments)
            try command.run()
            exit(EXIT_SUCCESS)
        } catch {
            end(program, with: error)
        }
    }

    /// - Throws: what the parser throws of wrong usage; its message where nothing better is known.
    private static func parse<Program: ParsableCommand>(
        _ program: Program.Type, _ arguments: [String]
    ) throws -> any ParsableCommand {
        do {
            return try program.parseAsRoot(arguments)
        } catch {
            guard !program.exitCode(for: error).isSuccess, let advice = UsageAdvice(program)
            else { throw error }
            switch advice.examine(arguments) {
            case .arguments(let readable): return try program.parseAsRoot(readable)
            case .problem(let problem):
                // The usage that the parser shows is the subcommand's own.
                let message = program.fullMessage(for: error)
                if let usage = message.range(of: "Usage: ") {
                    writeError("Error: \(problem)\n\(message[usage.lowerBound...])\n".onItsLines)
                    exit(ExitCode.validationFailure.rawValue)
                }
                throw ValidationError(problem)
            case nil: throw error
            }
        }
    }

    private static func end<Program: ParsableCommand>(
        _ program: Program.Type, with error: any Error
    ) -> Never {
        let code = program.exitCode(for: error)
        let message = program.fullMessage(for: error)
        if code.isSuccess {
            // Help and versions, which are the program's own words.
            try? FileHandle.standardOutput.write(contentsOf: Data((message + "\n").utf8))
        } else if !message.isEmpty {
            let usage = code.rawValue == ExitCode.validationFailure.rawValue
            writeError((usage ? message.onItsLines : message.onOneLine) + "\n")
        }
        exit(code.rawValue)
    }

    /// Whether a result of this name goes to standard output, where nothing else may go then.
    public static func isStandardOutput(_ out: String) throws(FileError) -> Bool {
        try Output(out, overwrite: true).kind == .standardOutput
    }

    /// Text on standard output.
    /// - Throws: `FileError.system`, as on a full disk.
    public static func write(_ text: String) throws(FileError) {
        do {
            try FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
        } catch {
            throw .system(path: "standard output", operation: "write", reason: reason(error))
        }
    }

    /// The system's words for what Foundation met; Foundation's own say less, and not which error.
    static func reason(_ error: any Error) -> String {
        let outer = error as NSError
        let cause = outer.userInfo[NSUnderlyingErrorKey] as? NSError ?? outer
        return cause.domain == NSPOSIXErrorDomain
            ? String(cString: strerror(Int32(cause.code))) : cause.localizedDescription
    }
}

/// Standard input, line by line: each is there as soon as it has come in.
public final class InputLines {
    private var bytes: [UInt8] = []
    /// What stands before has been handed out.
    private var start = 0
    /// No line feed stands between `start` and here.
    private var searched = 0
    private var isAtEnd = false

    /// Made before any file is opened: a file would else take the place of a closed standard input.
    /// - Throws: `FileError.system` if standard input is closed.
    public init() throws(FileError) {
        guard fcntl(STDIN_FILENO, F_GETFD) >= 0 else { throw Self.failure() }
    }

    private static func failure() -> FileError {
        .system(
            path: "standard input", operation: "read", reason: String(cString: strerror(errno)))
    }

    /// The next line as bytes, without its line feed and a carriage return before that; nil after the
    /// last. The end of the input ends a last line that has no line feed.
    /// - Throws: `FileError.system`, as where standard input is a directory.
    public func next() throws(FileError) -> [UInt8]? {
        while true {
            if let end = bytes[searched...].firstIndex(of: 0x0A) {
                defer {
                    start = end + 1
                    searched = start
                }
                return Self.trimmed(bytes[start..<end])
            }
            searched = bytes.count
            if isAtEnd {
                defer { start = bytes.count }
                return start < bytes.count ? Self.trimmed(bytes[start...]) : nil
            }
            try fill()
        }
    }

    private static func trimmed(_ line: ArraySlice<UInt8>) -> [UInt8] {
        Array(line.last == 0x0D ? line.dropLast() : line)
    }

    private func fill() throws(FileError) {
        let room = 1 << 16
        var chunk = [UInt8](repeating: 0, count: room)
        var count = 0
        repeat {
            count = chunk.withUnsafeMutableBytes { read(STDIN_FILENO, $0.baseAddress, room) }
        } while count < 0 && errno == EINTR
        guard count >= 0 else { throw Self.failure() }
        isAtEnd = count == 0
        bytes.removeSubrange(..<start)
        searched -= start
        start = 0
        bytes += chunk[..<count]
    }
}

extension Terminal {
    /// All of standard input as text, without a line end at its end.
    /// - Throws: `FileError` where it cannot be read or is not UTF-8.
    public static func inputText() throws(FileError) -> String {
        let name = "standard input"
        var bytes: [UInt8]
        do {
            bytes = [UInt8](try FileHandle.standardInput.readToEnd() ?? Data())
        } catch {
            throw .system(path: name, operation: "read", reason: reason(error))
        }
        if bytes.last == 0x0A { bytes.removeLast() }
        if bytes.last == 0x0D { bytes.removeLast() }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw .invalid(path: name, problem: "not UTF-8 text; convert it")
        }
        return text
    }
}
