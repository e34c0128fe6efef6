import Foundation

/// The right to write into a run's folder, or beside a file, that one process holds at a time. It ends
/// with this object, and with the process.
public final class FolderLock: @unchecked Sendable {
    private let descriptor: Int32
    private let path: String?

    /// Locks a folder itself, which leaves nothing in it.
    /// - Returns: nil where the file system locks no folders, or the folder may not be read.
    /// - Throws: `FileError.busy` where another process holds it.
    public static func folder(_ path: String) throws(FileError) -> FolderLock? {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == EACCES { return nil }
            throw .lastSystemError(path, "open")
        }
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 {
            return FolderLock(descriptor: descriptor, path: nil)
        }
        let reason = errno
        close(descriptor)
        if reason == EWOULDBLOCK { throw .busy(path: path) }
        return nil
    }

    /// Locks a file that is made for it and goes with the lock.
    /// - Throws: `FileError.busy` where another process holds it, `.system` where it cannot be made.
    public static func file(_ path: String) throws(FileError) -> FolderLock {
        while true {
            let descriptor = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o644)
            guard descriptor >= 0 else { throw .lastSystemError(path, "create") }
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
                let reason = errno
                close(descriptor)
                if reason == EWOULDBLOCK { throw .busy(path: path) }
                errno = reason
                throw .lastSystemError(path, "lock")
            }
            // A process that has just finished may have removed the file that was locked here.
            var held = stat()
            var named = stat()
            if fstat(descriptor, &held) == 0, stat(path, &named) == 0, held.st_ino == named.st_ino {
                return FolderLock(descriptor: descriptor, path: path)
            }
            close(descriptor)
            // The folder may have gone with it: then another process ended that was at work here.
            guard Paths.kind(Paths.directory(of: path)) == .directory else {
                throw .busy(path: path)
            }
        }
    }

    private init(descriptor: Int32, path: String?) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit {
        // Only the file that is locked here: when that has gone, another process may have made one.
        var held = stat()
        var named = stat()
        if let path, fstat(descriptor, &held) == 0, lstat(path, &named) == 0,
            held.st_ino == named.st_ino, held.st_dev == named.st_dev
        {
            unlink(path)
        }
        close(descriptor)
    }
}
