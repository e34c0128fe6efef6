import Activations
import Analysis
import Files
import Foundation
import ModelStore
import OrderedCollections
import Plans
import Records
import Selection
import Tensors

/// `etd-analyze merge` of runs: joins the shards of one probe to the run that would have been made in one.
enum RunMerge {
    private struct Part {
        var path: String
        var layers: LayersRecord
        var split: SplitRecord
        var run: RunRecord
        var file: ShardFile
        var evidence: EvidenceFile
    }

    /// - Throws: `CommandError.shards` for what does not belong together.
    static func run(_ paths: [String], out: String, overwrite: Bool) throws {
        let parts = try inOrder(paths.map(part))
        let folder = try RunDirectory.prepare(out, overwrite: overwrite)
        try withExtendedLifetime(folder.lock) {
            do {
                try merge(parts, to: folder.path)
            } catch {
                if folder.isNew { rmdir(folder.path) }
                throw error
            }
        }
    }

    private static func part(_ path: String) throws -> Part {
        for name in [RunDirectory.layers, RunDirectory.run, RunDirectory.evidence]
        where Paths.kind(Paths.join(path, name)) == .missing {
            throw CommandError.notARun(path: path, missing: name)
        }
        let file = Paths.join(path, ShardFile.name)
        guard Paths.kind(file) != .missing else {
            throw CommandError.shards(
                path: path, problem: "is not a shard: its probe was made without --shard")
        }
        let layers = try LayersRecord.read(path: Paths.join(path, RunDirectory.layers))
        return try Part(
            path: path, layers: layers,
            split: SplitRecord.read(path: Paths.join(path, RunDirectory.split)),
            run: RunRecord.read(path: Paths.join(path, RunDirectory.run)),
            file: ShardFile(
                path: file, boundaries: layers.model.layers + 1, width: layers.model.hiddenSize),
            evidence: EvidenceFile.read(Paths.join(path, RunDirectory.evidence)))
    }

    private static func inOrder(_ parts: [Part]) throws -> [Part] {
        guard let first = parts.first else { return [] }
        var byIndex: [Int: Part] = [:]
        for part in parts {
            try compare(first, part)
            if let other = byIndex.updateValue(part, forKey: part.file.shard.index) {
                throw CommandError.shards(
                    path: part.path,
                    problem: "is shard \(part.file.shard), and so is \(other.path)")
            }
        }
        let count = first.file.shard.count
        let missing = (1...count).filter { byIndex[$0] == nil }
        guard missing.isEmpty else {
            throw CommandError.shards(
                path: first.path,
                problem: "is one of \(count) shards, of which these are missing: "
                    + ActivationError.ranges(missing))
        }
        return (1...count).compactMap { byIndex[$0] }
    }

    private static func compare(_ a: Part, _ b: Part) throws {
        func described(_ part: Part) -> [(String, String)] {
            let (layers, run) = (part.layers, part.run)
            let tables = (part.evidence.probe.layers + part.evidence.probe.boundaries)
                .map(\.name).joined(separator: ", ")
            return [
                ("number of shards", "\(part.file.shard.count)"),
                ("model", layers.model.fingerprint),
                ("data", run.hashes["data"] ?? ""), ("tokenizer", run.hashes["tokenizer"] ?? ""),
                ("sequence length", "\(layers.data.sequenceLength)"), ("bos", layers.data.bos),
                ("text documents", "\(part.file.place.textDocuments)"),
                ("precision", layers.precision),
                ("lens positions", layers.lensPositions ?? "all"),
                ("tuned lens", layers.tunedLens?.sha256 ?? "none"),
                ("sinks", layers.sinks?.policy.rawValue ?? "none"), ("passes' values", tables),
                ("geometry's sums", part.file.sums == nil ? "none" : "there"),
            ]
        }
        for ((name, x), (_, y)) in zip(described(a), described(b)) where x != y {
            throw CommandError.shards(
                path: b.path,
                problem: "is a shard of another probe: \(name) \(y), but \(x) in \(a.path)")
        }
    }

    private static func merge(_ parts: [Part], to folder: String) throws {
        guard let first = parts.first else { return }
        let evidencePath = Paths.join(folder, RunDirectory.evidence)
        let model = first.layers.model
        var result = try ProbeShards(
            parts.map { .init(evidence: ProbeEvidence($0.evidence), kept: $0.file.sums) },
            layers: model.layers, width: model.hiddenSize
        ).merged()
        result.selfChecks = first.run.selfChecks
        let sinks = parts.compactMap(\.layers.sinks)
        result.sinks = sinks.first.map { one in
            SinksRecord(
                policy: one.policy, positions: sinks.reduce(0) { $0 + $1.positions },
                first: sinks.reduce(0) { $0 + $1.first },
                massive: sinks.reduce(0) { $0 + $1.massive })
        }
        var layers = first.layers
        layers.shard = nil
        layers.data.documents = parts.reduce(0) { $0 + $1.layers.data.documents }
        layers.data.tokens = parts.reduce(0) { $0 + $1.layers.data.tokens }
        layers.layers = result.layers
        layers.boundaries = result.boundaries
        layers.matrices = OrderedDictionary(
            uniqueKeysWithValues: result.matrices.map { ($0, $1) })
        layers.sinks = result.sinks
        let sensitivity = first.split.evidence["kneedle"]?.values["sensitivity"]?.doubleValue
        let split = try ProbeRun.selectSplit(
            model, result, sensitivity: sensitivity ?? 1,
            costs: { split in
                // Costs need the model, which a merge need not have.
                do {
                    return ProbeRun.costs(of: split, try ModelSource(model.path).open().model)
                } catch {
                    Terminal.note(
                        "\(model.path): cannot be opened here, so the split has no costs (\(error))"
                    )
                    return []
                }
            })
        var run = first.run
        run.arguments = CommandLine.arguments
        run.tokens = layers.data.tokens
        run.peakResidentBytes = parts.map(\.run.peakResidentBytes).max() ?? 0
        run.timings = RunRecord.Timings(
            open: parts.reduce(0) { $0 + $1.run.timings.open },
            tokenize: parts.reduce(0) { $0 + $1.run.timings.tokenize },
            pass: parts.reduce(0) { $0 + $1.run.timings.pass },
            total: parts.reduce(0) { $0 + $1.run.timings.total })
        run.created = Date.now.formatted(.iso8601)
        let earlier = try EvidenceFile.begin(
            evidencePath, as: .probe, sha256: result.evidence.sha256)
        try RunDirectory.write(
            layers: layers, split: split, run: run,
            evidence: earlier.adding(result.evidence, base: nil), to: folder)
    }
}
