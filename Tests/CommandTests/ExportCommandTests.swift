// `etd export` as a user runs it: what it says, what it leaves, what it refuses. What the formats hold is
// tested in ExportTests.

import Files
import Foundation
import TestSupport
import Testing

@Suite struct ExportCommandTests {
    private func export(
        _ model: TinyModel, _ more: String..., format: String = "hf-unrolled", out: String = "out"
    ) throws -> CommandRunner.Result {
        try CommandRunner(etd)(
            [
                "export", "--model", model.path, "--format", format, "--out", model.file(out),
            ] + more)
    }

    /// The export scores as the looped model does, byte for byte, tokenizer and all.
    @Test(arguments: ["hf-unrolled", "hf-etd"])
    func anExportRuns(_ format: String) throws {
        let model = try TinyModel()
        let done = try export(model, "--split", "1-2-1", "--iterations", "3", format: format)
        #expect(done.code == 0 && done.output.isEmpty, "\(done)")
        #expect(
            done.errorLines.last?.contains("\(format) of 1-2*3-1, 4 layers, 8 executed") == true)
        let input = try model.write(#"{"text":"the thin end"}"# + "\n", to: "in.jsonl")
        // hf-etd holds the base model's weights: with the split it is the same loop.
        let split = format == "hf-etd" ? ["--split", "1-2*3-1"] : []
        let theirs = try CommandRunner(etd)(
            ["score", "--model", model.file("out"), "--input", input, "--output", "-"] + split)
        let ours = try succeed(
            etd, "score", "--model", model.path, "--input", input, "--output", "-", "--split",
            "1-2*3-1")
        #expect(theirs.code == 0 && theirs.text == ours.text, "\(theirs)")
    }

    @Test func quietIsQuiet() throws {
        let model = try TinyModel()
        let done = try export(model, "--split", "1-2*2-1", "--quiet")
        #expect(done.code == 0 && done.errors.isEmpty && done.output.isEmpty, "\(done)")
    }

    @Test func targetsThatAreThereNeedOverwrite() throws {
        let model = try TinyModel()
        #expect(try export(model, "--split", "1-2*2-1").code == 0)
        let files = names(in: model.file("out"))
        expectFailure(
            try export(model, "--split", "1-2*3-1"), naming: [model.file("out"), "--overwrite"])
        #expect(names(in: model.file("out")) == files)
        let done = try export(model, "--split", "1-2*3-1", "--overwrite", format: "peft")
        #expect(done.code == 0, "\(done)")
        #expect(
            names(in: model.file("out")) == [
                "README.md", "adapter_config.json", "adapter_model.safetensors",
            ])
        try Data().write(to: URL(filePath: model.file("file")))
        expectFailure(
            try export(model, "--split", "1-2*2-1", out: "file"),
            naming: [model.file("file"), "no folder"])
        expectFailure(
            try export(model, "--split", "1-2*2-1", "--overwrite", out: "model"),
            naming: ["--out", "choose another name"])
    }

    @Test func splitsOfAnotherModelAreRefused() throws {
        let model = try TinyModel()
        expectFailure(try export(model, "--split", "2-9*2-3"), naming: ["2-9*2-3", "4"])
        let run = try ProbeFiles(model, ["--sequences", "2", "--sequence-length", "16"])
        var members = try #require(try run.json("split.json").objectValue)
        var facts = try #require(members["model"]?.objectValue)
        facts["fingerprint"] = .string(String(repeating: "0", count: 64))
        members["model"] = .object(facts)
        let path = try model.write(JSON.object(members).text(), to: "split.json")
        expectFailure(
            try export(model, "--split", path, "--iterations", "2"),
            naming: ["split.json", "--allow-mismatch"])
        expectFailure(
            try export(model, "--split", "1-2-1", "--iterations", "40000"),
            naming: ["65536", "fewer iterations"])
        #expect(names(in: model.file("out")) == nil)
    }

    @Test func familiesThatCannotSayWhy() throws {
        let model = try TinyModel("olmo3", tokenizer: false)
        expectFailure(
            try export(model, "--split", "1-3*2-1", format: "peft"),
            naming: ["PEFT", "layer_types", "hf-unrolled"])
        #expect(names(in: model.file("out")) == nil)
    }

    /// A limit on the size of files ends a write in the middle as a full disk does.
    @Test(arguments: [1, 64])
    func aFullDiskLeavesNothing(_ blocks: Int) throws {
        let model = try TinyModel()
        let before = names(in: model.scratch.path)
        let result = try CommandRunner(etd)(
            [
                "export", "--model", model.path, "--split", "1-2*3-1", "--format", "hf-unrolled",
                "--out", model.file("out"), "--quiet",
            ], shell: "trap '' XFSZ; ulimit -f \(blocks)")
        expectFailure(result, naming: [model.file("out/"), "write", "File too large"])
        #expect(!result.errors.contains(".tmp-"), "\(result)")
        #expect(names(in: model.scratch.path) == before)
    }

    /// What a killed run has left goes when the next one starts.
    @Test func whatAKilledRunLeftIsRemoved() throws {
        let model = try TinyModel()
        let gguf = Locations.golden("models/llama-gqa/model.gguf").path
        // Killed in the middle of a file, by a limit on its size.
        let killed = try CommandRunner(etd)(
            [
                "export", "--model", model.path, "--split", "1-2*3-1", "--format", "hf-unrolled",
                "--out", model.file("out"), "--quiet",
            ], shell: "ulimit -c 0; ulimit -f 64")
        #expect(killed.signal == SIGXFSZ, "\(killed)")
        #expect(names(in: model.scratch.path)?.count { $0.hasPrefix("out.tmp-") } == 1)
        #expect(names(in: model.file("out")) == nil)
        #expect(try export(model, "--split", "1-2*3-1").code == 0)
        #expect(names(in: model.scratch.path)?.contains { $0.hasPrefix("out.tmp-") } == false)
        let file = try CommandRunner(etd)([
            "export", "--model", gguf, "--split", "1-2*3-1", "--format", "gguf-unrolled", "--out",
            model.file("a.gguf"),
        ])
        #expect(file.code == 0, "\(file)")
    }
}
