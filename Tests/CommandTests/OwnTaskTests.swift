// Tasks that users bring: a YAML file, and lm-evaluation-harness's logs of samples. What is asked is checked by
// scoring the texts once more with `etd score`.

import Files
import Foundation
import TestSupport
import Testing

@Suite struct OwnTaskTests {
    private func run(
        _ model: TinyModel, _ file: String, out: String = "R", _ more: [String] = []
    ) throws -> CommandRunner.Result {
        try CommandRunner(etd)(
            [
                "eval", "--model", model.path, "--task-file", model.file(file), "--out",
                model.file(out), "--quiet",
            ] + more)
    }

    private func items(_ model: TinyModel, _ folder: String = "R") throws -> [JSON] {
        try bytes(of: model.file(folder + "/items.jsonl")).split(separator: 0x0A)
            .map { try JSON.parse(Array($0)) }
    }

    private func sums(_ model: TinyModel, _ pairs: [(String, String)]) throws -> [Double] {
        try Scores(
            model,
            pairs.map { ["context": .string($0.0), "continuation": .string($0.1)] }, []
        ).lines.map { $0["sum_logprob"]?.doubleValue ?? .nan }
    }

    private func numbers(_ json: JSON?) -> [Double] {
        (json?.arrayValue ?? []).compactMap(\.doubleValue)
    }

