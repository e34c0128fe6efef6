// `etd train` as a user runs it: what a run leaves, runs that go on, signals, and bad input. Gradients and
// optimizers: TrainingTests.

import Files
import Foundation
import TestSupport
import Testing

@Suite struct TrainTests {
    private let folder: ScratchDirectory
    private let etd: CommandRunner

    init() throws {
        folder = try ScratchDirectory()
        etd = try CommandRunner("etd")
        var random = SeededRandom(1)
        let ids = (0..<8000).map {
            $0 % 3 == 0 ? $0 * 7 % 131 : Int.random(in: 0..<131, using: &random)
        }
        try folder.write(ids.flatMap { [UInt8($0), 0] }, to: "tokens.u16")
    }

    private func configuration(_ changes: String = "", out: String = "RUN") throws -> String {
        let text = """
            model: \(Locations.golden("models/olmo2-gqa").path)
            split: 1-2-2
            iterations: {sample: uniform, low: 1, high: 3}
            data: [{path: \(folder.file("tokens.u16")), weight: 1}]
            sequence_length: 32
            batch_size: 4
            micro_batch_size: 2
            steps: 12
            shuffle: true
            optimizer: {name: adamw, lr: 1.0e-3}
            z_loss: 1e-5
            out: \(folder.file(out))
            checkpoint_every: 5
            \(changes)
            """
        return try folder.write(text.utf8, to: "\(out).yaml")
    }

    private func bytes(_ run: String, _ step: Int, _ name: String) throws -> Data {
        try Data(contentsOf: URL(filePath: folder.file("\(run)/checkpoint-\(step)/\(name)")))
    }

    /// Lines of metrics.jsonl without what the clock says.
    private func metrics(_ run: String) throws -> [JSON] {
        let text = try String(contentsOfFile: folder.file("\(run)/metrics.jsonl"), encoding: .utf8)
        return try text.split(separator: "\n").map { line in
            var object = try JSON.parse(Array(line.utf8)).objectValue ?? [:]
            #expect((object["tokens_per_s"]?.doubleValue ?? 0) > 0)
            object["tokens_per_s"] = nil
            return .object(object)
        }
    }

    private func expectEqual(_ a: String, _ b: String, step: Int) throws {
        for name in ["model.safetensors", "optimizer.safetensors"] {
            #expect(try bytes(a, step, name) == bytes(b, step, name), "\(name)")
        }
        #expect(try metrics(a) == metrics(b))
    }

    @Test func aRunLeavesMetricsAndCheckpointsAndGoesOnFromThem() throws {
        let result = try etd("train", "--config", try configuration(), "--threads", "1")
        #expect(result.code == 0, "\(result)")
        let lines = try metrics("RUN")
        #expect(lines.map { $0["step"]?.intValue } == (1...12).map { $0 })
        for line in lines {
            let sum = (line["ce"]?.doubleValue ?? 0) + (line["z_loss"]?.doubleValue ?? 0)
            #expect(abs((line["loss"]?.doubleValue ?? 0) - sum) < 1e-12)
            #expect(line["tokens"]?.intValue == 128)
        }
        #expect(Set(lines.compactMap { $0["iterations"]?.intValue }) == [1, 2, 3])
        let names = try FileManager.default.contentsOfDirectory(
            atPath: folder.file("RUN/checkpoint-10"))
        #expect(
            Set(names).isSuperset(
                of: ["config.json", "model.safetensors", "optimizer.safetensors", "trainer.json"]))

        // As a run that was killed after its checkpoint of step 5.
        try FileManager.default.copyItem(atPath: folder.file("RUN"), toPath: folder.file("KILLED"))
        for step in [10, 12] {
            try FileManager.default.removeItem(atPath: folder.file("KILLED/checkpoint-\(step)"))
        }
        let again = try etd(
            "train", "--config", try configuration(out: "KILLED"), "--threads", "2", "--set",
            "micro_batch_size=2")
        #expect(again.code == 0 && again.errors.contains("step 5 of 12"), "\(again)")
        try expectEqual("RUN", "KILLED", step: 12)

