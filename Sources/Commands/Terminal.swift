import Foundation

/// The process's standard streams.
public enum Terminal {
    /// One line on standard error.
    public static func note(_ text: String) {
        FileHandle.standardError.write(Data((text + "\n").utf8))
    }

    /// Text on standard output.
    public static func write(_ text: String) {
        FileHandle.standardOutput.write(Data(text.utf8))
    }

    /// The lines of standard input as bytes, without their line feeds. A last line without one counts.
    public static func inputLines() -> [[UInt8]] {
        let bytes = [UInt8](FileHandle.standardInput.readDataToEndOfFile())
        var lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false).map(Array.init)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines
    }
}
