// `etd generate`: what it reads, writes and refuses. Tokens are compared with transformers' on a tiny
// checkpoint; the engine itself is tested in InferenceTests. Not covered: a terminal's own escapes.

import Files
import Foundation
import TestSupport
import Testing

/// Lines of `etd generate`'s output.
private func generate(
    _ model: TinyModel, _ requests: [JSON], _ arguments: [String] = []
) throws -> [JSON] {
    let input = try model.write(requests.map(line).joined(), to: "requests.jsonl")
    let output = model.file("texts.jsonl")
    let result = try CommandRunner(etd)(
        ["generate", "--model", model.path, "--input", input, "--output", output, "--overwrite"]
            + arguments)
    try #require(result.code == 0, "\(result)")
    #expect(result.output.isEmpty)
    return try bytes(of: output).split(separator: 0x0A).map { try JSON.parse(Array($0)) }
}

private func ids(_ value: JSON?) -> [Int] {
    (value?.arrayValue ?? []).compactMap(\.intValue)
}

/// transformers' greedy tokens: prompt and what follows.
private func transformers(_ name: String) throws -> (prompt: [Int], tokens: [Int]) {
    let golden = try JSON.read(path: Locations.golden("inference/sampling.json").path)
    let entry = golden["greedy"]?.arrayValue?.first {
        $0["model"]?.stringValue == name && $0["repetition_penalty"]?.doubleValue == 1
    }
    return (ids(entry?["prompt"]), ids(entry?["tokens"]))
}

