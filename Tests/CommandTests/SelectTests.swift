// `etd-analyze select`: what it reads, writes and refuses.

import Files
import Foundation
import TestSupport
import Testing

@Suite struct SelectTests {
    private func probe(_ model: TinyModel, _ out: String, text: String) throws {
        let result = try CommandRunner("etd-analyze")([
            "probe", "--model", model.path, "--out", model.file(out), "--data", text,
            "--sequence-length", "8",
        ])
        try #require(result.code == 0, "\(result)")
    }

    private func select(_ arguments: [String]) throws -> CommandRunner.Result {
        try CommandRunner("etd-analyze")(["select"] + arguments)
    }

    private let words = "the end in the hat and then the cat in the inn\n"

    @Test func runsAreWeighedWithoutTheModel() throws {
        let model = try TinyModel("llama-deep")
        let text = try model.write(words, to: "text.txt")
        try probe(model, "run", text: text)
        let items = (0..<60).map { index in
            line([
                "context": .string("the \(index) "), "options": ["a cat", "in", "the end"],
                "gold": .number(index % 3),
            ])
        }
        let file = try model.write(items.joined(), to: "items.jsonl")
        let scan = try CommandRunner("etd-analyze")([
            "scan", "--model", model.path, "--out", model.file("run"), "--data", text,
            "--sequence-length", "8", "--items", file, "--kinds", "loop,half",
        ])
        try #require(scan.code == 0, "\(scan)")

        let result = try select([model.file("run"), "--resamples", "200"])
        try #require(result.code == 0, "\(result)")
        #expect(result.text.contains("Use it frozen: "))
        #expect(result.text.contains("Train it: "))
        #expect(result.text.contains("needs use"))
        // What it names next has the model's own path.
        #expect(result.text.contains("etd score --model \(model.path) --split "))
        let json = try JSON.read(path: model.file("run/split.json"))
        #expect(try SchemaValidator("split").problems(json) == [])
        #expect(json["method"]?.stringValue == "verdict")
        #expect(json["verdict"]?["train"]?["parts"]?.arrayValue?.isEmpty == false)
        #expect(json["verdict"]?["missing"]?["USE"] != nil)
        #expect((json["evidence"]?.objectValue?.count ?? 0) >= 8)
        let page = try String(contentsOfFile: model.file("run/report.html"), encoding: .utf8)
        #expect(page.contains("Use it frozen") && page.contains("id=\"scans\""))

        // Commands can be pasted: a path with a space stands in quotes.
        let spaced = try select(
            [model.file("run"), "--resamples", "200", "--out", model.file("a run")])
        #expect(spaced.text.contains("--split '\(model.file("a run"))'"), "\(spaced)")

        // Same inputs, same bytes; another folder when asked.
        let again = try select(
            [model.file("run"), "--resamples", "200", "--out", model.file("other")])
        #expect(again.code == 0, "\(again)")
        #expect(
            try bytes(of: model.file("run/split.json")) == bytes(of: model.file("other/split.json"))
        )
    }

    @Test func runsThatDoNotBelongTogetherAreRefused() throws {
        let model = try TinyModel()
        let text = try model.write(words, to: "text.txt")
        try probe(model, "run", text: text)
        let other = try TinyModel("llama-deep")
        let same = try other.write(words, to: "text.txt")
        try probe(other, "run", text: same)
        let changed = try model.write("another text in the end of it all\n", to: "changed.txt")
        try probe(model, "changed", text: changed)
        for (arguments, code, problem) in [
            ([model.file("run"), other.file("run")], 1, "is of another model"),
            ([model.file("run"), model.file("changed")], 1, "is of another text"),
            ([model.file("nowhere")], 1, "layers.json"),
            ([], 64, "run"),
            ([model.file("run"), "--resamples", "3"], 64, "--resamples"),
            ([model.file("run"), "--max-overhead", "1x"], 64, "--max-overhead"),
            (["--model", model.path], 64, "--model needs --out"),
            ([model.file("run"), "--budget", "3min"], 64, "--budget"),
        ] as [([String], Int32, String)] {
            let result = try select(arguments)
            #expect(result.code == code, "\(result)")
            #expect(result.errors.contains(problem), "\(result)")
        }
        // A probe alone: it abstains, says why, and names the command that helps.
        let result = try select([model.file("run")])
        #expect(result.code == 0, "\(result)")
        #expect(result.text.contains("No causal evidence"))
        #expect(result.text.contains("etd-analyze probe --model \(model.path) --relevance"))
    }
}
