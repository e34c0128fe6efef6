import CMappings
import Foundation

/// A folder that is being made beside the place it will have: a checkpoint, whole or not there at all.
///
/// Its name is random, and it is locked while this object lives: what lies there under such a name and
/// is not locked was left by a process that is gone. It disappears with this object unless `commit` gave
/// it its place.
public final class TemporaryFolder {
    /// Where it stands until `commit`.
    public let path: String
    /// The place that it will have, links followed.
    public let target: String
    /// As it was given.
    public let name: String
    private let overwrite: Bool
    private let lock: FolderLock?
    private var isPlaced = false

    /// Looks at the place before the work starts, and fails where `commit` would.
    /// - Parameters:
    ///   - name: the folder to make; an empty one may be there already.
    ///   - overwrite: whether a folder with content is replaced.
    ///   - mayReplace: whether an entry of that folder is one that may go; a folder with another is
    ///     never replaced.
    /// - Throws: `FileError.exists`, `.system`.
    public init(
        for name: String, overwrite: Bool, mayReplace: (String) -> Bool
    ) throws(FileError) {
        guard !name.isEmpty, name != "-" else {
            throw .system(
                path: name.isEmpty ? "\"\"" : name, operation: "create",
                reason: "a folder needs a name")
        }
        // A slash at the end would make the place a name inside the folder.
        var bare = name
        while bare.count > 1, bare.hasSuffix("/") { bare.removeLast() }
        let target = try Output.resolved(bare)
        self.name = name
        self.target = target
        self.overwrite = overwrite
        switch Paths.kind(target) {
        case .missing: break
        case .directory:
            let names = try Paths.names(in: target)
            guard names.isEmpty || overwrite else { throw .exists(path: name) }
            if let foreign = names.first(where: { !mayReplace($0) }) {
                throw .system(
                    path: name, operation: "replace",
                    reason: "it holds \(foreign.quotedForMessage), which is not of an export; "
                        + "choose another name")
            }
        case .file, .other:
            throw .system(
                path: name, operation: "create", reason: "something that is no folder is there")
        }
        Self.removeStale(beside: target)
        let path = target + TemporaryFile.suffix(.random(in: .min ... .max))
        guard mkdir(path, 0o755) == 0 else { throw .lastSystemError(name, "create") }
        self.path = path
        lock = try? FolderLock.folder(path)
    }

    deinit {
        if !isPlaced { try? FileManager.default.removeItem(atPath: path) }
        withExtendedLifetime(lock) {}
    }

    /// The path of a file in it.
    public func file(_ name: String) -> String { Paths.join(path, name) }

    /// Gives the folder its place. The files in it must be on disk.
    /// - Throws: `FileError.exists` for a folder that came meanwhile, `.system`.
    public func commit() throws(FileError) {
        try Interrupts.held { () throws(FileError) in
            try Descriptors.syncFolder(of: file("."))
            // An empty folder gives way to a renamed one; one with content does not.
            if rename(path, target) != 0 {
                guard errno == ENOTEMPTY || errno == EEXIST, overwrite else {
                    if errno == ENOTEMPTY || errno == EEXIST { throw .exists(path: name) }
                    throw .lastSystemError(name, "rename the finished folder to")
                }
                try replace()
            }
            isPlaced = true
            try Descriptors.syncFolder(of: target)
        }
    }

    /// Takes the place of a folder with content, which then goes. In one step where the file system
    /// exchanges names: a process that is killed leaves the one folder or the other.
    private func replace() throws(FileError) {
        if etd_rename_exchange(path, target) == 0 {
            try? FileManager.default.removeItem(atPath: path)
            return
        }
        guard [EINVAL, ENOSYS, EOPNOTSUPP].contains(errno) else {
            throw .lastSystemError(name, "replace")
        }
        let old = target + TemporaryFile.suffix(.random(in: .min ... .max))
        guard rename(target, old) == 0 else { throw .lastSystemError(name, "replace") }
        guard rename(path, target) == 0 else {
            let error = FileError.lastSystemError(name, "rename the finished folder to")
            rename(old, target)
            throw error
        }
        try? FileManager.default.removeItem(atPath: old)
    }

    /// Removes what processes that are gone have left beside the place.
    private static func removeStale(beside target: String) {
        let folder = Paths.directory(of: target)
        for name in (try? Paths.names(in: folder)) ?? []
        where TemporaryFile.finalName(of: name) == Paths.name(of: target) {
            let path = Paths.join(folder, name)
            var status = stat()
            guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR,
                status.st_uid == geteuid(), TemporaryFile.isOfThisMachine(name),
                let lock = try? FolderLock.folder(path)
            else { continue }
            withExtendedLifetime(lock) { try? FileManager.default.removeItem(atPath: path) }
        }
    }
}