@Suite struct GenerateTests {
    @Test func linesOfIDs() throws {
        let golden = try transformers("llama-gqa")
        let model = try TinyModel(tokenizer: false)
        let lines = try generate(
            model,
            [
                ["tokens": .ids(golden.prompt), "max_tokens": 20, "id": "first"],
                ["tokens": .ids(golden.prompt), "split": "1-2-1", "iterations": 1],
                ["tokens": .ids(golden.prompt), "split": "1-2*3-1", "max_tokens": 4],
            ], ["--max-tokens", "5", "--ignore-eos"])
        #expect(lines.count == 3)
        #expect(
            lines[0].objectValue?.keys == [
                "index", "id", "prompt_tokens", "tokens", "text", "finish_reason",
            ])
        #expect(lines.map { $0["index"]?.intValue } == [0, 1, 2])
        #expect(ids(lines[0]["prompt_tokens"]) == golden.prompt)
        #expect(ids(lines[0]["tokens"]) == golden.tokens)
        #expect(lines[0].objectValue?["text"] == .null)
        #expect(lines[0]["finish_reason"]?.stringValue == "length")
        // One iteration is the base model.
        #expect(ids(lines[1]["tokens"]) == Array(golden.tokens.prefix(5)))
        #expect(ids(lines[2]["tokens"]).count == 4)
        let record = try JSON.read(path: model.file("texts.jsonl.run.json"))
        #expect(record["precision"]?.stringValue == "f32")
    }

    @Test func passesAndLogProbabilities() throws {
        let golden = try transformers("llama-gqa")
        let model = try TinyModel()
        let lines = try generate(
            model, [["tokens": .ids(golden.prompt)]],
            [
                "--split", "1-2*3-1", "--max-tokens", "6", "--ignore-eos", "--json", "--logprobs",
                "2",
            ])
        let entry = lines[0]
        #expect(ids(entry["passes"]) == Array(repeating: 3, count: 6))
        let tokens = ids(entry["tokens"])
        let logs = try #require(entry["logprobs"]?.arrayValue)
        #expect(logs.map { $0["token"]?.intValue } == tokens)
        for log in logs {
            let top = try #require(log["top"]?.arrayValue)
            #expect(top.count == 2)
            // Greedy: the token is the likeliest.
            #expect(top[0]["token"] == log["token"] && top[0]["logprob"] == log["logprob"])
            let (best, next) = (top[0]["logprob"]?.doubleValue, top[1]["logprob"]?.doubleValue)
            #expect(try #require(best) >= #require(next) && #require(best) < 0)
        }
    }

    @Test func aPromptGivesItsText() throws {
        let model = try TinyModel(addsBOS: true)
        let arguments = ["generate", "--model", model.path, "--max-tokens", "12", "--ignore-eos"]
        let text = try CommandRunner(etd)(arguments + ["--prompt", "the thin"])
        try #require(text.code == 0, "\(text)")
        let piped = try CommandRunner(etd)(arguments + ["--prompt", "-"], input: "the thin\n")
        #expect(piped.text == text.text)
        let json = try CommandRunner(etd)(arguments + ["--prompt", "the thin", "--json"])
        let entry = try JSON.parse(Array(json.output))
        #expect(entry["text"]?.stringValue.map { $0 + "\n" } == text.text)
        #expect(ids(entry["prompt_tokens"]).first == 1)
        // What follows equals the line's.
        let lines = try generate(
            model, [["prompt": "the thin"]], ["--max-tokens", "12", "--ignore-eos"])
        #expect(lines[0]["tokens"] == entry["tokens"] && lines[0]["text"] == entry["text"])
    }

    @Test func textsStop() throws {
        let model = try TinyModel()
        let prompt = JSON.string("in the thin ")
        let long = try generate(
            model, [["prompt": prompt]], ["--max-tokens", "40", "--ignore-eos"])
        let text = try #require(long[0]["text"]?.stringValue)
        try #require(text.count > 4, "the tiny model says too little: \(text)")
        let middle = String(Array(text)[2..<4])
        let cut = try #require(text.range(of: middle))
        let stopped = try generate(
            model, [["prompt": prompt, "stop": .string(middle)], ["prompt": prompt]],
            ["--max-tokens", "40", "--ignore-eos", "--stop", middle])
        for entry in stopped {
            #expect(entry["text"]?.stringValue == String(text[..<cut.lowerBound]))
            #expect(entry["finish_reason"]?.stringValue == "stop")
        }
        // The configuration's own end: the third new token, say.
        let tokens = ids(long[0]["tokens"])
        try model.configure(["eos_token_id": .ids([tokens[2]])])
        let ended = try generate(model, [["prompt": prompt]], ["--max-tokens", "40"])
        let place = try #require(tokens.firstIndex(of: tokens[2]))
        #expect(ids(ended[0]["tokens"]) == Array(tokens[...place]))
        #expect(ended[0]["finish_reason"]?.stringValue == "stop")
    }

    @Test func badLinesAreNamed() throws {
        let model = try TinyModel()
        let good = line(["prompt": "the", "max_tokens": 2])
        let bad: [(String, String)] = [
            ("{", "not valid JSON"),
            (line(["text": "x"]), "expected \"prompt\""),
            (line(["prompt": ""]), "the prompt is empty"),
            (line(["tokens": []]), "the prompt is empty"),
            (line(["tokens": [500]]), "outside the vocabulary"),
            (line(["tokens": ["a"]]), "no token id"),
            (line(["tokens": .ids(Array(repeating: 5, count: 129))]), "context is 128"),
            (line(["prompt": "the", "stop": ""]), "stop string is empty"),
            (line(["prompt": "the", "stop": [1]]), "\"stop\" must be"),
            (line(["prompt": "the", "max_tokens": 0]), "max_tokens is 0"),
            (line(["prompt": "the", "iterations": 2]), "needs \"split\""),
            (line(["prompt": "the", "split": "1-2-1"]), "how often"),
            (line(["prompt": "the", "split": "1-2-5", "iterations": 2]), "sum to"),
            (line(["prompt": "the", "split": "1-2-1", "iterations": 0]), "\"iterations\" is 0"),
            (line(["prompt": "the", "split": "1-2-1", "iterations": 60000]), "layers"),
        ]
        for (text, problem) in bad {
            let input = try model.write(good + text.trimmed + "\n" + good, to: "bad.jsonl")
            let output = model.file("out.jsonl")
            let arguments = [
                "generate", "--model", model.path, "--input", input, "--output", output,
                "--overwrite",
            ]
            let result = try CommandRunner(etd)(arguments)
            #expect(result.code == 1, "\(text): \(result)")
            #expect(result.errorLines.count == 1, "\(result)")
            #expect(result.errors.contains("bad.jsonl: line 2: "), "\(result)")
            #expect(result.errors.contains(problem), "\(text): \(result)")
            #expect(!FileManager.default.fileExists(atPath: output))
            let skipping = try CommandRunner(etd)(arguments + ["--skip-bad"])
            #expect(skipping.code == 0, "\(skipping)")
            #expect(skipping.errors.contains("left out 1 of 3 requests"), "\(skipping)")
            let lines = try bytes(of: output).split(separator: 0x0A).map {
                try JSON.parse(Array($0))
            }
            #expect(lines.map { $0["index"]?.intValue } == [0, 2])
            try FileManager.default.removeItem(atPath: output)
            try FileManager.default.removeItem(atPath: output + ".run.json")
        }
    }

    @Test func cacheMemoryIsSaidBefore() throws {
        let model = try TinyModel()
        let arguments = [
            "generate", "--model", model.path, "--prompt", "the", "--split", "1-2-1",
            "--iterations", "1000", "--cache-memory", "1MiB",
        ]
        let result = try CommandRunner(etd)(arguments)
        #expect(result.code == 1 && result.errors.contains("--cache-memory"), "\(result)")
        #expect(result.output.isEmpty)
    }

    @Test func wrongUsage() throws {
        let model = try TinyModel()
        let start = ["generate", "--model", model.path]
        for arguments in [
            [], ["--prompt", "a", "--input", "b", "--output", "c"], ["--input", "b"],
            ["--prompt", "a", "--output", "c"], ["--prompt", "a", "--logprobs", "2"],
            ["--prompt", "a", "--stop", ""], ["--prompt", "a", "--top-p", "1.5"],
            ["--prompt", "a", "--temperature", "-1"], ["--prompt", "a", "--max-tokens", "0"],
            ["--prompt", "a", "--cache-memory", "lots"], ["--prompt", "a", "--iterations", "0"],
            ["--prompt", "a", "--split", "1-2-1"],
        ] {
            let result = try CommandRunner(etd)(start + arguments)
            #expect(result.code == 64, "\(arguments): \(result)")
        }
    }

    @Test func nonFiniteLogitsStop() throws {
        let model = try TinyModel()
        try model.set("model.layers.2.mlp.down_proj.weight", at: 0, to: .nan)
        let result = try CommandRunner(etd)(
            "generate", "--model", model.path, "--prompt", "the")
        #expect(result.code == 1 && result.errors.contains("layer 2"), "\(result)")
    }

    /// What is finished when Ctrl-C comes is kept, under a name that says so. This model has a note that
    /// it is slow, which comes when interrupts are taken; the first request needs one step, and the others
    /// far more than the test.
    @Test func anInterruptKeepsWhatIsFinished() throws {
        let model = try TinyModel("llama-dynamic")
        let requests: [JSON] =
            [["prompt": "the", "max_tokens": 1]]
            + Array(repeating: ["prompt": "thin the"], count: 20_000)
        let input = try model.write(requests.map(line).joined(), to: "many.jsonl")
        let output = model.file("many-out.jsonl")
        let running = try CommandRunner(etd).start([
            "generate", "--model", model.path, "--input", input, "--output", output,
            "--split", "1-1*500-1", "--ignore-eos",
        ])
        while running.isRunning, !running.errorsSoFar.contains("anew") { usleep(20_000) }
        running.send(SIGINT)
        let result = try running.finish()
        #expect(result.code == 130, "\(result)")
        #expect(!FileManager.default.fileExists(atPath: output))
        let kept = try bytes(of: output + ".partial").split(separator: 0x0A)
        #expect(!kept.isEmpty && kept.count < requests.count)
        #expect(try JSON.parse(Array(kept[0]))["index"]?.intValue == 0)
    }
}

extension String {
    fileprivate var trimmed: String { trimmingCharacters(in: .newlines) }
}
