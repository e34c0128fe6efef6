import Corpus
import Evaluation
import Files
import Foundation
import Records

/// The folder of one plan's results: `items.jsonl`, `results.json` and `run.json` when it is whole,
/// `items.partial.jsonl` while it grows. Items are added in their final order, so that the partial file
/// without its first line is the whole one when all are there.
final class EvalFolder {
    static let items = "items.jsonl"
    static let results = "results.json"
    static let run = "run.json"
    static let partial = "items.partial.jsonl"

    let path: String
    private(set) var items: [EvaluatedItem] = []
    private var done: Set<String> = []
    private var handle: FileHandle?

    /// Opens the folder for a run, and takes over what an interrupted one left.
    /// - Parameters:
    ///   - key: of everything that decides an item's bytes; an unfinished run must have the same.
    ///   - fingerprint: of the model.
    /// - Throws: `CommandError` if the folder holds other results or another model's.
    init(
        _ path: String, key: String, fingerprint: String, overwrite: Bool
    ) throws {
        self.path = path
        let manager = FileManager.default
        switch Paths.kind(path) {
        case .directory, .missing: break
        default: throw CommandError.notADirectory(path: path)
        }
        let resultsPath = Paths.join(path, Self.results)
        if Paths.kind(resultsPath) != .missing, !overwrite {
            if let record = try? ResultsRecord.read(path: resultsPath),
                record.model.fingerprint != fingerprint
            {
                throw CommandError.flag(
                    name: "--out \(path)",
                    problem:
                        "holds results of another model (\(record.model.path)); choose another "
                        + "folder, or --overwrite to replace them")
            }
            throw CommandError.flag(
                name: "--out \(path)",
                problem: "holds results; choose another folder, or --overwrite to replace them")
        }
        do {
            try manager.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw FileError.system(
                path: "--out \(path)", operation: "create the directory",
                reason: Terminal.reason(error))
        }
        try open(key: key, fingerprint: fingerprint, overwrite: overwrite)
    }

    private func open(key: String, fingerprint: String, overwrite: Bool) throws {
        let path = Paths.join(self.path, Self.partial)
        let header: JSON = ["key": .string(key), "model": .string(fingerprint)]
        var length = 0
        if Paths.kind(path) == .file, !overwrite {
            let bytes = try MappedFile.contents(path: path)
            // A last line without its line feed was being written when the run ended.
            let end = bytes.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
            let lines = bytes[..<end].split(separator: 0x0A)
            if let first = lines.first, let found = try? JSON.parse(Array(first)) {
                guard found["model"]?.stringValue == fingerprint else {
                    throw CommandError.flag(
                        name: "--out \(self.path)",
                        problem:
                            "holds an unfinished run of another model; choose another folder, or "
                            + "--overwrite to start over")
                }
                guard found["key"]?.stringValue == key else {
                    throw CommandError.flag(
                        name: "--out \(self.path)",
                        problem:
                            "holds an unfinished run with other tasks, data or settings; repeat its "
                            + "command, choose another folder, or --overwrite to start over")
                }
                for (index, line) in lines.enumerated().dropFirst() {
                    let json: JSON
                    do {
                        json = try JSON.parse(Array(line))
                    } catch {
                        throw CommandError.line(
                            path: path, line: index + 1, problem: "not valid JSON: \(error)")
                    }
                    take(try EvaluatedItem(json, path: path, line: index + 1))
                }
                length = end
            }
        }
        if length == 0 { try AtomicFile.write(header.text(indent: 0) + "\n", to: path) }
        guard let handle = FileHandle(forUpdatingAtPath: path) else {
            throw FileError.system(
                path: path, operation: "write", reason: String(cString: strerror(errno)))
        }
        if length > 0 { try handle.truncate(atOffset: UInt64(length)) }
        try handle.seekToEnd()
        self.handle = handle
    }

    private func take(_ item: EvaluatedItem) {
        items.append(item)
        done.insert(Self.name(item.task, item.format, item.id))
    }

    private static func name(_ task: String, _ format: Benchmark.Format, _ id: String) -> String {
        "\(task) \(format.rawValue) \(id)"
    }

    func isDone(_ task: String, _ format: Benchmark.Format, _ id: String) -> Bool {
        done.contains(Self.name(task, format, id))
    }

    /// Writes items through to the file, whole lines at once.
    func add(_ new: [EvaluatedItem]) throws {
        var bytes: [UInt8] = []
        for item in new {
            bytes += item.json.text(indent: 0).utf8
            bytes.append(0x0A)
            take(item)
        }
        do {
            try handle?.write(contentsOf: Data(bytes))
        } catch {
            throw FileError.system(
                path: Paths.join(path, Self.partial), operation: "write",
                reason: Terminal.reason(error))
        }
    }

    /// Gives the files their final names; `results.json` comes last.
    func finish(_ results: ResultsRecord, _ run: RunRecord) throws {
        var bytes: [UInt8] = []
        for item in items {
            bytes += item.json.text(indent: 0).utf8
            bytes.append(0x0A)
        }
        unlink(Paths.join(path, Self.results))
        try AtomicFile.write(bytes, to: Paths.join(path, Self.items))
        try AtomicFile.write(run.json, to: Paths.join(path, Self.run))
        try AtomicFile.write(results.json, to: Paths.join(path, Self.results))
        try handle?.close()
        handle = nil
        unlink(Paths.join(path, Self.partial))
    }

    /// The results and items of a finished folder.
    static func read(_ path: String) throws -> (results: ResultsRecord, items: [EvaluatedItem]) {
        for name in [results, items] where Paths.kind(Paths.join(path, name)) != .file {
            let deeper = ((try? Paths.names(in: path)) ?? []).filter {
                Paths.kind(Paths.join(Paths.join(path, $0), results)) == .file
            }
            throw EvaluationError.file(
                path: path,
                problem: "has no \(name)"
                    + (deeper.isEmpty
                        ? "; give a folder that etd eval has finished"
                        : "; give one of the folders in it: \(deeper.joined(separator: ", "))"))
        }
        let itemsPath = Paths.join(path, items)
        let lines = try TextLines(path: itemsPath)
        var read: [EvaluatedItem] = []
        var number = 0
        while let line = try lines.next() {
            number += 1
            let json: JSON
            do {
                json = try JSON.parse(line)
            } catch {
                throw EvaluationError.line(
                    path: itemsPath, line: number, problem: "not valid JSON: \(error)")
            }
            read.append(try EvaluatedItem(json, path: itemsPath, line: number))
        }
        return (try ResultsRecord.read(path: Paths.join(path, results)), read)
    }
}
