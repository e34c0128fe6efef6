import Foundation

/// Where tests find their data. Nothing here is used by the product.
public enum Locations {
    /// The root of the package.
    public static let package = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// Committed goldens, made by the scripts in `scripts/goldens`.
    public static func golden(_ path: String) -> URL {
        package.appending(path: "Tests/Goldens/\(path)")
    }

    /// Data that stands beside the project on the developers' machines; nil where it does not.
    public static func shared(_ path: String) -> URL? {
        let url = package.deletingLastPathComponent().appending(path: "shared/\(path)")
        return FileManager.default.fileExists(atPath: url.path) ? url : nil
    }

    /// A model that `scripts/fetch-model` fetches; nil where it has not.
    public static func model(_ name: String) -> URL? {
        let environment = ProcessInfo.processInfo.environment
        let cache =
            environment["XDG_CACHE_HOME"].map { URL(filePath: $0) }
            ?? URL(filePath: environment["HOME"] ?? "/root").appending(path: ".cache")
        let url = cache.appending(path: "etd/models/\(name).gguf")
        return FileManager.default.fileExists(atPath: url.path) ? url : nil
    }
}
