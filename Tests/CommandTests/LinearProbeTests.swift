// `etd-analyze probe --probes` and `etd-analyze tasks`: what they write, and what they refuse.

import Files
import Foundation
import TestSupport
import Testing

@Suite struct LinearProbeTests {
    /// Letters to be told apart: the label is the last letter, so it stands in the embedding.
    private func letters(_ count: Int = 60) -> String {
        (0..<count).map { index in
            let letter = ["p", "q", "z"][index % 3]
            return line(["text": .string("a\(index) \(letter)"), "label": .string(letter)])
        }.joined()
    }

    @Test func aTaskOfOnesOwnIsReadFromTheEmbeddingAndFlagged() throws {
        let model = try TinyModel()
        try model.write(letters(), to: "letters.jsonl")
        let arguments = [
            "--sequences", "2", "--sequence-length", "16", "--probe-data",
            model.file("letters.jsonl"), "--probes", "full",
        ]
        let run = try ProbeFiles(model, arguments + ["--threads", "1"])
        let json = try run.layers()
        let problems = try SchemaValidator("layers").problems(json)
        #expect(problems.isEmpty, "\(problems.joined(separator: "; "))")
        #expect(try SchemaValidator("run").problems(run.json("run.json")).isEmpty)
        let probes = try #require(json["probes"])
        #expect(probes["boundaries"]?.arrayValue?.count == 5)
        let task = try #require(probes["tasks"]?.arrayValue?.first)
        #expect(task["name"] == "letters.jsonl")
        #expect(task["kind"] == "data")
        #expect(task["readable_at"] == 0)
        #expect(task["surface"] == true)
        #expect(task["examples"]?["test"] == 12)
        for probe in ["ridge", "logistic"] {
            let readings = try #require(task[probe]?.arrayValue)
            #expect(readings.count == 5)
            #expect(readings[0]["accuracy"]?.doubleValue == 1)
        }
        // What probes read is no score of a layer.
        #expect(json["layers"]?.arrayValue?.first?["scores"]?.objectValue?.isEmpty == true)
        #expect(try run.json("run.json")["timings"]?["probe_fit_s"] != nil)

        let other = try ProbeFiles(model, arguments + ["--threads", "3"], out: "other")
        #expect(
            try bytes(of: run.folder + "/layers.json") == bytes(of: other.folder + "/layers.json"))
    }

    @Test func generatedTasksAreReadAtEveryBoundary() throws {
        let model = try TinyModel()
        let run = try ProbeFiles(
            model,
            [
                "--sequences", "2", "--sequence-length", "16", "--probe-tasks",
                "bracket_depth,previous_token:2", "--probe-examples", "60", "--probe-seed", "3",
                "--probe-features", model.file("features"),
            ])
        let json = try run.layers()
        #expect(try SchemaValidator("layers").problems(json).isEmpty)
        let layers = try #require(json["layers"]?.arrayValue)
        #expect(layers.count == 4)
        #expect(layers.allSatisfy { $0["scores"]?.objectValue?.isEmpty == true })
        let report = try String(contentsOfFile: run.folder + "/report.html", encoding: .utf8)
        #expect(report.contains("bracket_depth") || report.contains("bracket depth"))
        let features = try Data(contentsOf: URL(filePath: model.file("features/bracket_depth.npy")))
        #expect(features.starts(with: [0x93] + Array("NUMPY".utf8)))
        let header = String(decoding: features.prefix(128), as: UTF8.self)
        #expect(header.contains("'shape': (5, 60, "))
        let lines = try TestLines.read(model.file("features/bracket_depth.jsonl"))
        #expect(lines.count == 60)
    }

    @Test func aLoopedPlanHasMoreBoundariesAndNoLayerScores() throws {
        let model = try TinyModel()
        let arguments = [
            "--sequences", "2", "--sequence-length", "16", "--probe-tasks",
            "bracket_depth,token_class", "--probe-examples", "60",
        ]
        let looped = try ProbeFiles(
            model, arguments + ["--split", "1-2-1", "--iterations", "3"], out: "looped")
        let json = try looped.layers()
        #expect(try SchemaValidator("layers").problems(json).isEmpty)
        #expect(json["probes"]?["plan"] == "1-2*3-1")
        let boundaries = try #require(json["probes"]?["boundaries"]?.arrayValue)
        #expect(boundaries.map { $0["layer"]?.intValue } == [nil, 0, 1, 2, 1, 2, 1, 2, 3])
        #expect(boundaries.map { $0["iteration"]?.intValue } == [nil, nil, 1, 1, 2, 2, 3, 3, nil])
        #expect(json["layers"]?.arrayValue?.first?["scores"]?.objectValue?.isEmpty == true)
        // Up to the end of the first pass the states are the base model's.
        let base = try ProbeFiles(model, arguments, out: "base").layers()
        let ours = try #require(json["probes"]?["tasks"]?.arrayValue?[0]["ridge"]?.arrayValue)
        let theirs = try #require(base["probes"]?["tasks"]?.arrayValue?[0]["ridge"]?.arrayValue)
        #expect(ours.count == 9 && theirs.count == 5)
        #expect(Array(ours[0...3]) == Array(theirs[0...3]))
    }

    @Test func badDataIsNamed() throws {
        let model = try TinyModel()
        let good = letters(30)
        let cases: [(String, [String])] = [
            (good + "{\"text\": ", ["bad.jsonl: line 31", "not valid JSON"]),
            (
                good + line(["text": "abc", "label": "p", "position": 7]),
                ["bad.jsonl: line 31", "\"position\" 7", "outside the text"]
            ),
            (
                (0..<20).map { line(["text": .string("a\($0)"), "label": "p"]) }.joined(),
                ["bad.jsonl", "two classes"]
            ),
            (
                (0..<4).map { line(["text": .string("a\($0)"), "label": .string("\($0)")]) }
                    .joined(), ["bad.jsonl", "4 examples for 4 classes"]
            ),
            (
                good + line(["text": .string(String(repeating: "ab ", count: 90)), "label": "p"]),
                ["bad.jsonl: line 31", "exceed the model's context of 128"]
            ),
        ]
        for (index, (text, parts)) in cases.enumerated() {
            try model.write(text, to: "bad.jsonl")
            try fail(
                analyze, "probe", "--model", model.path, "--out", model.file("run\(index)"),
                "--quiet", "--probe-data", model.file("bad.jsonl"), naming: parts)
            #expect(names(in: model.file("run\(index)")) == nil)
        }
        try fail(
            analyze, "probe", "--model", model.path, "--out", model.file("few"), "--quiet",
            "--probe-tasks", "syllogism", "--probe-examples", "9", naming: ["9 examples", "10"])
        let bare = try TinyModel(tokenizer: false)
        try bare.write(line(["tokens": .ids(Array(3..<20))]), to: "one.jsonl")
        try fail(
            analyze, "probe", "--model", bare.path, "--out", bare.file("run"), "--quiet", "--data",
            bare.file("one.jsonl"), "--probes", "ridge", naming: ["tokenizer.json"])
    }

    @Test func tasksAreListedExplainedAndWritten() throws {
        let list = try succeed(analyze, "tasks")
        #expect(list.lines.count == 14)
        for name in ["running_sum", "syllogism", "token_class", "previous_token"] {
            #expect(list.text.contains(name))
        }
        let shown = try succeed(analyze, "tasks", "running_sum:3", "--examples", "5")
        #expect(shown.text.contains("2 to 8; here 3"))
        #expect(shown.lines.count { $0.hasPrefix("  → ") } == 5)

        let scratch = try ScratchDirectory()
        try succeed(
            analyze, "tasks", "syllogism", "--count", "50", "--out", scratch.file("tasks"))
        let lines = try TestLines.read(scratch.file("tasks/syllogism.jsonl"))
        #expect(lines.count == 50)
        #expect(lines.allSatisfy { $0["text"] != nil && $0["label"] != nil && $0["split"] != nil })
    }
}

/// The lines of a JSONL file.
private enum TestLines {
    static func read(_ path: String) throws -> [JSON] {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
            try JSON.parse(Array($0.utf8))
        }
    }
}
