import Files
import Foundation

/// Where a dump is made: `A.h5` and, while it runs, the folder `A.h5.parts` with its finished parts, a
/// description of the command that makes them, and a lock that one process holds.
public final class DumpTarget {
    /// `A.h5`.
    public let path: String
    /// `A.h5.parts`.
    public let folder: String
    /// The parts' command; equal in everything for a run that continues them.
    public let command: JSON
    /// Whether a file that stands at `path` is replaced at the end.
    private let overwrite: Bool
    private let lock: FolderLock

    static let commandName = "command.json"
    static let lockName = "lock"
    /// The joined file before it gets its place.
    static let wholeName = "whole.h5"
    /// What a run has summed so far.
    package static let momentsName = "moments.h5"
    /// The member of `command.json` that says that `whole.h5` is about to get its place: a run that finds
    /// it and no `whole.h5` finds a dump that is done.
    static let finishedMember = "finished"
    private var isFinished = false

    static func partName(_ part: Int) -> String { String(format: "part-%05d.h5", part) }

    /// Takes the lock and makes the folder, or finds what an earlier run of the same command left.
    ///
    /// - Parameters:
    ///   - command: what decides the content; an object.
    ///   - overwrite: whether a finished file of that name may be replaced.
    ///   - path: of a regular file, there or not; links are followed.
    /// - Throws: `.exists`, `.busy`, `.otherDump`, or `.file` where nothing can be written.
    public init(path: String, command: JSON, overwrite: Bool) throws(ActivationError) {
        let output: Output
        // Whether it may be replaced depends on what lies in the folder.
        do { output = try Output(path, overwrite: true) } catch { throw .file(error) }
        guard output.isFile else {
            throw .invalid(path: path, problem: "is a device or a pipe, where no parts can lie")
        }
        self.path = output.path
        self.command = command
        self.overwrite = overwrite
        folder = self.path + ".parts"
        let known = Paths.join(folder, Self.commandName)
        if Paths.kind(self.path) != .missing, !overwrite, !Self.isDone(folder) {
            // What a run leaves that is killed at its very last step.
            rmdir(folder)
            throw .exists(path: path)
        }
        switch Paths.kind(folder) {
        case .missing:
            // Another process may have made it since.
            guard mkdir(folder, 0o755) == 0 || errno == EEXIST else {
                throw .file(Self.system(folder, "create the directory"))
            }
        case .directory: break
        case .file, .other:
            throw .invalid(path: folder, problem: "is in the way: the parts' folder has that name")
        }
        do { lock = try FolderLock.file(Paths.join(folder, Self.lockName)) } catch {
            if case .busy = error { throw .busy(path: folder) }
            throw .file(error)
        }
        try settle(known, overwrite: overwrite)
    }

    /// Whether a run ended between giving the dump its place and removing this folder.
    private static func isDone(_ folder: String) -> Bool {
        let command = try? JSON.read(path: Paths.join(folder, commandName))
        return command?[finishedMember] == true
            && Paths.kind(Paths.join(folder, wholeName)) == .missing
    }

    /// Compares with what is there, or writes this command down.
    private func settle(_ known: String, overwrite: Bool) throws(ActivationError) {
        guard Paths.kind(known) == .file else {
            // Nothing but what this class makes is ever removed.
            for name in try names() where name != Self.lockName {
                guard Self.isOwn(name), overwrite || Paths.kind(path) == .missing else {
                    throw .invalid(
                        path: folder,
                        problem: "holds \(name.quotedForMessage) and no \(Self.commandName): it is "
                            + "not a folder of unfinished parts; remove it or choose another --out")
                }
                unlink(Paths.join(folder, name))
            }
            do { try AtomicFile.write(command, to: known) } catch { throw .file(error) }
            return
        }
        let there: JSON
        do { there = try JSON.read(path: known) } catch { throw .file(error) }
        let ours = command.objectValue ?? [:]
        let theirs = there.objectValue ?? [:]
        for (field, value) in ours where theirs[field] != value {
            func text(_ value: JSON?) -> String { value?.text(indent: 0) ?? "not given" }
            throw .otherDump(
                path: folder, field: field, there: text(theirs[field]), here: text(value))
        }
        isFinished = theirs[Self.finishedMember] == true
        // Under the lock nobody else writes here.
        for name in try names() where TemporaryFile.finalName(of: name) != nil {
            unlink(Paths.join(folder, name))
        }
    }

