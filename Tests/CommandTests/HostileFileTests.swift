// Files made to hurt a reader, and the system failing under a command: one line names the file, and
// nothing half done stays. The readers' own tests and the fuzz targets cover far more contents.

import Files
import Foundation
import TestSupport
import Testing

@Suite struct HostileFileTests {
    /// What stands in for the content of a JSON file, and what the error must say.
    private static let contents: [(String, String)] = [
        // Deeper than any parser that recurses can go without a limit.
        (String(repeating: "[", count: 1_000_000), "nested deeper than 256"),
        (String(repeating: #"{"a":"#, count: 200_000), "nested deeper than 256"),
        (#"{"a":1,"b":2,"a":3}"#, #"duplicate key "a""#),
        (#"{"\u0061":1,"a":3}"#, #"duplicate key "a""#),
    ]

    @Test(arguments: ["config.json", "model.safetensors.index.json", "tokenizer.json"])
    func jsonFiles(file: String) throws {
        let model = try TinyModel("llama-sharded")
        for (content, problem) in Self.contents {
            try model.write(content, to: "model/\(file)")
            try fail(
                analyze, "lens", "--model", model.path, "--prompt", "the",
                naming: [model.path, file, problem])
        }
    }

    @Test func safetensorsHeaders() throws {
        let model = try TinyModel()
        for (content, problem) in Self.contents {
            let length = (0..<8).map { UInt8(content.utf8.count >> (8 * $0) & 0xFF) }
            try model.scratch.write(length + content.utf8, to: "model/model.safetensors")
            try fail(
                analyze, "inspect", model.path, naming: [model.path, "model.safetensors", problem])
        }
    }

    /// A header of 4 GB that the file is long enough to hold: a sparse file, of zeros.
    @Test func aHeaderOfFourGigabytes() throws {
        let model = try TinyModel()
        let path = try model.scratch.write(
            [0, 0, 0, 0, 1, 0, 0, 0], to: "model/model.safetensors")
        #expect(truncate(path, 5 << 30) == 0)
        try fail(
            analyze, "inspect", model.path, naming: [path, "4294967296 bytes long", "100000000"])
    }

    /// Sizes that no allocation could follow, in a configuration that the weights do not bear out.
    @Test(arguments: [
        ("num_hidden_layers", 2_147_483_647, "2147483647 layers"),
        ("num_hidden_layers", 1 << 62, "positive whole number"),
        ("vocab_size", 2_147_483_647, "embed_tokens"),
        ("num_attention_heads", 1 << 30, "q_proj"),
        ("intermediate_size", 2_147_483_647, "mlp"),
    ])
    func configurationsOfAbsurdSizes(field: String, value: Int, part: String) throws {
        let model = try TinyModel()
        try model.configure([field: .number(value)])
        try fail(analyze, "inspect", model.path, naming: [model.path, part])
    }

    // MARK: The system fails

    /// A weight file that is made shorter while a pass reads it. Mapped pages are gone then, and the
    /// next touch of one is a signal that nothing in Swift can catch.
    @Test(arguments: ["safetensors", "gguf"])
    func aFileThatShrinksWhileItIsRead(format: String) throws {
        let model = try TinyModel("llama-deep", tokenizer: false)
        var path = model.path
        var weights = path + "/model.safetensors"
        if format == "gguf" {
            weights = model.file("model.gguf")
            path = weights
            try FileManager.default.copyItem(
                atPath: Locations.golden("models/llama-gqa/model.gguf").path, toPath: weights)
        }
        try model.write(ids: (0..<400_000).map { 3 + ($0 * 31) % 128 }, to: "long.u16")
        let folder = model.file("run")
        let running = try CommandRunner(analyze).start(
            ["probe", "--model", path, "--data", model.file("long.u16"), "--out", folder])
        let deadline = Date.now + 300
        while !running.hasMapped(weights), Date.now < deadline { usleep(5000) }
        try #require(running.hasMapped(weights), "the weights are being read")
        #expect(truncate(weights, 0) == 0)
        let result = try running.finish()
        #expect(result.code == 1, "\(result)")
        #expect(result.signal == nil)
        let lines = result.errorLines.filter { $0.contains("Error") }
        #expect(lines.count == 1, "\(result)")
        #expect(lines.first?.contains("\(weights): cannot read") == true, "\(result)")
        #expect(names(in: folder)?.isEmpty == true)
    }

    /// Places where not even root may make a file.
    @Test func placesThatCannotBeWrittenTo() throws {
        let model = try TinyModel()
        try model.write(line(["text": "the thin end"]), to: "in.jsonl")
        try fail(
            etd, "score", "--model", model.path, "--input", model.file("in.jsonl"), "--output",
            "/proc/scores.jsonl", "--quiet", naming: ["/proc/scores.jsonl", "cannot"])
        try fail(
            analyze, "probe", "--model", model.path, "--out", "/proc/run", "--quiet",
            naming: ["/proc/run", "cannot"])
    }

    /// A disk that is full, as a limit on the size of files gives it. See also `ProbeTargetTests`.
    @Test func aFullDiskLeavesTheOldScores() throws {
        let model = try TinyModel()
        try model.write(
            String(repeating: line(["text": "the thin end"]), count: 20), to: "in.jsonl")
        try model.write("old\n", to: "out.jsonl")
        let result = try CommandRunner(etd)(
            [
                "score", "--model", model.path, "--input", model.file("in.jsonl"), "--output",
                model.file("out.jsonl"), "--quiet", "--overwrite",
            ], shell: "trap '' XFSZ; ulimit -f 1")
        expectFailure(result, naming: [model.file("out.jsonl"), "cannot write"])
        #expect(try bytes(of: model.file("out.jsonl")) == Data("old\n".utf8))
        #expect(names(in: model.scratch.path) == ["in.jsonl", "model", "out.jsonl"])
    }

    /// Ctrl-C while scoring, from before the model is open to after the last line.
    @Test(arguments: [0, 10, 40, 120, 400] as [UInt32])
    func anInterruptLeavesNoHalfScores(milliseconds: UInt32) throws {
        let model = try TinyModel("llama-deep", tokenizer: false)
        let ids = JSON.ids((0..<100).map { 3 + ($0 * 31) % 128 })
        let requests = 200
        try model.write(
            String(repeating: line(["tokens": ids]), count: requests), to: "in.jsonl")
        let output = model.file("out.jsonl")
        let running = try CommandRunner(etd).start([
            "score", "--model", model.path, "--input", model.file("in.jsonl"), "--output", output,
        ])
        usleep(milliseconds * 1000)
        running.send(SIGINT)
        let result = try running.finish()
        let left = names(in: model.scratch.path) ?? []
        if result.code != 0 { #expect(result.signal == SIGINT, "\(result)") }
        // A signal may also land between the last rename and the process's end: then all is there.
        if result.code == 0 || left.contains("out.jsonl") {
            let scores = String(decoding: try bytes(of: output), as: UTF8.self)
            #expect(scores.split(separator: "\n").count == requests, "\(result)")
        } else {
            #expect(left == ["in.jsonl", "model"], "\(result)")
        }
    }
}
