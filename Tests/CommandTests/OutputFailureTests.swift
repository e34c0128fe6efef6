// Every command that writes a file, where it cannot: a directory without permission, a disk that fills up,
// Ctrl-C at any moment; and every command that prints, on a full device. One line names the place, older
// files stay, and what is there afterwards is whole. `probe` has more of this in `ProbeTargetTests`.

import Activations
import Files
import Foundation
import TestSupport
import Testing

/// A command line that writes into the folder `out` beside the model.
struct WritingCommand: CustomTestStringConvertible, Sendable {
    let testDescription: String
    var product = analyze
    /// The files of a whole result.
    let files: [String]
    /// How much a file may hold, in 512-byte blocks, for the disk to be full in the middle.
    var full = [1]
    /// Makes what the command reads; returns its arguments.
    let prepare: @Sendable (TinyModel) throws -> [String]

    static let all = [
        WritingCommand(testDescription: "probe", files: runFiles, full: [1, 8]) { model in
            ["probe", "--model", model.path, "--out", model.file("out"), "--quiet"] + short
        },
        WritingCommand(testDescription: "lens --html", files: ["lens.html"], full: [1, 8]) {
            [
                "lens", "--model", $0.path, "--prompt", "the thin end", "--html",
                $0.file("out/lens.html"),
            ]
        },
        WritingCommand(testDescription: "report", files: runFiles) { model in
            let run = try ProbeFiles(model, short, out: "out")
            try FileManager.default.removeItem(atPath: run.folder + "/report.html")
            return ["report", run.folder]
        },
        WritingCommand(testDescription: "tasks --out", files: ["running_sum.jsonl"]) {
            ["tasks", "running_sum", "--count", "200", "--out", $0.file("out")]
        },
        // Of the parts' description, of the first part, of the table of the whole.
        WritingCommand(testDescription: "dump", files: ["a.h5"], full: [1, 16, 200]) { model in
            try model.write(ids: (0..<600).map { 3 + ($0 * 31) % 128 }, to: "ids.u16")
            return [
                "dump", "--model", model.path, "--data", model.file("ids.u16"), "--out",
                model.file("out/a.h5"), "--sequence-length", "60", "--quiet",
            ]
        },
        WritingCommand(testDescription: "merge", files: ["whole.h5"], full: [1, 16, 200]) { model in
            try model.write(ids: (0..<600).map { 3 + ($0 * 31) % 128 }, to: "ids.u16")
            let shards = ["1", "2"].map { model.file("shard\($0).h5") }
            for (number, shard) in shards.enumerated() {
                try succeed(
                    analyze, "dump", "--model", model.path, "--data", model.file("ids.u16"),
                    "--out", shard, "--sequence-length", "60", "--shard", "\(number + 1)/2",
                    "--quiet")
            }
            return ["merge"] + shards + ["--out", model.file("out/whole.h5")]
        },
        WritingCommand(
            testDescription: "score", product: etd,
            files: ["scores.jsonl", "scores.jsonl.run.json"]
        ) { model in
            try model.write(
                String(repeating: line(["text": "the thin end"]), count: 30), to: "in.jsonl")
            return [
                "score", "--model", model.path, "--input", model.file("in.jsonl"), "--output",
                model.file("out/scores.jsonl"), "--quiet",
            ]
        },
    ]

    private static let short = ["--sequences", "2", "--sequence-length", "16"]
}

