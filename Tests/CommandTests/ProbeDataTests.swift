// The kinds of `--data`, how they are cut, and BOS. What is measured on them is in ProbeOutputTests.

import Files
import Foundation
import TestSupport
import Testing

@Suite struct ProbeDataTests {
    private static let ids = (0..<50).map { 3 + ($0 * 37) % 128 }

    /// What a run says of its data.
    private func data(_ run: ProbeFiles) throws -> [Int] {
        let data = try run.layers()["data"]
        return ["documents", "tokens", "sequence_length"].compactMap { data?[$0]?.intValue }
    }

    @Test func oneStreamIsTheSameAsTextAndTokens() throws {
        let model = try TinyModel()
        let text = "The theory, in the end.\nThen: thin ice? "
        var ids: [Int] = []
        let encoded = try succeed(
            etd, "tokenize", "--model", model.path, "--json-lines", input: line(.string(text)))
        ids = try JSON.parse(Array(encoded.output)).arrayValue?.compactMap(\.intValue) ?? []
        try #require(ids.count > 24)
        try model.write(text, to: "a.txt")
        try model.write(ids: ids, to: "a.u16")
        try model.write(ids: ids, to: "a.u32")
        let windows = stride(from: 0, to: ids.count - 7, by: 8).map { Array(ids[$0..<$0 + 8]) }
        try model.write(
            windows.map { line(["tokens": .ids($0)]) }.joined(), to: "a.jsonl")
        var layers: [JSON?] = []
        for name in ["a.txt", "a.u16", "a.u32", "a.jsonl"] {
            let run = try ProbeFiles(
                model, ["--data", model.file(name), "--sequence-length", "8"], out: name + ".run")
            // The remainder shorter than a window is dropped.
            #expect(try data(run) == [ids.count / 8, ids.count / 8 * 8, 8], "\(name)")
            layers.append(try run.layers()["layers"])
        }
        #expect(layers.dropFirst().allSatisfy { $0 == layers[0] })
    }

    @Test func linesAreDocumentsCutToTheirFirstTokens() throws {
        let model = try TinyModel()
        let lines = [
            line(["text": "the end"]), line(["tokens": .ids(Self.ids)]),
            line(["context": "the", "continuation": " thin"]),
            line(["request": ["context": "a", "continuation": "b"], "doc_id": 3]),
        ]
        try model.write(lines.joined(), to: "a.jsonl")
        let run = try ProbeFiles(
            model, ["--data", model.file("a.jsonl"), "--sequence-length", "6"])
        // "the| |e|n|d"; six of fifty; "the| |th|in"; "a|b".
        #expect(try data(run) == [4, 5 + 6 + 4 + 2, 6])

        let gzip = Process()
        gzip.executableURL = URL(filePath: "/usr/bin/env")
        gzip.arguments = ["gzip", "-k", model.file("a.jsonl")]
        try gzip.run()
        gzip.waitUntilExit()
        try #require(gzip.terminationStatus == 0)
        let packed = try ProbeFiles(
            model, ["--data", model.file("a.jsonl.gz"), "--sequence-length", "6"], out: "packed")
        #expect(try packed.layers()["layers"] == run.layers()["layers"])
        #expect(try packed.layers()["boundaries"] == run.layers()["boundaries"])
    }

    @Test func sequencesTakesTheFirst() throws {
        let model = try TinyModel(tokenizer: false)
        try model.write(ids: Self.ids, to: "a.u16")
        try model.write(ids: Array(Self.ids.prefix(21)), to: "b.u16")
        let arguments = ["--sequence-length", "7"]
        let three = try ProbeFiles(
            model, ["--data", model.file("a.u16"), "--sequences", "3"] + arguments, out: "three")
        #expect(try data(three) == [3, 21, 7])
        let whole = try ProbeFiles(model, ["--data", model.file("b.u16")] + arguments, out: "b")
        #expect(try three.layers()["layers"] == whole.layers()["layers"])
        let all = try ProbeFiles(
            model, ["--data", model.file("a.u16"), "--sequences", "99"] + arguments, out: "all")
        #expect(try data(all) == [7, 49, 7])
    }

