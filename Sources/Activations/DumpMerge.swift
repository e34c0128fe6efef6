import Files
import Foundation

/// Joins shards of one dump.
public enum DumpMerge {
    /// - Parameters:
    ///   - paths: every shard once, in any order.
    ///   - others: writes what else the shards hold, such as moments.
    /// - Throws: `.shards` for overlapping, missing or foreign shards.
    package static func merge(
        _ paths: [String], to out: String, overwrite: Bool,
        others: ([ActivationFile], HDF5Group) throws(ActivationError) -> Void
    ) throws(ActivationError) {
        let output: Output
        do { output = try Output(out, overwrite: overwrite) } catch {
            if case .exists = error { throw .exists(path: out) }
            throw .file(error)
        }
        guard output.isFile else {
            throw .invalid(path: out, problem: "is a device or a pipe, where no file can be made")
        }
        var files: [ActivationFile] = []
        for path in paths { files.append(try ActivationFile(path: path)) }
        files = try inOrder(files)
        let temporary = try DumpTarget.temporary(output.path)
        let whole = try HDF5File.create(temporary.path)
        try write(files, to: whole.root)
        try others(files, whole.root)
        try whole.root.set("complete", 1)
        try DumpTarget.seal(whole, temporary, replacing: overwrite)
    }

    /// The shards by their numbers, once it is sure that they are one dump's.
    private static func inOrder(_ files: [ActivationFile]) throws(ActivationError)
        -> [ActivationFile]
    {
        var byIndex: [Int: ActivationFile] = [:]
        guard let first = files.first, let count = first.header.shard?.count else {
            throw .shards(
                problem: "\(files.first?.path ?? ""): is not a shard: it was made without --shard")
        }
        for file in files {
            guard let shard = file.header.shard else {
                throw .shards(problem: "\(file.path): is not a shard: it was made without --shard")
            }
            try compare(first, file)
            guard shard.count == count else {
                throw .shards(
                    problem: "\(first.path) is one of \(count) shards and \(file.path) one of "
                        + "\(shard.count)")
            }
            if let other = byIndex[shard.index] {
                throw .shards(
                    problem: "\(other.path) and \(file.path) overlap: both are shard \(shard)")
            }
            byIndex[shard.index] = file
        }
        let missing = (1...count).filter { byIndex[$0] == nil }
        guard missing.isEmpty else {
            throw .shards(
                problem: "of \(count) shards these are missing: \(ActivationError.ranges(missing))")
        }
        return (1...count).compactMap { byIndex[$0] }
    }

    private static func compare(
        _ a: ActivationFile, _ b: ActivationFile
    ) throws(ActivationError) {
        func differ(_ what: String, _ x: String?, _ y: String?) throws(ActivationError) {
            guard x != y else { return }
            throw .shards(
                problem: "\(b.path): is a shard of another dump: \(what) \(y ?? "unknown"), but "
                    + "\(x ?? "unknown") in \(a.path)")
        }
        let (x, y) = (a.header, b.header)
        try differ("its model has fingerprint", x.fingerprint, y.fingerprint)
        try differ("its tokenizer's SHA-256 is", x.tokenizer, y.tokenizer)
        try differ(
            "the SHA-256 of its data is", x.data["sha256"]?.stringValue,
            y.data["sha256"]?.stringValue)
        for (name, value) in x.settings.objectValue ?? [:] {
            let other = y.settings.objectValue?[name]
            try differ("\(name) is", value.text(indent: 0), other?.text(indent: 0))
        }
        func described(_ file: ActivationFile) -> String {
            file.sites.map { "\($0.name) \($0.layers) \($0.shape) \($0.encoding)" }
                .joined(separator: "; ") + file.patterns.map(\.name).joined()
        }
        try differ("it holds", described(a), described(b))
    }

    private static func write(
        _ files: [ActivationFile], to root: HDF5Group
    ) throws(ActivationError) {
        var header = files[0].header
        header.shard = nil
        try header.write(to: root)
        guard files[0].activations != nil || !files[0].table.ids.isEmpty else { return }
        var pieces: [DumpJoin.Piece] = []
        var table = DumpTable()
        for (index, file) in files.enumerated() {
            let first = table.ids.count
            let documents = table.offsets.count
            if index == 0 {
                table = file.table
            } else {
                try table.append(file.table, path: file.path)
            }
            if let activations = file.activations {
                pieces.append(
                    DumpJoin.Piece(
                        activations: activations, rows: first..<table.ids.count,
                        firstDocument: documents, file: file.file))
            }
        }
        if !pieces.isEmpty {
            try DumpJoin.write(
                files[0].sites, patterns: files[0].patterns.map(\.name), pieces: pieces,
                rows: table.ids.count, deflate: header.deflate, to: root)
        }
        try table.write(to: root)
    }
}
