import Files
import Foundation

/// The process's standard streams.
public enum Terminal {
    /// One line on standard error.
    public static func note(_ text: String) {
        // A note that cannot be written is not worth stopping the work for.
        try? FileHandle.standardError.write(contentsOf: Data((text + "\n").utf8))
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

    /// The lines of standard input as bytes, without their line feeds. A last line without one counts.
    public static func inputLines() -> [[UInt8]] {
        let bytes = [UInt8](FileHandle.standardInput.readDataToEndOfFile())
        var lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false).map(Array.init)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines
    }
}
