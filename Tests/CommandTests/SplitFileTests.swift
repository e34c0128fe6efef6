// `--split` with a file: what `probe` writes can be run, and what does not fit is refused.

import Files
import Foundation
import TestSupport
import Testing

@Suite struct SplitFileTests {
    private static let requests: [JSON] = [["tokens": [3, 40, 77, 12, 101]]]

    /// A model with the split.json of a probe of it, changed.
    private func split(
        _ model: TinyModel, _ change: (inout JSON.Object) -> Void = { _ in }
    ) throws -> String {
        let run = try ProbeFiles(model, ["--sequences", "2", "--sequence-length", "16"])
        var members = try #require(try run.json("split.json").objectValue)
        change(&members)
        return try model.write(JSON.object(members).text(), to: "my-split.json")
    }

    private func cut(_ encoder: Int, _ think: Int, _ decoder: Int) -> JSON {
        ["encoder": .number(encoder), "think": .number(think), "decoder": .number(decoder)]
    }

    private func abstain(_ members: inout JSON.Object) {
        for name in ["split", "notation", "iterations", "confidence"] { members[name] = .null }
        members["abstained"] = true
        members["reason"] = "for the test"
        members["alternatives"] = [
            ["split": cut(1, 2, 1), "notation": "1-2*k-1", "scores": [:]],
            ["split": cut(2, 1, 1), "notation": "2-1*k-1", "scores": [:]],
        ]
    }

    private func propose(_ members: inout JSON.Object) {
        members["split"] = cut(1, 2, 1)
        members["notation"] = "1-2*k-1"
        members["iterations"] = ["recommended": 3, "maximum": nil]
        members["confidence"] = 0.5
        members["abstained"] = false
        members["reason"] = .null
    }

    @Test func anAbstainingFileFailsAndListsTheAlternatives() throws {
        let model = try TinyModel()
        let file = try split(model) { abstain(&$0) }
        let input = try model.write(line(Self.requests[0]), to: "r.jsonl")
        let score = ["score", "--model", model.path, "--input", input, "--output", model.file("o")]
        let parts = [file, "for the test", "--alternative", "1 = 1-2*k-1", "2 = 2-1*k-1"]
        let run = try CommandRunner(etd)
        expectFailure(try run(score + ["--split", file]), naming: parts)
        expectFailure(
            try run(score + ["--split", file, "--alternative", "3"]),
            naming: [file, "--alternative 3", "there are 2"])
        expectFailure(
            try run(score + ["--split", file, "--alternative", "0"]),
            naming: [file, "--alternative 0"])
        #expect(names(in: model.file("o")) == nil)

        for (number, notation) in [("1", "1-2*2-1"), ("2", "2-1*2-1")] {
            let taken = try Scores(
                model, Self.requests,
                ["--split", file, "--alternative", number, "--iterations", "2"])
            #expect(try taken.file == Scores(model, Self.requests, ["--split", notation]).file)
        }
    }

    @Test func aProposalRunsAsOftenAsItRecommends() throws {
        let model = try TinyModel()
        let file = try split(model) { propose(&$0) }
        #expect(try SchemaValidator("split").problems(JSON.read(path: file)).isEmpty)
        func scores(_ arguments: String...) throws -> Data {
            try Scores(model, Self.requests, arguments).file
        }
        #expect(try scores("--split", file) == scores("--split", "1-2*3-1"))
        #expect(try scores("--split", file, "--iterations", "2") == scores("--split", "1-2*2-1"))
        #expect(try scores("--split", file, "--iterations", "1") == scores())
    }

    /// What names no number of iterations runs nothing: neither a notation nor a file nor a folder.
    @Test func aSplitWithoutIterationsIsWrongUsage() throws {
        let model = try TinyModel()
        let input = try model.write(line(Self.requests[0]), to: "r.jsonl")
        let score = ["score", "--model", model.path, "--input", input, "--output", model.file("o")]
        func refused(_ arguments: [String], _ part: String) throws {
            let result = try CommandRunner(etd)(score + arguments)
            #expect(result.code == 64, "\(result)")
            for part in [part, "--iterations 2", "1-2*2-1"] {
                #expect(result.errors.contains(part), "\(result)")
            }
            #expect(names(in: model.file("o")) == nil && kind(model.file("o")) == nil)
        }
        try refused(["--split", "1-2-1"], "--split 1-2-1")
        try refused(["--split", "1-2*k-1"], "--split 1-2*k-1")
        let silent = try split(model) {
            propose(&$0)
            $0["iterations"] = ["recommended": nil, "maximum": nil]
        }
        try refused(["--split", silent], silent)
        try refused(["--split", silent, "--allow-mismatch"], silent)
        // A run's folder stands for the split.json in it.
        let run = model.file("run")
        try Data(contentsOf: URL(filePath: silent)).write(
            to: URL(filePath: run + "/split.json"))
        try refused(["--split", run], run)
        let once = try Scores(model, Self.requests, ["--split", run, "--iterations", "2"])
        #expect(try once.file == Scores(model, Self.requests, ["--split", "1-2*2-1"]).file)
        try FileManager.default.removeItem(atPath: run + "/split.json")
        expectFailure(
            try CommandRunner(etd)(score + ["--split", run]), naming: [run, "split.json"])
    }

