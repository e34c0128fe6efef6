import Files
import Foundation
import Plans
import Records

/// Turns what `--split` was given into the split to run.
public enum SplitSource {
    /// The notation if `argument` is one, else the split file of that name, or the one of a run's
    /// folder. What consists of digits, `-`, `*` and `k` alone is a notation; a file of such a name is
    /// reached as `./7-4-5`.
    ///
    /// - Parameters:
    ///   - alternative: from 1; takes that alternative of a split file, also where it proposes one.
    ///   - layers: L of the model at hand.
    ///   - fingerprint: of the model at hand.
    ///   - allowMismatch: takes a file made for other weights. A split that does not sum to L cannot
    ///     be run at all and stays an error.
    /// - Returns: the split, which sums to `layers` and has a think block, and the iterations that
    ///   were written out, or that the file recommends; nil when neither says.
    public static func resolve(
        argument: String, alternative: Int?, layers: Int, fingerprint: String, allowMismatch: Bool
    ) throws(SelectionError) -> (split: Split, iterations: Int?) {
        if !looksLikeFile(argument) {
            let notation: SplitNotation
            do {
                notation = try SplitNotation(argument, layers: layers)
            } catch {
                throw .plan(error)
            }
            guard alternative == nil else { throw .alternativeOfNotation(text: argument) }
            return (notation.split, notation.iterations)
        }
        var isFolder: ObjCBool = false
        let isRun =
            FileManager.default.fileExists(atPath: argument, isDirectory: &isFolder)
            && isFolder.boolValue
        let path = isRun ? argument + "/split.json" : argument
        let record: SplitRecord
        do {
            record = try SplitRecord.read(path: path)
        } catch {
            throw .file(error)
        }
        return try resolve(
            record: record, path: path, alternative: alternative, layers: layers,
            fingerprint: fingerprint, allowMismatch: allowMismatch)
    }

    /// As above, for a record already read from `path`.
    public static func resolve(
        record: SplitRecord, path: String, alternative: Int?, layers: Int, fingerprint: String,
        allowMismatch: Bool
    ) throws(SelectionError) -> (split: Split, iterations: Int?) {
        guard record.layers == layers else {
            throw .layerCount(path: path, actual: record.layers, expected: layers)
        }
        guard allowMismatch || record.fingerprint == fingerprint else {
            throw .fingerprint(path: path, actual: record.fingerprint, expected: fingerprint)
        }
        let alternatives = record.alternatives.map(\.split)
        if let alternative {
            guard alternative >= 1, alternative <= alternatives.count else {
                throw .noSuchAlternative(path: path, number: alternative, available: alternatives)
            }
            // What the file recommends is about its own split, not about this one.
            return (alternatives[alternative - 1], nil)
        }
        guard let split = record.split else {
            throw .abstained(
                path: path, reason: record.abstention ?? "it gives no reason",
                alternatives: alternatives)
        }
        return (split, record.recommendedIterations)
    }

    private static func looksLikeFile(_ argument: String) -> Bool {
        if !argument.isEmpty, argument.utf8.allSatisfy({ "0123456789-*k".utf8.contains($0) }) {
            return false
        }
        return argument.contains("/") || argument.hasSuffix(".json")
            || FileManager.default.fileExists(atPath: argument)
    }
}
