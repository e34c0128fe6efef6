import CMappings
import Foundation

/// A file that is being made beside the place it will have.
///
/// Its name is random, it is made with `O_EXCL` and never through a link that lies there, and it is
/// locked while this object lives: what lies in a folder under such a name and is not locked was left
/// by a process that is gone. It disappears with this object unless `commit` gave it its place.
public final class TemporaryFile: @unchecked Sendable {
    /// Where it stands until `commit`.
    public let path: String
    /// The place that it will have; no link.
    public let target: String
    private let descriptor: Int32
    private var isPlaced = false

    /// - Parameter target: what `Output` made of a user's path, or a path inside a folder of ours.
    /// - Throws: `FileError.system` naming `target`, such as where its folder cannot be written to.
    public init(for target: String) throws(FileError) {
        self.target = target
        // Nobody may look into a file that replaces a private one.
        var old = stat()
        let mode: mode_t = lstat(target, &old) == 0 ? 0o600 : 0o644
        // A few names: a cleaning process may take one away before it is locked.
        for _ in 0..<8 {
            let path = target + Self.suffix(UInt64.random(in: .min ... .max))
            let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)
            guard descriptor >= 0 else {
                if errno == EEXIST { continue }
                throw .lastSystemError(target, "create")
            }
            // Where the file system has no locks, nobody cleans up either.
            let isTaken = flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK
            var status = stat()
            if !isTaken, fstat(descriptor, &status) == 0, status.st_nlink > 0 {
                self.path = path
                self.descriptor = descriptor
                return
            }
            close(descriptor)
        }
        throw .system(path: target, operation: "create", reason: "its temporary names are taken")
    }

    deinit {
        if !isPlaced { unlink(path) }
        close(descriptor)
    }

    /// Writes behind what was written before.
    public func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
        try Descriptors.write(bytes, to: descriptor, path: target)
    }

    /// Puts the content on disk and gives the file its place; the folder is on disk then too.
    /// - Parameter replacing: whether a regular file may stand there; its permissions are kept.
    /// - Throws: `FileError.exists`, or `.system`.
    public func commit(replacing: Bool) throws(FileError) {
        try Self.place(descriptor, path, at: target, replacing: replacing)
        isPlaced = true
        try Descriptors.syncFolder(of: target)
    }

    /// The same for a file that has been finished under another name.
    public static func place(
        _ path: String, at target: String, replacing: Bool
    ) throws(FileError) {
        let descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { throw .lastSystemError(path, "open") }
        defer { close(descriptor) }
        try place(descriptor, path, at: target, replacing: replacing)
        try Descriptors.syncFolder(of: target)
    }

    private static func place(
        _ descriptor: Int32, _ path: String, at target: String, replacing: Bool
    ) throws(FileError) {
        var old = stat()
        let isThere = lstat(target, &old) == 0
        if isThere {
            guard replacing else { throw .exists(path: target) }
            guard old.st_mode & S_IFMT == S_IFREG else {
                throw .system(
                    path: target, operation: "replace",
                    reason: "something else than a regular file has taken its place")
            }
            // The owner first: a change of owner takes special bits away. Who may not change it
            // writes a file of his own, as he would without an old one.
            var own = stat()
            if fstat(descriptor, &own) == 0, own.st_uid != old.st_uid || own.st_gid != old.st_gid {
                _ = fchown(descriptor, old.st_uid, old.st_gid)
            }
            guard fchmod(descriptor, old.st_mode & 0o7777) == 0 else {
                throw .lastSystemError(target, "keep the permissions of")
            }
        }
        guard fsync(descriptor) == 0 else { throw .lastSystemError(target, "write") }
        if isThere || replacing {
            guard rename(path, target) == 0 else {
                throw .lastSystemError(target, "rename the finished file to")
            }
        } else if try !renameNew(path, target) {
            // A file that came meanwhile stays.
            throw .exists(path: target)
        }
    }

    /// Gives the file its name unless that is taken.
    private static func renameNew(
        _ path: String, _ target: String
    ) throws(FileError) -> Bool {
        let renamed = etd_rename_new(path, target)
        if renamed == 0 { return true }
        if errno == EEXIST { return false }
        // Old file systems do not know the flag; a second name does the same, where there are any.
        if errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP {
            if link(path, target) == 0 {
                unlink(path)
                return true
            }
            if errno == EEXIST { return false }
            if errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS {
                var status = stat()
                if lstat(target, &status) == 0 { return false }
                if rename(path, target) == 0 { return true }
            }
        }
        throw .lastSystemError(target, "rename the finished file to")
    }

    // MARK: Names

    /// Names this machine, so that nobody takes a file away that a process elsewhere is writing.
    private static let machine: String = {
        var name = [CChar](repeating: 0, count: 256)
        gethostname(&name, name.count - 1)
        let bytes = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return String(SHA256.hexadecimal(of: bytes).prefix(8))
    }()

    static func suffix(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return ".tmp-\(machine)-" + String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// The name of the file that a temporary of this name becomes; nil for every other name.
    public static func finalName(of name: String) -> String? {
        // ".tmp-", 8 digits, "-", 16 digits.
        let bytes = Array(name.utf8)
        guard bytes.count > 30 else { return nil }
        let suffix = bytes.suffix(30)
        guard suffix.starts(with: ".tmp-".utf8) else { return nil }
        let digits = Array(suffix.dropFirst(5))
        let isOurs = digits.indices.allSatisfy { index in
            index == 8 ? digits[index] == UInt8(ascii: "-") : Self.isDigit(digits[index])
        }
        return isOurs ? String(decoding: bytes.dropLast(30), as: UTF8.self) : nil
    }

    /// Whether a temporary of this name was made on this machine.
    static func isOfThisMachine(_ name: String) -> Bool {
        guard let final = finalName(of: name) else { return false }
        return name.dropFirst(final.count + 5).hasPrefix(machine)
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
    }

    /// Removes what processes of this user's on this machine have left beside these files and that no
    /// process holds any more. What cannot be looked at or removed stays.
    public static func removeStale(beside targets: [String]) {
        for (folder, group) in Dictionary(grouping: targets, by: Paths.directory(of:)) {
            let wanted = Set(group.map(Paths.name(of:)))
            guard let names = try? Paths.names(in: folder) else { continue }
            for name in names {
                guard let final = finalName(of: name), wanted.contains(final),
                    name.dropFirst(final.count + 5).hasPrefix(machine)
                else { continue }
                removeIfDead(Paths.join(folder, name))
            }
        }
    }

    private static func removeIfDead(_ path: String) {
        let descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
            status.st_uid == geteuid(), flock(descriptor, LOCK_EX | LOCK_NB) == 0
        else { return }
        // Under the lock: whoever has just made it sees that it is gone and takes another name.
        unlink(path)
    }
}

/// What is done with open files in more than one place.
enum Descriptors {
    static func write(
        _ bytes: UnsafeRawBufferPointer, to descriptor: Int32, path: String
    ) throws(FileError) {
        guard let start = bytes.baseAddress else { return }
        var written = 0
        while written < bytes.count {
            let count = Glibc.write(descriptor, start + written, bytes.count - written)
            if count > 0 {
                written += count
            } else if errno != EINTR {
                throw .lastSystemError(path, "write")
            }
        }
    }

    /// Puts a folder's names on disk.
    static func syncFolder(of path: String) throws(FileError) {
        let folder = Paths.directory(of: path)
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        // A folder that may be written to and not be read cannot be opened, and some file systems
        // sync no folders: the file stands there all the same.
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        guard fsync(descriptor) != 0, errno == EIO || errno == ENOSPC || errno == EDQUOT else {
            return
        }
        throw .lastSystemError(folder, "write")
    }
}