    /// The default window is 1024, or the model's context if that is shorter: here 128.
    @Test func theDefaultTextIsCutIntoTheDefaultWindow() throws {
        let model = try TinyModel("llama-bf16")
        let run = try ProbeFiles(model, [])
        let data = try #require(try run.layers()["data"])
        #expect(data["sequence_length"] == 128)
        let documents = try #require(data["documents"]?.intValue)
        #expect(documents > 10)
        #expect(data["tokens"]?.intValue == documents * 128)
    }

    /// An added BOS is run, counts in the window, and is left out of the means: what is left of the
    /// means of `[1] + ids` when position 0 is taken away by hand.
    @Test func anAddedBOSIsLeftOutOfMeans() throws {
        let model = try TinyModel()
        let ids = Array(Self.ids.prefix(11))
        try model.write(line(["tokens": .ids(ids)]), to: "ids.jsonl")
        try model.write(line(["tokens": .ids([1] + ids)]), to: "written.jsonl")
        try model.write(line(["tokens": [1]]), to: "alone.jsonl")
        func run(_ name: String, _ bos: String) throws -> ProbeFiles {
            try ProbeFiles(
                model, ["--data", model.file(name + ".jsonl"), "--bos", bos],
                out: "\(name)-\(bos)")
        }
        let added = try run("ids", "always")
        let written = try run("written", "auto")
        let alone = try run("alone", "auto")
        #expect(try data(added) == [1, 12, 128])
        #expect(try added.layers()["data"]?["bos"] == "always")
        for (list, name) in [
            ("layers", "angular_distance"), ("layers", "block_influence"),
            ("layers", "contribution"), ("layers", "contribution_cosine"),
            ("boundaries", "entropy"), ("boundaries", "kl_to_final"),
            ("boundaries", "kl_from_final"), ("boundaries", "top1_agreement"),
        ] {
            let all = try written.values(list, name)
            let first = try alone.values(list, name)
            for (index, value) in try added.values(list, name).enumerated() {
                let expected = try (#require(all[index]) * 12 - #require(first[index])) / 11
                #expect(try abs(#require(value) - expected) < 1e-6, "\(name)[\(index)]")
            }
        }
        #expect(
            try added.values("layers", "angular_distance_last")
                == written.values("layers", "angular_distance_last"))
        // The prediction made at the BOS is left out as well.
        try succeed(
            etd, "score", "--model", model.path, "--input", model.file("written.jsonl"),
            "--output", model.file("s.jsonl"))
        let score = try JSON.parse(Array(try bytes(of: model.file("s.jsonl")).dropLast()))
        let logs = (score["logprobs"]?.arrayValue ?? []).compactMap(\.doubleValue)
        try #require(logs.count == 11)
        let expected = -logs.dropFirst().reduce(0, +) / 10
        let cross = try #require(try added.values("boundaries", "cross_entropy").last ?? nil)
        #expect(abs(cross - expected) < 1e-5)
    }

