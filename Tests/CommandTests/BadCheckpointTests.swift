// Checkpoints that are damaged or not what they say: every command names what is wrong in one line and
// leaves nothing behind. The readers' own tests cover far more ways to be damaged.

import Files
import Foundation
import TestSupport
import Testing

struct Damage: CustomTestStringConvertible, Sendable {
    let testDescription: String
    var golden = "llama-gqa"
    /// What the error must say, besides the place.
    let parts: [String]
    let apply: @Sendable (TinyModel) throws -> Void

    init(
        _ description: String, golden: String = "llama-gqa", naming parts: String...,
        apply: @escaping @Sendable (TinyModel) throws -> Void
    ) {
        testDescription = description
        self.golden = golden
        self.parts = parts
        self.apply = apply
    }

    private static let weights = "/model.safetensors"
    private static let norm = "model.layers.2.input_layernorm.weight"

    private static func edit(_ path: String, _ change: (inout [UInt8]) -> Void) throws {
        var content = [UInt8](try bytes(of: path))
        change(&content)
        try Data(content).write(to: URL(filePath: path))
    }

    private static func index(_ model: TinyModel, _ change: (inout JSON.Object) -> Void) throws {
        let path = model.path + "/model.safetensors.index.json"
        let json = try JSON.read(path: path)
        var map = json["weight_map"]?.objectValue ?? [:]
        change(&map)
        try JSON.object(["weight_map": .object(map)]).text().write(
            toFile: path, atomically: true, encoding: .utf8)
    }

    static let all: [Damage] = [
        Damage("truncated data", naming: "model.safetensors", "the data ends at byte") { model in
            try edit(model.path + weights) { $0.removeLast(100) }
        },
        Damage("truncated header", naming: "model.safetensors", "truncated") { model in
            try edit(model.path + weights) { $0 = Array($0.prefix(500)) }
        },
        Damage("empty file", naming: "model.safetensors") { model in
            try edit(model.path + weights) { $0 = [] }
        },
        Damage("header of absurd length", naming: "model.safetensors", "header") { model in
            try edit(model.path + weights) {
                $0.replaceSubrange(0..<8, with: [255, 255, 255, 255, 255, 255, 255, 127])
            }
        },
        Damage("header that is not JSON", naming: "model.safetensors", "JSON") { model in
            try edit(model.path + weights) { $0[8] = 0x5B }
        },
        Damage("wrong dtype", naming: "model.safetensors", norm, "64 bytes") { model in
            try model.rewrite { header, _ in
                var entry = header[norm]?.objectValue ?? [:]
                entry["dtype"] = "F16"
                header[norm] = .object(entry)
            }
        },
        Damage("unknown dtype", naming: "model.safetensors", norm, "F7") { model in
            try model.rewrite { header, _ in
                var entry = header[norm]?.objectValue ?? [:]
                entry["dtype"] = "F7"
                header[norm] = .object(entry)
            }
        },
        Damage("wrong shape", naming: norm, "[4, 8]", "[32]") { model in
            try model.rewrite { header, _ in
                var entry = header[norm]?.objectValue ?? [:]
                entry["shape"] = [4, 8]
                header[norm] = .object(entry)
            }
        },
        Damage("missing tensor", naming: "1 tensor", "missing", norm) { model in
            try model.rewrite { header, _ in
                let entry = header[norm] ?? .null
                header.removeValue(forKey: norm)
                header["model.layers.2.rotary_emb.inv_freq"] = entry
            }
        },
        Damage("left-over tensor", naming: "1 tensor", "model.layers.2.mlp.extra.weight") { model in
            try model.rewrite { header, data in
                header["model.layers.2.mlp.extra.weight"] = [
                    "dtype": "F32", "shape": [1],
                    "data_offsets": [.number(data.count), .number(data.count + 4)],
                ]
                data += [0, 0, 0, 0]
            }
        },
        Damage("more layers than weights", naming: "missing", "model.layers.4.") { model in
            try model.configure(["num_hidden_layers": 5])
        },
        Damage("fewer layers than weights", naming: "no place", "model.layers.3.") { model in
            try model.configure(["num_hidden_layers": 3])
        },
        Damage("index outside its directory", golden: "llama-sharded", naming: "index.json", "../")
        {
            model in
            try index(model) { $0["model.norm.weight"] = "../model-00001-of-00003.safetensors" }
        },
        Damage("absolute path in the index", golden: "llama-sharded", naming: "index.json", "/etc")
        {
            model in
            try index(model) { $0["model.norm.weight"] = "/etc/passwd" }
        },
        Damage("missing shard", golden: "llama-sharded", naming: "index.json", "00002") { model in
            try FileManager.default.removeItem(
                atPath: model.path + "/model-00002-of-00003.safetensors")
        },
        Damage("unknown architecture", naming: "\"mamba\"", "llama", "olmo2", "gemma3") { model in
            try model.configure(["model_type": "mamba"])
        },
        Damage("config.json without a size", naming: "config.json", "hidden_size") { model in
            try model.configure(["hidden_size": .null])
        },
        Damage("config.json with a negative size", naming: "config.json", "num_hidden_layers", "-4")
        {
            model in
            try model.configure(["num_hidden_layers": -4])
        },
        Damage("config.json that is not JSON", naming: "config.json", "JSON") { model in
            try model.write("{\"model_type\": ", to: "model/config.json")
        },
        Damage("no config.json", naming: "config.json") { model in
            try FileManager.default.removeItem(atPath: model.path + "/config.json")
        },
        Damage("no weights", naming: "model.safetensors") { model in
            try FileManager.default.removeItem(atPath: model.path + weights)
        },
        Damage("larger vocabulary than embedding", naming: "embed_tokens", "[131, 32]", "[200, 32]")
        {
            model in
            try model.configure(["vocab_size": 200])
        },
        Damage("tokenizer with more ids than the embedding", naming: "tokenizer", "131") { model in
            let extra = (0..<40).map { "<more\($0)>" }
            try TinyModel.tokenizer(addsBOS: false, extra: extra).text().write(
                toFile: model.path + "/tokenizer.json", atomically: true, encoding: .utf8)
        },
        Damage("tokenizer.json that is not JSON", naming: "tokenizer.json") { model in
            try model.write("{", to: "model/tokenizer.json")
        },
        Damage("tokenizer of an unknown kind", naming: "tokenizer.json", "WordLevel") { model in
            try model.write(
                #"{"added_tokens":[],"model":{"type":"WordLevel","vocab":{"a":0}}}"#,
                to: "model/tokenizer.json")
        },
    ]
}

