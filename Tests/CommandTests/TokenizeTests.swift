// `etd tokenize`. The ids themselves are the business of the tokenizers' tests; one golden here shows that
// the command adds nothing of its own.

import Files
import Foundation
import TestSupport
import Testing

@Suite struct TokenizeTests {
    private func run(_ model: String, _ arguments: String..., input: String) throws -> [String] {
        let result = try CommandRunner(etd)(
            ["tokenize", "--model", model] + arguments, input: input)
        #expect(result.code == 0 && result.errors.isEmpty, "\(result)")
        return result.lines
    }

    private func folder(_ tokenizer: JSON) throws -> ScratchDirectory {
        let scratch = try ScratchDirectory()
        try scratch.write(tokenizer.text().utf8, to: "tokenizer.json")
        return scratch
    }

    /// A directory with nothing but tokenizer.json, each line by itself, empty ones too.
    @Test func idsOfLines() throws {
        let scratch = try folder(TinyModel.tokenizer(addsBOS: false))
        let (the, g, th, inside) = (
            TinyModel.id("the"), TinyModel.id(" "), TinyModel.id("th"), TinyModel.id("in")
        )
        let lines = try run(scratch.path, input: "the thin\n\nin the\n</s>x")
        #expect(
            lines == [
                "[\(the),\(g),\(th),\(inside)]", "[]", "[\(inside),\(TinyModel.id("Ġthe"))]",
                "[2,\(TinyModel.id("x"))]",
            ])
    }

    @Test func bosAndTheFlag() throws {
        let adds = try folder(TinyModel.tokenizer(addsBOS: true))
        let inside = TinyModel.id("in")
        #expect(try run(adds.path, input: "in\n") == ["[1,\(inside)]"])
        #expect(try run(adds.path, "--bos", "always", input: "in\n") == ["[1,\(inside)]"])
        #expect(try run(adds.path, "--bos", "never", input: "<s>in\n") == ["[1,\(inside)]"])
        #expect(try run(adds.path, "--bos", "never", input: "in\n") == ["[\(inside)]"])

        let plain = try folder(TinyModel.tokenizer(addsBOS: false))
        #expect(try run(plain.path, input: "in\n") == ["[\(inside)]"])
        try fail(
            etd, "tokenize", "--model", plain.path, "--bos", "always", input: "in\n",
            naming: ["--bos always", "BOS"])
        try plain.write(#"{"bos_token": "<s>"}"#.utf8, to: "tokenizer_config.json")
        #expect(try run(plain.path, "--bos", "always", input: "in\n") == ["[1,\(inside)]"])
    }

    @Test func decodingIsTheWayBack() throws {
        let scratch = try folder(TinyModel.tokenizer(addsBOS: true))
        let texts = ["the thin end", "", "a \"quoted\" line", "trailing  "]
        let ids = try run(scratch.path, input: texts.joined(separator: "\n") + "\n")
        let input = ids.joined(separator: "\n") + "\n"
        #expect(try run(scratch.path, "--decode", input: input) == texts.map { "<s>" + $0 })
        #expect(try run(scratch.path, "--decode", "--skip-special", input: input) == texts)
    }

    @Test func jsonLinesHoldLineBreaks() throws {
        let scratch = try folder(TinyModel.tokenizer(addsBOS: false))
        let texts = ["two\nlines", "tab\" and \\", ""]
        let input = texts.map { line(.string($0)) }.joined()
        let ids = try run(scratch.path, "--json-lines", input: input)
        #expect(ids[0].contains(",\(TinyModel.id("\n")),"))
        let back = try run(
            scratch.path, "--json-lines", "--decode", input: ids.joined(separator: "\n"))
        #expect(back == texts.map { JSON.string($0).text(indent: 0) })
    }

    @Test func theGoldenTokenizersIds() throws {
        let scratch = try ScratchDirectory()
        let name = "byte-level-digits"
        try scratch.write(
            bytes(of: Locations.golden("tokenizers/\(name).tokenizer.json").path),
            to: "tokenizer.json")
        let corpus = try JSON.read(path: Locations.golden("tokenizers/corpus.json").path)
        let texts = try #require(corpus.arrayValue ?? corpus["texts"]?.arrayValue)
        let golden = try JSON.read(path: Locations.golden("tokenizers/\(name).golden.json").path)
        let expected = try #require(golden["ids"]?.arrayValue)
        try #require(texts.count > 10 && texts.count == expected.count)
        let ids = try run(
            scratch.path, "--json-lines", "--bos", "never", input: texts.map(line).joined())
        #expect(try ids.map { try JSON.parse(Array($0.utf8)) } == expected)
    }

    @Test func mistakesNameTheLine() throws {
        let scratch = try folder(TinyModel.tokenizer(addsBOS: false))
        let cases: [(arguments: [String], input: String, parts: [String])] = [
            (["--json-lines"], "\"a\n", ["line 1", "JSON"]),
            (["--json-lines"], "[1]\n", ["line 1", "JSON string"]),
            (["--decode"], "3, 4\n", ["line 1", "JSON"]),
            (["--decode"], "\"3\"\n", ["line 1", "array"]),
            (["--decode"], "[100000]\n", ["line 1", "100000", "\(TinyModel.vocabularySize)"]),
            (["--decode"], "[-1]\n", ["line 1", "-1"]),
        ]
        for item in cases {
            let result = try CommandRunner(etd)(
                ["tokenize", "--model", scratch.path] + item.arguments, input: item.input)
            expectFailure(result, naming: ["standard input"] + item.parts)
        }
        let empty = try ScratchDirectory()
        try fail(
            etd, "tokenize", "--model", empty.path, input: "a\n",
            naming: [empty.path, "tokenizer.json"])
    }

    /// A pattern that goes back without end. Whoever reads the message must find the text and the file.
    @Test(.timeLimit(.minutes(10))) func aCostlyPatternNamesTheLine() throws {
        let model = try TinyModel()
        var tokenizer = TinyModel.tokenizer(addsBOS: false).objectValue ?? [:]
        tokenizer["pre_tokenizer"] = [
            "type": "Split", "pattern": ["Regex": "(?:a|a){1,40}b"], "behavior": "Isolated",
        ]
        try model.write(JSON.object(tokenizer).text(), to: "model/tokenizer.json")
        let text = String(repeating: "a", count: 50)
        try model.write(
            line(["text": "short"]) + line(["text": .string(text)]), to: "in.jsonl")
        try model.write(text, to: "in.txt")
        let parts = [
            model.path + "/tokenizer.json", "pre_tokenizer.pattern", "(?:a|a){1,40}b",
            "50 characters",
        ]
        try fail(
            etd, "tokenize", "--model", model.path, input: text + "\n",
            naming: ["standard input: line 1"] + parts)
        try fail(
            etd, "score", "--model", model.path, "--input", model.file("in.jsonl"), "--output",
            model.file("out.jsonl"), naming: [model.file("in.jsonl"), "line 2"] + parts)
        try fail(analyze, "lens", "--model", model.path, "--prompt", text, naming: parts)
        for data in ["in.txt", "in.jsonl"] {
            try fail(
                analyze, "probe", "--model", model.path, "--data", model.file(data), "--out",
                model.file("run"), naming: [model.file(data)] + parts)
        }
        #expect(names(in: model.scratch.path) == ["in.jsonl", "in.txt", "model"])
    }

    /// What a text needs while it becomes ids: the differences of peaks, since a process has a size
    /// of its own.
    @Test func memoryGrowsWithTheText() throws {
        let model = try TinyModel()
        var peaks: [Double] = []
        let sizes = [1, 8].map { $0 << 20 }
        for size in sizes {
            let words = "the thin end, in 1234 def f(x): return x\n"
            let text = String(repeating: words, count: size / words.utf8.count)
            try model.write(text, to: "in.txt")
            let run = try ProbeFiles(
                model, ["--data", model.file("in.txt"), "--sequences", "1", "--overwrite"])
            peaks.append(try #require(run.json("run.json")["peak_rss_bytes"]?.doubleValue))
        }
        // Text, ids and what lies between them: 20 bytes for each of text, most characters being a
        // token of their own here. Growth with the square, 20 at 1 MB, would be 160 at 8.
        #expect(peaks[1] - peaks[0] < 40 * Double(sizes[1] - sizes[0]), "\(peaks)")
    }
}
