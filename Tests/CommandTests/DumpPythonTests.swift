// Dumps opened with h5py and computed on with numpy, in a Python that knows nothing of this project. The
// values themselves are DumpGoldenTests' business.

import Activations
import Files
import Foundation
import TestSupport
import Testing

@Suite(
    .enabled(
        if: Python.withH5py != nil, "needs h5py: scripts/install-dependencies --tests"))
struct DumpPythonTests {
    private func python(_ arguments: String..., in folder: String? = nil) throws -> String {
        let result = try Python.run(try #require(Python.withH5py), arguments, in: folder)
        try #require(result.code == 0, "\(result)")
        return result.output
    }

    private func described(_ path: String) throws -> JSON {
        let script = Locations.package.appending(path: "scripts/peers/read_dump.py").path
        return try JSON.parse(Array(try python(script, path).utf8))
    }

    @Test(arguments: ["f32", "f16", "bf16"])
    func everyDataSet(dtype: String) throws {
        let model = try TinyModel(addsBOS: true)
        let texts = ["the inn", "thin ice\nand more", "x"]
        let lines = texts.enumerated().map { index, text in
            line([
                "text": .string(text),
                "labels": [
                    "kind": .string(index == 0 ? "a" : "b"),
                    "place": .array((0..<text.count).map { .number($0) }),
                    "score": .number(Double(index) / 2),
                ],
            ])
        }
        let data = try model.write(lines.joined(), to: "d.jsonl")
        let path = model.file("a.h5")
        try succeed(
            analyze, "dump", "--model", model.path, "--data", data, "--out", path, "--dtype", dtype,
            "--sites", "resid,q,attn_pattern", "--text", "--labels", "--split", "1-2*2-1")
        let file = try ActivationFile(path: path)
        let found = try described(path)

        let attributes = try #require(found["attributes"])
        #expect(attributes["schema"] == "etd-activations/v1")
        #expect(attributes["complete"] == 1)
        #expect(attributes["tokenizer_sha256"]?.stringValue?.count == 64)
        for name in ["model", "data", "settings"] {
            let text = try #require(attributes[name]?.stringValue)
            #expect(try JSON.parse(text).objectValue?.isEmpty == false)
        }
        #expect(found["documents"]?["text"] == .array(texts.map(JSON.string)))
        #expect(found["tokens"]?["id"] == .ids(file.table.ids.map(Int.init)))
        let lengths = file.table.lengths.map(Int.init)
        #expect(found["documents"]?["length"] == .ids(lengths))
        #expect(found["documents"]?["offset"] == .ids([0, lengths[0], lengths[0] + lengths[1]]))
        #expect(found["tokens"]?["position"] == .ids(lengths.flatMap { Array(0..<$0) }))
        #expect(
            found["tokens"]?["document"]
                == .ids(lengths.enumerated().flatMap { [Int](repeating: $0, count: $1) }))
        #expect(found["labels"]?["kind"] == ["a", "b", "b"])
        #expect(found["labels"]?["score"] == [0.0, 0.5, 1.0])
        // The added BOS has no label of its own.
        #expect(
            found["labels"]?["place"]?.arrayValue?.compactMap(\.intValue)
                == lengths.flatMap { Array(-1..<$0 - 1) })

        #expect(file.sites.map(\.name).count == 6)
        for site in file.sites {
            let theirs = try #require(found["sites"]?[site.name], "\(site.name)")
            let shape = [site.layers.count, site.tokens] + site.shape
            #expect(theirs["shape"] == .ids(shape))
            #expect(
                theirs["maxshape"]
                    == .array(shape.enumerated().map { $0 == 1 ? .null : .number($1) }))
            #expect(theirs["layers"] == .ids(site.layers))
            #expect(
                theirs["dtype"]?.stringValue
                    == ["f32": "float32", "f16": "float16", "bf16": "uint16"][dtype])
            #expect(theirs["encoding"]?.stringValue == site.encoding.rawValue)
            for (row, layer) in site.layers.enumerated() {
                let values = try file.values(site.name, layer: layer).map(Double.init)
                let sum = values.reduce(0, +)
                let theirSum = try #require(theirs["sums"]?.arrayValue?[row].doubleValue)
                #expect(abs(sum - theirSum) < 1e-9 * Double(values.count))
                #expect(
                    theirs["last"]?.arrayValue?[row].arrayValue?.compactMap(\.doubleValue)
                        == Array(values.suffix(site.width)))
                let largest = values.map(\.magnitude).max() ?? 0
                #expect(theirs["largest"]?.arrayValue?[row].doubleValue == largest)
                #expect(theirs["max_abs"]?.arrayValue?[row].doubleValue == largest)
            }
        }
        for (name, documents) in file.patterns {
            for document in documents {
                // Each query's weights add up to 1.
                let heads = 4.0
                let sums = try #require(found["sites"]?[name]?["\(document)"]?.arrayValue)
                for sum in sums.compactMap(\.doubleValue) {
                    #expect(abs(sum - heads * Double(lengths[document])) < 0.2)
                }
            }
        }
    }

    @Test func momentsAgainstNumPy() throws {
        let fixture = try DumpFixture(documents: 20)
        let dump = try fixture.dump("a.h5", "--sites", "resid,mlp_out,v")
        let moments = try fixture.dump("m.h5", "--sites", "resid,mlp_out,v", "--moments")
        let script = Locations.package.appending(path: "scripts/peers/read_dump.py").path
        let errors = try JSON.parse(try python(script, dump, moments)).objectValue ?? [:]
        #expect(errors.count == 8)
        for (name, error) in errors {
            #expect(try #require(error.doubleValue) < 1e-9, "\(name) \(error)")
        }
    }

    /// The programs of docs/activation-dumps.md that need nothing but h5py and numpy run as they stand.
    @Test func theDocumentedPrograms() throws {
        let page = Locations.package.appending(path: "docs/activation-dumps.md")
        let text = String(decoding: try Data(contentsOf: page), as: UTF8.self)
        let programs = text.components(separatedBy: "```python\n").dropFirst().map {
            $0.components(separatedBy: "```")[0]
        }.filter { !$0.contains("pandas") && !$0.contains("sklearn") }
        #expect(programs.count >= 2)
        let fixture = try DumpFixture(documents: 5)
        try fixture.dump("acts.h5", "--dtype", "bf16")
        try fixture.dump("moments.h5", "--moments")
        for program in programs {
            let printed = try python("-c", program, in: fixture.model.scratch.path)
            #expect(!printed.isEmpty)
        }
    }
}
