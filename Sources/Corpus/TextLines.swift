import Files
import Foundation

/// The lines of a text file, or of a gzip file whose name ends in `.gz`, one after the other: memory is
/// that of one line, and what is not asked for is not read.
///
/// Lines are bytes without their line feeds; a carriage return before one goes with it. The end of the
/// file ends a last line that has none.
public final class TextLines {
    private enum Source {
        case mapped(MappedFile)
        case gzip(GzipFile, UnsafeMutableRawBufferPointer)
    }

    private let source: Source
    /// Read, and not yet part of a line that was handed out.
    private var rest: UnsafeRawBufferPointer
    private var isAtEnd = false

    /// - Throws: `CorpusError` if the file cannot be opened.
    public init(path: String) throws(CorpusError) {
        if path.hasSuffix(".gz") {
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 64)
            do {
                source = .gzip(try GzipFile(path), buffer)
            } catch {
                buffer.deallocate()
                throw error
            }
            rest = UnsafeRawBufferPointer(start: nil, count: 0)
        } else {
            do {
                let file = try MappedFile(path: path)
                source = .mapped(file)
                rest = file.bytes
            } catch {
                throw .file(error)
            }
        }
    }

    deinit { if case .gzip(_, let buffer) = source { buffer.deallocate() } }

    /// Whether a line holds nothing but spaces and tabs.
    public static func isBlank(_ line: [UInt8]) -> Bool {
        line.allSatisfy { $0 == 0x20 || $0 == 0x09 }
    }

    /// The next line; nil after the last.
    /// - Throws: `CorpusError` if the file is damaged.
    public func next() throws(CorpusError) -> [UInt8]? {
        var line: [UInt8] = []
        while true {
            if let start = rest.baseAddress, let end = memchr(start, 0x0A, rest.count) {
                let length = UnsafeRawPointer(end) - start
                line += rest[..<length]
                rest = UnsafeRawBufferPointer(rebasing: rest[(length + 1)...])
                if line.last == 0x0D { line.removeLast() }
                return line
            }
            line += rest
            try refill()
            if isAtEnd {
                if line.last == 0x0D { line.removeLast() }
                return line.isEmpty ? nil : line
            }
        }
    }

    private func refill() throws(CorpusError) {
        rest = UnsafeRawBufferPointer(start: nil, count: 0)
        guard case .gzip(let file, let buffer) = source, !isAtEnd else {
            isAtEnd = true
            return
        }
        let count = try file.read(into: buffer)
        rest = UnsafeRawBufferPointer(rebasing: buffer[..<count])
        isAtEnd = count == 0
    }
}
