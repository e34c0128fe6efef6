import Checkpoints
import Files
import Foundation

/// One form of an export: its name, what it is for, and how it is written. A format is one file and one
/// line in `all`.
public struct ExportFormat: Sendable {
    /// As `--format` takes it.
    public let name: String
    /// Who opens it, in one line of the command's help.
    public let summary: String
    /// Whether a folder is written; a file otherwise.
    public let makesFolder: Bool
    /// Fails where the format cannot express what is asked for; writes nothing.
    let check: @Sendable (ExportJob) throws(ExportError) -> Void
    /// Bytes of weights that `write` writes.
    let size: @Sendable (ExportJob) throws(ExportError) -> Int
    /// Writes into a folder that is there, or the file of that path (replacing one that is there, if
    /// told so).
    let write:
        @Sendable (
            _ job: ExportJob, _ path: String, _ replacing: Bool, _ progress: (Int) -> Void
        ) throws(ExportError) -> Void

    public static let all: [ExportFormat] = [.hfUnrolled, .hfETD, .ggufUnrolled, .peft]

    /// - Throws: `ExportError.unknownFormat`.
    public static func named(_ name: String) throws(ExportError) -> ExportFormat {
        guard let format = all.first(where: { $0.name == name }) else {
            throw .unknownFormat(name: name, known: all.map(\.name))
        }
        return format
    }
}

extension ExportFormat {
    /// What an export's folder may hold: a folder with anything else in it is never replaced.
    static func isOfExport(_ name: String) -> Bool {
        ["README.md", "config.json", "modeling_etd.py", "adapter_config.json"].contains(name)
            || name.hasSuffix(".safetensors") || name == "model.safetensors.index.json"
            || Companions.isCopied(name)
    }

    /// Checks, writes under a temporary name and renames: a run that is killed, or a disk that fills,
    /// leaves nothing under the final name.
    /// - Parameters:
    ///   - out: a folder or a file, as `makesFolder` says.
    ///   - overwrite: whether an export that is there is replaced.
    ///   - progress: called first with 0 and the bytes of weights to be written, then with the bytes
    ///     written since the last call.
    /// - Throws: `ExportError`.
    public func export(
        _ job: ExportJob, to out: String, overwrite: Bool,
        progress: (_ written: Int, _ total: Int) -> Void = { _, _ in }
    ) throws(ExportError) {
        try check(job)
        try Self.refuse(out, over: job.checkpoint)
        let total = try size(job)
        do {
            if makesFolder {
                let folder = try TemporaryFolder(
                    for: out, overwrite: overwrite, mayReplace: Self.isOfExport)
                progress(0, total)
                do {
                    try write(job, folder.path, false) { progress($0, total) }
                } catch .file(.system(let path, let operation, let reason)) {
                    // The temporary folder is nobody's to look for.
                    let name = path.hasPrefix(folder.path) ? path.dropFirst(folder.path.count) : ""
                    throw ExportError.file(
                        .system(
                            path: name.isEmpty ? path : out + name, operation: operation,
                            reason: reason))
                }
                try folder.commit()
            } else {
                let output = try Output(out, overwrite: overwrite)
                guard output.isFile else {
                    throw FileError.system(
                        path: out, operation: "write",
                        reason: "a checkpoint is read at many places; give the name of a file")
                }
                progress(0, total)
                try write(job, output.path, overwrite) { progress($0, total) }
            }
        } catch let error as ExportError {
            throw error
        } catch let error as FileError {
            throw .file(error)
        } catch {
            throw .file(.system(path: out, operation: "write", reason: "\(error)"))
        }
    }

    /// The model's weights are mapped, and wanted afterwards.
    private static func refuse(_ out: String, over model: Checkpoint) throws(ExportError) {
        let place = real(out)
        for path in [model.path] + model.files {
            let file = real(path)
            guard file != place, !file.hasPrefix(place + "/") else {
                throw .overModel(out: out, model: model.path)
            }
        }
    }

    /// The absolute path without links, also of something that is still to be made.
    private static func real(_ path: String) -> String {
        var bare = path
        while bare.count > 1, bare.hasSuffix("/") { bare.removeLast() }
        if let resolved = realpath(bare, nil) {
            defer { free(resolved) }
            return String(cString: resolved)
        }
        guard let folder = realpath(Paths.directory(of: bare), nil) else { return bare }
        defer { free(folder) }
        return Paths.join(String(cString: folder), Paths.name(of: bare))
    }
}