    private static func isOwn(_ name: String) -> Bool {
        let plain = TemporaryFile.finalName(of: name) ?? name
        return [commandName, wholeName, momentsName].contains(plain)
            || plain.hasPrefix("part-") && plain.hasSuffix(".h5")
    }

    private func names() throws(ActivationError) -> [String] {
        do { return try Paths.names(in: folder) } catch { throw .file(error) }
    }

    static func system(_ path: String, _ operation: String) -> FileError {
        .system(path: path, operation: operation, reason: String(cString: strerror(errno)))
    }

    // MARK: Parts

    /// Where a file of this run stands.
    public func file(_ name: String) -> String { Paths.join(folder, name) }

    /// Names the command in the parts.
    package var signature: String { command.text(indent: 0) }

    /// The finished parts, each checked to be whole and of this command.
    package func finishedParts(_ layout: DumpLayout) throws(ActivationError) -> Set<Int> {
        var found: Set<Int> = []
        for part in 0..<layout.partCount {
            let path = file(Self.partName(part))
            guard Paths.kind(path) != .missing else { continue }
            let root = try HDF5File.open(path).root
            let rows = layout.rows(ofPart: part)
            guard try root.integer("complete") == 1, try root.text("command") == signature,
                try root.values("rows", as: Int64.self)
                    == [Int64(rows.lowerBound), Int64(rows.upperBound)]
            else {
                throw .invalid(
                    path: path,
                    problem:
                        "is not this dump's part; remove it, and the same command makes it again"
                )
            }
            found.insert(part)
        }
        return found
    }

    /// Closes a complete file, puts it on disk and gives it its name.
    /// - Parameter replacing: whether an older file of that name may go.
    package static func seal(
        _ file: HDF5File, _ temporary: TemporaryFile, replacing: Bool
    ) throws(ActivationError) {
        try file.close()
        do { try temporary.commit(replacing: replacing) } catch { throw .file(error) }
    }

    /// A file that `seal` will give this name.
    package static func temporary(_ final: String) throws(ActivationError) -> TemporaryFile {
        do { return try TemporaryFile(for: final) } catch { throw .file(error) }
    }

    /// Removes what an earlier run and this one made: for a dump that can never be finished.
    public func discard() throws(ActivationError) {
        for name in try names() where Self.isOwn(name) { unlink(file(name)) }
        // The lock's file stays locked while this object lives.
        unlink(file(Self.lockName))
        rmdir(folder)
    }

    // MARK: The end

    /// Whether an earlier run of this command got as far as the whole file: then what was left to do is
    /// done now.
    public func endEarlierRun(keepParts: Bool) throws(ActivationError) -> Bool {
        guard isFinished else { return false }
        let whole = file(Self.wholeName)
        if Paths.kind(whole) == .file {
            try place(whole)
        } else if Paths.kind(path) != .file {
            throw .invalid(
                path: folder,
                problem: "its dump was finished, but \(path) is gone; remove this folder")
        }
        try cleanUp(keepParts: keepParts)
        return true
    }

    /// Writes the whole file by `body`, under a temporary name, and gives it its place.
    /// - Parameter keepParts: whether the parts belong to the dump from now on.
    package func complete(
        keepParts: Bool, _ body: (HDF5File) throws(ActivationError) -> Void
    ) throws(ActivationError) {
        let whole = file(Self.wholeName)
        do {
            let temporary = try Self.temporary(whole)
            let made = try HDF5File.create(temporary.path)
            try body(made)
            try Self.seal(made, temporary, replacing: true)
        }
        var finished = command.objectValue ?? [:]
        finished[Self.finishedMember] = true
        do {
            try AtomicFile.write(.object(finished), to: file(Self.commandName))
        } catch {
            throw .file(error)
        }
        try place(whole)
        try cleanUp(keepParts: keepParts)
    }

    private func place(_ whole: String) throws(ActivationError) {
        do {
            try TemporaryFile.place(whole, at: path, replacing: overwrite)
        } catch {
            if case .exists = error { throw .exists(path: path) }
            throw .file(error)
        }
    }

    /// Removes what the finished dump does not need; the command last, so that a run that is killed
    /// here is known as finished.
    private func cleanUp(keepParts: Bool) throws(ActivationError) {
        for name in try names() where Self.isOwn(name) && name != Self.commandName {
            if keepParts, name.hasPrefix("part-"), name.hasSuffix(".h5") { continue }
            unlink(file(name))
        }
        unlink(file(Self.lockName))
        unlink(file(Self.commandName))
        if !keepParts { rmdir(folder) }
    }
}