    @Test func optionsThroughATemplate() throws {
        let model = try TinyModel()
        try model.write(
            line(["uid": "a", "town": "the inn", "right": "no"])
                + line(["uid": "b", "town": "the end", "right": "yes"])
                + line(["uid": "c", "town": "it", "right": "yes"]), to: "towns.jsonl")
        try model.write(
            """
            name: towns
            data: towns.jsonl
            fields: {id: uid, gold: right}
            prompt: "Is {{ town | upper }} there?\\nAnswer:"
            choices: ["no", "yes"]
            metric: per_token
            shots: 1
            """, to: "towns.yaml")
        let result = try run(model, "towns.yaml")
        try #require(result.code == 0, "\(result)")
        let items = try items(model)
        // The lowest id stands before the others.
        let shot = "Is THE INN there?\nAnswer: no\n\n"
        try #require(items.count == 4)
        for (item, (town, gold)) in zip(items, [("THE END", 1), ("IT", 1)]) {
            #expect(item["task"] == "towns" && item["format"] == "rc")
            #expect(item["gold"] == .number(gold))
            let context = shot + "Is \(town) there?\nAnswer:"
            #expect(
                numbers(item["logprobs"])
                    == (try sums(model, [(context, " no"), (context, " yes")])))
        }
        let letters =
            "Is THE INN there?\n A. no\n B. yes\nAnswer: A\n\nIs IT there?\n A. no\n B. yes\nAnswer:"
        #expect(
            numbers(items[3]["logprobs"]) == (try sums(model, [(letters, " A"), (letters, " B")])))
        let record = try JSON.read(path: model.file("R/results.json"))
        #expect(try SchemaValidator("results").problems(record) == [])
        let primary = record["tasks"]?.arrayValue?.filter { $0["primary"]?.boolValue == true }
        #expect(primary?.first?["metric"] == "per_token")
    }

    @Test func answersAreGenerated() throws {
        let model = try TinyModel()
        try model.write(
            line(["question": "the end", "gold": ["x", "the"]])
                + line(["question": "in the", "gold": 7]),
            to: "q.jsonl")
        try model.write(
            """
            name: short
            data: q.jsonl
            prompt: "{{ question }}"
            max_tokens: 4
            stops: ["zz"]
            extract: "(.)$"
            """, to: "q.yaml")
        let result = try run(model, "q.yaml")
        try #require(result.code == 0, "\(result)")
        for item in try items(model) {
            let prediction = item["prediction"]?.stringValue ?? ""
            let last = prediction.last.map(String.init) ?? ""
            let golds = item["gold"]?.arrayValue?.compactMap(\.stringValue) ?? ["7"]
            #expect(item["correct"]?.boolValue == golds.contains(last), "\(item)")
        }
    }

    /// A rule that changed makes another run: what the old one left is not gone on with.
    @Test func aChangedRuleDoesNotGoOn() throws {
        let model = try TinyModel()
        try model.write(line(["question": "the end", "gold": "x"]), to: "q.jsonl")
        let start = "name: short\ndata: q.jsonl\nprompt: '{{ question }}'\nmax_tokens: 3\n"
        func digest(_ yaml: String, _ out: String) throws -> JSON? {
            try model.write(yaml, to: "q.yaml")
            let result = try run(model, "q.yaml", out: out)
            try #require(result.code == 0, "\(result)")
            return try JSON.read(path: model.file(out + "/run.json"))["hashes"]?["questions"]
        }
        let plain = try digest(start, "A")
        #expect(try plain != nil && digest(start, "B") == plain)
        #expect(try digest(start + "extract: '.'\n", "C") != plain)
    }

    /// Both layouts of the harness's logs.
    @Test func logsOfTheHarness() throws {
        let model = try TinyModel()
        try model.write(
            line([
                "doc_id": 4, "target": 1,
                "arguments": [["the end", " in"], ["the end", " out"]],
            ])
                + line([
                    "doc_id": 5, "target": "hat",
                    "arguments": [
                        "gen_args_0": ["arg_0": "a", "arg_1": "hat"],
                        "gen_args_1": ["arg_0": "a", "arg_1": "in"],
                    ],
                ]), to: "samples_mine_2026-01-02T03-04-05.678.jsonl")
        let result = try run(model, "samples_mine_2026-01-02T03-04-05.678.jsonl")
        try #require(result.code == 0, "\(result)")
        let items = try items(model)
        try #require(items.count == 2)
        #expect(items.map { $0["task"] } == ["mine", "mine"])
        #expect(items.map { $0["id"] } == ["4", "5"])
        #expect(items.map { $0["gold"] } == [1, 0])
        #expect(
            numbers(items[0]["logprobs"])
                == (try sums(model, [("the end", " in"), ("the end", " out")])))
        #expect(numbers(items[1]["logprobs"]) == (try sums(model, [("a", "hat"), ("a", "in")])))
    }

    @Test(arguments: [
        ("name: x", ["data", "is missing"]),
        ("name: x\ndata: q.jsonl", ["prompt", "is missing"]),
        ("name: x\ndata: q.jsonl\nprompt: '{{ question'", ["prompt", "cannot be read"]),
        ("name: x\ndata: q.jsonl\nprompt: '{{ quesion }}'", ["item 0", "no \"quesion\""]),
        ("name: x\ndata: q.jsonl\nprompt: a\nmetrik: raw", ["metrik", "did you mean metric"]),
        ("name: x\ndata: q.jsonl\nprompt: a\nmetric: best", ["metric", "per_char"]),
        ("name: x\ndata: q.jsonl\nprompt: a\nstops: [z]\nextract: '('", ["extract", "regular"]),
        ("name: x\ndata: q.jsonl\nprompt: a\nstops: [z]\ngrading: best", ["grading", "gsm8k"]),
        ("name: x\ndata: q.jsonl\nprompt: a\nstops: [z]\nchoices: [a, b]", ["choices", "options"]),
        ("name: x\ndata: none.jsonl\nprompt: a", ["none.jsonl"]),
        ("name: x\ndata: q.jsonl\nprompt: a\nfields: {gold: nothing}", ["line 1", "nothing"]),
        ("name: x\ndata: q.jsonl\nprompt: a\nshots: 9", ["9 examples", "shots_data"]),
        ("- a\n- b", ["keys and values"]), ("a: [", ["YAML"]),
    ])
    func badFilesAreNamed(yaml: String, parts: [String]) throws {
        let model = try TinyModel()
        try model.write(
            line(["question": "a", "choices": ["b", "c"], "gold": 0]), to: "q.jsonl")
        try model.write(yaml, to: "task.yaml")
        expectFailure(try run(model, "task.yaml"), naming: parts)
    }

    @Test func badLogsAreNamed() throws {
        let model = try TinyModel()
        try model.write(line(["question": "a"]), to: "x.jsonl")
        expectFailure(try run(model, "x.jsonl"), naming: ["x.jsonl", "line 1", "arguments"])
        try model.write(line(["arguments": [["a", " b"]], "target": 0]), to: "y.jsonl")
        expectFailure(try run(model, "y.jsonl"), naming: ["y.jsonl", "line 1", "two strings"])
    }
}
