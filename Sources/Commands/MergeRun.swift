import Activations

/// `etd-analyze merge`: joins shards of one dump.
public enum MergeRun {
    public static func run(_ paths: [String], out: String, overwrite: Bool) throws {
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
