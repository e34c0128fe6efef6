// The commands on SmolLM2-135M-Instruct, on little data. Its numbers against transformers' are the business
// of the analysis tests.

import Files
import Foundation
import TestSupport
import Testing

@Suite(
    .enabled(
        if: Locations.model("smollm2-135m-instruct") != nil,
        "needs scripts/fetch-model smollm2-135m-instruct"))
struct RealModelTests {
    /// The short name is found in the cache; the bytes do not depend on threads.
    @Test func probe() throws {
        let scratch = try ScratchDirectory()
        var runs: [[Data]] = []
        for threads in ["1", "2", "3"] {
            let run = scratch.file("run" + threads)
            let result = try succeed(
                analyze, "probe", "--model", "smollm2-135m-instruct", "--out", run, "--sequences",
                "2", "--sequence-length", "64", "--threads", threads)
            #expect(result.errors.contains("128 tokens"))
            #expect(names(in: run) == runFiles)
            for name in ["layers", "split", "run"] {
                let json = try JSON.read(path: "\(run)/\(name).json")
                #expect(try SchemaValidator(name).problems(json).isEmpty)
            }
            runs.append(
                try ["layers.json", "layers.csv", "split.json"].map {
                    try bytes(of: "\(run)/\($0)")
                }
            )
        }
        #expect(runs[0] == runs[1] && runs[1] == runs[2])
        let layers = try JSON.read(path: scratch.file("run1/layers.json"))
        #expect(layers["layers"]?.arrayValue?.count == 30)
        #expect(layers["boundaries"]?.arrayValue?.count == 31)
        #expect(layers["model"]?["vocab_size"] == 49152)
        let record = try JSON.read(path: scratch.file("run1/run.json"))
        for check in try #require(record["self_checks"]?.arrayValue) {
            #expect(try #require(check["value"]?.doubleValue) <= 1e-4)
        }
    }

    /// The most likely continuation is greedy, a looped model says something else, and k = 1 the same.
    @Test func score() throws {
        let scratch = try ScratchDirectory()
        let requests = ["Paris", "Rome"].map { city in
            line(["context": "The capital of France is", "continuation": .string(" " + city)])
        }
        let input = try scratch.write(requests.joined().utf8, to: "in.jsonl")
        func score(_ name: String, _ arguments: String...) throws -> Data {
            let run = try CommandRunner(etd)(
                [
                    "score", "--model", "smollm2-135m-instruct", "--input", input, "--output",
                    scratch.file(name),
                ] + arguments)
            try #require(run.code == 0, "\(run)")
            return try bytes(of: scratch.file(name))
        }
        let base = try score("base")
        let lines = try base.split(separator: 0x0A).map { try JSON.parse(Array($0)) }
        #expect(lines.map { $0["n_tokens"] } == [1, 1])
        #expect(lines.map { $0["is_greedy"] } == [true, false])
        #expect(try score("once", "--split", "10-10-10", "--iterations", "1") == base)
        #expect(try score("twice", "--split", "10-10-10", "--iterations", "2") != base)
    }

    @Test func tokenizeAndLens() throws {
        let ids = try succeed(
            etd, "tokenize", "--model", "smollm2-135m-instruct", input: "Room 101\n")
        // SmolLM's pre-tokenizer takes digits one by one: "Room", " ", "1", "0", "1".
        #expect(try JSON.parse(Array(ids.output.dropLast())).arrayValue?.count == 5)
        let back = try succeed(
            etd, "tokenize", "--model", "smollm2-135m-instruct", "--decode", input: ids.text)
        #expect(back.text == "Room 101\n")

        let lens = try succeed(
            analyze, "lens", "--model", "smollm2-135m-instruct", "--prompt",
            "The capital of France is", "--json")
        let rows = try #require(try JSON.parse(lens.output)["rows"]?.arrayValue)
        #expect(rows.count == 31)
        let best = rows[30]["cells"]?.arrayValue?.last?["top"]?.arrayValue?.first
        #expect(best?["text"] == " Paris")
    }

    @Test func inspect() throws {
        let result = try succeed(analyze, "inspect", "smollm2-135m-instruct", "--check", "--json")
        let facts = try JSON.parse(result.output)
        #expect(facts["model"]?["layers"] == 30)
        #expect(facts["model"]?["parameters"] == 134_515_008)
        #expect(facts["model"]?["checked"] == "every weight is finite")
        #expect(facts["tokenizer"]?["ids"] == 49152)
    }
}
