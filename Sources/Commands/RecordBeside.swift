import Files
import Foundation
import ModelStore
import Models
import Records
import Tensors

/// `<output>.run.json` beside a regular file; nothing beside what is none.
struct RecordBeside {
    private let path: String?
    private let overwrite: Bool

    /// - Throws: `FileError.exists` for a file of that name that is no such record, unless it shall be
    ///   replaced. A record whose output is gone describes nothing, and is no obstacle.
    init(_ output: Output) throws(FileError) {
        overwrite = output.overwrite
        guard output.isFile else {
            path = nil
            return
        }
        let path = output.path + EngineRunRecord.suffix
        self.path = path
        let isOurs =
            (try? JSON.read(path: path))?["schema"]?.stringValue == EngineRunRecord.schema
        _ = try Output(path, overwrite: overwrite || isOurs)
    }

    /// An older output's: it does not describe the one that takes its place.
    func removeOlder() throws(FileError) {
        guard let path, Paths.kind(path) == .file, unlink(path) != 0 else { return }
        throw .system(
            path: path, operation: "remove", reason: String(cString: strerror(errno)))
    }

    func write(_ record: EngineRunRecord) throws(FileError) {
        guard let path else { return }
        try Output(path, overwrite: overwrite).write((record.json.text() + "\n").utf8)
    }
}

extension EngineRunRecord {
    /// What this process runs.
    /// - Parameters:
    ///   - thinking: what `--adaptive` or `--damped` came to.
    ///   - passes: that the tokens of the output ran.
    init(
        model options: ModelOptions, split: SplitOptions, thinking: ChosenThinking? = nil,
        passes: PassCounts = PassCounts(), loaded: LoadedModel
    ) throws {
        let chosen =
            try thinking.map { ($0.thinking.split, iterations: $0.thinking.passes) }
            ?? split.chosen(for: loaded)
        self.init(
            arguments: CommandLine.arguments, versions: Product.versions,
            blasCoreType: MatrixProduct.blasCoreType, threads: Parallel.threads,
            model: try loaded.record(hashed: false), split: chosen?.0,
            iterations: chosen?.iterations ?? 1, precision: options.arithmetic.rawValue,
            thinking: thinking.map {
                Thinking(
                    key: $0.json.key, settings: $0.json.value, notation: $0.notation,
                    passes: passes.json)
            },
            created: Date.now.formatted(.iso8601))
    }
}
