// When commands open a tokenizer, what they do with one that is odd, and `tokenize`'s standard input.

import Files
import Foundation
import TestSupport
import Testing

@Suite struct TokenizerUseTests {
    /// SuperBPE's pattern repeats a group without bound, which is not supported.
    private func unsupported() throws -> TinyModel {
        let model = try TinyModel()
        var tokenizer = TinyModel.tokenizer(addsBOS: false).objectValue ?? [:]
        tokenizer["pre_tokenizer"] = [
            "type": "Split", "pattern": ["Regex": "(?=(\\d{3})+(?!\\d))"], "behavior": "Isolated",
        ]
        try model.write(JSON.object(tokenizer).text(), to: "model/tokenizer.json")
        return model
    }

    @Test func aTokenizerThatIsNotUsedBlocksNothing() throws {
        let model = try unsupported()
        let scores = try Scores(model, [["tokens": [3, 4, 5]]])
        #expect(scores.lines.count == 1)
        try model.write(ids: (0..<60).map { 3 + $0 % 50 }, to: "ids.u16")
        let run = try ProbeFiles(
            model, ["--data", model.file("ids.u16"), "--sequence-length", "20"])
        #expect(try run.layers()["data"]?["documents"] == 3)
        try succeed(
            analyze, "dump", "--model", model.path, "--data", model.file("ids.u16"),
            "--sequence-length", "20", "--sites", "resid", "--out", model.file("acts.h5"))
        let text = try succeed(analyze, "inspect", model.path).text
        #expect(text.contains("not supported") && text.contains("tokenizer.json"), "\(text)")
        // Where text is read, the line and the reason are named.
        let input = try model.write(
            line(["tokens": [3, 4]]) + line(["text": "the"]), to: "b.jsonl")
        try fail(
            etd, "score", "--model", model.path, "--input", input, "--output",
            model.file("b.out"), naming: [input, "line 2", model.path + "/tokenizer.json"])
        try fail(
            etd, "tokenize", "--model", model.path, input: "a\n",
            naming: [model.path + "/tokenizer.json"])
    }

    /// Published Gemma-3 files have one token more than rows. Only a text that gives it is wrong.
    @Test func moreTokensThanRowsMatterWhereTheyOccur() throws {
        let model = try TinyModel()
        let extra = (0..<40).map { "<more\($0)>" }
        var tokenizer = TinyModel.tokenizer(addsBOS: false, extra: extra).objectValue ?? [:]
        let last = TinyModel.vocabularySize + 39
        let added: [JSON] =
            (tokenizer["added_tokens"]?.arrayValue ?? []) + [
                ["id": .number(last), "content": "<more39>", "special": true]
            ]
        tokenizer["added_tokens"] = .array(added)
        try model.write(JSON.object(tokenizer).text(), to: "model/tokenizer.json")
        #expect(last >= 131)
        let fine = try Scores(model, [["text": "the thin"]])
        #expect(fine.lines.count == 1)
        let facts = try JSON.parse(try succeed(analyze, "inspect", "--json", model.path).output)
        #expect(facts["tokenizer"]?["ids without a row"]?.intValue == last + 1 - 131)
        try succeed(analyze, "lens", "--model", model.path, "--prompt", "the")
        let run = try ProbeFiles(model, ["--sequences", "1", "--sequence-length", "16"])
        #expect(try run.layers()["data"]?["documents"] == 1)
        let text = "the <more39>"
        let input = try model.write(
            line(["text": "the"]) + line(["text": .string(text)]), to: "b.jsonl")
        let parts = ["\(last)", "131"]
        try fail(
            etd, "score", "--model", model.path, "--input", input, "--output", model.file("o"),
            naming: [input, "line 1"])
        let second = try model.write(line(["text": .string(text)]), to: "c.jsonl")
        try fail(
            etd, "score", "--model", model.path, "--input", second, "--output", model.file("o"),
            naming: [second, "line 1"] + parts)
        try fail(analyze, "lens", "--model", model.path, "--prompt", text, naming: parts)
        try fail(
            analyze, "probe", "--model", model.path, "--data", second, "--out", model.file("run2"),
            naming: [second, "line 1", "<more39>"] + parts)
    }