@Suite struct OutputFailureTests {
    private func prepared(_ command: WritingCommand) throws -> (
        model: TinyModel, arguments: [String], folder: String
    ) {
        let model = try TinyModel()
        let folder = model.file("out")
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: false)
        return (model, try command.prepare(model), folder)
    }

    private func contents(of folder: String) throws -> [String: Data] {
        try Dictionary(
            uniqueKeysWithValues: (names(in: folder) ?? []).filter { !$0.hasSuffix(".parts") }
                .map { ($0, try bytes(of: folder + "/" + $0)) })
    }

    /// Whether a file under its final name is all that it should be.
    private func expectWhole(_ path: String, _ comment: Comment) throws {
        let content = try bytes(of: path)
        switch path.split(separator: ".").last {
        case "h5" where path.hasSuffix("evidence.h5"):
            #expect(try !EvidenceFile.read(path).probe.isEmpty, comment)
        case "h5":
            let file = try ActivationFile(path: path)
            #expect(file.table.ids.count == 600, comment)
        case "json":
            _ = try JSON.parse([UInt8](content))
        case "jsonl":
            let lines = content.split(separator: 0x0A)
            #expect(content.last == 0x0A && [30, 200].contains(lines.count), comment)
            for line in lines { _ = try JSON.parse([UInt8](line)) }
        case "html":
            #expect(content.suffix(8) == Data("</html>\n".utf8), comment)
        default:
            #expect(content.last == 0x0A, comment)
        }
    }

    /// What makes root obey permissions, run in a shell before the command.
    private static let withoutPrivilege =
        "exec setpriv --bounding-set=-dac_override,-dac_read_search \"$0\" \"$@\""

    /// Whether this user obeys permissions or, as root, can give up not to: that takes CAP_SETPCAP.
    private static var obeysPermissions: Bool {
        if geteuid() != 0 { return true }
        let process = Process()
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = ["-c", withoutPrivilege, "true"]
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }

    /// Root may write everywhere, unless it gives that up.
    @Test(
        .enabled(if: obeysPermissions, "root cannot drop capabilities here: no CAP_SETPCAP"),
        arguments: WritingCommand.all)
    func aDirectoryWithoutPermission(_ command: WritingCommand) throws {
        let (model, arguments, folder) = try prepared(command)
        let before = try contents(of: folder)
        #expect(chmod(folder, 0o555) == 0)
        defer { withExtendedLifetime(model) { chmod(folder, 0o755) } }
        let result = try CommandRunner(command.product)(
            arguments,
            shell: geteuid() == 0
                ? Self.withoutPrivilege : ":")
        expectFailure(result, naming: [model.file("out"), "Permission denied"])
        #expect(try contents(of: folder) == before)
        #expect(names(in: folder) == before.keys.sorted())
    }

    /// A limit on the size of files ends a write in the middle as a full disk does.
    @Test(arguments: WritingCommand.all)
    func aFullDisk(_ command: WritingCommand) throws {
        for blocks in command.full {
            let (model, arguments, folder) = try prepared(command)
            // The folder goes with the model.
            defer { withExtendedLifetime(model) {} }
            let before = try contents(of: folder)
            let runner = try CommandRunner(command.product)
            let failed = try runner(arguments, shell: "trap '' XFSZ; ulimit -f \(blocks)")
            expectFailure(failed, naming: [folder, "write"])
            var after = try contents(of: folder)
            // A run that fails keeps the files it has finished.
            for (name, content) in before { #expect(after[name] == content, "\(name), \(blocks)") }
            for name in after.keys where before[name] == nil {
                #expect(runFiles.contains(name) && name != "run.json", "\(failed)")
                try expectWhole(folder + "/" + name, "\(failed)")
            }
            // With room again the same command ends well.
            let again = arguments[0] == "probe" && !after.isEmpty ? ["--overwrite"] : []
            let done = try runner(arguments + again)
            #expect(done.code == 0, "\(done)")
            after = try contents(of: folder)
            #expect(after.keys.sorted() == command.files.sorted(), "\(done)")
            #expect(names(in: folder) == command.files.sorted(), "\(done)")
        }
    }

    /// From before a command has read anything to after its last file, in steps of a twelfth of what it
    /// takes.
    @Test(arguments: WritingCommand.all)
    func anInterruptAtAnyMoment(_ command: WritingCommand) throws {
        let (model, arguments, folder) = try prepared(command)
        defer { withExtendedLifetime(model) {} }
        let before = try contents(of: folder)
        let runner = try CommandRunner(command.product)
        let started = ContinuousClock.now
        let whole = try runner(arguments)
        #expect(whole.code == 0, "\(whole)")
        let taken = (ContinuousClock.now - started) / .microseconds(1)
        for name in command.files { try expectWhole(folder + "/" + name, "\(whole)") }
        var interrupted = 0
        for moment in 0..<12 {
            for name in names(in: folder) ?? [] {
                try FileManager.default.removeItem(atPath: folder + "/" + name)
            }
            for (name, content) in before {
                try content.write(to: URL(filePath: folder + "/" + name))
            }
            let delay = UInt32(taken * Double(moment) / 10)
            let running = try runner.start(arguments)
            usleep(delay)
            running.send(SIGINT)
            let result = try running.finish()
            let comment: Comment = "after \(delay) µs: \(result)"
            let present = names(in: folder) ?? []
            if result.code == 0 {
                #expect(present == command.files.sorted(), comment)
            } else {
                #expect(result.signal == SIGINT, comment)
                interrupted += 1
                let others = present.filter { !command.files.contains($0) }
                #expect(
                    others.count <= 1
                        && others.allSatisfy { $0.contains(".tmp") || $0.hasSuffix(".parts") },
                    comment)
            }
            for name in present where command.files.contains(name) {
                try expectWhole(folder + "/" + name, comment)
            }
        }
        #expect(interrupted > 0)
    }

    // MARK: Standard output

    /// What cannot be printed is a failure: a script must not take half a table for a whole one.
    @Test func aFullDeviceUnderStandardOutput() throws {
        let model = try TinyModel()
        let run = try ProbeFiles(model, ["--sequences", "2", "--sequence-length", "16"])
        let commands: [(String, [String])] = [
            (analyze, ["inspect", model.path]),
            (analyze, ["inspect", model.path, "--json"]),
            (analyze, ["lens", "--model", model.path, "--prompt", "the"]),
            (analyze, ["lens", "--model", model.path, "--prompt", "the", "--json"]),
            (analyze, ["tasks"]),
            (analyze, ["report", run.folder]),
            (
                analyze,
                [
                    "probe", "--model", model.path, "--out", model.file("other"), "--quiet",
                    "--sequences", "1", "--sequence-length", "8",
                ]
            ),
            (etd, ["tokenize", "--model", model.path]),
        ]
        for (product, arguments) in commands {
            let result = try CommandRunner(product)(
                arguments, input: "the thin end\n", shell: "exec >/dev/full")
            expectFailure(result, naming: ["standard output", "No space left on device"])
        }
    }
}