        let plot = try etd("train", "--config", try configuration(), "--plot")
        #expect(
            plot.code == 0 && plot.text.contains("loss ") && plot.text.contains("lr "), "\(plot)")

        let done = try etd("train", "--config", try configuration())
        #expect(done.code == 0 && done.errors.contains("has its 12 steps already"), "\(done)")
    }

    @Test(arguments: [SIGINT, SIGTERM])
    func aSignalLeavesACheckpoint(_ signal: Int32) throws {
        let long = "trains: all"
        let whole = try etd(
            "train", "--config", try configuration(long), "--set", "steps=300", "--set",
            "checkpoint_every=1000")
        #expect(whole.code == 0, "\(whole)")
        let stopped = [
            "train", "--config", try configuration(long, out: "STOPPED"), "--set", "steps=300",
            "--set", "checkpoint_every=1000",
        ]
        let running = try etd.start(stopped)
        let metricsPath = folder.file("STOPPED/metrics.jsonl")
        for _ in 0..<2000 {
            let size =
                (try? FileManager.default.attributesOfItem(atPath: metricsPath)[.size]) as? Int
            if (size ?? 0) > 1000 { break }
            usleep(5000)
        }
        running.send(signal)
        let result = try running.finish()
        #expect(result.code == 0, "\(result)")
        let states = try FileManager.default.contentsOfDirectory(atPath: folder.file("STOPPED"))
            .filter { $0.hasPrefix("checkpoint-") }
        #expect(states.count == 1, "\(result)")
        let again = try etd(stopped)
        #expect(again.code == 0, "\(again)")
        try expectEqual("RUN", "STOPPED", step: 300)
    }

    @Test(arguments: [
        ("optimizer.wieght_decay=0.1", "did you mean optimizer.weight_decay?"),
        ("setps=3", "did you mean steps?"),
        ("split=3-3-3", "but the model has 5"),
        ("sequence_length=4096", "sequence_length: 4096 is longer than the model's context"),
        ("data=[{path: tokens.u16, weight: 0}]", "data: the weights sum to 0"),
        ("data=[]", "data: names no file"),
        ("optimizer.name=adamv", "did you mean adamw?"),
        ("micro_batch_size=3", "micro_batch_size: 3 does not divide batch_size 4"),
        ("optimizer.lr=fast", "optimizer.lr: expected a number"),
        ("iterations={sample: unifrom, high: 3}", "iterations.sample:"),
        ("lora={rank: 4, targets: [w]}", "lora.targets: expected some of"),
    ])
    func badInputIsNamed(_ change: String, _ message: String) throws {
        let result = try etd("train", "--config", try configuration(), "--set", change)
        #expect(result.code == 1 && result.errorLines.count == 1, "\(result)")
        #expect(result.errors.contains(message), "\(result)")
        #expect(!FileManager.default.fileExists(atPath: folder.file("RUN/metrics.jsonl")))
    }

    @Test func anIdBeyondTheVocabularyIsNamed() throws {
        try folder.write(
            Array(repeating: [3, 0], count: 100).flatMap(\.self) + [131, 0], to: "bad.u16")
        let result = try etd(
            "train", "--config", try configuration(), "--set",
            "data=[{path: \(folder.file("bad.u16"))}]")
        #expect(result.code == 1, "\(result)")
        #expect(result.errors.contains("bad.u16: token 100, byte 200 of the ids"), "\(result)")
    }

    @Test func anotherConfigurationOrOtherDataDoesNotGoOn() throws {
        let path = try configuration()
        #expect(try etd("train", "--config", path).code == 0)
        let other = try etd("train", "--config", path, "--set", "optimizer.lr=2e-3")
        #expect(
            other.code == 1 && other.errors.contains("optimizer.lr 0.001, not 0.002"), "\(other)")
        try FileManager.default.removeItem(atPath: folder.file("RUN/checkpoint-12"))
        try folder.write(Array(repeating: [5, 0], count: 4000).flatMap(\.self), to: "tokens.u16")
        let data = try etd("train", "--config", path)
        #expect(data.code == 1 && data.errors.contains("other data"), "\(data)")
        let anew = try etd("train", "--config", path, "--overwrite")
        #expect(anew.code == 0, "\(anew)")
    }

    @Test func aLossThatIsNoNumberStopsAndKeepsTheLastCheckpoint() throws {
        let path = try configuration("clip_norm: null\nschedule: {name: constant}")
        let result = try etd(
            "train", "--config", path, "--set", "optimizer.lr=1e5", "--set",
            "optimizer.weight_decay=1e4", "--set", "checkpoint_every=1")
        #expect(result.code == 1, "\(result)")
        #expect(result.errors.contains("NaN or Inf in the loss, first at "), "\(result)")
        #expect(result.errors.contains("is the last good checkpoint"), "\(result)")
    }

    @Test func twoTrainersDoNotShareAFolder() throws {
        let path = try configuration()
        let first = try etd.start(["train", "--config", path, "--set", "steps=100000"])
        for _ in 0..<2000 {
            if FileManager.default.fileExists(atPath: folder.file("RUN/metrics.jsonl")) { break }
            usleep(5000)
        }
        let second = try etd("train", "--config", path)
        #expect(
            second.code == 1 && second.errors.contains("another process is writing there"),
            "\(second)")
        first.send(SIGTERM)
        #expect(try first.finish().code == 0)
    }

    @Test func aFullDiskLeavesTheOldCheckpoint() throws {
        let path = try configuration()
        #expect(try etd("train", "--config", path).code == 0)
        try FileManager.default.copyItem(atPath: folder.file("RUN"), toPath: folder.file("WHOLE"))
        for step in [10, 12] {
            try FileManager.default.removeItem(atPath: folder.file("RUN/checkpoint-\(step)"))
        }
        let before = try bytes("RUN", 5, "model.safetensors")
        let full = try etd(["train", "--config", path], shell: "trap '' XFSZ; ulimit -f 40")
        #expect(full.code == 1 && full.errors.contains("checkpoint-10"), "\(full)")
        #expect(try bytes("RUN", 5, "model.safetensors") == before)
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.file("RUN"))
        #expect(names.filter { $0.hasPrefix("checkpoint-") } == ["checkpoint-5"], "\(names)")
        #expect(try etd("train", "--config", path).code == 0)
        try expectEqual("RUN", "WHOLE", step: 12)

        try FileManager.default.removeItem(
            atPath: folder.file("RUN/checkpoint-12/model.safetensors"))
        let missing = try etd(
            "train", "--config", path, "--set", "model=\(folder.file("RUN"))", "--set",
            "out=\(folder.file("NEXT"))")
        #expect(missing.code == 1 && missing.errors.contains("checkpoint-12"), "\(missing)")
    }

    /// Moments come along, or with `reset_optimizer` do not.
    @Test func anotherTrainingBeginsWhereARunEnded() throws {
        #expect(try etd("train", "--config", try configuration()).code == 0)
        let next = [
            "train", "--config", try configuration(out: "NEXT"), "--set",
            "model=\(folder.file("RUN"))",
        ]
        let result = try etd(next)
        #expect(
            result.code == 0 && result.errors.contains("takes the optimizer's moments"), "\(result)"
        )
        let reset = try etd(
            next + ["--set", "out=\(folder.file("RESET"))", "--set", "reset_optimizer=true"])
        #expect(reset.code == 0 && !reset.errors.contains("moments"), "\(reset)")
        #expect(try metrics("NEXT")[1] != metrics("RESET")[1])
    }

    @Test func textIsPackedAndHeldOutTextMeasured() throws {
        let lines = (0..<40).map { index in
            "{\"tokens\": [\((0..<50).map { "\(($0 * index + 5) % 131)" }.joined(separator: ","))]}"
        }
        try folder.write(lines.joined(separator: "\n").utf8, to: "lines.jsonl")
        let result = try etd(
            "train", "--config", try configuration(), "--set",
            "data=[{path: \(folder.file("lines.jsonl"))}, {path: \(folder.file("tokens.u16")), weight: 2}]",
            "--set", "validation={data: \(folder.file("tokens.u16")), every: 6, sequences: 4}",
            "--set", "document_attention=true", "--set", "trains=think")
        #expect(result.code == 0, "\(result)")
        let lengths = try metrics("RUN").map { $0["validation_ce"]?.doubleValue != nil }
        #expect(lengths.indices.filter { lengths[$0] } == [5, 11])
    }

    @Test func tokenFilesAreTheTokenizersIds() throws {
        let tiny = try TinyModel()
        let model = tiny.path
        let out = folder.file("ids.u16")
        let text = "one two\nthree\n"
        let result = try etd(["tokenize", "--model", model, "--out", out], input: text)
        #expect(result.code == 0 && result.errors.contains("2 texts"), "\(result)")
        let plain = try etd(["tokenize", "--model", model], input: text)
        let expected = try plain.lines.map {
            try JSON.parse(Array($0.utf8)).arrayValue?.compactMap(\.intValue) ?? []
        }
        let bytes = [UInt8](try Data(contentsOf: URL(filePath: out)))
        let ids = stride(from: 0, to: bytes.count, by: 2).map {
            Int(bytes[$0]) | Int(bytes[$0 + 1]) << 8
        }
        let ends = ids.count - expected.joined().count
        #expect(ends == 0 || ends == 2)
        #expect(Array(ids.prefix(expected[0].count)) == expected[0])
        let again = try etd(["tokenize", "--model", model, "--out", out], input: text)
        #expect(again.code == 1 && again.errors.contains("exists"), "\(again)")
        let odd = try etd(
            ["tokenize", "--model", model, "--out", folder.file("ids.bin")], input: text)
        #expect(odd.code == 1 && odd.errors.contains("end the name with .u16 or .u32"), "\(odd)")
    }
}
