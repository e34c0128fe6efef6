// Routers in exports: which formats keep the tensor pair, and what is refused. What transformers computes
// with them is scripts/peers/router.py.

import Checkpoints
import Export
import Files
import Foundation
import Models
import Plans
import TestSupport
import Testing

@Suite struct RouterTests {
    private static let names = ["etd.router.weight", "etd.router.bias"]

    /// A golden's folder with a router beside its weights, in a file of its own.
    private func folder(
        _ scratch: ScratchDirectory, shapes: [[Int]], etd: String?
    ) throws -> String {
        let source = Source(name: "llama-gqa").path
        let folder = scratch.file("model")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let weights = try TensorArchive(path: source + "/model.safetensors").tensors.keys
        try FileManager.default.copyItem(
            atPath: source + "/model.safetensors", toPath: folder + "/model-1.safetensors")
        var map = weights.map { "\"\($0)\": \"model-1.safetensors\"" }
        var entries: [String] = []
        var data = Data()
        for (name, shape) in zip(Self.names, shapes) {
            let count = shape.reduce(1, *)
            let values = (0..<count).map { Float($0) / 7 - 1 }
            let bytes = values.withUnsafeBytes { Data($0) }
            entries.append(
                "\"\(name)\":{\"dtype\":\"F32\",\"shape\":\(shape),\"data_offsets\":"
                    + "[\(data.count),\(data.count + bytes.count)]}")
            data += bytes
            map.append("\"\(name)\": \"model-2.safetensors\"")
        }
        let header = Data(("{" + entries.joined(separator: ",") + "}").utf8)
        var length = UInt64(header.count).littleEndian
        let file = withUnsafeBytes(of: &length) { Data($0) } + header + data
        try file.write(to: URL(filePath: folder + "/model-2.safetensors"))
        try Data("{\"weight_map\": {\(map.joined(separator: ","))}}".utf8)
            .write(to: URL(filePath: folder + "/model.safetensors.index.json"))
        var config = try String(contentsOfFile: source + "/config.json", encoding: .utf8)
        if let etd {
            let end = try #require(config.lastIndex(of: "}"))
            config.replaceSubrange(end..., with: ", \"etd\": \(etd)}")
        }
        try Data(config.utf8).write(to: URL(filePath: folder + "/config.json"))
        return folder
    }

    private func job(_ path: String) throws -> ExportJob {
        let checkpoint = try Checkpoint.open(path)
        return try ExportJob(
            checkpoint: checkpoint, configuration: Transformer.load(checkpoint).configuration,
            split: Split(encoder: 1, think: 2, decoder: 1), iterations: 3, createdBy: "a test")
    }

    private var shapes: [[Int]] {
        get throws {
            let model = try Transformer.load(Checkpoint.open(Source(name: "llama-gqa").path))
            return [[1, model.configuration.hiddenSize], [1]]
        }
    }

    @Test func loopedFoldersKeepTheRouter() throws {
        let scratch = try ScratchDirectory()
        let etd = #"{"kv_policy": "last", "router": {"epsilon": 0.05}}"#
        let source = try folder(scratch, shapes: shapes, etd: etd)
        let out = scratch.file("out")
        try ExportFormat.named("hf-etd").export(job(source), to: out, overwrite: false)
        let before = try Checkpoint.open(source)
        let after = try Checkpoint.open(out)
        for name in Self.names {
            let kept = try #require(after.tensors[name])
            #expect(kept.shape == before.tensors[name]?.shape)
            #expect(kept.decoded() == before.tensors[name]?.decoded())
        }
        let section = try #require(try JSON.read(path: out + "/config.json")["etd"])
        #expect(section["kv_policy"] == "last")
        #expect(section["router"]?["epsilon"]?.doubleValue == 0.05)
        #expect(section["iterations"]?.intValue == 3)
        // The rest opens as the base model.
        let tokens = try Source(name: "llama-gqa").tokens(0)
        #expect(
            try logits(open(out), tokens) == logits(open(Source(name: "llama-gqa").path), tokens))
    }

    @Test func aRouterWithoutSettingsGetsTheCommonOnes() throws {
        let scratch = try ScratchDirectory()
        let source = try folder(scratch, shapes: shapes, etd: nil)
        let out = scratch.file("out")
        try ExportFormat.named("hf-etd").export(job(source), to: out, overwrite: false)
        let section = try #require(try JSON.read(path: out + "/config.json")["etd"])
        #expect(section["kv_policy"] == "recompute")
        #expect(section["router"]?["epsilon"]?.doubleValue == 0.01)
    }

    @Test func unrolledFoldersHaveNone() throws {
        let scratch = try ScratchDirectory()
        let source = try folder(scratch, shapes: shapes, etd: nil)
        let out = scratch.file("out")
        try ExportFormat.named("hf-unrolled").export(job(source), to: out, overwrite: false)
        let tensors = try Checkpoint.open(out).tensors
        #expect(!tensors.keys.contains { $0.hasPrefix("etd.") })
    }

    @Test(
        arguments: [
            (shapes: [[1, 3], [1]], etd: nil, said: "a router is etd.router.weight of shape"),
            (shapes: [[1, 3]], etd: nil, said: "and none"),
            (
                shapes: [], etd: #"{"router": {"epsilon": 0.1}}"#,
                said: "etd.router.weight is missing"
            ),
            (
                shapes: nil, etd: #"{"kv_policy": "shared", "router": {}}"#,
                said: "etd.kv_policy is \"shared\""
            ),
        ] as [(shapes: [[Int]]?, etd: String?, said: String)])
    func whatIsNoRouterIsRefused(_ given: (shapes: [[Int]]?, etd: String?, said: String)) throws {
        let scratch = try ScratchDirectory()
        let source = try folder(scratch, shapes: given.shapes ?? shapes, etd: given.etd)
        let out = scratch.file("out")
        let job = try job(source)
        let error = #expect(throws: ExportError.self) {
            try ExportFormat.named("hf-etd").export(job, to: out, overwrite: false)
        }
        #expect(error?.description.contains(given.said) == true, "\(String(describing: error))")
        #expect(!FileManager.default.fileExists(atPath: out))
    }
}
