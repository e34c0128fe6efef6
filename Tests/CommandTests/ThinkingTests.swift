// --adaptive, --damped and calibrate on tiny checkpoints: what they write, refuse and take from one another.
// Numbers are tested in InferenceTests.

import Files
import Foundation
import TestSupport
import Testing

@Suite struct ThinkingTests {
    private let split = ["--split", "1-2-1"]

    private func lines(_ model: TinyModel, _ name: String) throws -> [JSON] {
        try bytes(of: model.file(name)).split(separator: 0x0A).map { try JSON.parse(Array($0)) }
    }

    private func ids(_ value: JSON?) -> [Int] { (value?.arrayValue ?? []).compactMap(\.intValue) }

    @Test func generatingSaysHowDeepItThought() throws {
        let model = try TinyModel()
        let input = try model.write(
            line(["prompt": "the thing"]) + line(["prompt": "in", "split": "1-1-2"])
                + line(["prompt": "in", "iterations": 2]), to: "in.jsonl")
        let output = model.file("out.jsonl")
        let result = try CommandRunner(etd)(
            [
                "generate", "--model", model.path, "--input", input, "--output", output,
                "--adaptive", "change<0.4", "--max-iterations", "4", "--kv-policy", "skip",
                "--max-tokens", "9", "--ignore-eos",
            ] + split)
        try #require(result.code == 0, "\(result)")
        let found = try lines(model, "out.jsonl")
        try #require(found.count == 3)
        for line in found.prefix(2) {
            #expect(line["adaptive"]?["rule"]?.stringValue == "change<0.4")
            #expect(line["adaptive"]?["kv_policy"]?.stringValue == "skip")
            #expect(line["adaptive"]?["max_iterations"]?.intValue == 4)
            #expect(ids(line["passes"]).count == 9)
            #expect(ids(line["passes"]).allSatisfy { 1...4 ~= $0 })
        }
        // A number of iterations is a fixed depth.
        #expect(found[2]["adaptive"] == nil)
        let record = try JSON.read(path: output + ".run.json")
        #expect(try SchemaValidator("engine-run").problems(record).isEmpty)
        #expect(record["notation"]?.stringValue == "1-2*adaptive-1")
        let histogram = record["passes"]?["histogram"]?.objectValue ?? [:]
        #expect(histogram.values.compactMap(\.intValue).reduce(0, +) == 18)
        let all = found.prefix(2).flatMap { ids($0["passes"]) }
        let mean = Double(all.reduce(0, +)) / 18
        #expect(abs((record["passes"]?["mean"]?.doubleValue ?? 0) - mean) < 1e-12)
    }

    @Test func dampedWithFactorOneIsTheLoop() throws {
        let model = try TinyModel()
        let input = try model.write(line(["text": "the thing in the"]), to: "in.jsonl")
        func score(_ flags: [String]) throws -> JSON {
            let result = try CommandRunner(etd)(
                ["score", "--model", model.path, "--input", input, "--output", "-"] + flags)
            try #require(result.code == 0, "\(result)")
            return try JSON.parse(result.output)
        }
        let plain = try score(["--split", "1-2*3-1"])
        let damped = try score(split + ["--damped", "euler", "--substeps", "3", "--factor", "1"])
        #expect(plain["logprobs"] == damped["logprobs"])
        #expect(damped["damped"]?["solver"]?.stringValue == "euler")
        let base = try score([])
        let one = try score(split + ["--damped", "euler", "--substeps", "1"])
        #expect(base["logprobs"] == one["logprobs"])
        let adaptive = try score(
            split + ["--adaptive", "change<0", "--max-iterations", "3", "--kv-policy", "last"])
        #expect(adaptive["logprobs"] == plain["logprobs"])
        #expect(ids(adaptive["passes"]).allSatisfy { $0 == 3 })
    }

