import CMappings
import Foundation

/// What reading or writing a file of this project's can end in, told for the person at the terminal.
public enum FileError: Error, Equatable, CustomStringConvertible {
    /// The system refused: `operation` such as "open", with its reason.
    case system(path: String, operation: String, reason: String)
    case invalidJSON(path: String, JSONError)
    /// The file is readable, but its content is not what it should be.
    case invalid(path: String, problem: String)
    /// What would be written is there already.
    case exists(path: String)
    /// Another process writes there.
    case busy(path: String)

    public var description: String {
        switch self {
        case .system(let path, let operation, let reason): "\(path): cannot \(operation): \(reason)"
        case .invalidJSON(let path, let error): "\(path): not valid JSON: \(error)"
        case .invalid(let path, let problem): "\(path): \(problem)"
        case .exists(let path):
            "\(path): exists; choose another name, or --overwrite to replace it"
        case .busy(let path):
            "\(path): another process is writing there; wait for it or choose another name"
        }
    }

    static func lastSystemError(_ path: String, _ operation: String) -> FileError {
        .system(path: path, operation: operation, reason: String(cString: strerror(errno)))
    }
}

/// A file mapped read-only into memory for as long as this object lives.
///
/// Pages come from disk when they are first touched, so opening costs nothing however large the file.
/// The file must not be made shorter meanwhile: touching a page that is gone names the file on standard
/// error and ends the process with exit code 1 (module `CMappings`).
public final class MappedFile: @unchecked Sendable {
    public let path: String
    /// The whole file. Valid while this object is alive.
    public let bytes: UnsafeRawBufferPointer
    private let isMapped: Bool

    /// - Throws: `FileError.system` if the file cannot be opened, or is not a regular file.
    public init(path: String) throws(FileError) {
        self.path = path
        isMapped = true
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
        etd_mapping_add(base, size, path)
        bytes = UnsafeRawBufferPointer(start: base, count: size)
    }

    /// Content that is in memory already, in an allocation of exactly its size: fuzzing reads no
    /// files, and AddressSanitizer sees the first byte that is read too far.
    package init(path: String, contents: UnsafeRawBufferPointer) {
        self.path = path
        isMapped = false
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: contents.count, alignment: 16)
        copy.copyMemory(from: contents)
        bytes = UnsafeRawBufferPointer(copy)
    }

    /// A copy of a whole file. The way to bytes that outlive their mapping.
    /// - Throws: `FileError.system`.
    public static func contents(path: String) throws(FileError) -> [UInt8] {
        let file = try MappedFile(path: path)
        return withExtendedLifetime(file) { Array(file.bytes) }
    }

    deinit {
        guard isMapped else { return bytes.deallocate() }
        if let base = bytes.baseAddress {
            etd_mapping_remove(base)
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
