import Foundation

/// What reading or writing a file of this project's can end in, told for the person at the terminal.
public enum FileError: Error, Equatable, CustomStringConvertible {
    /// The system refused: `operation` such as "open", with its reason.
    case system(path: String, operation: String, reason: String)
    case invalidJSON(path: String, JSONError)
    /// The file is readable, but its content is not what it should be.
    case invalid(path: String, problem: String)

    public var description: String {
        switch self {
        case .system(let path, let operation, let reason): "\(path): cannot \(operation): \(reason)"
        case .invalidJSON(let path, let error): "\(path): not valid JSON: \(error)"
        case .invalid(let path, let problem): "\(path): \(problem)"
        }
    }

    static func lastSystemError(_ path: String, _ operation: String) -> FileError {
        .system(path: path, operation: operation, reason: String(cString: strerror(errno)))
    }
}

/// A file mapped read-only into memory for as long as this object lives.
///
/// Pages come from disk when they are first touched, so opening costs nothing however large the file.
/// The file must not be made shorter meanwhile: touching a page that is gone ends the process.
public final class MappedFile: @unchecked Sendable {
    public let path: String
    /// The whole file. Valid while this object is alive.
    public let bytes: UnsafeRawBufferPointer

    /// - Throws: `FileError.system` if the file cannot be opened, or is not a regular file.
    public init(path: String) throws(FileError) {
        self.path = path
        // Not blocking: opening a pipe that nobody writes to would otherwise never return.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw .lastSystemError(path, "open") }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .lastSystemError(path, "examine") }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw .system(path: path, operation: "open", reason: "not a regular file")
        }
        let size = Int(status.st_size)
        guard size > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        guard let base = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED
        else { throw .lastSystemError(path, "map") }
        bytes = UnsafeRawBufferPointer(start: base, count: size)
    }

    /// A copy of a whole file. The way to bytes that outlive their mapping.
    /// - Throws: `FileError.system`.
    public static func contents(path: String) throws(FileError) -> [UInt8] {
        let file = try MappedFile(path: path)
        return withExtendedLifetime(file) { Array(file.bytes) }
    }

    deinit {
        if let base = bytes.baseAddress {
            munmap(UnsafeMutableRawPointer(mutating: base), bytes.count)
        }
    }
}

extension JSON {
    /// Reads a JSON file.
    /// - Throws: `FileError` naming the file and, for bad JSON, line and column.
    public static func read(path: String) throws(FileError) -> JSON {
        let file = try MappedFile(path: path)
        do {
            return try parse(file.bytes)
        } catch {
            throw .invalidJSON(path: path, error)
        }
    }
}
