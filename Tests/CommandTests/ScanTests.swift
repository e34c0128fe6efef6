// `etd-analyze scan`: its files, its options, and what it refuses.

import Activations
import Files
import Foundation
import TestSupport
import Testing

@Suite struct ScanTests {
    private let items = [
        (context: "the cat sat in ", options: ["the", "a hat", "in"], gold: 1),
        (context: "one two", options: [" three", " four"], gold: 0),
        (context: "A: b", options: ["c", "d", "e"], gold: 2),
        (context: "in the end ", options: ["yes", "no"], gold: 0),
        (context: "so", options: [" it", " is"], gold: 1),
    ].map {
        JSON.object([
            "context": .string($0.context), "options": .array($0.options.map(JSON.string)),
            "gold": .number($0.gold),
        ])
    }

    private func scan(
        _ model: TinyModel, _ out: String, _ arguments: [String]
    ) throws -> CommandRunner.Result {
        try CommandRunner("etd-analyze")(
            ["scan", "--model", model.path, "--out", model.file(out)] + arguments)
    }

    @Test func aScanWritesWhatTheContractSays() throws {
        let model = try TinyModel()
        let file = try model.write(items.map(line).joined(), to: "items.jsonl")
        let text = try model.write("the end in the hat\n", to: "text.txt")
        let arguments = [
            "--items", file, "--data", text, "--sequence-length", "6", "--lengths", "1..2",
            "--iterations", "2,3", "--no-racing",
        ]
        let result = try scan(model, "run", arguments + ["--threads", "1"])
        try #require(result.code == 0, "\(result)")
        #expect(result.text.contains("layer executions"))
        let json = try JSON.read(path: model.file("run/scans.json"))
        #expect(try SchemaValidator("scans").problems(json) == [])
        let layers = try #require(json["model"]?["layers"]?.intValue)
        let rows = json["windows"]?.arrayValue ?? []
        #expect(rows.count == 7 * (layers + layers - 1))
        #expect(rows.allSatisfy { $0["stage"]?.stringValue == "search" })
        #expect(rows.allSatisfy { $0["items"]?.intValue == items.count })
        #expect(json["not_run"]?.intValue == 0)
        #expect(json["items"]?["sha256"]?.stringValue == (try SHA256.hexadecimal(ofFile: file)))

        // The means are those of the evidence.
        let evidence = try EvidenceFile.read(model.file("run/evidence.h5"))
        for scans in evidence.scans where scans.kind != "base" {
            let members = rows.filter { $0["kind"]?.stringValue == scans.kind }
            #expect(members.count == scans.windows.count)
            for (row, margins) in zip(members, scans.margins) {
                let mean = margins.reduce(0, +) / Double(items.count)
                #expect(abs((row["margin"]?.doubleValue ?? .nan) - mean) < 1e-12)
            }
            for (row, losses) in zip(members, scans.nll) {
                let rate = losses.reduce(0, +) / Double(evidence.scored.reduce(0, +))
                #expect(abs((row["nll"]?.doubleValue ?? .nan) - rate) < 1e-12)
            }
        }
        #expect(evidence.tokens.allSatisfy { $0 == 6 })
        #expect(evidence.scored.allSatisfy { $0 == 5 })

        // The same bytes for another number of threads.
        let again = try scan(model, "again", arguments + ["--threads", "3"])
        #expect(again.code == 0, "\(again)")
        for name in ["scans.json", "evidence.h5"] {
            #expect(
                try bytes(of: model.file("run/\(name)")) == bytes(of: model.file("again/\(name)")))
        }
        // A run that is there is not written over.
        #expect(try scan(model, "run", arguments).code == 1)
        #expect(try scan(model, "run", arguments + ["--overwrite"]).code == 0)
        // No journal is left.
        let names = try FileManager.default.contentsOfDirectory(atPath: model.file("run"))
        #expect(names.filter { !$0.hasPrefix(".") }.sorted() == ["evidence.h5", "scans.json"])
    }

    @Test func tokenItemsNeedNoTokenizer() throws {
        let model = try TinyModel(tokenizer: false)
        let tokens = (0..<4).map { index in
            line([
                "context_tokens": .ids([5, 6 + index]),
                "options_tokens": [.ids([7]), .ids([8, 9])],
                "gold": .number(index % 2),
            ])
        }
        let file = try model.write(tokens.joined(), to: "items.jsonl")
        let result = try scan(
            model, "run", ["--items", file, "--kinds", "skip", "--windows", "0-1,1"])
        try #require(result.code == 0, "\(result)")
        #expect(result.errors.contains("no text is scanned"))
        let json = try JSON.read(path: model.file("run/scans.json"))
        #expect(try SchemaValidator("scans").problems(json) == [])
        #expect(json["text"] == nil)
        let rows = json["windows"]?.arrayValue ?? []
        // Two windows, searched and confirmed; two may have lost the race on two items.
        #expect(rows.count(where: { $0["stage"]?.stringValue == "search" }) == 2)
        #expect(rows.allSatisfy { $0["iterations"] == nil })
        #expect(rows.first?["length"]?.intValue == 2)
    }

    @Test(arguments: [
        (#"{"context": "a", "options": ["b"], "gold": 0}"#, "line 3", "two or more"),
        (#"{"context": "a", "options": ["b", "b"], "gold": 0}"#, "line 3", "are equal"),
        (#"{"context": "a", "options": ["b", ""], "gold": 0}"#, "line 3", "option 1 is empty"),
        (#"{"context": "a", "options": ["b", "c"], "gold": 2}"#, "line 3", "\"gold\" is 2"),
        (#"{"context": "a", "options": ["b", "c"]}"#, "line 3", "\"gold\""),
        (#"{"options": ["b", "c"], "gold": 0}"#, "line 3", "expected \"context\""),
        (#"{"context": "th", "options": ["e", "a"], "gold": 0}"#, "line 3", "no token is left"),
        (
            #"{"context_tokens": [1], "options_tokens": [[2], [999999]], "gold": 0}"#, "line 3",
            "outside the vocabulary"
        ),
        (#"{"context_tokens": [], "options_tokens": [[2], [3]], "gold": 0}"#, "line 3", "is empty"),
    ])
    func badItemsAreRefused(_ bad: String, _ place: String, _ problem: String) throws {
        let model = try TinyModel()
        let good = items.prefix(2).map(line).joined()
        let file = try model.write(good + bad + "\n", to: "items.jsonl")
        let result = try scan(model, "run", ["--items", file, "--data", file])
        #expect(result.code == 1, "\(result)")
        #expect(result.errorLines.count == 1)
        #expect(result.errors.contains(place) && result.errors.contains(problem), "\(result)")
        #expect(!FileManager.default.fileExists(atPath: model.file("run")))
    }

    @Test func badOptionsAreRefused() throws {
        let model = try TinyModel()
        let file = try model.write(items.map(line).joined(), to: "items.jsonl")
        let one = try model.write(line(items[0]), to: "one.jsonl")
        let text = try model.write("the end in the hat\n", to: "text.txt")
        let common = ["--data", text, "--sequence-length", "8"]
        for (arguments, code, problem) in [
            (["--items", file, "--windows", "1-99"], 1, "beyond the model"),
            (["--items", file, "--lengths", "99"], 1, "--lengths: 99"),
            (["--items", file, "--windows", "3-1"], 64, "--windows"),
            (["--items", file, "--kinds", "skip,jump"], 64, "--kinds"),
            (["--items", file, "--budget", "soon"], 64, "--budget"),
            (["--items", one], 1, "1 usable item"),
            (["--items", file, "--budget", "0.000001s"], 1, "over before the model as it is"),
        ] as [([String], Int32, String)] {
            let result = try scan(model, "run", common + arguments)
            #expect(result.code == code, "\(result)")
            #expect(result.errors.contains(problem), "\(result)")
        }
    }

    @Test func itemsLongerThanTheContextAreCounted() throws {
        let model = try TinyModel()
        let long = JSON.object([
            "context": .string(String(repeating: "ab ", count: 3000)), "options": ["c", "d"],
            "gold": 0,
        ])
        let file = try model.write((items + [long]).map(line).joined(), to: "items.jsonl")
        let text = try model.write("the end in the hat\n", to: "text.txt")
        let result = try scan(
            model, "run",
            ["--items", file, "--data", text, "--sequence-length", "8", "--kinds", "skip"])
        try #require(result.code == 0, "\(result)")
        #expect(result.errors.contains("1 of 6 items are longer"))
        let json = try JSON.read(path: model.file("run/scans.json"))
        #expect(json["items"]?["count"]?.intValue == 5)
        #expect(json["items"]?["too_long"]?.intValue == 1)
    }
}
