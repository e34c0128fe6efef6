// What a dump leaves behind when it is killed, when the disk is full, and when others are in its way.

import Activations
import Files
import Foundation
import TestSupport
import Testing

@Suite struct DumpSurvivalTests {
    private static func wait(_ seconds: Double) { usleep(UInt32(seconds * 1e6)) }

    /// Kills a dump at `kills` random moments, each of a dump of its own that is then continued, and
    /// compares the file with one that nobody disturbed: equal bytes are equal data sets and attributes.
    /// More kills follow, and earlier ones, until half as many have found the file unfinished: how long
    /// a dump takes changes with what else the machine does.
    private func killAndContinue(
        _ fixture: DumpFixture, _ arguments: [String], kills: Int, seed: UInt64
    ) throws {
        let clock = ContinuousClock()
        let start = clock.now
        let whole = try CommandRunner(analyze)(fixture.arguments("whole.h5", arguments))
        try #require(whole.code == 0, "\(whole)")
        var latest = (clock.now - start) / .seconds(1)
        let expected = try bytes(of: fixture.file("whole.h5"))
        var random = SeededRandom(seed)
        var unfinished = 0
        var kill = 0
        while kill < kills || unfinished < kills / 2, kill < 10 * kills {
            kill += 1
            let name = "killed\(kill).h5"
            let out = fixture.file(name)
            let running = try CommandRunner(analyze).start(fixture.arguments(name, arguments))
            Self.wait(Double.random(in: 0...latest, using: &random))
            running.send(SIGKILL)
            _ = try running.finish()
            if FileManager.default.fileExists(atPath: out) {
                #expect(try bytes(of: out) == expected, "kill \(kill)")
                latest *= 0.9
            } else {
                unfinished += 1
            }
            // The killed run may have been done but for clearing up, or even with that.
            let again = try CommandRunner(analyze)(fixture.arguments(name, arguments))
            if again.code != 0 {
                expectFailure(again, naming: [name, "exists"])
                #expect(FileManager.default.fileExists(atPath: out))
            }
            #expect(try bytes(of: out) == expected, "kill \(kill)")
            #expect(!FileManager.default.fileExists(atPath: out + ".parts"), "kill \(kill)")
            try FileManager.default.removeItem(atPath: out)
        }
        #expect(unfinished >= kills / 2, "the kills came too late to show anything")
    }

    @Test func activationsSurviveSIGKILL() throws {
        let fixture = try DumpFixture(documents: 100)
        try killAndContinue(
            fixture,
            ["--sites", "resid,attn_out,q", "--dtype", "bf16", "--part-size", "0", "--text"],
            kills: 20, seed: 1)
    }

    @Test func momentsSurviveSIGKILL() throws {
        let fixture = try DumpFixture(documents: 40)
        try killAndContinue(
            fixture, ["--sites", "resid,v", "--moments", "--part-size", "0"], kills: 8, seed: 2)
    }

    /// What was finished before the kill is not made again.
    @Test func aContinuedDumpKeepsFinishedParts() throws {
        let fixture = try DumpFixture(documents: 400)
        let arguments = fixture.arguments("a.h5", ["--part-size", "0"])
        let running = try CommandRunner(analyze).start(arguments)
        let first = fixture.file("a.h5.parts/part-00000.h5")
        while running.isRunning, !FileManager.default.fileExists(atPath: first) { usleep(500) }
        running.send(SIGKILL)
        _ = try running.finish()
        try #require(FileManager.default.fileExists(atPath: first), "the dump was too fast")
        // If it were made anew, this would not fail.
        let intact = try bytes(of: first)
        try intact.prefix(intact.count / 2).write(to: URL(filePath: first))
        let result = try CommandRunner(analyze)(arguments)
        expectFailure(result, naming: ["part-00000.h5", "truncated"])
        try intact.write(to: URL(filePath: first))
        try fixture.dump("a.h5", "--part-size", "0")
        try fixture.dump("b.h5")
        #expect(try bytes(of: fixture.file("a.h5")) == bytes(of: fixture.file("b.h5")))
    }

    /// Another command line does not continue it.
    @Test func partsOfAnotherCommand() throws {
        let fixture = try DumpFixture(documents: 400)
        let running = try CommandRunner(analyze).start(
            fixture.arguments("a.h5", ["--part-size", "0"]))
        let folder = fixture.file("a.h5.parts")
        while running.isRunning,
            !FileManager.default.fileExists(atPath: folder + "/part-00000.h5")
        {
            usleep(500)
        }
        running.send(SIGKILL)
        _ = try running.finish()
        let result = try CommandRunner(analyze)(
            fixture.arguments("a.h5", ["--part-size", "0", "--dtype", "bf16"]))
        expectFailure(result, naming: ["a.h5.parts", "dtype", "f32", "bf16"])
    }