    private func kind(_ path: String) -> mode_t? {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode : nil
    }

    @Test func aFileForOtherWeightsIsRefusedUnlessAllowed() throws {
        let model = try TinyModel()
        let file = try split(model) { propose(&$0) }
        try model.set("model.norm.weight", at: 0, to: 1.5)
        let input = try model.write(line(Self.requests[0]), to: "r.jsonl")
        try fail(
            etd, "score", "--model", model.path, "--input", input, "--output", model.file("o"),
            "--split", file, naming: [file, "other weights", "--allow-mismatch"])
        let allowed = try Scores(model, Self.requests, ["--split", file, "--allow-mismatch"])
        #expect(try allowed.file == Scores(model, Self.requests, ["--split", "1-2*3-1"]).file)

        // Another depth cannot be run at all.
        let other = try TinyModel("llama-deep", tokenizer: false)
        for flags in [[], ["--allow-mismatch"]] {
            let result = try CommandRunner(etd)(
                [
                    "score", "--model", other.path, "--input", input, "--output",
                    other.file("o"), "--split", file,
                ] + flags)
            expectFailure(result, naming: [file, "4 layers", "8"])
        }
        #expect(names(in: other.scratch.path) == ["model"])
    }

    @Test(arguments: [
        ("1-1*2-1", ["--split 1-1*2-1", "3 layers", "has 4"]),
        ("1-2*2-2", ["--split 1-2*2-2", "5 layers", "has 4"]),
        ("2-0-2", ["--split 2-0-2", "think"]),
        ("1-3", ["--split 1-3", "7-4-5"]),
        ("1-2*0-1", ["--split 1-2*0-1", "at least once"]),
        ("99999999999999999999-1-1", ["--split 99999999999999999999-1-1"]),
        ("no-such.json", ["no-such.json", "No such file"]),
    ])
    func splitsThatDoNotFitAreNamed(split: String, parts: [String]) throws {
        let model = try TinyModel()
        let input = try model.write(line(Self.requests[0]), to: "r.jsonl")
        try fail(
            etd, "score", "--model", model.path, "--input", input, "--output", model.file("o"),
            "--split", split, naming: parts)
        try fail(
            analyze, "lens", "--model", model.path, "--prompt", "the", "--split", split,
            naming: parts)
        #expect(names(in: model.scratch.path) == ["model", "r.jsonl"])
    }

    @Test func twoAnswersToHowOftenAreRefused() throws {
        let model = try TinyModel()
        try fail(
            analyze, "lens", "--model", model.path, "--prompt", "the", "--split", "1-2*3-1",
            "--iterations", "2", naming: ["--iterations 2", "1-2*3-1"])
        try succeed(
            analyze, "lens", "--model", model.path, "--prompt", "the", "--split", "1-2*3-1",
            "--iterations", "3")
    }

    @Test func brokenSplitFilesAreNamed() throws {
        let model = try TinyModel()
        let changes: [(String, (inout JSON.Object) -> Void)] = [
            ("schema", { $0["schema"] = "etd-split/v9" }),
            ("sum", { $0["split"] = cut(1, 1, 1) }),
            ("model", { $0["model"] = .null }),
            ("abstained", { $0["abstained"] = "no" }),
            ("alternatives", { $0["alternatives"] = 3 }),
        ]
        for (what, change) in changes {
            let file = try split(model) { members in
                propose(&members)
                change(&members)
            }
            try fail(
                analyze, "lens", "--model", model.path, "--prompt", "the", "--split", file,
                naming: [file, what == "sum" ? "1-1*k-1" : what])
            try FileManager.default.removeItem(atPath: model.file("run"))
        }
    }
}
