import Files
import Foundation
import TestSupport

/// A copy of a tiny golden checkpoint with a tokenizer that fits it, to be run or damaged.
///
/// The tokenizer is byte-level: `<unk>` 0, `<s>` 1, `</s>` 2, then the printable characters of ASCII
/// and the line feed from 3 on, then `th`, `the`, `Ġthe`, `in`. Other bytes vanish.
struct TinyModel {
    let scratch: ScratchDirectory
    /// The checkpoint's directory.
    let path: String

    /// - Parameters:
    ///   - golden: a folder of Tests/Goldens/models.
    ///   - tokenizer: whether to put one there.
    ///   - addsBOS: whether the tokenizer's post-processor puts `<s>` before a text.
    init(_ golden: String = "llama-gqa", tokenizer: Bool = true, addsBOS: Bool = false) throws {
        scratch = try ScratchDirectory()
        path = scratch.file("model")
        let manager = FileManager.default
        try manager.createDirectory(atPath: path, withIntermediateDirectories: true)
        let folder = Locations.golden("models/\(golden)")
        for name in try manager.contentsOfDirectory(atPath: folder.path)
        where name == "config.json" || name.hasPrefix("model") && !name.hasSuffix(".gguf") {
            try manager.copyItem(
                atPath: folder.appending(path: name).path, toPath: path + "/" + name)
        }
        if tokenizer {
            try Self.tokenizer(addsBOS: addsBOS).text().write(
                toFile: path + "/tokenizer.json", atomically: true, encoding: .utf8)
        }
    }

    /// A path beside the model.
    func file(_ name: String) -> String { scratch.file(name) }

    @discardableResult
    func write(_ text: String, to name: String) throws -> String {
        try scratch.write(text.utf8, to: name)
    }

    /// Little-endian ids.
    @discardableResult
    func write(ids: [Int], to name: String) throws -> String {
        let width = name.hasSuffix(".u16") ? 2 : 4
        return try scratch.write(
            ids.flatMap { id in (0..<width).map { UInt8(id >> (8 * $0) & 0xFF) } }, to: name)
    }

    // MARK: The tokenizer

    /// The characters of ids 3, 4, …; the space is `Ġ` and the line feed `Ċ`.
    static let characters: [Character] =
        (0x20...0x7E).map { Character(Unicode.Scalar(UInt8($0))) } + ["\n"]
    private static let merged = ["th", "the", "Ġthe", "in"]
    static let vocabularySize = 3 + characters.count + merged.count

    /// The id of a character or a merged token.
    static func id(_ token: String) -> Int {
        if let place = merged.firstIndex(of: token) { return 3 + characters.count + place }
        return characters.firstIndex(of: Character(token)).map { $0 + 3 } ?? 0
    }

    static func tokenizer(addsBOS: Bool, extra: [String] = []) -> JSON {
        let letters = characters.map { $0 == " " ? "Ġ" : $0 == "\n" ? "Ċ" : String($0) }
        let tokens = ["<unk>", "<s>", "</s>"] + letters + merged + extra
        let special: [JSON] = tokens.prefix(3).enumerated().map { id, token in
            [
                "id": .number(id), "content": .string(token), "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false, "special": true,
            ]
        }
        let byteLevel: JSON = [
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true,
        ]
        let template: JSON = [
            "type": "TemplateProcessing",
            "single": [
                ["SpecialToken": ["id": "<s>", "type_id": 0]],
                ["Sequence": ["id": "A", "type_id": 0]],
            ],
            "pair": [],
            "special_tokens": ["<s>": ["id": "<s>", "ids": [1], "tokens": ["<s>"]]],
        ]
        return [
            "version": "1.0",
            "added_tokens": .array(special),
            "normalizer": nil,
            "pre_tokenizer": byteLevel,
            "post_processor": addsBOS ? template : byteLevel,
            "decoder": byteLevel,
            "model": [
                "type": "BPE", "dropout": nil, "unk_token": nil, "fuse_unk": false,
                "byte_fallback": false,
                "vocab": .object(
                    .init(
                        uniqueKeysWithValues: tokens.enumerated().map { ($1, .number($0)) })),
                "merges": ["t h", "th e", "Ġ the", "i n"],
            ],
        ]
    }
}

extension TinyModel {
    /// Replaces members of config.json; null takes one away.
    func configure(_ changes: JSON.Object) throws {
        var config = try JSON.read(path: path + "/config.json").objectValue ?? [:]
        for (name, value) in changes { config[name] = value == .null ? nil : value }
        try JSON.object(config).text().write(
            toFile: path + "/config.json", atomically: true, encoding: .utf8)
    }

    /// Rewrites model.safetensors: `edit` changes its header and the bytes of its data.
    func rewrite(_ edit: (inout JSON.Object, inout [UInt8]) throws -> Void) throws {
        let url = URL(filePath: path + "/model.safetensors")
        let bytes = [UInt8](try Data(contentsOf: url))
        let length = (0..<8).reduce(0) { $0 | Int(bytes[$1]) << (8 * $1) }
        var header = try JSON.parse(Array(bytes[8..<8 + length])).objectValue ?? [:]
        var data = Array(bytes[(8 + length)...])
        try edit(&header, &data)
        let text = Array(JSON.object(header).text(indent: 0).utf8)
        let size = (0..<8).map { UInt8(text.count >> (8 * $0) & 0xFF) }
        try Data(size + text + data).write(to: url)
    }

    /// Overwrites value `index` of an F32 tensor of model.safetensors.
    func set(_ tensor: String, at index: Int, to value: Float) throws {
        try rewrite { header, data in
            let start = header[tensor]?["data_offsets"]?.arrayValue?.first?.intValue ?? 0
            for byte in 0..<4 {
                data[start + index * 4 + byte] = UInt8(value.bitPattern >> (8 * byte) & 0xFF)
            }
        }
    }
}

/// What transformers computed on a tiny checkpoint, and the ids it did that on.
struct TinyGolden {
    let facts: JSON
    let tensors: TensorFixture

    init(_ name: String) throws {
        let folder = Locations.golden("models/\(name)")
        facts = try JSON.read(path: folder.appending(path: "expected.json").path)
        tensors = try TensorFixture(folder.appending(path: "expected.safetensors"))
    }

    var layers: Int { facts["layers"]?.intValue ?? 0 }

    func tokens(_ sequence: Int) -> [Int] {
        (facts["tokens"]?.arrayValue?[sequence].arrayValue ?? []).compactMap(\.intValue)
    }

    /// Rows of a tensor whose last dimension is `width`, as f64.
    func rows(_ name: String) throws -> [[Double]] {
        let (values, shape) = try tensors.floats(name)
        let width = shape.last ?? 1
        return stride(from: 0, to: values.count, by: width).map { start in
            values[start..<start + width].map(Double.init)
        }
    }
}

/// log softmax of a row of logits.
func logSoftmax(_ row: [Double]) -> [Double] {
    let top = row.max() ?? 0
    let logSum = log(row.reduce(0) { $0 + exp($1 - top) }) + top
    return row.map { $0 - logSum }
}

/// A JSON value on one line, for request files.
func line(_ value: JSON) -> String { value.text(indent: 0) + "\n" }

extension JSON {
    static func ids(_ values: [Int]) -> JSON { .array(values.map { .number($0) }) }
}