    @Test func bosFollowsThePostProcessorAndTheFlag() throws {
        let model = try TinyModel(addsBOS: true)
        try model.write("the thin end of the thing, then another thing", to: "a.txt")
        func windows(_ bos: String) throws -> [Int] {
            try data(
                ProbeFiles(
                    model,
                    ["--data", model.file("a.txt"), "--bos", bos, "--sequence-length", "6"],
                    out: bos))
        }
        let never = try windows("never")
        let auto = try windows("auto")
        #expect(try windows("always") == auto)
        // Five ids of the text beside the BOS of each window, so there are more windows.
        let count = try #require(
            JSON.parse(
                Array(
                    succeed(
                        etd, "tokenize", "--model", model.path, "--bos", "never",
                        input: "the thin end of the thing, then another thing\n"
                    ).output)
            ).arrayValue?.count)
        #expect(never == [count / 6, count / 6 * 6, 6])
        #expect(auto == [count / 5, count / 5 * 6, 6])
    }

    // MARK: Data that cannot be used

    @Test(arguments: [
        ("a.txt", "", ["a.txt", "holds no text"]),
        ("a.jsonl", "", ["a.jsonl", "holds no text"]),
        ("a.u16", "", ["a.u16", "holds no"]),
        ("a.u16", "abc", ["a.u16", "2-byte"]),
        ("a.u32", "abcdef", ["a.u32", "4-byte"]),
        ("a.u16", "aaaaaaaa", ["a.u16", "24929", "131"]),
        ("a.csv", "a,b", ["a.csv", ".jsonl"]),
        ("a.txt", "thin", ["a.txt", "--sequence-length"]),
        ("a.jsonl", "{\"text\":\"the\"}\n{\"text\":", ["a.jsonl", "line 2", "JSON"]),
        ("a.jsonl", "{\"txt\":\"the\"}\n", ["a.jsonl", "line 1", "text"]),
        ("a.jsonl", "{\"text\":\"\"}\n", ["a.jsonl", "holds no text"]),
        ("a.jsonl", "{\"tokens\":[]}\n", ["a.jsonl", "holds no text"]),
        ("a.jsonl", "{\"tokens\":[3,4]}\n{\"tokens\":[3,131]}\n", ["a.jsonl", "line 2", "131"]),
        ("a.jsonl", "{\"tokens\":[3,-1]}\n", ["a.jsonl", "line 1", "-1"]),
        ("a.jsonl", "{\"tokens\":[3,\"4\"]}\n", ["a.jsonl", "line 1", "string"]),
        ("a.jsonl.gz", "no gzip at all, really", ["a.jsonl.gz"]),
    ])
    func unusableDataIsNamed(name: String, content: String, parts: [String]) throws {
        let model = try TinyModel()
        try model.write(content, to: name)
        try fail(
            analyze, "probe", "--model", model.path, "--data", model.file(name), "--out",
            model.file("run"), naming: parts)
        #expect(names(in: model.file("run")) == nil, "nothing is left")
    }

    @Test func textThatIsNotUTF8IsNamedWithItsPlace() throws {
        let model = try TinyModel()
        let text = Array("the thin end ".utf8)
        for (name, place) in [("a.txt", "offset 13"), ("a.jsonl", "line 1")] {
            let bytes =
                name == "a.txt" ? text + [0xFF] + text : Array(#"{"text":"a"#.utf8) + [0xC3, 0x28]
            try model.scratch.write(bytes, to: name)
            try fail(
                analyze, "probe", "--model", model.path, "--data", model.file(name), "--out",
                model.file("run"), naming: [name, place])
        }
        #expect(names(in: model.file("run")) == nil)
    }

    @Test func missingDataAndMissingTokenizerAreNamed() throws {
        let model = try TinyModel(tokenizer: false)
        let probe = ["probe", "--model", model.path, "--out", model.file("run")]
        let run = try CommandRunner(analyze)
        expectFailure(
            try run(probe + ["--data", model.file("no.txt")]), naming: ["no.txt", "No such file"])
        try model.write("the", to: "a.txt")
        expectFailure(
            try run(probe + ["--data", model.file("a.txt")]), naming: ["tokenizer.json"])
        expectFailure(try run(probe), naming: ["tokenizer.json"])
        try model.write(ids: [5, 6, 7, 8], to: "a.u16")
        expectFailure(
            try run(
                probe + ["--data", model.file("a.u16"), "--sequence-length", "200"]),
            naming: ["--sequence-length 200", "128"])
        #expect(names(in: model.file("run")) == nil)
    }
}
