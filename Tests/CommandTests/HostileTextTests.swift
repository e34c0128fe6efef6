// Escape sequences and marks of direction in files of strangers: no command's output or error holds one
// as it stands.

import Activations
import Files
import Foundation
import TestSupport
import Testing

@Suite struct HostileTextTests {
    /// Retitles the window, clears the screen, colours by a C1 control, turns the order of text.
    private static let attack = "\u{1B}]0;owned\u{7}\u{1B}[2J\u{9B}31m\u{202E}\u{2066}\u{200F}x\r"

    private func expectHarmless(
        _ result: CommandRunner.Result, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let harmful: [ClosedRange<UInt32>] = [
            0...9, 0xB...0x1F, 0x7F...0x9F, 0x61C...0x61C, 0x200E...0x200F, 0x2028...0x202E,
            0x2066...0x2069,
        ]
        let found = (result.text + result.errors).unicodeScalars.filter { scalar in
            harmful.contains { $0.contains(scalar.value) }
        }
        #expect(found.isEmpty, "\(found) in \(result)", sourceLocation: sourceLocation)
        #expect(result.code != nil, "\(result)", sourceLocation: sourceLocation)
    }

    /// - Parameter arguments: of `inspect`, in both its forms.
    private func inspect(_ path: String, code: Int32) throws {
        for form in [[], ["--json"], ["--check"]] {
            let result = try CommandRunner(analyze)(["inspect", path] + form)
            #expect(result.code == code, "\(result)")
            expectHarmless(result)
            if code == 0, form == ["--json"] {
                #expect(throws: Never.self) { try JSON.parse(result.output) }
            }
        }
    }

    @Test func aBeginningOfTextToken() throws {
        let model = try TinyModel(tokenizer: false)
        var tokenizer = TinyModel.tokenizer(addsBOS: true).text()
        let attack = JSON.string(Self.attack).text()
        tokenizer = tokenizer.replacing("\"<s>\"", with: attack)
        try model.write(tokenizer, to: "model/tokenizer.json")
        try inspect(model.path, code: 0)
        let shown = try succeed(analyze, "inspect", model.path)
        #expect(shown.text.contains("␛]0;owned␇"))
        let lens = try CommandRunner(analyze)(["lens", "--model", model.path, "--prompt", "the"])
        #expect(lens.code == 0)
        expectHarmless(lens)
    }

    @Test func tensorNamesAndFields() throws {
        let model = try TinyModel()
        try model.rewrite { header, data in
            header["model.layers.0.\(Self.attack).weight"] = [
                "dtype": "F32", "shape": [1],
                "data_offsets": [.number(data.count), .number(data.count + 4)],
            ]
            data += [0, 0, 0, 0]
        }
        try inspect(model.path, code: 1)
        let other = try TinyModel()
        try other.configure([
            "architectures": [.string(Self.attack)], "model_type": .string(Self.attack),
        ])
        try inspect(other.path, code: 1)
        try other.configure([
            "architectures": ["LlamaForCausalLM"], "model_type": "llama",
            "layer_types": .array((0..<4).map { _ in .string(Self.attack) }),
        ])
        expectHarmless(try CommandRunner(analyze)(["inspect", other.path]))
    }

    @Test func records() throws {
        let model = try TinyModel()
        let folder = model.file("run")
        try succeed(
            analyze, "probe", "--model", model.path, "--out", folder, "--passes", "angular",
            "--sequence-length", "64", "--quiet")
        // Every text and every name within, but not the schema's nor the words that a reader knows.
        let words = ["drop", "keep"]
        func poisoned(_ json: JSON) -> JSON {
            switch json {
            case .string(let text):
                .string(
                    text.hasPrefix("etd-") || words.contains(text) ? text : text + Self.attack)
            case .array(let values): .array(values.map(poisoned))
            case .object(let members):
                .object(.init(uniqueKeysWithValues: members.map { ($0.key, poisoned($0.value)) }))
            default: json
            }
        }
        for name in ["layers.json", "split.json", "run.json"] {
            let json = poisoned(try JSON.read(path: folder + "/" + name))
            try json.text().write(toFile: folder + "/" + name, atomically: true, encoding: .utf8)
            try inspect(folder + "/" + name, code: 0)
            // What is wrong with a file is told harmlessly too.
            try model.write(#"{"schema": \#(JSON.string(Self.attack).text())}"#, to: "bad.json")
            try inspect(model.file("bad.json"), code: 1)
        }
        try inspect(folder, code: 0)
        expectHarmless(try CommandRunner(analyze)(["report", folder]))
    }

    @Test func paths() throws {
        let scratch = try ScratchDirectory()
        let attack = Self.attack.replacing("/", with: "")
        for name in [
            attack, attack + ".json", attack + ".h5", attack + ".gguf", attack + ".safetensors",
        ] {
            for arguments in [
                ["inspect", scratch.file(name)], ["report", scratch.file(name)],
                ["lens", "--model", scratch.file(name), "--prompt", "a"],
                ["probe", "--model", "m", "--out", scratch.file("o"), "--passes", attack],
            ] {
                let result = try CommandRunner(analyze)(arguments)
                #expect(result.code == 1 || result.code == 64, "\(result)")
                expectHarmless(result)
                try scratch.write("nonsense".utf8, to: name)
            }
        }
    }

    @Test func dumps() throws {
        let model = try TinyModel()
        let path = model.file("a.h5")
        let file = try HDF5File.create(path)
        let described: JSON = [
            "path": .string(Self.attack), "architecture": .string(Self.attack), "layers": 1,
            "hidden_size": .string(Self.attack), "fingerprint": .string(Self.attack),
        ]
        let header = DumpHeader(
            model: described, tokenizer: Self.attack,
            data: ["path": .string(Self.attack), "sha256": .string(Self.attack)],
            createdBy: Self.attack,
            // Names that are those of other facts, or an attack.
            settings: [
                "path": "a", "bytes": 1, Self.attack: .string(Self.attack), "documents": nil,
            ],
            shard: nil)
        try header.write(to: file.root)
        var table = DumpTable()
        table.ids = [1]
        table.documents = [0]
        table.positions = [0]
        table.offsets = [0]
        table.lengths = [1]
        table.sha256 = [String(repeating: "0", count: 64)]
        table.labels = [.init(task: Self.attack, perToken: false, values: .integers([1]))]
        try table.write(to: file.root)
        let group = try file.root.makeGroup("activations")
        let set = try group.makeDataSet(
            "resid" + Self.attack, HDF5Layout(type: .float32, shape: [1, 1, 2]))
        try set.write([Float(3), 4])
        try set.set("layers", [Int64(0)])
        try set.set("encoding", "float32")
        try set.set("max_abs", [Float(4)])
        try file.root.set("complete", 1)
        try file.close()
        try inspect(path, code: 0)
        let found = try JSON.parse(succeed(analyze, "inspect", path, "--json").output)
        #expect(found["dump"]?["path"]?.stringValue == path)
        #expect(found["dump"]?["path (2)"] == "a" && found["dump"]?["bytes (2)"] == 1)
        #expect(found["dump"]?["created_by"]?.stringValue == Self.attack)
    }
}
