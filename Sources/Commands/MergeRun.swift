import Activations
import Foundation

/// `etd-analyze merge`: joins shards of one dump.
public enum MergeRun {
    public static func run(_ paths: [String], out: String, overwrite: Bool) throws {
        try DumpMerge.merge(paths, to: out, overwrite: overwrite) {
            (files, _) throws(ActivationError) in
            if let file = files.first(where: { $0.file.root.has("moments") }) {
                throw .invalid(
                    path: file.path, problem: "holds moments, which this version cannot merge")
            }
        }
    }
}
