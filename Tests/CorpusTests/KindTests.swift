// Data by the names that people's files have: JSON lines called .json or .ndjson, any letter case, other
// fields than "text", ids as NumPy and OLMo keep them.

import Corpus
import Foundation
import TestSupport
import Testing

@Suite struct KindTests {
    @Test(arguments: ["a.jsonl", "a.ndjson", "a.json", "A.JSONL", "a.Json"])
    func jsonLinesHaveManyNames(_ name: String) throws {
        let folder = try ScratchDirectory()
        let path = try folder.write(#"{"tokens": [1, 2, 3]}"#.utf8, to: name)
        #expect(try CorpusReader.ofIDs(window: 8).read(path: path).map(\.tokens) == [[1, 2, 3]])
    }

    @Test func theFieldOfTheTextCanBeNamed() throws {
        let folder = try ScratchDirectory()
        let path = try folder.write(#"{"content": "2 + 2", "id": "x"}"#.utf8, to: "a.jsonl")
        var reader = try CorpusReader.ofText(Fixtures.plain(), window: 8)
        let error = readingError(reader, path)?.description ?? ""
        #expect(error.contains(#"line 1: expected "text""#))
        #expect(error.contains(#"texts stand under "content", "id""#))
        reader.textKey = "content"
        #expect(try reader.read(path: path).count == 1)
    }

    /// As `numpy.save` writes a list.
    private func numpy(_ type: String, shape: String, _ content: [UInt8]) -> [UInt8] {
        let text = "{'descr': '\(type)', 'fortran_order': False, 'shape': \(shape), }"
        let padding = 64 - (10 + text.utf8.count + 1) % 64
        let header = Array((text + String(repeating: " ", count: padding) + "\n").utf8)
        return [0x93] + Array("NUMPY".utf8) + [1, 0]
            + encoded([UInt16(header.count)]) + header + content
    }

    @Test func idsOfNumPyAndOfOLMo() throws {
        let folder = try ScratchDirectory()
        let ids = [5, 69_999, 3, 1]
        func read(_ name: String, vocabulary: Int = 70_000) throws -> [[Int32]] {
            try CorpusReader.ofIDs(vocabulary: vocabulary, window: 2)
                .read(path: folder.file(name)).map(\.tokens)
        }
        try folder.write(numpy("<u4", shape: "(4,)", encoded(ids.map(UInt32.init))), to: "a.npy")
        try folder.write(numpy("<i8", shape: "(4,)", encoded(ids.map(Int64.init))), to: "b.npy")
        // Without a header, as wide as the vocabulary needs.
        try folder.write(encoded(ids.map(UInt32.init)), to: "c.npy")
        for name in ["a.npy", "b.npy", "c.npy"] {
            #expect(try read(name) == [[5, 69_999], [3, 1]], "\(name)")
        }
        try folder.write(encoded([5, 9, 3, 1].map(UInt16.init)), to: "d.npy")
        #expect(try read("d.npy", vocabulary: 10) == [[5, 9], [3, 1]])

        try folder.write(numpy("<i8", shape: "(2,)", encoded([Int64(1), -1])), to: "e.npy")
        #expect(
            readingError(.ofIDs(window: 2), folder.file("e.npy"))
                == .tokenOutOfRange(
                    path: folder.file("e.npy"), place: "token 1", id: -1, vocabularySize: 70_000))
        for (name, bytes, part) in [
            ("f.npy", numpy("<f4", shape: "(2,)", encoded([UInt32(1), 1])), "<f4"),
            ("g.npy", numpy("<u4", shape: "(2, 1)", encoded([UInt32(1), 1])), "one-dimensional"),
            ("h.npy", numpy("<u4", shape: "(9,)", encoded([UInt32(1), 1])), "header says 9"),
            ("i.npy", Array(numpy("<u4", shape: "(2,)", []).prefix(20)), "within its header"),
        ] {
            let path = try folder.write(bytes, to: name)
            let error = readingError(.ofIDs(window: 2), path)?.description ?? ""
            #expect(error.contains(part), "\(name): \(error)")
        }
    }
}
