// `etd-analyze inspect` and `report`.

import Files
import Foundation
import TestSupport
import Testing

@Suite struct InspectTests {
    private func json(_ arguments: String...) throws -> JSON {
        let result = try CommandRunner(analyze)(["inspect", "--json"] + arguments)
        try #require(result.code == 0, "\(result)")
        #expect(result.errors.isEmpty)
        return try JSON.parse(result.output)
    }

    @Test func aCheckpointsFacts() throws {
        let model = try TinyModel("gemma3")
        let facts = try json(model.path)
        for (name, value): (String, JSON) in [
            ("path", .string(model.path)), ("format", "safetensors"), ("layers", 8),
            ("hidden_size", 24), ("intermediate_size", 20), ("heads", 4), ("kv_heads", 2),
            ("head_dim", 8), ("vocab_size", 131), ("context", 128), ("tied_embeddings", true),
        ] {
            #expect(facts["model"]?[name] == value, "\(name)")
        }
        // The embedding; norms, QK norms, attention and MLP of each layer; the final norm.
        let layer = 4 * 24 + 2 * 8 + 24 * (32 + 16 + 16 + 32) + 3 * 24 * 20
        #expect(facts["model"]?["parameters"]?.intValue == 131 * 24 + 8 * layer + 24)
        let attention = (facts["model"]?["attention"]?.arrayValue ?? []).compactMap(\.stringValue)
        #expect(attention.contains { $0.contains("layers 3,7") && $0.contains("full") })
        #expect(attention.contains { $0.contains("window 8") && $0.contains("100") })
        #expect(facts["tokenizer"]?["ids"]?.intValue == TinyModel.vocabularySize)
        #expect(facts["tokenizer"]?["bos"] == "1 <s>")
        #expect(facts["tensors by type"]?.objectValue?.keys == ["F32"])

        let parts = try #require(facts["parameters by part"]?.objectValue)
        #expect(parts["embedding"] == .number(131 * 24))
        #expect(parts["mlp"] == .number(8 * 3 * 24 * 20))
        #expect(
            parts.values.reduce(0) { $0 + ($1.intValue ?? 0) }
                == facts["model"]?["parameters"]?.intValue)
        #expect(facts["rope"]?["layers 3,7"]?["base"]?.doubleValue == 5000)
        #expect(facts["tensors"]?["model.layers.*.mlp.up_proj.weight"]?["F32"] == 8)
        #expect(facts["tensors by type"]?["F32"]?["tensors"]?.intValue == 2 + 8 * 13)

