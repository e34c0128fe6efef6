// `probe --relevance` and the gate of `scan --item-tasks`, on models too small to do any task.

import Activations
import Files
import Foundation
import TestSupport
import Testing

@Suite struct RelevanceCommandTests {
    private func model(context: Int = 4096) throws -> TinyModel {
        let model = try TinyModel()
        try model.configure(["max_position_embeddings": .number(context)])
        return model
    }

    /// A model of random weights does nothing: the run says so, in words, and has no scores.
    @Test func aModelThatDoesNothingHasNoScores() throws {
        let model = try model()
        let text = try model.write("the end in the hat\n", to: "text.txt")
        let result = try CommandRunner("etd-analyze")([
            "probe", "--model", model.path, "--out", model.file("run"), "--data", text,
            "--sequence-length", "8", "--passes", "angular", "--relevance", "--relevance-tasks",
            "comparison_chain,variable_assignment", "--relevance-items", "100",
        ])
        try #require(result.code == 0, "\(result)")
        let json = try JSON.read(path: model.file("run/layers.json"))
        #expect(try SchemaValidator("layers").problems(json) == [])
        let relevance = try #require(json["relevance"])
        let trials = relevance["gate"]?.arrayValue ?? []
        #expect(trials.count >= 2)
        let passed = trials.filter { $0["passed"]?.boolValue == true }
        if passed.isEmpty {
            #expect(relevance["read"] == .null || relevance["read"] == nil)
            #expect(json["layers"]?.arrayValue?.first?["scores"]?["use"] == nil)
            let page = try String(contentsOfFile: model.file("run/report.html"), encoding: .utf8)
            #expect(page.contains("No reasoning task passes the gate"))
        }
    }

    @Test func tasksThatAreNotDoneAreLeftOut() throws {
        let model = try model()
        let text = try model.write("the end in the hat\n", to: "text.txt")
        let result = try CommandRunner("etd-analyze")([
            "scan", "--model", model.path, "--out", model.file("run"), "--data", text,
            "--sequence-length", "8", "--item-tasks", "syllogism", "--kinds", "skip",
        ])
        #expect(result.code == 1, "\(result)")
        #expect(result.errors.contains("no task passes the gate"), "\(result)")
        #expect(result.errors.contains("not done, left out"))
        #expect(!FileManager.default.fileExists(atPath: model.file("run")))
    }

    @Test(
        arguments: [
            (["scan", "--item-tasks", "token_class"], 1, "surface control"),
            (["scan", "--item-tasks", "nosuch"], 1, "no task \"nosuch\""),
            (["probe", "--relevance", "--relevance-items", "5"], 64, "--relevance-items"),
            (["probe", "--relevance", "--use-items", "1"], 64, "--use-items"),
            (["probe", "--relevance", "--relevance-tasks", "word_length"], 64, "surface control"),
            (
                ["probe", "--relevance", "--split", "1-2*2-1"], 64,
                "--relevance is of the model as it is"
            ),
            (["probe", "--relevance", "--shard", "1/2"], 64, "--relevance runs items of its own"),
            (
                [
                    "probe", "--relevance", "--relevance-budget", "0.000001s", "--sequence-length",
                    "8",
                    "--passes", "angular",
                ], 1, "--relevance-budget: over before"
            ),
        ] as [([String], Int32, String)])
    func badOptionsAreRefused(_ arguments: [String], _ code: Int32, _ problem: String) throws {
        let model = try model()
        let text = try model.write("the end in the hat\n", to: "text.txt")
        let result = try CommandRunner("etd-analyze")(
            arguments + ["--model", model.path, "--out", model.file("run"), "--data", text])
        #expect(result.code == code, "\(result)")
        #expect(result.errors.contains(problem), "\(result)")
    }

    /// Where no item fits the context, nothing is tried and nothing breaks.
    @Test func itemsBeyondTheContextAreNotTried() throws {
        let model = try model(context: 16)
        let text = try model.write("the end in the hat\n", to: "text.txt")
        let result = try CommandRunner("etd-analyze")([
            "probe", "--model", model.path, "--out", model.file("run"), "--data", text,
            "--sequence-length", "8", "--passes", "angular", "--relevance", "--relevance-tasks",
            "syllogism",
        ])
        try #require(result.code == 0, "\(result)")
        let json = try JSON.read(path: model.file("run/layers.json"))
        let trials = json["relevance"]?["gate"]?.arrayValue ?? []
        #expect(trials.count == 1 && trials[0]["items"]?.intValue == 0)
    }
}
