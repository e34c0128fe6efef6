import Activations
import Analysis
import Files
import Foundation
import Records
import Reporting

/// The files of one run and the order they are written in.
public enum RunDirectory {
    static let layers = "layers.json"
    static let table = "layers.csv"
    static let split = "split.json"
    static let report = "report.html"
    static let metrics = "metrics.jsonl"
    /// Values by document; a scan adds its own.
    static let evidence = "evidence.h5"
    /// Written last: a directory that has it holds a whole run.
    static let run = "run.json"

    private static let all = [layers, table, split, report, run]

    /// Makes the directory before the work starts, so that a target that cannot be written is known
    /// then and not an hour later, and keeps other runs out of it.
    /// - Parameter files: what the command writes; `probe`'s when nil.
    /// - Returns: where it is, links followed; whether it was not there before; the lock, nil where
    ///   the file system has none.
    /// - Throws: `CommandError.holdsAnotherRun`, `.notADirectory`, `.flag`, `FileError`.
    static func prepare(
        _ name: String, files: [String]? = nil, overwrite: Bool
    ) throws -> (path: String, isNew: Bool, lock: FolderLock?) {
        guard name != "-" else {
            throw CommandError.flag(
                name: "--out -", problem: "a run is a folder; give the name of one")
        }
        let path = try Output.resolved(name)
        let manager = FileManager.default
        var isDirectory: ObjCBool = false
        var isNew = true
        if manager.fileExists(atPath: path, isDirectory: &isDirectory) {
            guard isDirectory.boolValue else { throw CommandError.notADirectory(path: name) }
            isNew = false
        }
        do {
            try manager.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw FileError.system(
                path: "--out \(name)", operation: "create the directory",
                reason: Terminal.reason(error))
        }
        guard access(path, W_OK) == 0 else {
            throw FileError.system(
                path: "--out \(name)", operation: "write to the directory",
                reason: String(cString: strerror(errno)))
        }
        let lock = try lock(path, name: "--out \(name)")
        let files = (files ?? all).map { Paths.join(path, $0) }
        if !overwrite, files.contains(where: { Paths.kind($0) != .missing }) {
            throw CommandError.holdsAnotherRun(path: name)
        }
        // What is in the way shows now.
        for file in files { _ = try Output(file, overwrite: true) }
        return (path, isNew, lock)
    }

    private static func lock(_ path: String, name: String) throws(FileError) -> FolderLock? {
        do {
            return try FolderLock.folder(path)
        } catch {
            if case .busy = error { throw .busy(path: name) }
            throw error
        }
    }

    static func write(
        layers: LayersRecord, split: SplitRecord, run: RunRecord, evidence: EvidenceFile,
        shard: ShardFile? = nil, to path: String
    ) throws {
        // An older run's: from here on the directory does not claim to hold a whole run.
        unlink("\(path)/\(Self.run)")
        unlink("\(path)/\(ShardFile.name)")
        try AtomicFile.write(layers.json, to: "\(path)/\(Self.layers)")
        try AtomicFile.write(layers.csv, to: "\(path)/\(table)")
        try AtomicFile.write(split.json, to: "\(path)/\(Self.split)")
        try evidence.write(to: "\(path)/\(Self.evidence)", replacing: true)
        try shard?.write(
            to: "\(path)/\(ShardFile.name)", boundaries: layers.model.layers + 1,
            width: layers.model.hiddenSize)
        let page = HTMLReport.page(
            layers: layers, split: split, run: run, passes: MeasuringPass.all.map(\.declaration),
            scans: try scans(path))
        try AtomicFile.write(page, to: "\(path)/\(report)")
        try AtomicFile.write(run.json, to: "\(path)/\(Self.run)")
    }

    /// What a scan has left in the folder.
    private static func scans(_ path: String) throws(FileError) -> ScansRecord? {
        let file = "\(path)/\(ScanRun.scans)"
        return Paths.kind(file) == .missing ? nil : try ScansRecord.read(path: file)
    }

    /// Rebuilds the report of a run from its files.
    /// - Returns: the report's path.
    public static func rebuildReport(_ path: String) throws -> String {
        let manager = FileManager.default
        if manager.fileExists(atPath: "\(path)/\(metrics)") { return try trainingReport(path) }
        for name in [layers, split] where !manager.fileExists(atPath: "\(path)/\(name)") {
            throw CommandError.notARun(path: path, missing: name)
        }
        let lock = try lock(path, name: path)
        defer { withExtendedLifetime(lock) {} }
        let runPath = "\(path)/\(run)"
        let page = HTMLReport.page(
            layers: try LayersRecord.read(path: "\(path)/\(layers)"),
            split: try SplitRecord.read(path: "\(path)/\(split)"),
            run: manager.fileExists(atPath: runPath) ? try RunRecord.read(path: runPath) : nil,
            passes: MeasuringPass.all.map(\.declaration), scans: try scans(path))
        try AtomicFile.write(page, to: "\(path)/\(report)")
        return "\(path)/\(report)"
    }

    /// The page of a training run's curves.
    private static func trainingReport(_ path: String) throws -> String {
        let metricsPath = "\(path)/\(metrics)"
        let lines = try MappedFile.contents(path: metricsPath).split(separator: 0x0A).map(
            Array.init)
        let curves = try TrainingCurves(lines: lines, path: metricsPath)
        guard !curves.steps.isEmpty else {
            throw CommandError.run(path: path, problem: "has no step yet; let etd train run first")
        }
        let configuration = try? MappedFile.contents(path: "\(path)/config.yaml")
        let page = TrainingPage.page(
            name: path.split(separator: "/").last.map(String.init) ?? path, curves: curves,
            configuration: configuration.map { String(decoding: $0, as: UTF8.self) },
            createdBy: Product.createdBy)
        try AtomicFile.write(page, to: "\(path)/\(report)")
        return "\(path)/\(report)"
    }
}