@Suite struct BadCheckpointTests {
    @Test(arguments: Damage.all)
    func everyCommandNamesTheDamage(_ damage: Damage) throws {
        let model = try TinyModel(damage.golden)
        try model.write("{\"text\":\"the thin end\"}\n", to: "requests.jsonl")
        try damage.apply(model)
        let parts = [model.path] + damage.parts
        try fail(analyze, "inspect", model.path, naming: parts)
        try fail(
            analyze, "probe", "--model", model.path, "--out", model.file("run"), naming: parts)
        try fail(analyze, "lens", "--model", model.path, "--prompt", "the", naming: parts)
        try fail(
            etd, "score", "--model", model.path, "--input", model.file("requests.jsonl"),
            "--output", model.file("scores.jsonl"), naming: parts)
        #expect(names(in: model.scratch.path) == ["model", "requests.jsonl"])
    }

    /// NaN and Inf where they act: the check of each layer's output names the layer; `inspect --check`
    /// names the tensor; `inspect` alone reads no weights.
    @Test(arguments: [
        ("model.layers.2.mlp.up_proj.weight", Float.nan, "layer 2"),
        ("model.layers.0.self_attn.q_proj.weight", .infinity, "layer 0"),
        ("model.layers.3.post_attention_layernorm.weight", -.infinity, "layer 3"),
        ("model.embed_tokens.weight", .nan, "embedding"),
    ])
    func valuesThatAreNotFiniteAreNamed(tensor: String, value: Float, place: String) throws {
        let model = try TinyModel(tokenizer: false)
        // The first id's row of the embedding, or the first row of a matrix.
        try model.set(tensor, at: 5, to: value)
        try model.write(line(["tokens": [0, 7, 9]]), to: "ids.jsonl")
        try fail(analyze, "inspect", model.path, "--check", naming: [model.path, tensor])
        try succeed(analyze, "inspect", model.path)
        let parts = [model.path, place, "not finite", "--check"]
        try fail(
            analyze, "probe", "--model", model.path, "--data", model.file("ids.jsonl"), "--out",
            model.file("run"), naming: parts)
        try fail(
            etd, "score", "--model", model.path, "--input", model.file("ids.jsonl"), "--output",
            model.file("scores.jsonl"), naming: parts)
        #expect(names(in: model.scratch.path) == ["ids.jsonl", "model"])
    }

