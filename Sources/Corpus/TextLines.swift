import Files
import Foundation

/// The lines of a text file, of a gzip file whose name ends in `.gz`, or of standard input (`-`), one
/// after the other: memory is that of one line, and what is not asked for is not read.
///
/// Lines are bytes without their line feeds; a carriage return before one goes with it. The end of the
/// file ends a last line that has none. A line may be 64 MiB long.
public final class TextLines {
    private enum Source {
        case mapped(MappedFile)
        case gzip(GzipFile, UnsafeMutableRawBufferPointer)
        case standardInput(StandardInput, UnsafeMutableRawBufferPointer)
    }

    /// Bytes of the longest line. A file packed small can hold one that fills all memory.
    public static let longestLine = 64 << 20

    private let source: Source
    private let path: String
    /// Read, and not yet part of a line that was handed out.
    private var rest: UnsafeRawBufferPointer
    private var isAtEnd = false
    /// Of the line that is handed out next, from 1.
    private var number = 1

    /// - Throws: `CorpusError` if the file cannot be opened.
    public convenience init(path: String) throws(CorpusError) {
        guard path == "-" else {
            try self.init(file: path)
            return
        }
        self.init(StandardInput())
    }

    /// - Parameter input: has read `input.head` already.
    init(_ input: StandardInput) {
        let head = input.head
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(1 << 18, head.count), alignment: 64)
        buffer.copyBytes(from: head)
        source = .standardInput(input, buffer)
        path = StandardInput.name
        rest = UnsafeRawBufferPointer(rebasing: buffer[..<head.count])
    }

    private init(file path: String) throws(CorpusError) {
        self.path = path
        if path.lowercased().hasSuffix(".gz") {
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

    deinit {
        switch source {
        case .mapped: break
        case .gzip(_, let buffer), .standardInput(_, let buffer): buffer.deallocate()
        }
    }

    /// Whether a line holds nothing but spaces and tabs.
    public static func isBlank(_ line: [UInt8]) -> Bool {
        line.allSatisfy { $0 == 0x20 || $0 == 0x09 }
    }

    /// The next line; nil after the last.
    /// - Throws: `CorpusError` if the file is damaged or the line too long.
    public func next() throws(CorpusError) -> [UInt8]? {
        var line: [UInt8] = []
        while true {
            if let start = rest.baseAddress, let end = memchr(start, 0x0A, rest.count) {
                let length = UnsafeRawPointer(end) - start
                try append(rest[..<length], to: &line)
                rest = UnsafeRawBufferPointer(rebasing: rest[(length + 1)...])
                if line.last == 0x0D { line.removeLast() }
                number += 1
                return line
            }
            try append(rest[...], to: &line)
            try refill()
            if isAtEnd {
                if line.last == 0x0D { line.removeLast() }
                return line.isEmpty ? nil : line
            }
        }
    }

    private func append(
        _ bytes: Slice<UnsafeRawBufferPointer>, to line: inout [UInt8]
    ) throws(CorpusError) {
        guard line.count + bytes.count <= Self.longestLine else {
            throw .line(
                path: path, line: number,
                problem: "is longer than \(Self.longestLine >> 20) MiB; cut it into several lines")
        }
        line += bytes
    }

    private func refill() throws(CorpusError) {
        rest = UnsafeRawBufferPointer(start: nil, count: 0)
        guard !isAtEnd else { return }
        let count: Int
        let buffer: UnsafeMutableRawBufferPointer
        switch source {
        case .mapped:
            isAtEnd = true
            return
        case .gzip(let file, let memory):
            buffer = memory
            count = try file.read(into: memory)
        case .standardInput(let input, let memory):
            buffer = memory
            count = try input.read(into: memory)
        }
        rest = UnsafeRawBufferPointer(rebasing: buffer[..<count])
        isAtEnd = count == 0
    }
}
