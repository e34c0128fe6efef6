import Foundation

/// Reads a file from start to end through one buffer.
///
/// For passes over whole weight files: a read error is thrown here, where a mapped page would end
/// the process, and memory stays at one buffer.
public enum FileChunks {
    /// Calls `body` with consecutive pieces of the file, each of at most `size` bytes.
    /// - Throws: `FileError.system` if the file cannot be opened or read.
    public static func forEach(
        path: String, size: Int = 1 << 20, _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(FileError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw .lastSystemError(path, "open") }
        defer { close(descriptor) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 64)
        defer { buffer.deallocate() }
        while true {
            let count = read(descriptor, buffer.baseAddress, size)
            if count == 0 { return }
            if count > 0 {
                body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            } else if errno != EINTR {
                throw .lastSystemError(path, "read")
            }
        }
    }
}