    @Test func calibrationIsTakenBack() throws {
        let model = try TinyModel(tokenizer: false)
        var random = SeededRandom(2)
        let texts = (0..<60).map { _ in
            line(["tokens": .ids((0..<12).map { _ in Int.random(in: 3..<131, using: &random) })])
        }
        let input = try model.write(texts.joined(), to: "in.jsonl")
        let out = model.file("calibration.json")
        func calibrate(_ epsilon: String) throws -> JSON {
            let result = try CommandRunner(etd)(
                [
                    "calibrate", "--model", model.path, "--rule", "change", "--max-iterations",
                    "3", "--kv-policy", "last", "--epsilon", epsilon, "--delta", "0.1", "--input",
                    input, "--out", out, "--overwrite",
                ] + split)
            try #require(result.code == 0, "\(result)")
            let record = try JSON.read(path: out)
            #expect(try SchemaValidator("calibration").problems(record).isEmpty)
            return record
        }
        // Too few sequences: full depth, and it says so.
        let strict = try calibrate("0.01")
        #expect(strict["early"]?.boolValue == false && strict["n"]?.intValue == 60)
        #expect(strict["rule"]?.stringValue == "change<0")
        #expect(strict["note"]?.stringValue?.contains("too few") == true)
        #expect(strict["mean_passes"]?.doubleValue == 3)
        let lax = try calibrate("0.9")
        #expect(lax["early"]?.boolValue == true)
        #expect((lax["mean_passes"]?.doubleValue ?? 9) < 3)
        #expect((lax["oracle_passes"]?.doubleValue ?? 9) <= 3)
        let scored = try CommandRunner(etd)(
            ["score", "--model", model.path, "--adaptive", out, "--input", input, "--output", "-"]
                + split)
        #expect(scored.code == 0, "\(scored)")
        let first = try JSON.parse(Array(scored.output.split(separator: 0x0A).first ?? []))
        #expect(first["adaptive"]?["rule"] == lax["rule"])
        #expect(first["adaptive"]?["kv_policy"]?.stringValue == "last")
        #expect(first["adaptive"]?["epsilon"]?.doubleValue == 0.9)
        // The promise stands for what was calibrated alone.
        for (flags, said) in [
            (["--split", "1-1-2"], "the split"),
            (split + ["--kv-policy", "skip"], "the policy"),
            (split + ["--max-iterations", "5"], "a maximum"),
        ] {
            let result = try CommandRunner(etd)(
                [
                    "score", "--model", model.path, "--adaptive", out, "--input", input,
                    "--output", "-",
                ] + flags)
            expectFailure(result, naming: [said, "etd calibrate"])
        }
    }

    @Test func theMapOfTheCacheGoesIntoTheSplitFile() throws {
        let model = try TinyModel()
        let text = try model.write(
            String(repeating: "the thing in the thin thing\n", count: 12), to: "text.txt")
        let out = model.file("run")
        func map(_ split: [String]) throws -> JSON {
            let result = try CommandRunner(analyze)(
                [
                    "cache-map", "--model", model.path, "--data", text, "--sequence-length", "32",
                    "--tolerance", "100", "--out", out, "--overwrite",
                ] + split)
            try #require(result.code == 0, "\(result)")
            let json = try JSON.read(path: out + "/cache-map.json")
            #expect(try SchemaValidator("cache-map").problems(json).isEmpty)
            return json
        }
        let found = try map(split + ["--iterations", "2"])
        // Three sources, two layers and both; and the policy.
        #expect(found["changes"]?.arrayValue?.count == 10)
        #expect(found["proposal"]?["kv_policy"]?.stringValue == "shared")
        let probed = try CommandRunner(analyze)([
            "probe", "--model", model.path, "--data", text, "--out", out, "--sequence-length", "32",
        ])
        try #require(probed.code == 0, "\(probed)")
        let file = out + "/split.json"
        guard var record = try JSON.read(path: file).objectValue else { return }
        let cut: JSON = ["encoder": 1, "think": 2, "decoder": 1]
        record["split"] = cut
        record["notation"] = "1-2*k-1"
        record["abstained"] = false
        try JSON.object(record).text().write(toFile: file, atomically: true, encoding: .utf8)
        _ = try map(["--split", file, "--iterations", "2"])
        let written = try JSON.read(path: file)
        #expect(written["cache"]?["kv_policy"]?.stringValue == "shared")
        #expect(written["split"] == cut)
        // Adaptive depth takes the file's policy.
        let input = try model.write(line(["text": "the thing"]), to: "in.jsonl")
        let scored = try CommandRunner(etd)([
            "score", "--model", model.path, "--split", file, "--adaptive", "change<0.4",
            "--max-iterations", "3", "--input", input, "--output", "-",
        ])
        try #require(scored.code == 0, "\(scored)")
        #expect(try JSON.parse(scored.output)["adaptive"]?["kv_policy"]?.stringValue == "shared")
    }