    @Test(
        .enabled(if: SmallDisk.isAvailable, "needs root, to mount a tmpfs"),
        arguments: [true, false])
    func fullDisk(moments: Bool) throws {
        let fixture = try DumpFixture(documents: 60)
        let arguments = ["--part-size", "0"] + (moments ? ["--moments"] : [])
        try fixture.dump("whole.h5", arguments[0], arguments[1], moments ? "--moments" : "--quiet")
        let expected = try bytes(of: fixture.file("whole.h5"))
        for share in [8, 2, 1] {
            let disk = try SmallDisk(kibibytes: expected.count / 1024 / share + 4)
            let out = disk.path + "/a.h5"
            var command = fixture.arguments("", arguments)
            command[command.firstIndex(of: "--out")! + 1] = out
            let result = try CommandRunner(analyze)(command)
            expectFailure(result, naming: ["a.h5", "No space left"])
            #expect(!FileManager.default.fileExists(atPath: out))
            try disk.remount("size=64m")
            let again = try CommandRunner(analyze)(command)
            #expect(again.code == 0, "\(again)")
            #expect(try bytes(of: out) == expected)
            #expect(names(in: disk.path) == ["a.h5"])
        }
    }

    @Test func targetsThatCannotBeWritten() throws {
        let fixture = try DumpFixture(documents: 2)
        let missing = fixture.file("no/such")
        for more in [[], ["--moments"]] {
            let result = try CommandRunner(analyze)(fixture.arguments("no/such/a.h5", more))
            expectFailure(result, naming: [missing])
            #expect(try fixture.names().isEmpty)
            let kept = try fixture.model.write("mine", to: "a.h5")
            expectFailure(
                try CommandRunner(analyze)(fixture.arguments("a.h5", more)),
                naming: ["a.h5", "exists", "--overwrite"])
            #expect(try bytes(of: kept) == Data("mine".utf8))
            try FileManager.default.removeItem(atPath: kept)
        }
    }

    @Test(.enabled(if: SmallDisk.isAvailable, "needs root, to mount a tmpfs"))
    func readOnlyTarget() throws {
        let fixture = try DumpFixture(documents: 2)
        let disk = try SmallDisk(kibibytes: 1024)
        try disk.remount("ro")
        var command = fixture.arguments("", [])
        command[command.firstIndex(of: "--out")! + 1] = disk.path + "/a.h5"
        expectFailure(
            try CommandRunner(analyze)(command), naming: [disk.path, "Read-only file system"])
    }

    @Test func twoProcessesOnOneTarget() throws {
        let fixture = try DumpFixture(documents: 400)
        let first = try CommandRunner(analyze).start(
            fixture.arguments("a.h5", ["--part-size", "0"]))
        let lock = fixture.file("a.h5.parts/command.json")
        while first.isRunning, !FileManager.default.fileExists(atPath: lock) { usleep(500) }
        let second = try CommandRunner(analyze)(fixture.arguments("a.h5", ["--part-size", "0"]))
        expectFailure(second, naming: ["a.h5.parts", "another process"])
        let result = try first.finish()
        #expect(result.code == 0, "\(result)")
        try fixture.dump("b.h5")
        #expect(try bytes(of: fixture.file("a.h5")) == bytes(of: fixture.file("b.h5")))
    }

    /// The error says where, and nothing is left, not even parts that were finished before.
    @Test func overflowOfF16LeavesNothing() throws {
        let fixture = try DumpFixture(documents: 60)
        // The last token of the last document, alone of its kind.
        let text = String(decoding: try bytes(of: fixture.data), as: UTF8.self)
        let ids = [Int](repeating: 5, count: 9) + [120]
        try fixture.model.write(text + line(["tokens": .ids(ids)]), to: "data.jsonl")
        try fixture.model.set("model.embed_tokens.weight", at: 120 * 32 + 3, to: 70000)
        let result = try CommandRunner(analyze)(
            fixture.arguments("a.h5", ["--dtype", "f16", "--part-size", "0"]))
        expectFailure(
            result,
            naming: ["resid", "layer 0", "70000", "position 9 of document 60", "--dtype bf16"])
        #expect(try fixture.names().isEmpty)
        try fixture.dump("b.h5", "--dtype", "bf16")
        #expect(try ActivationFile(path: fixture.file("b.h5")).site("resid").maxAbs[0] == 70144)
    }

    @Test func damagedFiles() throws {
        let fixture = try DumpFixture(documents: 40)
        let path = try fixture.dump("a.h5")
        let whole = try bytes(of: path)
        for share in [0.999, 0.5, 0.001] {
            let cut = fixture.file("cut.h5")
            try whole.prefix(Int(Double(whole.count) * share)).write(to: URL(filePath: cut))
            let result = try CommandRunner(analyze)("inspect", cut)
            expectFailure(result, naming: ["cut.h5"])
            #expect(throws: ActivationError.self) { try ActivationFile(path: cut) }
        }
        try fail(analyze, "inspect", fixture.file("gone.h5"), naming: ["gone.h5"])
        try fixture.model.write("no HDF5", to: "text.h5")
        try fail(analyze, "inspect", fixture.file("text.h5"), naming: ["text.h5", "HDF5"])
    }

