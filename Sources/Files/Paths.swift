import Foundation

/// What stands at a path, links followed.
public enum PathKind: Sendable {
    case file, directory
    /// A device, a pipe, a link that leads nowhere, or something that the system does not let this
    /// process look at: opening it says which.
    case other
    case missing
}

/// The few questions about paths that this package asks.
public enum Paths {
    public static func kind(_ path: String) -> PathKind {
        var status = stat()
        guard stat(path, &status) == 0 else {
            guard errno == ENOENT || errno == ENOTDIR else { return .other }
            // The caches of Hugging Face are links; one whose target was never fetched is no
            // missing file.
            return lstat(path, &status) == 0 ? .other : .missing
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG: return .file
        case S_IFDIR: return .directory
        default: return .other
        }
    }

    public static func join(_ directory: String, _ name: String) -> String {
        directory.hasSuffix("/") ? directory + name : directory + "/" + name
    }

    /// The folder that holds `path`, "." for a bare name.
    public static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// The last part of `path`.
    public static func name(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
    }

    /// Whether `name` can only mean an entry of the folder it is looked up in: no separators, not
    /// `.` or `..`, not empty. What stands there may still be a link to elsewhere.
    public static func isPlainName(_ name: String) -> Bool {
        !name.isEmpty && name != "." && name != ".."
            && !name.utf8.contains { $0 == UInt8(ascii: "/") || $0 == 0 }
    }

    /// The names in a folder, sorted.
    /// - Throws: `FileError.system` if the folder cannot be listed.
    public static func names(in directory: String) throws(FileError) -> [String] {
        guard let stream = opendir(directory) else { throw .lastSystemError(directory, "list") }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            // `d_name` is longer than the array that the header declares, so it is read in place
            // and not through a copy of the entry.
            let offset = MemoryLayout<dirent>.offset(of: \.d_name) ?? 0
            let name = String(
                cString: UnsafeRawPointer(entry).advanced(by: offset)
                    .assumingMemoryBound(to: CChar.self))
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }
}
