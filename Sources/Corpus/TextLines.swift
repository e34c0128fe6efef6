/// The lines of a text file, or of a gzip file whose name ends in `.gz`.
public enum TextLines {
    /// Bytes without their line feeds; a carriage return before one goes with it. The end of the file
    /// ends a last line that has none.
    /// - Throws: `CorpusError` if the file cannot be read or is damaged.
    public static func read(path: String) throws(CorpusError) -> [[UInt8]] {
        let bytes =
            path.hasSuffix(".gz") ? try GzipFile.contents(path) : try CorpusReader.bytes(path)
        var lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false).map { line in
            Array(line.last == 0x0D ? line.dropLast() : line)
        }
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines
    }
}