    @Test func chatTemplatesMakePrompts() throws {
        let model = try TinyModel()
        let template =
            "{{ bos_token }}{% for m in messages %}{{ m.role + ':' + m.content }}{% endfor %}>"
        try (["bos_token": "<s>", "chat_template": .string(template)] as JSON).text().write(
            toFile: model.path + "/tokenizer_config.json", atomically: true, encoding: .utf8)
        let input = try model.write(
            line(["prompt": "in"])
                + line([
                    "messages": [["role": "a", "content": "b"], ["role": "c", "content": "d"]]
                ]),
            to: "in.jsonl")
        let start = ["generate", "--model", model.path, "--max-tokens", "2"]
        let result = try CommandRunner(etd)(
            start + ["--input", input, "--output", "-", "--chat"])
        try #require(result.code == 0, "\(result)")
        let prompts = try result.output.split(separator: 0x0A).map {
            ids(try JSON.parse(Array($0))["prompt_tokens"])
        }
        // One BOS, the template's own.
        #expect(
            prompts[0] == [1] + "user:".map { TinyModel.id(String($0)) }
                + [TinyModel.id("in"), TinyModel.id(">")])
        #expect(prompts[1] == [1] + "a:bc:d>".map { TinyModel.id(String($0)) })
        let without = try CommandRunner(etd)(start + ["--input", input, "--output", "-"])
        expectFailure(without, naming: ["line 2", "--chat"])
        let plain = try TinyModel()
        expectFailure(
            try CommandRunner(etd)(
                ["generate", "--model", plain.path, "--prompt", "the", "--chat"]),
            naming: ["no chat template"])
        try (["chat_template": "{% macro a() %}{% endmacro %}"] as JSON).text().write(
            toFile: plain.path + "/tokenizer_config.json", atomically: true, encoding: .utf8)
        expectFailure(
            try CommandRunner(etd)(
                ["generate", "--model", plain.path, "--prompt", "the", "--chat"]),
            naming: ["{% macro %}"])
    }

    @Test func whatCannotBe() throws {
        let model = try TinyModel()
        let start = ["generate", "--model", model.path, "--prompt", "the"]
        for flags in [
            ["--adaptive", "change<0.1"], split + ["--adaptive", "chnge<0.1"],
            split + ["--adaptive", "change<0.1", "--iterations", "2"],
            split + ["--adaptive", "change<0.1", "--damped", "euler", "--substeps", "2"],
            split + ["--max-iterations", "2"], split + ["--kv-policy", "last"],
            split + ["--damped", "euler"], split + ["--substeps", "2"],
            split + ["--damped", "euler", "--substeps", "2", "--factor", "0"],
            split + ["--damped", "euler", "--substeps", "2", "--iterations", "3"],
            split + ["--adaptive", "change<0.1", "--max-iterations", "0"],
            split + ["--adaptive", "change<0.1", "--max-iterations", "60000"],
            split + ["--damped", "rk4", "--substeps", "60000"],
        ] {
            let result = try CommandRunner(etd)(start + flags)
            #expect(result.code == 64, "\(flags): \(result)")
        }
        let missing = try CommandRunner(etd)(start + split + ["--adaptive", "router"])
        expectFailure(missing, naming: ["--adaptive", "etd.router.weight"])
    }
}