    @Test func emptyDocumentsAreNotedAndDoNotCount() throws {
        let model = try TinyModel()
        let data = try model.write(
            ["the thin", "", "in the end", "", ""].map { line(["text": .string($0)]) }.joined(),
            to: "wiki.jsonl")
        let arguments = ["--data", data, "--passes", "angular", "--overwrite"]
        let run = try ProbeFiles(model, arguments)
        #expect(try run.layers()["data"]?["documents"] == 2)
        let notes = run.result.errorLines.filter { $0.contains("no text") }
        #expect(notes.count == 1)
        #expect(
            notes[0].contains(data) && notes[0].contains("3 lines") && notes[0].contains("line 2"))
        let quiet = try ProbeFiles(model, arguments + ["--quiet"])
        #expect(quiet.result.errors.isEmpty)
        let whole = try model.write(
            ["the thin", "in the end"].map { line(["text": .string($0)]) }.joined(), to: "w.jsonl")
        let same = try ProbeFiles(
            model, ["--data", whole, "--passes", "angular"], out: "same")
        for list in ["layers", "boundaries"] {
            #expect(try same.layers()[list] == quiet.layers()[list])
        }
    }

    /// The committed seed with its `tokenizer.ggml.pre` under another name of the same length.
    @Test func aGGUFWithoutPreSaysWhatIsAssumed() throws {
        var content = [UInt8](
            try bytes(of: Locations.golden("fuzz/gguf/seed-llama.gguf").path))
        let scratch = try ScratchDirectory()
        try scratch.write(content, to: "with.gguf")
        let key = Array("tokenizer.ggml.pre".utf8)
        let place = try #require(
            content.indices.dropLast(key.count).first {
                content[$0..<$0 + key.count].elementsEqual(key)
            })
        content[place + key.count - 1] = UInt8(ascii: "x")
        let path = try scratch.write(content, to: "without.gguf")
        let given = try CommandRunner(etd)(
            ["tokenize", "--model", scratch.file("with.gguf")], input: "ab\n")
        #expect(given.code == 0 && given.errors.isEmpty)
        let assumed = try CommandRunner(etd)(["tokenize", "--model", path], input: "ab\n")
        #expect(assumed.code == 0 && assumed.errorLines.count == 1, "\(assumed)")
        #expect(assumed.errors.hasPrefix(path) && assumed.errors.contains("assumed"))
        let inspected = try CommandRunner(analyze)(["inspect", "--json", path])
        #expect(inspected.code == 0 && inspected.errors.isEmpty)
        let facts = try JSON.parse(inspected.output)["tokenizer"]
        #expect(facts?["assumed"]?.arrayValue?.count == 1)
    }

    // MARK: Standard input

    private func plain() throws -> ScratchDirectory {
        let scratch = try ScratchDirectory()
        try scratch.write(TinyModel.tokenizer(addsBOS: false).text().utf8, to: "tokenizer.json")
        return scratch
    }

    /// A carriage return before a line feed, or at the end, belongs to the line's end; others do not.
    @Test func windowsLineEndsAreLineEnds() throws {
        let scratch = try plain()
        func run(_ input: String, _ more: String...) throws -> [String] {
            try CommandRunner(etd)(["tokenize", "--model", scratch.path] + more, input: input).lines
        }
        let inside = TinyModel.id("in")
        #expect(try run("in\r\n\r\nin\r") == ["[\(inside)]", "[]", "[\(inside)]"])
        #expect(try run("in\r\n") == run("in\n") && run("in\r\r\n") == run("in\r\r"))
        #expect(try run("\"in\"\r\n", "--json-lines") == ["[\(inside)]"])
        #expect(try run("[\(inside)]\r\n", "--decode") == ["in"])
    }

    /// Each line is answered before the next is sent: without streaming this never ends.
    @Test(.timeLimit(.minutes(20))) func linesAreAnsweredAsTheyCome() throws {
        let scratch = try plain()
        let process = Process()
        process.executableURL = URL(filePath: try CommandRunner(etd).path)
        process.arguments = ["tokenize", "--model", scratch.path]
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        for text in ["in", "the", ""] {
            try input.fileHandleForWriting.write(contentsOf: Data((text + "\n").utf8))
            var answer = Data()
            while answer.last != 0x0A {
                let part = try #require(try output.fileHandleForReading.read(upToCount: 1))
                try #require(!part.isEmpty)
                answer += part
            }
            let expected = text.isEmpty ? "[]\n" : "[\(TinyModel.id(text))]\n"
            #expect(String(decoding: answer, as: UTF8.self) == expected)
        }
        try input.fileHandleForWriting.close()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }

    @Test(arguments: ["exec <&-", "exec < /"])
    func standardInputThatCannotBeReadIsSaid(_ shell: String) throws {
        let scratch = try plain()
        let result = try CommandRunner(etd)(["tokenize", "--model", scratch.path], shell: shell)
        expectFailure(result, naming: ["standard input", "cannot read"])
    }

    /// Lines longer than what is read at once, and many short ones.
    @Test func linesOfAnyLength() throws {
        let scratch = try plain()
        let lengths = [0, 1, 65_535, 65_536, 65_537, 200_000, 3] + Array(repeating: 2, count: 5000)
        let input = lengths.map { String(repeating: "q", count: $0) + "\n" }.joined()
        let result = try CommandRunner(etd)(["tokenize", "--model", scratch.path], input: input)
        let found = result.lines.map { $0 == "[]" ? 0 : $0.count { $0 == "," } + 1 }
        #expect(found == lengths)
    }
}