        let text = try succeed(analyze, "inspect", model.path).text
        for part in ["gemma3", "layers", "fingerprint", "tokenizer", "131"] {
            #expect(text.contains(part))
        }
    }

    @Test(arguments: ["pythia", "gpt2", "olmo", "olmo3", "phi3", "qwen2"])
    func familiesOfOtherShapes(_ name: String) throws {
        let model = try TinyModel(name, tokenizer: false)
        let facts = try json(model.path)
        let parts = try #require(facts["parameters by part"]?.objectValue)
        #expect(
            parts.values.reduce(0) { $0 + ($1.intValue ?? 0) }
                == facts["model"]?["parameters"]?.intValue)
        func expect(_ section: String, _ fields: [String: JSON]) {
            for (field, value) in fields {
                #expect(facts[section]?[field] == value, "\(section).\(field)")
            }
        }
        switch name {
        case "pythia":
            expect(
                "model",
                [
                    "architecture": "gpt_neox", "residual": "parallel", "mlp": "plain",
                    "activation": "gelu",
                    "biases": ["q, k, v", "attention output", "mlp", "norms"],
                ])
            #expect(facts["rope"]?["all layers"]?["dimensions"] == 4)
        case "gpt2":
            expect("model", ["positions": "learned", "residual": "sequential", "context": 32])
            #expect(parts["position embedding"] == .number(32 * 24))
        case "olmo":
            expect("model", ["qkv_clip": 2.5])
            #expect(parts["norms"] == nil)
            #expect(facts["model"]?["norm"]?.stringValue?.contains("without weights") == true)
        case "olmo3":
            #expect(facts["rope"]?["layers 3"]?["scaling"] == "yarn")
            #expect(facts["rope"]?["layers 0,1,2,4"]?["scaling"] == "none")
        case "phi3":
            #expect(facts["rope"]?["all layers"]?["scaling"] == "longrope")
        default:
            expect("model", ["biases": ["q, k, v"]])
            #expect(facts["rope"]?["all layers"]?["factor"]?.doubleValue == 4)
        }
    }

    /// The same weights in the two formats; the fingerprint is of the file, so it differs.
    @Test func aGGUFFileSaysTheSameOfItsModel() throws {
        let model = try TinyModel("llama-gqa", tokenizer: false)
        let safetensors = try json(model.path)
        let gguf = try json(Locations.golden("models/llama-gqa/model.gguf").path)
        #expect(gguf["model"]?["format"] == "gguf")
        for name in [
            "layers", "hidden_size", "heads", "kv_heads", "head_dim", "vocab_size", "parameters",
        ] {
            #expect(gguf["model"]?[name] == safetensors["model"]?[name], "\(name)")
        }
        #expect(safetensors["tokenizer"]?["tokenizer"]?.stringValue?.hasPrefix("none") == true)
    }

    @Test func whatWasAssumedIsPrinted() throws {
        let model = try TinyModel("llama-bf16", tokenizer: false)
        let given = try json(model.path)
        try bytes(of: Locations.golden("models/llama-bf16/config.v4.json").path)
            .write(to: URL(filePath: model.path + "/config.json"))
        let assumed = try json(model.path)
        func bases(_ facts: JSON) -> [String] {
            (facts["model"]?["assumed"]?.arrayValue ?? []).compactMap(\.stringValue)
                .filter { $0.contains("rotary base") && $0.contains("10000") }
        }
        #expect(bases(given).isEmpty && bases(assumed).count == 1)
        #expect(given["model"]?["attention"] == assumed["model"]?["attention"])
        #expect(try succeed(analyze, "inspect", model.path).text.contains("rotary base"))
    }

    @Test func checkAndHashReadTheWeights() throws {
        let model = try TinyModel("llama-sharded", tokenizer: false)
        let facts = try json(model.path, "--check", "--hash")
        #expect(facts["model"]?["checked"] == "every weight is finite")
        let hashes = (facts["model"]?.objectValue ?? [:]).filter { $0.key.hasPrefix("sha256 of") }
        #expect(hashes.count == 3)
        let sum = Process()
        let output = Pipe()
        sum.executableURL = URL(filePath: "/usr/bin/env")
        sum.arguments = ["sha256sum", model.path + "/model-00002-of-00003.safetensors"]
        sum.standardOutput = output
        try sum.run()
        let text = String(
            decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let hash = try #require(hashes.first { $0.key.contains("00002-of") }?.value.stringValue)
        #expect(text.hasPrefix(hash))

        let small = try TinyModel()
        let run = try ProbeFiles(
            small, ["--hash", "--sequences", "1", "--sequence-length", "4"])
        let written = try run.layers()["model"]?["sha256"]?.objectValue
        #expect(written?.values.first?.stringValue?.count == 64)
    }

    @Test func runsAndTheirFiles() throws {
        let model = try TinyModel()
        let run = try ProbeFiles(model, ["--sequences", "2", "--sequence-length", "16"])
        let layers = try run.layers()
        let whole = try json(run.folder)
        #expect(whole["run"]?["fingerprint"] == layers["model"]?["fingerprint"])
        #expect(whole["run"]?["tokens"] == 32)
        #expect(whole["run"]?["boundaries"] == 5)
        #expect(whole["split"]?["method"] == "angular+kneedle")
        #expect(try json(run.folder + "/layers.json")["run"] == whole["run"])
        #expect(try json(run.folder + "/split.json")["split"] == whole["split"])
        #expect(try json(run.folder + "/run.json").text().contains("\"tokens\": 32"))
        let text = try succeed(analyze, "inspect", run.folder).text
        #expect(text.contains("documents") && text.contains("alternatives"))

        try model.write(#"{"schema":"etd-else/v1"}"#, to: "else.json")
        try model.write("{", to: "half.json")
        try fail(
            analyze, "inspect", model.file("else.json"),
            naming: [model.file("else.json"), "etd-layers/v1"])
        try fail(analyze, "inspect", model.file("half.json"), naming: [model.file("half.json")])
    }

    // MARK: report

    @Test func reportRebuildsTheSamePage() throws {
        let model = try TinyModel()
        let run = try ProbeFiles(model, ["--sequences", "2", "--sequence-length", "16"])
        let page = run.folder + "/report.html"
        let before = try bytes(of: page)
        try FileManager.default.removeItem(atPath: page)
        let result = try succeed(analyze, "report", run.folder)
        #expect(result.lines == [page] && result.errors.isEmpty)
        #expect(try bytes(of: page) == before)
        #expect(names(in: run.folder) == runFiles)

        let html = String(decoding: before, as: UTF8.self)
        #expect(html.hasPrefix("<!DOCTYPE html>"))
        #expect(!html.contains("<link") && !html.contains("src="))
        #expect(html.contains(try #require(run.layers()["model"]?["fingerprint"]?.stringValue)))
    }

    @Test func reportOfWhatIsNoRunIsAFailure() throws {
        let model = try TinyModel()
        try fail(
            analyze, "report", model.path, naming: [model.path, "layers.json", "etd-analyze probe"])
        try fail(analyze, "report", model.file("nowhere"), naming: [model.file("nowhere")])
        let run = try ProbeFiles(model, ["--sequences", "1", "--sequence-length", "16"])
        let page = try bytes(of: run.folder + "/report.html")
        try model.write("{}", to: "run/layers.json")
        try fail(analyze, "report", run.folder, naming: [run.folder + "/layers.json", "schema"])
        #expect(try bytes(of: run.folder + "/report.html") == page)
    }
}
