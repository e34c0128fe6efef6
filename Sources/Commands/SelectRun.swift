import ArgumentParser
import Files
import Foundation
import ModelStore
import Models
import Plans
import Records
import Reporting
import Selection

/// A factor on the model's executed layers, such as `1.5x`.
public struct Overhead: ExpressibleByArgument, Equatable, Sendable {
    public var factor: Double

    public init?(argument: String) {
        let digits = argument.hasSuffix("x") ? String(argument.dropLast()) : argument
        guard let factor = Double(digits), factor.isFinite, factor > 1 else { return nil }
        self.factor = factor
    }
}

/// `etd-analyze select` from runs to a split file and a report.
public struct SelectRun {
    var runs: [String]
    /// Where the split goes; the first run when nil.
    var out: String?
    var seed: UInt64
    var resamples: Int
    var limits: Verdict.Limits
    var otherTexts: [String]
    var half: SavedEvidence.Half?
    var latency: DecodeLatency?

    /// - Parameters:
    ///   - limits: what a recommendation may cost.
    ///   - otherTexts: runs of the model on other texts, which only the sweep reads.
    ///   - half: weighs every second document and item alone.
    ///   - latency: how decoding is timed; nil leaves it out.
    public init(
        runs: [String], out: String?, seed: UInt64, resamples: Int,
        limits: Verdict.Limits = .init(), otherTexts: [String] = [],
        half: SavedEvidence.Half? = nil, latency: DecodeLatency? = nil
    ) {
        self.runs = runs
        self.out = out
        self.seed = seed
        self.resamples = resamples
        self.limits = limits
        self.otherTexts = otherTexts
        self.half = half
        self.latency = latency
    }

    /// Reads, weighs, writes; gives the record, where it went, and the model's path for the next command.
    public func run() throws -> (record: SplitRecord, path: String, model: String) {
        var evidence = try SavedEvidence.read(runs)
        if let half {
            guard out != nil else {
                throw CommandError.flag(
                    name: "--half \(half.rawValue)",
                    problem:
                        "would replace the verdict of the whole run; give --out a folder of its own"
                )
            }
            evidence = evidence.half(half)
        }
        let others = try otherTexts.map { run in
            let other = try SavedEvidence.read([run])
            guard other.model.fingerprint == evidence.model.fingerprint else {
                throw CommandError.run(
                    path: run,
                    problem: "is of another model (\(other.model.path)) than \(runs[0]) "
                        + "(\(evidence.model.path)); --other-text takes runs of the same model")
            }
            return (name: run, evidence: other)
        }
        let verdict = Verdict(
            evidence, resamples: resamples, limits: limits, others: others, seed: seed)
        var record = verdict.record(
            evidence, cost: Self.costs(of: evidence.model), createdBy: Product.createdBy)
        record.setCosts(
            try CandidateCost.table(
                verdict.priced(layers: evidence.layers), of: evidence.model, latency: latency))
        let folder = out ?? runs[0]
        guard folder != "-" else {
            throw CommandError.flag(
                name: "--out -", problem: "a run is a folder; give the name of one")
        }
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true)
        try AtomicFile.write(record.json, to: Paths.join(folder, RunDirectory.split))
        if Paths.kind(Paths.join(folder, RunDirectory.layers)) != .missing {
            _ = try RunDirectory.rebuildReport(folder)
        }
        return (record, folder, evidence.model.path)
    }

    /// FLOPs and cache bytes by k, where the model is at hand; none where it has moved.
    private static func costs(of model: ModelRecord) -> (Split) -> [SplitRecord.Cost] {
        guard let transformer = try? CandidateCost.transformer(of: model) else {
            return { _ in [] }
        }
        return { ProbeRun.costs(of: $0, transformer) }
    }

    /// The verdict in sentences, ending in what to do next.
    public static func summary(
        _ record: SplitRecord, run folder: String, model path: String
    ) -> String {
        let (run, model) = (quoted(folder), quoted(path))
        var lines: [String] = []
        let frozen = record.verdict?["frozen"]
        let train = record.verdict?["train"]
        lines.append("Use it frozen: \(frozen?["reason"]?.stringValue ?? "not known.")")
        if let split = record.split {
            let share = Int((100 * (record.confidence ?? 0)).rounded())
            lines.append(
                "Train it: \(split.notation), unproven until trained; \(share) % of resamples give a block "
                    + "within one layer of it.")
        } else {
            lines.append("Train it: no split proposed. \(record.abstention ?? "")")
        }
        let candidates = (train?["candidates"]?.arrayValue ?? []).prefix(3).compactMap {
            $0["notation"]?.stringValue
        }
        if !candidates.isEmpty { lines.append("Candidates: \(candidates.joined(separator: ", "))") }
        for (title, needs) in record.verdict?["missing"]?.objectValue ?? [:] {
            let names = (needs.arrayValue ?? []).compactMap(\.stringValue)
            lines.append("Not read: \(title) (needs \(names.joined(separator: ", ")))")
        }
        let asked = Set(Selector.all.flatMap(\.reads))
        let lacking = Set(
            (record.verdict?["missing"]?.objectValue ?? [:]).flatMap { _, needs in
                (needs.arrayValue ?? []).compactMap(\.stringValue)
            })
        let commands = Set(
            asked.filter { lacking.contains("\($0)") }.map {
                $0.command(model: model, run: run)
            })
        for command in commands.sorted() { lines.append("  makes it: \(command)") }
        let next =
            record.split != nil
            ? "etd score --model \(model) --split \(run) --iterations 2 --input FILE --output OUT"
            : record.alternatives.isEmpty
                ? nil
                : "etd score --model \(model) --split \(run) --alternative 1 --iterations 2 --input FILE "
                    + "--output OUT"
        if let next { lines.append("Next: \(next)") }
        return lines.joined(separator: "\n") + "\n"
    }

    /// A path as a shell takes it in one piece.
    static func quoted(_ path: String) -> String {
        let plain = path.utf8.allSatisfy { byte in
            byte > 127 || "/._-+:@%,=".utf8.contains(byte)
                || Character(Unicode.Scalar(byte)).isLetter
                || Character(Unicode.Scalar(byte)).isNumber
        }
        return plain && !path.isEmpty
            ? path : "'" + path.replacing("'", with: "'\\''") + "'"
    }
}
