// Configurations as files spell them (older keys, keys left out, keys that are ignored, contradictions),
// against transformers, and against llama.cpp's reading of GGUF keys: scripts/goldens/configurations.py.
// Each is a tiny golden with its configuration changed, and gives the reference's logits or an error
// that names the field.

import Checkpoints
import Files
import Foundation
import Models
import TestSupport
import Testing

struct ConfigurationVariant: Sendable, CustomTestStringConvertible {
    let entry: JSON
    var testDescription: String { "\(entry["model"]?.stringValue ?? ""): \(text("name"))" }

    func text(_ key: String) -> String { entry[key]?.stringValue ?? "" }
    func names(_ key: String) -> [String] {
        (entry[key]?.arrayValue ?? []).compactMap(\.stringValue)
    }
    func members(_ key: String) -> JSON.Object { entry[key]?.objectValue ?? [:] }

    var golden: GoldenModel { GoldenModel(name: text("model")) }

    static func all(_ format: String) -> [ConfigurationVariant] {
        let path = Locations.golden("configurations/variants.json").path
        let entries = (try? JSON.read(path: path))?[format]?.arrayValue ?? []
        return entries.map(ConfigurationVariant.init(entry:))
    }

    static let safetensors = all("safetensors")
    static let gguf = all("gguf")

    /// Loads the checkpoint at `path` and compares: the logit of each next token, or the error.
    func check(_ path: String) throws {
        let checkpoint = try Checkpoint.open(path)
        if let refused = entry["refused"]?.stringValue {
            let error = #expect(throws: ModelError.self) { try Transformer.load(checkpoint) }
            let text = error?.description ?? ""
            #expect(text.hasPrefix(path) && text.contains(refused), "\(text)")
            return
        }
        let model = try Transformer.load(checkpoint)
        let tokens = GoldenModel.tokens(try golden.expected().facts, 1)
        let rows = try logits(model, tokens)
        let theirs = (entry["logits"]?.arrayValue ?? []).compactMap(\.doubleValue).map(Float.init)
        let ours = tokens.indices.dropLast().map { position in
            rows[position * model.configuration.vocabularySize + Int(tokens[position + 1])]
        }
        #expect(ours.count == theirs.count)
        #expect(largestDifference(ours, theirs) < 1e-4)
    }
}

@Suite struct ConfigurationVariantTests {
    @Test func thereAreVariantsOfEveryFamily() throws {
        #expect(ConfigurationVariant.safetensors.count > 200)
        #expect(ConfigurationVariant.gguf.count > 30)
        let families = try Set(
            ConfigurationVariant.safetensors.map { variant in
                try variant.golden.load().configuration.architecture
            })
        let known = ModelRegistry.families.map(\.modelTypes)
        for types in known { #expect(!families.isDisjoint(with: types), "none of \(types[0])") }
    }

    @Test(arguments: ConfigurationVariant.safetensors)
    func aConfigurationMeansWhatTransformersReads(_ variant: ConfigurationVariant) throws {
        var checkpoint = try EditableCheckpoint(variant.golden.folder)
        let base = variant.golden.folder.appending(path: variant.text("base"))
        checkpoint.config = try #require(try JSON.read(path: base.path).objectValue)
        func change(_ object: inout JSON.Object) {
            for key in variant.names("unset") { object[key] = nil }
            for (key, value) in variant.members("set") { object[key] = value }
        }
        if var text = checkpoint.config["text_config"]?.objectValue {
            change(&text)
            checkpoint.config["text_config"] = .object(text)
        } else {
            change(&checkpoint.config)
        }
        for (key, value) in variant.members("outer") { checkpoint.config[key] = value }
        let directory = try checkpoint.write()
        try withExtendedLifetime(directory) { try variant.check(directory.path) }
    }

    @Test(arguments: ConfigurationVariant.gguf)
    func aGGUFKeyMeansWhatLlamaCppReads(_ variant: ConfigurationVariant) throws {
        let file = variant.golden.folder.appending(path: "model.gguf")
        var bytes = [UInt8](try Data(contentsOf: file))
        let architecture = try #require(
            try Checkpoint.open(file.path).metadata.string("general.architecture"))
        for key in variant.names("dropped") {
            try Self.rename(key: "\(architecture).\(key)", in: &bytes)
        }
        Self.add(variant.members("keys"), prefix: "\(architecture).", to: &bytes)
        let directory = try ScratchDirectory()
        try directory.write(bytes, to: "model.gguf")
        try withExtendedLifetime(directory) { try variant.check(directory.file("model.gguf")) }
    }

    private static func little(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }

    private static func string(_ text: String) -> [UInt8] {
        little(UInt64(text.utf8.count)) + Array(text.utf8)
    }

    /// Gives a key another name of the same length, which nothing reads.
    private static func rename(key: String, in bytes: inout [UInt8]) throws {
        let range = try #require(bytes.firstRange(of: string(key)), "\(key) is not in the file")
        bytes[range.upperBound - 1] = UInt8(ascii: "~")
    }

    /// Puts keys before all others: behind the magic number, the version and the two counts.
    private static func add(_ keys: JSON.Object, prefix: String, to bytes: inout [UInt8]) {
        var added: [UInt8] = []
        for (key, value) in keys {
            added += string(prefix + key)
            switch value {
            case .bool(let flag): added += little(UInt32(7)) + [flag ? 1 : 0]
            case .string(let text): added += little(UInt32(8)) + string(text)
            case .int(let number): added += little(UInt32(4)) + little(UInt32(number))
            default:
                added += little(UInt32(6)) + little(Float(value.doubleValue ?? 0).bitPattern)
            }
        }
        // The data stay at a multiple of 32 if as much was put before them.
        let padding = string("test.padding") + little(UInt32(8))
        let rest = (added.count + padding.count + 8) % 32
        added += padding + string(String(repeating: "x", count: (32 - rest) % 32))
        let count = bytes[16..<24].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        bytes.replaceSubrange(16..<24, with: little(count + UInt64(keys.count) + 1))
        bytes.insert(contentsOf: added, at: 24)
    }
}
