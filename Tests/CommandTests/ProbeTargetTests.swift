// What `probe` does to its target: another run in its way, a target that cannot be written, a full disk, a
// kill; and that its bytes do not depend on the number of threads.

import Activations
import Files
import Foundation
import Tensors
import TestSupport
import Testing

@Suite struct ProbeTargetTests {
    private static let short = ["--sequences", "2", "--sequence-length", "16"]

    @Test func aSecondRunIsRefusedAndTheOldOneStays() throws {
        let model = try TinyModel()
        let run = try ProbeFiles(model, Self.short)
        let before = try runFiles.map { try bytes(of: run.folder + "/" + $0) }
        try fail(
            analyze, "probe", "--model", model.path, "--out", run.folder, "--sequences", "1",
            naming: ["--out", run.folder, "--overwrite"])
        #expect(names(in: run.folder) == runFiles)
        #expect(try runFiles.map { try bytes(of: run.folder + "/" + $0) } == before)

        let again = try ProbeFiles(
            model, ["--overwrite", "--sequences", "1", "--sequence-length", "16"])
        #expect(names(in: again.folder) == runFiles)
        #expect(try again.layers()["data"]?["documents"] == 1)
    }

    /// `--overwrite` takes nothing away before there is something in its place.
    @Test func aRunThatFailsLeavesTheOldOne() throws {
        let model = try TinyModel()
        let run = try ProbeFiles(model, Self.short)
        let before = try runFiles.map { try bytes(of: run.folder + "/" + $0) }
        try fail(
            analyze, "probe", "--model", model.path, "--out", run.folder, "--overwrite", "--data",
            model.file("no.txt"), naming: ["no.txt"])
        #expect(try runFiles.map { try bytes(of: run.folder + "/" + $0) } == before)
    }

    @Test func targetsThatCannotBeAreNamed() throws {
        let model = try TinyModel()
        try model.write("", to: "file")
        for out in [model.file("file"), model.file("file") + "/run", "/proc/no/run"] {
            try fail(
                analyze, "probe", "--model", model.path, "--out", out, naming: ["--out \(out)"])
        }
        #expect(try bytes(of: model.file("file")).isEmpty)
    }

