import Files
import Foundation

/// A file that can only be made on a disk (HDF5 goes back and forth in it) for a target that may be a
/// pipe, a device or standard output: it is made in a folder of its own among the temporary files then,
/// and copied when it is whole.
enum StreamedFile {
    private static let prefix = "etd-output-"

    /// - Parameter body: makes the file at the path it is given.
    static func make<Result>(
        _ out: String, overwrite: Bool, _ body: (_ path: String) throws -> Result
    ) throws -> Result {
        // Whether a file may be replaced is for `body` to say: an unfinished one is continued.
        let output = try Output(out, overwrite: true)
        if output.isFile { return try body(out) }
        let temporary = FileManager.default.temporaryDirectory.path
        removeStale(in: temporary)
        var template = Array(Paths.join(temporary, prefix + "XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else {
            throw FileError.system(
                path: temporary, operation: "create a directory in",
                reason: String(cString: strerror(errno)))
        }
        let folder = String(decoding: template.dropLast().map(UInt8.init), as: UTF8.self)
        let lock = try FolderLock.folder(folder)
        defer {
            try? FileManager.default.removeItem(atPath: folder)
            withExtendedLifetime(lock) {}
        }
        let path = Paths.join(folder, "whole")
        let result = try body(path)
        try output.copy(from: path)
        return result
    }

    /// What killed runs of this user's have left.
    private static func removeStale(in temporary: String) {
        for name in (try? Paths.names(in: temporary)) ?? [] where name.hasPrefix(prefix) {
            let folder = Paths.join(temporary, name)
            var status = stat()
            guard lstat(folder, &status) == 0, status.st_mode & S_IFMT == S_IFDIR,
                status.st_uid == geteuid(), let lock = try? FolderLock.folder(folder)
            else { continue }
            withExtendedLifetime(lock) { try? FileManager.default.removeItem(atPath: folder) }
        }
    }
}
