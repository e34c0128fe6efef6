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
        do {
            var command = try program.parseAsRoot()
            try command.run()
            exit(EXIT_SUCCESS)
        } catch {
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

    /// The lines of standard input as bytes, without their line feeds. A last line without one counts.
    public static func inputLines() -> [[UInt8]] {
        let bytes = [UInt8](FileHandle.standardInput.readDataToEndOfFile())
        var lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false).map(Array.init)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines
    }
}
