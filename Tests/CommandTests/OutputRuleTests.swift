// What every command does to the place its result goes to: files are refused or replaced with their
// permissions, links followed, pipes written through, everything else refused.

import Files
import Foundation
import TestSupport
import Testing

@Suite struct OutputRuleTests {
    /// Commands that write one file, whose path is the argument under `out/`.
    static let commands = WritingCommand.all.filter {
        ["lens --html", "dump", "merge", "score"].contains($0.testDescription)
    }

    private struct Fixture {
        let model: TinyModel
        let folder: String
        private let command: WritingCommand
        private let arguments: [String]
        private let place: Int

        init(_ command: WritingCommand) throws {
            model = try TinyModel()
            folder = model.file("out")
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: false)
            self.command = command
            arguments = try command.prepare(model)
            let start = model.file("out/")
            let found = arguments.lastIndex { $0.hasPrefix(start) }
            place = try #require(found)
        }

        func run(
            _ out: String, _ more: [String] = [], shell: String? = nil
        ) throws -> CommandRunner.Result {
            var all = arguments + more
            all[place] = out
            return try CommandRunner(command.product)(all, shell: shell)
        }

        /// What the command makes where nothing is in the way.
        func expected() throws -> Data {
            let result = try run(model.file("expected"))
            try #require(result.code == 0, "\(result)")
            return try bytes(of: model.file("expected"))
        }
    }

    private func permissions(_ path: String) -> mode_t {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode & 0o7777 : 0
    }

    private func kind(_ path: String) -> mode_t {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode & S_IFMT : 0
    }

    @Test(arguments: commands) func aFileIsRefusedOrReplaced(_ command: WritingCommand) throws {
        let fixture = try Fixture(command)
        let expected = try fixture.expected()
        let out = try fixture.model.write("mine", to: "out/result")
        #expect(chmod(out, 0o604) == 0)
        expectFailure(try fixture.run(out), naming: [out, "exists", "--overwrite"])
        #expect(try bytes(of: out) == Data("mine".utf8))
        let replaced = try fixture.run(out, ["--overwrite"])
        #expect(replaced.code == 0, "\(replaced)")
        #expect(try bytes(of: out) == expected)
        #expect(permissions(out) == 0o604)
    }

    @Test(arguments: commands) func linksAreFollowed(_ command: WritingCommand) throws {
        let fixture = try Fixture(command)
        let expected = try fixture.expected()
        let (link, target) = (fixture.folder + "/link", fixture.folder + "/target")
        // Relative, of two steps, and leading nowhere yet.
        #expect(symlink("second", link) == 0 && symlink("target", fixture.folder + "/second") == 0)
        let made = try fixture.run(link)
        #expect(made.code == 0, "\(made)")
        #expect(kind(link) == S_IFLNK)
        #expect(try bytes(of: target) == expected)
        expectFailure(try fixture.run(link), naming: ["exists", "--overwrite"])
        try fixture.model.write("mine", to: "out/target")
        let replaced = try fixture.run(link, ["--overwrite"])
        #expect(replaced.code == 0, "\(replaced)")
        #expect(kind(link) == S_IFLNK)
        #expect(try bytes(of: target) == expected)

        #expect(symlink("ring", fixture.folder + "/ring") == 0)
        expectFailure(try fixture.run(fixture.folder + "/ring"), naming: ["ring", "link"])
        expectFailure(try fixture.run(fixture.folder), naming: [fixture.folder, "directory"])
        expectFailure(try fixture.run(fixture.folder, ["--overwrite"]), naming: ["directory"])
    }

    /// A reader on the other end gets every byte, and nothing is put beside the pipe.
    @Test(arguments: commands) func pipesAreWrittenThrough(_ command: WritingCommand) throws {
        let fixture = try Fixture(command)
        let expected = try fixture.expected()
        let (pipe, got) = (fixture.folder + "/pipe", fixture.folder + "/got")
        #expect(mkfifo(pipe, 0o600) == 0)
        for more in [[], ["--overwrite"]] {
            let result = try fixture.run(pipe, more, shell: "{ cat '\(pipe)' > '\(got)' & }")
            #expect(result.code == 0, "\(result)")
            #expect(kind(pipe) == S_IFIFO)
            let deadline = Date.now + 60
            while try bytes(of: got) != expected, Date.now < deadline { usleep(1000) }
            #expect(try bytes(of: got) == expected)
        }
        #expect(names(in: fixture.folder) == ["got", "pipe"])
    }

    @Test(arguments: commands) func standardOutput(_ command: WritingCommand) throws {
        let fixture = try Fixture(command)
        let expected = try fixture.expected()
        for name in ["-", "/dev/stdout"] {
            let result = try fixture.run(name)
            #expect(result.code == 0, "\(result)")
            #expect(Data(result.output) == expected, "\(name)")
        }
        expectFailure(
            try fixture.run("-", shell: "exec >/dev/full"),
            naming: ["standard output", "No space left"])
        #expect(names(in: fixture.folder) == [])
    }

    /// A device of our own: never the machine's.
    @Test(
        .enabled(if: geteuid() == 0, "needs root, to make a device"), arguments: commands)
    func devicesStay(_ command: WritingCommand) throws {
        let fixture = try Fixture(command)
        let null = fixture.folder + "/null"
        // Not every container lets root make one.
        guard mknod(null, S_IFCHR | 0o666, 1 << 8 | 3) == 0 else { return }
        for more in [[], ["--overwrite"]] {
            let result = try fixture.run(null, more)
            // A file system that is mounted without devices opens none.
            if result.code != 0 { expectFailure(result, naming: [null]) }
            #expect(kind(null) == S_IFCHR)
        }
        #expect(names(in: fixture.folder) == ["null"])
    }

    // MARK: Beside the output

    @Test func scoresHaveTheirRecordBesideThem() throws {
        let model = try TinyModel()
        let requests: [JSON] = [
            ["tokens": [3, 4, 5], "id": "first"], ["text": "the thin", "id": 7],
            ["context": "the", "continuation": " thin", "id": ["a": 1]], ["tokens": [3, 4]],
        ]
        let scores = try Scores(model, requests, ["--split", "1-2*3-1"])
        for (line, request) in zip(scores.lines, requests) {
            #expect(line["id"] == request["id"])
            #expect(line.objectValue?.keys.first == "index")
        }
        let path = model.file("scores.jsonl.run.json")
        let record = try JSON.read(path: path)
        #expect(try SchemaValidator("engine-run").problems(record).isEmpty)
        #expect(record["notation"] == "1-2*3-1" && record["iterations"] == 3)
        #expect(record["split"] == ["encoder": 1, "think": 2, "decoder": 1])
        #expect(record["precision"] == "f32")
        #expect(record["model"]?["path"]?.stringValue == model.path)
        // A record whose output is gone is no obstacle; a file of somebody's is.
        let arguments = [
            "score", "--model", model.path, "--input", model.file("requests.jsonl"), "--output",
            model.file("scores.jsonl"),
        ]
        try FileManager.default.removeItem(atPath: model.file("scores.jsonl"))
        let again = try CommandRunner(etd)(arguments)
        #expect(again.code == 0, "\(again)")
        #expect(try JSON.read(path: path)["iterations"] == 1)
        try FileManager.default.removeItem(atPath: model.file("scores.jsonl"))
        try model.write("mine", to: "scores.jsonl.run.json")
        expectFailure(try CommandRunner(etd)(arguments), naming: [path, "exists"])
        #expect(try bytes(of: path) == Data("mine".utf8))
    }

    // MARK: Runs

    @Test func aRunIsLockedWhileItIsWritten() throws {
        let model = try TinyModel()
        let run = model.file("run")
        try FileManager.default.createDirectory(
            atPath: run, withIntermediateDirectories: false)
        let arguments = [
            "probe", "--model", model.path, "--out", run, "--sequences", "1",
            "--sequence-length", "8", "--quiet",
        ]
        let lock = try #require(try FolderLock.folder(run))
        try withExtendedLifetime(lock) {
            expectFailure(
                try CommandRunner(analyze)(arguments), naming: [run, "another process"])
            expectFailure(
                try CommandRunner(analyze)(arguments + ["--overwrite"]),
                naming: [run, "another process"])
            #expect(names(in: run) == [])
        }
    }

    @Test func aRunFollowsLinksAndIsNoStream() throws {
        let model = try TinyModel()
        #expect(symlink("real", model.file("link")) == 0)
        let run = try ProbeFiles(
            model, ["--sequences", "1", "--sequence-length", "8"], out: "link")
        #expect(kind(run.folder) == S_IFLNK)
        #expect(names(in: model.file("real")) == runFiles)
        try fail(analyze, "probe", "--model", model.path, "--out", "-", naming: ["--out -"])
        #expect(mkfifo(model.file("pipe"), 0o600) == 0)
        try fail(
            analyze, "probe", "--model", model.path, "--out", model.file("pipe"),
            naming: ["--out", "not a directory"])
        #expect(kind(model.file("pipe")) == S_IFIFO)
    }

    // MARK: Standard input

    @Test func dataFromStandardInput() throws {
        let model = try TinyModel()
        let text = String(repeating: "the thin end in the thing ", count: 8)
        let lines = line(["text": "the thin"]) + "\n" + line(["text": "end in the thin"])
        for (content, name) in [
            (text, "data.txt"), (lines, "data.jsonl"), ("{ \(text)", "brace.txt"),
        ] {
            let path = try model.write(content, to: name)
            let more = ["--sequence-length", "4", "--sequences", "2"]
            let file = try ProbeFiles(model, ["--data", path] + more, out: "file-" + name)
            let folder = model.file("piped-" + name)
            let piped = try CommandRunner(analyze)(
                ["probe", "--model", model.path, "--out", folder, "--data", "-"] + more,
                input: content)
            #expect(piped.code == 0, "\(piped)")
            let (a, b) = (
                try file.layers(), try JSON.read(path: folder + "/layers.json")
            )
            #expect(a["layers"] == b["layers"] && a["boundaries"] == b["boundaries"])
            let hashes = try JSON.read(path: folder + "/run.json")["hashes"]
            #expect(hashes == (try file.json("run.json")["hashes"]))
        }
    }

    @Test func requestsAndPromptsFromStandardInput() throws {
        let model = try TinyModel()
        let scores = try Scores(model, [["text": "the thin"]])
        let piped = try CommandRunner(etd)(
            ["score", "--model", model.path, "--input", "-", "--output", "-", "--quiet"],
            input: line(["text": "the thin"]))
        #expect(piped.code == 0 && Data(piped.output) == scores.file, "\(piped)")
        let lens = ["lens", "--model", model.path, "--prompt"]
        let typed = try CommandRunner(analyze)(lens + ["the thin"])
        for input in ["the thin", "the thin\n", "the thin\r\n"] {
            let read = try CommandRunner(analyze)(lens + ["-"], input: input)
            #expect(read.code == 0 && read.output == typed.output, "\(read)")
        }
    }

    // MARK: Libraries

    /// OpenBLAS starts threads that spin for ever where memory is short, so what does not multiply does
    /// not load it.
    @Test func openBLASIsLoadedWhenItIsNeeded() throws {
        let model = try TinyModel()
        func loaded(_ arguments: [String]) throws -> Bool {
            let result = try CommandRunner(analyze)(arguments, environment: ["LD_DEBUG": "files"])
            #expect(result.code == 0)
            // So that a loader that tells nothing does not pass.
            #expect(result.errors.contains("libc.so"))
            return result.errors.contains("libopenblas")
        }
        #expect(try !loaded(["tasks"]))
        #expect(
            try loaded([
                "probe", "--model", model.path, "--out", model.file("run"), "--sequences", "1",
                "--sequence-length", "8",
            ]))
    }
}