    @Test(.enabled(if: geteuid() != 0, "root may write everywhere"))
    func aDirectoryWithoutPermissionIsNamed() throws {
        let model = try TinyModel()
        let folder = model.file("locked")
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o555])
        try fail(
            analyze, "probe", "--model", model.path, "--out", folder,
            naming: ["--out \(folder)", "Permission denied"])
    }

    @Test func foreignFilesInTheDirectoryAreNoRun() throws {
        let model = try TinyModel()
        try FileManager.default.createDirectory(
            atPath: model.file("run"), withIntermediateDirectories: false)
        try model.write("mine", to: "run/notes.txt")
        let run = try ProbeFiles(model, Self.short)
        #expect(names(in: run.folder) == (runFiles + ["notes.txt"]).sorted())
        #expect(try bytes(of: run.folder + "/notes.txt") == Data("mine".utf8))
    }

    @Test func quietSaysNothingOnStandardError() throws {
        let model = try TinyModel()
        let quiet = try ProbeFiles(
            model, Self.short + ["--quiet", "--precision", "bf16"], out: "quiet")
        #expect(quiet.result.errors.isEmpty, "\(quiet.result)")
        #expect(!quiet.result.text.isEmpty)
        let loud = try ProbeFiles(model, Self.short, out: "loud")
        #expect(loud.result.errors.contains("32 tokens"))
        // No terminal: neither colour nor a redrawn line.
        for text in [loud.result.text, loud.result.errors] {
            #expect(!text.contains("\u{1B}") && !text.contains("\r"))
        }
    }

    /// Where oneDNN multiplies bf16, its sums are its own affair.
    static let ownPrecisions = BF16Engine.current == .oneDNN ? ["f32"] : ["f32", "bf16"]

    @Test(arguments: ["llama-gqa", "gemma3"], ownPrecisions)
    func theBytesDoNotDependOnThreads(golden: String, precision: String) throws {
        let model = try TinyModel(golden)
        let requests = (1..<40).map { length in
            line(["tokens": .ids((0...length).map { 3 + ($0 * 31 + length) % 128 })])
        }
        try model.write(requests.joined(), to: "requests.jsonl")
        var runs: [[Data]] = []
        for threads in ["1", "2", "3", "8"] {
            let run = try ProbeFiles(
                model, ["--threads", threads, "--sequences", "3", "--precision", precision],
                out: "run" + threads)
            #expect(try run.json("run.json")["threads"]?.intValue == Int(threads))
            let scores = model.file("scores\(threads).jsonl")
            try succeed(
                etd, "score", "--model", model.path, "--input", model.file("requests.jsonl"),
                "--output", scores, "--threads", threads, "--precision", precision,
                "--last-logits")
            runs.append(
                try ["layers.json", "layers.csv", "split.json"].map {
                    try bytes(of: run.folder + "/" + $0)
                } + [bytes(of: scores)])
        }
        #expect(runs.dropFirst().allSatisfy { $0 == runs[0] })
    }

    // MARK: Ends before the end

    /// A file-size limit ends the process in the middle of a write: by a signal, or, where that is
    /// ignored, with an error as a full disk gives it.
    @Test(arguments: [1, 4, 16])
    func aKillDuringAWriteLeavesNoHalfFile(blocks: Int) throws {
        let model = try TinyModel()
        let folder = model.file("run")
        let arguments = ["probe", "--model", model.path, "--out", folder, "--quiet"] + Self.short
        let killed = try CommandRunner(analyze)(arguments, shell: "ulimit -f \(blocks)")
        #expect(killed.signal == SIGXFSZ, "\(killed)")
        try expectOnlyWholeFiles(in: folder)

        try FileManager.default.removeItem(atPath: folder)
        let failed = try CommandRunner(analyze)(
            arguments, shell: "trap '' XFSZ; ulimit -f \(blocks)")
        expectFailure(failed, naming: [folder, "cannot write"])
        try expectOnlyWholeFiles(in: folder)
        #expect(names(in: folder)?.contains { $0.contains(".tmp") } != true, "none is left")
    }

    @Test(arguments: [SIGKILL, SIGINT, SIGTERM])
    func aKillDuringThePassLeavesNothing(signal: Int32) throws {
        let model = try TinyModel("llama-deep", tokenizer: false)
        try model.write(ids: (0..<400_000).map { 3 + ($0 * 31) % 128 }, to: "long.u16")
        let folder = model.file("run")
        let running = try CommandRunner(analyze).start(
            ["probe", "--model", model.path, "--data", model.file("long.u16"), "--out", folder])
        let deadline = Date.now + 300
        while names(in: folder) == nil, Date.now < deadline { usleep(5000) }
        try #require(names(in: folder) != nil, "the pass has begun")
        usleep(100_000)
        running.send(signal)
        let result = try running.finish()
        #expect(result.signal == signal, "\(result)")
        try expectOnlyWholeFiles(in: folder)
        #expect(names(in: folder) == [])
    }

    /// Ctrl-C from before the model is open to after the last file. A run is a whole one or has only
    /// whole files; what an interrupted write leaves has a temporary name, of which there is one at most.
    @Test func anInterruptAtAnyMomentLeavesWholeFiles() throws {
        let model = try TinyModel()
        let folder = model.file("run")
        var random = SystemRandomNumberGenerator()
        for moment in 0..<16 {
            // A moment from each sixteenth of the 240 ms in which such a run starts and ends.
            let delay = UInt32(moment) * 15_000 + UInt32.random(in: 0..<15_000, using: &random)
            let running = try CommandRunner(analyze).start(
                ["probe", "--model", model.path, "--out", folder, "--quiet"] + Self.short)
            usleep(delay)
            running.send(SIGINT)
            let result = try running.finish()
            let after: Comment = "after \(delay) µs: \(result)"
            if result.code == 0 {
                #expect(Set(runFiles).isSubset(of: names(in: folder) ?? []), after)
            } else {
                #expect(result.signal == SIGINT, after)
                // The last write may be done when the signal comes.
                if names(in: folder)?.contains("run.json") != true {
                    try expectOnlyWholeFiles(in: folder)
                }
                let others = (names(in: folder) ?? []).filter { !runFiles.contains($0) }
                #expect(others.count <= 1 && others.allSatisfy { $0.contains(".tmp") }, after)
            }
            #expect(Set(names(in: model.scratch.path) ?? []).isSubset(of: ["model", "run"]), after)
            try? FileManager.default.removeItem(atPath: folder)
        }
    }

    /// Under final names stand whole files only, and `run.json` only behind all others.
    private func expectOnlyWholeFiles(in folder: String) throws {
        let present = runFiles.filter { names(in: folder)?.contains($0) == true }
        #expect(!present.contains("run.json"))
        for name in present {
            if let schema = name.hasSuffix(".json") ? String(name.dropLast(5)) : nil {
                let json = try JSON.read(path: folder + "/" + name)
                #expect(try SchemaValidator(schema).problems(json).isEmpty)
            } else if name.hasSuffix(".h5") {
                #expect(try !EvidenceFile.read(folder + "/" + name).probe.isEmpty)
            } else {
                let text = try String(contentsOfFile: folder + "/" + name, encoding: .utf8)
                #expect(text.hasSuffix(name == "report.html" ? "</html>\n" : "\n"))
            }
        }
    }
}