    /// A row of the unembedding, of a token that no text has, stops whatever reads logits.
    @Test(arguments: [Float.nan, .infinity, -.infinity])
    func logitsThatAreNotFiniteAreNamed(_ value: Float) throws {
        let model = try TinyModel("olmo2-gqa")
        try model.write(line(["tokens": [4, 7, 9, 12]]), to: "ids.jsonl")
        let text = String(repeating: "the thin inn ", count: 60)
        try model.write(text, to: "text.txt")
        let lens = model.file("lens.safetensors")
        let tune = [
            "tune-lens", "--model", model.path, "--data", model.file("text.txt"),
            "--sequence-length", "32", "--tokens", "64", "--precision", "f32", "--quiet", "--out",
        ]
        let made = try CommandRunner(analyze)(tune + [lens])
        try #require(made.code == 0, "\(made)")
        // BF16: two bytes of value 5 of row 125.
        try model.rewrite { header, data in
            let start = header["lm_head.weight"]?["data_offsets"]?.arrayValue?[0].intValue ?? 0
            let bits = value.bitPattern >> 16
            data[start + (125 * 32 + 5) * 2] = UInt8(bits & 0xFF)
            data[start + (125 * 32 + 5) * 2 + 1] = UInt8(bits >> 8)
        }
        try fail(
            analyze, "inspect", model.path, "--check",
            naming: [model.path, "NaN or Inf: lm_head.weight (row 125)"])
        let parts = [model.path, "vocabulary id 125", "position 0", "not finite", "--check"]
        try fail(
            etd, "score", "--model", model.path, "--input", model.file("ids.jsonl"), "--output",
            model.file("scores.jsonl"), naming: parts)
        for more in [[], ["--passes", "lens"]] {
            let result = try CommandRunner(analyze)(
                [
                    "probe", "--model", model.path, "--data", model.file("ids.jsonl"), "--out",
                    model.file("run"),
                ] + more)
            expectFailure(result, naming: parts + ["boundary 0"])
        }
        try fail(
            analyze, "lens", "--model", model.path, "--prompt", "the inn",
            naming: parts + ["boundary 0"])
        expectFailure(
            try CommandRunner(analyze)(tune + [model.file("other.safetensors")]),
            naming: ["vocabulary id 125", "boundary"])
        #expect(
            names(in: model.scratch.path) == ["ids.jsonl", "lens.safetensors", "model", "text.txt"])
        // A dump has states and no logits.
        try succeed(
            analyze, "dump", "--model", model.path, "--data", model.file("ids.jsonl"), "--out",
            model.file("a.h5"), "--quiet")
    }

    /// A dump looks at what it stores: the check of a layer's output comes later, and an infinite key whose
    /// score is -Inf weighs nothing there.
    @Test func aDumpHoldsNoInfinity() throws {
        let model = try TinyModel(tokenizer: false)
        try model.write(line(["tokens": [4, 7, 9, 12]]), to: "ids.jsonl")
        for column in 0..<32 {
            try model.set("model.layers.1.self_attn.k_proj.weight", at: column, to: 3e38)
        }
        for type in ["f32", "bf16"] {
            try fail(
                analyze, "dump", "--model", model.path, "--data", model.file("ids.jsonl"),
                "--sites", "resid,k", "--dtype", type, "--out", model.file("a.h5"), "--quiet",
                naming: ["k of layer 1 is not finite at position", "document 0"])
        }
        #expect(!FileManager.default.fileExists(atPath: model.file("a.h5")))
    }

    @Test(arguments: [
        (16, "bad header"), (2000, "truncated"), (-64, "truncated"), (3, "GGUF"),
    ])
    func truncatedGGUFFilesAreNamed(length: Int, word: String) throws {
        let scratch = try ScratchDirectory()
        let whole = try bytes(of: Locations.golden("models/llama-gqa/model.gguf").path)
        try scratch.write(length < 0 ? whole.dropLast(-length) : whole.prefix(length), to: "m.gguf")
        let path = scratch.file("m.gguf")
        try fail(analyze, "inspect", path, naming: [path, word])
        try fail(
            analyze, "probe", "--model", path, "--out", scratch.file("run"), naming: [path, word])
        #expect(try scratch.names() == ["m.gguf"])
    }

    @Test func aModelThatIsNowhereIsNamed() throws {
        let scratch = try ScratchDirectory()
        let runner = try CommandRunner(analyze)
        let cache = ["XDG_CACHE_HOME": scratch.path]
        for name in ["no-such-model", "./no/such", "/no/such.gguf"] {
            let result = try runner(["inspect", name], environment: cache)
            expectFailure(result, naming: [name, "fetch-model"])
        }
        // A short name is a file of the cache; no name is none, and not the cache itself.
        try FileManager.default.createDirectory(
            atPath: scratch.file("etd/models"), withIntermediateDirectories: true)
        try FileManager.default.copyItem(
            atPath: Locations.golden("models/llama-gqa/model.gguf").path,
            toPath: scratch.file("etd/models/tiny.gguf"))
        expectFailure(try runner(["inspect", ""], environment: cache), naming: ["fetch-model"])
        let found = try runner(["inspect", "tiny"], environment: cache)
        #expect(found.code == 0 && found.text.contains("llama"), "\(found)")
    }
}
