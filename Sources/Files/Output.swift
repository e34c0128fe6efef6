import Foundation

/// Where a command's result goes: the one place that knows what may be written to.
///
/// A regular file that is there is refused unless it shall be replaced, and then keeps its permissions;
/// links are followed, also where their target is still to be made; pipes and character devices are
/// written through; `-` is standard output; everything else is refused. A regular file has its name only
/// when it is whole and on disk.
public struct Output: Sendable {
    public enum Kind: Sendable {
        /// A regular file, there or not.
        case file
        /// A pipe or a character device.
        case stream
        case standardOutput
    }

    /// As it was given.
    public let name: String
    /// Links followed; `-` for standard output.
    public let path: String
    public let kind: Kind
    /// Whether a regular file that is there is replaced.
    public let overwrite: Bool

    /// Whether records may be put beside it.
    public var isFile: Bool { kind == .file }

    /// Looks at the place before the work starts that makes the content, and fails where `write` would.
    /// Removes what killed processes have left beside it.
    /// - Throws: `FileError.exists` for a file that would be replaced; `.system` where nothing can be
    ///   written: a missing or locked folder, a directory of that name, a socket, a disk.
    public init(_ name: String, overwrite: Bool = false) throws(FileError) {
        self.name = name
        self.overwrite = overwrite
        // The other spellings may lead to a regular file that the shell has just made.
        guard !["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].contains(name) else {
            path = "-"
            kind = .standardOutput
            return
        }
        guard !name.isEmpty else {
            throw .system(path: "\"\"", operation: "create", reason: "it is no name")
        }
        path = try Self.resolved(name)
        guard let found = try Self.kind(path, name: name) else {
            kind = .file
            let folder = Paths.directory(of: path)
            guard access(folder, W_OK) == 0 else { throw .lastSystemError(name, "create") }
            TemporaryFile.removeStale(beside: [path])
            return
        }
        kind = found
        guard found == .file else { return }
        guard overwrite else { throw .exists(path: name) }
        guard access(Paths.directory(of: path), W_OK) == 0 else {
            throw .lastSystemError(name, "replace")
        }
        TemporaryFile.removeStale(beside: [path])
    }

    /// The path that a chain of links ends at, whether or not something is there.
    /// - Throws: `FileError.system` for a chain without an end.
    public static func resolved(_ name: String) throws(FileError) -> String {
        var path = name
        for _ in 0..<40 {
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = buffer.withUnsafeMutableBytes {
                readlink(path, $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
            }
            // No link, or nothing there.
            guard count > 0 else { return path }
            // Names need not be UTF-8, but what cannot be spelled cannot be opened either.
            guard count < buffer.count,
                let target = String(validating: buffer[..<count], as: UTF8.self)
            else {
                throw .system(
                    path: name, operation: "follow the link",
                    reason: "its target has no usable name")
            }
            // The kernel's own links, such as /dev/stdout's to a pipe, name no path.
            var there = stat()
            var meant = stat()
            let next =
                target.hasPrefix("/") ? target : Paths.join(Paths.directory(of: path), target)
            if stat(path, &there) == 0 {
                guard stat(next, &meant) == 0, there.st_ino == meant.st_ino,
                    there.st_dev == meant.st_dev
                else { return path }
            }
            path = next
        }
        throw .system(
            path: name, operation: "follow the link", reason: String(cString: strerror(ELOOP)))
    }

    /// What stands at a path; nil for nothing.
    private static func kind(_ path: String, name: String) throws(FileError) -> Kind? {
        var status = stat()
        guard stat(path, &status) == 0 else {
            if errno == ENOENT { return nil }
            throw .lastSystemError(name, "create")
        }
        let problem: String
        switch status.st_mode & S_IFMT {
        case S_IFREG: return .file
        case S_IFIFO, S_IFCHR: return .stream
        case S_IFDIR: problem = "it is a directory"
        case S_IFBLK: problem = "it is a disk; give a file, a pipe or -"
        case S_IFSOCK: problem = "it is a socket; give a file, a pipe or -"
        default: problem = "it is no file; give a file, a pipe or -"
        }
        throw .system(path: name, operation: "write", reason: problem)
    }

    // MARK: Writing

    /// - Throws: `FileError` when the place cannot be written to or the disk is full; an older file of
    ///   that name is left as it was.
    /// - Parameter before: called for a regular file when its content is on disk and before it gets
    ///   its name.
    public func write(
        parts: [UnsafeRawBufferPointer], before: () throws(FileError) -> Void = {}
    ) throws(FileError) {
        switch kind {
        case .standardOutput:
            for part in parts {
                try Descriptors.write(part, to: STDOUT_FILENO, path: "standard output")
            }
        case .stream:
            let descriptor = try openStream()
            defer { close(descriptor) }
            for part in parts { try Descriptors.write(part, to: descriptor, path: name) }
        case .file:
            // An interrupt waits until the file has its name or is gone.
            try Interrupts.held { () throws(FileError) in
                let file = try TemporaryFile(for: path)
                for part in parts { try file.write(part) }
                try before()
                try file.commit(replacing: overwrite)
            }
        }
    }

    public func write(
        _ bytes: some Sequence<UInt8>, before: () throws(FileError) -> Void = {}
    ) throws(FileError) {
        let bytes = Array(bytes)
        var failure: FileError?
        bytes.withUnsafeBytes { buffer in
            do throws(FileError) {
                try write(parts: [buffer], before: before)
            } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// Copies a finished file to a pipe, a device or standard output.
    public func copy(from source: String) throws(FileError) {
        let descriptor = kind == .standardOutput ? STDOUT_FILENO : try openStream()
        defer { if kind != .standardOutput { close(descriptor) } }
        let place = kind == .standardOutput ? "standard output" : name
        var failure: FileError?
        try FileChunks.forEach(path: source) { piece in
            guard failure == nil else { return }
            do throws(FileError) {
                try Descriptors.write(piece, to: descriptor, path: place)
            } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// Waits for a reader where it is a pipe without one, as every program does.
    private func openStream() throws(FileError) -> Int32 {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY)
        guard descriptor >= 0 else { throw .lastSystemError(name, "open") }
        return descriptor
    }
}

/// What ends a process from outside and can wait for a moment.
public enum Interrupts {
    /// Runs `body` to its end before an interrupt is taken. The threads that work beside this one,
    /// Dispatch's, take no such signals.
    public static func held(_ body: () throws(FileError) -> Void) throws(FileError) {
        var interrupts = sigset_t()
        var earlier = sigset_t()
        sigemptyset(&interrupts)
        for signal in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&interrupts, signal) }
        pthread_sigmask(SIG_BLOCK, &interrupts, &earlier)
        defer { pthread_sigmask(SIG_SETMASK, &earlier, nil) }
        try body()
    }
}

/// Writes whole files of ours, replacing older ones: those of a run, and what a run keeps for itself.
public enum AtomicFile {
    /// - Throws: `FileError` as `Output.write`.
    public static func write(_ bytes: some Sequence<UInt8>, to path: String) throws(FileError) {
        try Output(path, overwrite: true).write(bytes)
    }

    /// The same of content that lies in several places, written one after the other.
    public static func write(
        parts: [UnsafeRawBufferPointer], to path: String
    ) throws(FileError) {
        try Output(path, overwrite: true).write(parts: parts)
    }

    public static func write(_ text: String, to path: String) throws(FileError) {
        try write(text.utf8, to: path)
    }

    /// Pretty-printed JSON with a final newline.
    public static func write(_ json: JSON, to path: String) throws(FileError) {
        try write(json.text() + "\n", to: path)
    }
}
