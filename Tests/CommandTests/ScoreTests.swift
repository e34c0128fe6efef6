// `etd score`: every kind of request, looped plans, and what it writes or does not. The oracles are
// transformers' logits on the tiny checkpoints.

import Files
import Foundation
import TestSupport
import Testing

/// Lines of `etd score`'s output.
struct Scores {
    let lines: [JSON]
    let file: Data

    init(_ model: TinyModel, _ requests: [JSON], _ arguments: [String] = []) throws {
        let input = try model.write(requests.map(line).joined(), to: "requests.jsonl")
        let output = model.file("scores.jsonl")
        let result = try CommandRunner(etd)(
            [
                "score", "--model", model.path, "--input", input, "--output", output,
                "--overwrite",
            ] + arguments)
        try #require(result.code == 0, "\(result)")
        #expect(result.output.isEmpty)
        file = try bytes(of: output)
        lines = try file.split(separator: 0x0A).map { try JSON.parse(Array($0)) }
    }

    func logs(_ index: Int) -> [Double] {
        (lines[index]["logprobs"]?.arrayValue ?? []).compactMap(\.doubleValue)
    }
}

@Suite struct ScoreTests {
    private func close(_ a: [Double], _ b: [Double], within tolerance: Double = 1e-4) -> Bool {
        a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) < tolerance }
    }

    /// log p of each token after the first, from rows of logits.
    private func logs(_ rows: [[Double]], _ tokens: [Int]) -> [Double] {
        zip(rows.map(logSoftmax), tokens.dropFirst()).map { $0[$1] }
    }

    @Test(arguments: ["llama-gqa", "olmo2-gqa", "gemma3", "llama-deep"])
    func scoresEqualTransformers(name: String) throws {
        let golden = try TinyGolden(name)
        let model = try TinyModel(name, tokenizer: false)
        let requests = (0..<2).map { JSON.object(["tokens": .ids(golden.tokens($0))]) }
        let base = try Scores(model, requests, ["--last-logits"])
        let notation = try #require(golden.facts["looped"]?["notation"]?.stringValue)
        let looped = try Scores(model, requests, ["--last-logits", "--split", notation])
        for (scores, prefix) in [(base, ""), (looped, "looped.")] {
            #expect(scores.lines.count == 2)
            for index in 0..<2 {
                let tokens = golden.tokens(index)
                let rows = try golden.rows("\(prefix)logits.\(index)")
                let expected = logs(rows, tokens)
                let entry = scores.lines[index]
                #expect(
                    entry.objectValue?.keys == [
                        "index", "n_tokens", "logprobs", "sum_logprob", "is_greedy", "last_logits",
                    ])
                #expect(entry["index"]?.intValue == index)
                #expect(entry["n_tokens"]?.intValue == tokens.count - 1)
                #expect(close(scores.logs(index), expected), "\(prefix)\(index)")
                let sum = try #require(entry["sum_logprob"]?.doubleValue)
                #expect(abs(sum - scores.logs(index).reduce(0, +)) < 1e-9)
                let last = (entry["last_logits"]?.arrayValue ?? []).compactMap(\.doubleValue)
                #expect(close(last, rows[rows.count - 1]))
                let greedy = zip(rows, tokens.dropFirst()).allSatisfy {
                    $0.firstIndex(of: $0.max() ?? 0) == $1
                }
                #expect(entry["is_greedy"]?.boolValue == greedy)
            }
        }
        // --iterations says the same as the number in the notation.
        let parts = notation.split(whereSeparator: { "-*".contains($0) })
        let cut = "\(parts[0])-\(parts[1])-\(parts[3])"
        let apart = try Scores(
            model, requests,
            [
                "--last-logits", "--split", cut, "--iterations", String(parts[2]),
            ])
        #expect(apart.file == looped.file)
        // k = 1 is the base model, byte for byte.
        for split in [[cut, "--iterations", "1"], ["\(parts[0])-\(parts[1])*1-\(parts[3])"]] {
            #expect(
                try Scores(model, requests, ["--last-logits", "--split"] + split).file == base.file)
        }
        #expect(looped.file != base.file)
    }

    @Test func theMostLikelyTokensAreGreedy() throws {
        let golden = try TinyGolden("llama-gqa")
        let model = try TinyModel("llama-gqa", tokenizer: false)
        let row = try golden.rows("logits.0")[0]
        let best = try #require(row.firstIndex(of: row.max() ?? 0))
        let first = golden.tokens(0)[0]
        let scores = try Scores(
            model, [["tokens": .ids([first, best])], ["tokens": .ids([first, best ^ 1])]])
        #expect(scores.lines[0]["is_greedy"] == true)
        #expect(scores.lines[1]["is_greedy"] == false)
    }

    /// Texts are the ids they stand for, and the border is where the contract puts it.
    @Test func everyKindOfRequest() throws {
        let model = try TinyModel()
        let (the, g, th, inside) = (
            TinyModel.id("the"), TinyModel.id(" "), TinyModel.id("th"), TinyModel.id("in")
        )
        let thin = [the, g, th, inside]  // "the thin"
        let whole: JSON = ["tokens": .ids(thin)]
        let border: JSON = ["context": "the", "continuation": " thin"]
        let cases: [(request: JSON, tokens: [Int], first: Int)] = [
            (whole, thin, 1),
            (["text": "the thin"], thin, 1),
            (border, thin, 1),
            // White space behind the context belongs to the continuation.
            (["context": "the ", "continuation": "thin"], thin, 1),
            (["context": "the th", "continuation": "in"], thin, 3),
            (["request": border, "doc_id": 4, "native_id": "x"], thin, 1),
            // Nothing before it: BOS, which config.json names.
            (["context": "", "continuation": "in"], [1, inside], 1),
            (["context": " ", "continuation": "thin"], [1, g, th, inside], 1),
        ]
        let scores = try Scores(model, cases.map(\.request))
        let plain = try Scores(model, cases.map { ["tokens": .ids($0.tokens)] })
        for (index, item) in cases.enumerated() {
            let expected = Array(plain.logs(index).dropFirst(item.first - 1))
            #expect(scores.logs(index) == expected, "\(item.request.text(indent: 0))")
            #expect(scores.lines[index]["n_tokens"]?.intValue == expected.count)
        }
    }

    @Test func bosComesBeforeTextsAndOnlyWhenAskedBeforeTokens() throws {
        let model = try TinyModel(addsBOS: true)
        let inside = TinyModel.id("in")
        let requests: [JSON] = [
            ["text": "thin"], ["tokens": .ids([TinyModel.id("th"), inside])],
            ["context": "th", "continuation": "in"],
        ]
        let plain = try Scores(
            model,
            [
                ["tokens": .ids([1, TinyModel.id("th"), inside])],
                ["tokens": .ids([TinyModel.id("th"), inside])],
            ])
        let (with, without) = (plain.logs(0), plain.logs(1))
        let auto = try Scores(model, requests)
        #expect(auto.logs(0) == with && auto.logs(1) == without && auto.logs(2) == [with[1]])
        let always = try Scores(model, requests, ["--bos", "always"])
        #expect(always.logs(0) == with && always.logs(1) == with && always.logs(2) == [with[1]])
        let never = try Scores(model, requests, ["--bos", "never"])
        #expect(never.logs(0) == without && never.logs(1) == without && never.logs(2) == without)
    }

    // MARK: Mistakes

    /// A mistake on the last line is named with its line, and nothing of the others is written.
    @Test(arguments: [
        (#"{"tokens":[3,"#, ["JSON"]),
        (#"{"tokens":[3]}"#, ["two ids"]),
        (#"{"tokens":[3,4.5]}"#, ["4.5"]),
        (#"{"tokens":[3,131]}"#, ["131"]),
        (#"{"tokens":[3,-1]}"#, ["-1"]),
        (#"{"text":"a"}"#, ["1 token"]),
        (#"{"context":"the","continuation":""}"#, ["continuation is empty"]),
        // "in| |t" is three ids, "in| the" two.
        (#"{"context":"in t","continuation":"he"}"#, ["continuation", "3", "2"]),
        (#"{"context":"the"}"#, ["continuation"]),
        (#"{"prompt":"the"}"#, ["\"text\""]),
        ("[1,2]", ["\"tokens\""]),
        (
            "{\"tokens\":[\(Array(repeating: "5", count: 130).joined(separator: ","))]}",
            ["130", "128"]
        ),
        ("{\"text\":\"\(String(repeating: "a", count: 130))\"}", ["130", "128"]),
    ])
    func nothingIsWrittenWhenTheLastLineIsWrong(last: String, parts: [String]) throws {
        let model = try TinyModel()
        let good = line(["text": "the thin"]) + line(["tokens": [3, 4, 5]])
        let input = try model.write(good + last + "\n", to: "requests.jsonl")
        try fail(
            etd, "score", "--model", model.path, "--input", input, "--output",
            model.file("scores.jsonl"), naming: [input, "line 3"] + parts)
        #expect(names(in: model.scratch.path) == ["model", "requests.jsonl"])
    }

    /// The last id is predicted and not run: one more than the context fits, as lm-evaluation-harness's
    /// rolling windows have. Its own logits would be one too many.
    @Test func oneIDMoreThanTheContextFits() throws {
        let model = try TinyModel(tokenizer: false)
        let ids = (0..<129).map { 3 + $0 * 7 % 97 }
        let long = try Scores(model, [["tokens": .ids(ids)]])
        #expect(long.logs(0).count == 128)
        let whole = try Scores(model, [["tokens": .ids(Array(ids.prefix(128)))]], ["--last-logits"])
        #expect(Array(long.logs(0).dropLast()) == whole.logs(0))
        let last = (whole.lines[0]["last_logits"]?.arrayValue ?? []).compactMap(\.doubleValue)
        #expect(close([long.logs(0)[127]], [logSoftmax(last)[ids[128]]]))
        let input = try model.write(line(["tokens": .ids(ids)]), to: "long.jsonl")
        try fail(
            etd, "score", "--model", model.path, "--input", input, "--output",
            model.file("more.jsonl"), "--last-logits", naming: [input, "line 1", "129", "128"])
    }

    /// Blank lines are no requests; `index` stays the line's number.
    @Test func blankLinesAreSkipped() throws {
        let model = try TinyModel(tokenizer: false)
        let input = try model.write(
            "\n{\"tokens\":[3,4]}\r\n \t\r\n\n{\"tokens\":[5,6]}\n\n", to: "blank.jsonl")
        let output = model.file("scores.jsonl")
        try succeed(etd, "score", "--model", model.path, "--input", input, "--output", output)
        let lines = try bytes(of: output).split(separator: 0x0A).map { try JSON.parse(Array($0)) }
        #expect(lines.map { $0["index"]?.intValue } == [1, 4])
        let nothing = try model.write("\n \n", to: "nothing.jsonl")
        try fail(
            etd, "score", "--model", model.path, "--input", nothing, "--output",
            model.file("none.jsonl"), naming: [nothing])
    }

    /// `"bos_token": null`, as Qwen's files have it: an empty context is EOS, whatever config.json names.
    @Test func aNullBOSLeavesEOS() throws {
        let model = try TinyModel()
        try model.configure(["bos_token_id": 1, "eos_token_id": 2])
        let request: JSON = ["context": "", "continuation": "in"]
        let inside = TinyModel.id("in")
        func first() throws -> Int? {
            let scores = try Scores(
                model, [request, ["tokens": .ids([1, inside])], ["tokens": .ids([2, inside])]])
            return (1...2).first { scores.logs($0) == scores.logs(0) }
        }
        #expect(try first() == 1)
        try model.write(
            #"{"bos_token": null, "eos_token": "</s>"}"#, to: "model/tokenizer_config.json")
        #expect(try first() == 2)
    }

    @Test func filesThatCannotBeReadOrWrittenAreNamed() throws {
        let model = try TinyModel()
        let input = try model.write(line(["tokens": [3, 4]]), to: "requests.jsonl")
        let empty = try model.write("", to: "empty.jsonl")
        let output = model.file("scores.jsonl")
        func score(_ input: String, _ output: String, naming part: String) throws {
            try fail(
                etd, "score", "--model", model.path, "--input", input, "--output", output,
                naming: [part])
        }
        try score(model.file("no.jsonl"), output, naming: "no.jsonl")
        try score(empty, output, naming: "empty.jsonl")
        try score(input, model.file("no/scores.jsonl"), naming: "no/scores.jsonl")
        try score(input, model.path, naming: model.path)
        #expect(names(in: model.scratch.path) == ["empty.jsonl", "model", "requests.jsonl"])

        // A failure leaves the older file of that name, and so does a kill while writing.
        try model.write("older", to: "scores.jsonl")
        try score(input, output, naming: "--overwrite")
        try fail(
            etd, "score", "--model", model.path, "--input", empty, "--output", output,
            "--overwrite", naming: ["empty.jsonl"])
        try model.write(
            String(repeating: line(["tokens": [3, 4, 5, 6, 7]]), count: 50), to: "many.jsonl")
        let killed = try CommandRunner(etd)(
            [
                "score", "--model", model.path, "--input", model.file("many.jsonl"), "--output",
                output, "--overwrite",
            ], shell: "ulimit -f 1")
        #expect(killed.signal == SIGXFSZ, "\(killed)")
        #expect(try bytes(of: output) == Data("older".utf8))
    }

    @Test func tokensNeedNoTokenizerAndTextsSaySo() throws {
        let model = try TinyModel(tokenizer: false)
        #expect(try Scores(model, [["tokens": [3, 4]]]).lines.count == 1)
        for name in ["scores.jsonl", "scores.jsonl.run.json"] {
            try FileManager.default.removeItem(atPath: model.file(name))
        }
        let input = try model.write(line(["text": "the"]), to: "text.jsonl")
        try fail(
            etd, "score", "--model", model.path, "--input", input, "--output",
            model.file("scores.jsonl"), naming: [input, "line 1", "tokenizer.json"])
        #expect(names(in: model.scratch.path) == ["model", "requests.jsonl", "text.jsonl"])
    }

    @Test func quietAndPackedInput() throws {
        let model = try TinyModel(tokenizer: false)
        let input = try model.write(line(["tokens": [3, 4, 5]]), to: "a.jsonl")
        let output = model.file("scores.jsonl")
        let arguments = ["score", "--model", model.path, "--output", output]
        let loud = try CommandRunner(etd)(arguments + ["--input", input])
        #expect(loud.code == 0 && loud.errors.contains("3 tokens"), "\(loud)")
        let before = try bytes(of: output)
        let gzip = Process()
        gzip.executableURL = URL(filePath: "/usr/bin/env")
        gzip.arguments = ["gzip", input]
        try gzip.run()
        gzip.waitUntilExit()
        let quiet = try CommandRunner(etd)(
            arguments + ["--quiet", "--overwrite", "--input", input + ".gz"])
        #expect(quiet.code == 0 && quiet.errors.isEmpty, "\(quiet)")
        #expect(try bytes(of: output) == before)
    }
}