    @Test func virtualDumpsNeedTheirParts() throws {
        let fixture = try DumpFixture(documents: 60)
        let plain = try ActivationFile(path: fixture.dump("a.h5"))
        let path = try fixture.dump("v.h5", "--virtual", "--part-size", "0")
        let parts = try #require(names(in: path + ".parts"))
        #expect(parts.count > 2 && parts.allSatisfy { $0.hasPrefix("part-") })
        let virtual = try ActivationFile(path: path)
        #expect(virtual.table == plain.table)
        for layer in try plain.site("resid").layers {
            #expect(
                try virtual.values("resid", layer: layer) == plain.values("resid", layer: layer))
        }
        // The pair may move.
        let moved = fixture.file("moved")
        let manager = FileManager.default
        try manager.createDirectory(atPath: moved, withIntermediateDirectories: true)
        try manager.moveItem(atPath: path, toPath: moved + "/v.h5")
        try manager.moveItem(atPath: path + ".parts", toPath: moved + "/v.h5.parts")
        #expect(
            try ActivationFile(path: moved + "/v.h5").values("resid", layer: 2)
                == plain.values("resid", layer: 2))
        let part = moved + "/v.h5.parts/" + parts[1]
        try manager.removeItem(atPath: part)
        try fail(analyze, "inspect", moved + "/v.h5", naming: ["v.h5", parts[1], "missing"])
        #expect(
            throws: ActivationError.missingPart(
                path: moved + "/v.h5", part: "v.h5.parts/" + parts[1])
        ) { try ActivationFile(path: moved + "/v.h5") }
    }

    /// What a pipe or standard output gets is no part of anything that stays.
    @Test func aVirtualDumpNeedsAFile() throws {
        let fixture = try DumpFixture(documents: 2)
        var arguments = fixture.arguments("a.h5", ["--virtual"])
        arguments[arguments.firstIndex(of: "--out")! + 1] = "-"
        expectFailure(try CommandRunner(analyze)(arguments), naming: ["--virtual"])
    }

    /// A killed dump's parts are no leave to replace a file that came meanwhile.
    @Test func aFileThatCameMeanwhileStays() throws {
        let fixture = try DumpFixture(documents: 400)
        let arguments = fixture.arguments("a.h5", ["--part-size", "0"])
        let running = try CommandRunner(analyze).start(arguments)
        let first = fixture.file("a.h5.parts/part-00000.h5")
        while running.isRunning, !FileManager.default.fileExists(atPath: first) { usleep(500) }
        running.send(SIGKILL)
        _ = try running.finish()
        try #require(FileManager.default.fileExists(atPath: first), "the dump was too fast")
        let mine = try fixture.model.write("mine", to: "a.h5")
        expectFailure(try CommandRunner(analyze)(arguments), naming: ["a.h5", "exists"])
        #expect(try bytes(of: mine) == Data("mine".utf8))
        let done = try CommandRunner(analyze)(arguments + ["--overwrite"])
        #expect(done.code == 0, "\(done)")
        #expect(try ActivationFile(path: mine).table.offsets.count == 400)
    }

    /// U+0000 inside, at the start and at the end, in texts and in labels, of one dump and of shards.
    @Test func textsWithNul() throws {
        let model = try TinyModel()
        let labels = ["a\0b", "\0", "", "ends\0\0", "plain"]
        let lines = labels.map { line(["text": "the thin", "label": .string($0)]) }
        let data = try model.write(lines.joined(), to: "d.jsonl")
        let dump = ["dump", "--model", model.path, "--data", data, "--labels", "--quiet", "--out"]
        func stored(_ path: String) throws -> DumpTable.Values? {
            try ActivationFile(path: path).table.labels.first?.values
        }
        let whole = model.file("a.h5")
        #expect(try CommandRunner(analyze)(dump + [whole]).code == 0)
        #expect(try stored(whole) == .texts(labels))
        let shards = [model.file("1.h5"), model.file("2.h5")]
        for (index, shard) in shards.enumerated() {
            let made = try CommandRunner(analyze)(dump + [shard, "--shard", "\(index + 1)/2"])
            #expect(made.code == 0, "\(made)")
        }
        let merged = model.file("m.h5")
        try succeed(analyze, "merge", shards[0], shards[1], "--out", merged)
        #expect(try bytes(of: merged) == bytes(of: whole))
        let result = try CommandRunner(analyze)("inspect", whole, "--json")
        #expect(result.code == 0 && !result.output.contains(0), "\(result)")
    }
}
