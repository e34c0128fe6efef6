import Activations
import Files

/// `etd-analyze merge`: joins shards of one dump, or of one probe, which are run folders.
public enum MergeRun {
    public static func run(_ paths: [String], out: String, overwrite: Bool) throws {
        let folders = paths.filter { Paths.kind($0) == .directory }
        if !folders.isEmpty {
            if let other = paths.first(where: { !folders.contains($0) }) {
                throw CommandError.shards(
                    path: other,
                    problem: "is no folder of a run, as \(folders[0]) is; merge shards of one kind")
            }
            return try RunMerge.run(paths, out: out, overwrite: overwrite)
        }
        try StreamedFile.make(out, overwrite: overwrite) { path in
            try merge(paths, to: path, overwrite: overwrite)
        }
    }

    private static func merge(
        _ paths: [String], to out: String, overwrite: Bool
    ) throws(ActivationError) {
        try DumpMerge.merge(paths, to: out, overwrite: overwrite) {
            (files, root) throws(ActivationError) in
            let name = MomentsFile.groupName
            let holding = files.filter { $0.file.root.has(name) }
            guard !holding.isEmpty else { return }
            guard holding.count == files.count else {
                let other = files.first { !$0.file.root.has(name) }
                throw .shards(
                    problem: "\(other?.path ?? ""): has no moments, as \(holding[0].path) has")
            }
            var moments: [MomentsFile] = []
            for file in files { moments.append(try MomentsFile(file.file.root)) }
            try MomentsFile.merge(moments, to: root, deflate: files[0].header.deflate)
        }
    }
}
