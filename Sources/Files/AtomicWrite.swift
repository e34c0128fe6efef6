import Foundation

/// Writes whole files so that a reader, or a kill, never meets half of one: the content goes to a
/// temporary name beside the target and is renamed over it when it is complete and on disk.
public enum AtomicFile {
    /// - Throws: `FileError.system` when the folder cannot be written to or the disk is full; the
    ///   temporary file is removed then, and an older file of that name is left as it was.
    public static func write(_ bytes: some Sequence<UInt8>, to path: String) throws(FileError) {
        let bytes = Array(bytes)
        var failure: FileError?
        bytes.withUnsafeBytes { buffer in
            do throws(FileError) { try write(parts: [buffer], to: path) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// The same of content that lies in several places, written one after the other.
    public static func write(
        parts: [UnsafeRawBufferPointer], to path: String
    ) throws(FileError) {
        // An interrupt waits until the file has its name or is gone. The threads that work beside this
        // one, Dispatch's, take no such signals.
        var interrupts = sigset_t()
        var before = sigset_t()
        sigemptyset(&interrupts)
        for signal in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&interrupts, signal) }
        pthread_sigmask(SIG_BLOCK, &interrupts, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        let temporary = path + ".tmp-\(getpid())"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .lastSystemError(path, "create") }
        var failure: FileError?
        for buffer in parts {
            guard let start = buffer.baseAddress else { continue }
            var written = 0
            while written < buffer.count, failure == nil {
                let count = Glibc.write(descriptor, start + written, buffer.count - written)
                if count > 0 {
                    written += count
                } else if errno != EINTR {
                    failure = .lastSystemError(path, "write")
                }
            }
        }
        if failure == nil, fsync(descriptor) != 0 { failure = .lastSystemError(path, "write") }
        if close(descriptor) != 0, failure == nil { failure = .lastSystemError(path, "write") }
        if failure == nil, rename(temporary, path) != 0 {
            failure = .lastSystemError(path, "rename the finished file to")
        }
        if let failure {
            unlink(temporary)
            throw failure
        }
    }

    /// Fails where `write` would, before the work that makes the content: the folder is missing or
    /// cannot be written to, or a directory has the name.
    public static func check(_ path: String) throws(FileError) {
        if Paths.kind(path) == .directory {
            throw .system(path: path, operation: "write", reason: "it is a directory")
        }
        let folder = Paths.directory(of: path)
        guard access(folder, W_OK) == 0 else { throw .lastSystemError(path, "create") }
    }

    public static func write(_ text: String, to path: String) throws(FileError) {
        try write(text.utf8, to: path)
    }

    /// Pretty-printed JSON with a final newline.
    public static func write(_ json: JSON, to path: String) throws(FileError) {
        try write(json.text() + "\n", to: path)
    }
}
