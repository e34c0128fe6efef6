// What the writers of weight files put down, taken apart by hand.

import Checkpoints
import Files
import Foundation
import TestSupport
import Testing

@Suite struct SafetensorsWriterTests {
    private let source = Locations.golden("models/llama-gqa")

    private func tensors() throws -> [WrittenTensor] {
        try Checkpoint.open(source.path).tensors.map {
            WrittenTensor(name: "x." + $0.key, source: $0.value)
        }
    }

    @Test func aFileHoldsTheGivenTensors() throws {
        let scratch = try ScratchDirectory()
        let tensors = try tensors()
        var written = 0
        try SafetensorsWriter.write(tensors, to: scratch.path) { written += $0 }
        #expect(try scratch.names() == ["model.safetensors"])
        let path = scratch.file("model.safetensors")
        let bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
        let length = bytes.prefix(8).enumerated().reduce(0) {
            $0 + Int($1.element) << (8 * $1.offset)
        }
        let header = try JSON.parse(Array(bytes[8..<8 + length]))
        // The reference puts the data at a multiple of 8, and transformers 4 wants the format's name.
        #expect(length % 8 == 0)
        #expect(header["__metadata__"]?["format"]?.stringValue == "pt")
        let theirs = try TensorFixture(source.appending(path: "model.safetensors"))
        let ours = try TensorFixture(URL(filePath: path))
        for tensor in tensors {
            let original = try theirs.floats(String(tensor.name.dropFirst(2)))
            let copy = try ours.floats(tensor.name)
            #expect(copy.values.map(\.bitPattern) == original.values.map(\.bitPattern))
            #expect(copy.shape == original.shape)
        }
        #expect(written == tensors.reduce(0) { $0 + $1.source.bytes.count })
    }

    @Test func shardsStandBesideAnIndex() throws {
        let scratch = try ScratchDirectory()
        let tensors = try tensors()
        try SafetensorsWriter.write(tensors, to: scratch.path, shardBytes: 20_000)
        let index = try JSON.read(path: scratch.file("model.safetensors.index.json"))
        let map = try #require(index["weight_map"]?.objectValue)
        #expect(Array(map.keys) == tensors.map(\.name))
        let names = try scratch.names().filter { $0.hasSuffix(".safetensors") }
        #expect(names.count > 1)
        let last = try #require(names.last)
        #expect(last.hasSuffix("-of-0000\(names.count).safetensors"))
        var total = 0
        for tensor in tensors {
            let shard = try #require(map[tensor.name]?.stringValue)
            let values = try TensorFixture(URL(filePath: scratch.file(shard))).floats(tensor.name)
            #expect(values.values == tensor.source.decoded())
            total += tensor.source.bytes.count
        }
        #expect(index["metadata"]?["total_size"]?.intValue == total)
        for name in names {
            // A shard with more than one tensor stays below the limit.
            let size = try Data(contentsOf: URL(filePath: scratch.file(name))).count
            let alone = map.values.count { $0.stringValue == name } == 1
            #expect(alone || size < 20_000 + 4096)
        }
    }
}

@Suite struct GGUFWriterTests {
    /// Every file of the goldens comes back byte for byte where nothing is changed: the Python package
    /// `gguf` wrote them.
    @Test(arguments: ["aligned.gguf", "tiny.gguf"])
    func whatTheReferenceWroteComesBack(_ name: String) throws {
        let scratch = try ScratchDirectory()
        let path = Locations.golden("checkpoints/\(name)").path
        let checkpoint = try Checkpoint.open(path)
        let out = scratch.file("copy.gguf")
        try GGUFWriter.write(
            checkpoint.tensors.map { WrittenTensor(name: $0.key, source: $0.value) },
            metadata: checkpoint.metadata, to: out, replacing: false)
        #expect(
            try Data(contentsOf: URL(filePath: out)) == Data(contentsOf: URL(filePath: path)))
    }

    /// The parts of a split file become one, without what said that they were parts.
    @Test func partsAreJoined() throws {
        let scratch = try ScratchDirectory()
        let checkpoint = try Checkpoint.open(
            Locations.golden("checkpoints/split-00002-of-00003.gguf").path)
        let out = scratch.file("copy.gguf")
        try GGUFWriter.write(
            checkpoint.tensors.map { WrittenTensor(name: $0.key, source: $0.value) },
            metadata: checkpoint.metadata, to: out, replacing: false)
        let copy = try Checkpoint.open(out)
        #expect(copy.fingerprint == checkpoint.fingerprint)
        #expect(copy.files.count == 1)
        #expect(copy.metadata.keys == checkpoint.metadata.keys.filter { !$0.hasPrefix("split.") })
    }

    @Test func metadataKeepTheirPlaceAndType() throws {
        let checkpoint = try Checkpoint.open(Locations.golden("models/olmo3/model.gguf").path)
        var metadata = checkpoint.metadata
        let pattern = "olmo2.attention.sliding_window_pattern"
        let replaced = metadata.replace("olmo2.block_count", int: 300)
        #expect(replaced && metadata.int("olmo2.block_count") == 300)
        #expect(metadata.keys == checkpoint.metadata.keys)
        #expect(metadata.type("olmo2.block_count") == .uint32)
        let selected = metadata.select(pattern, [0, 3, 3])
        #expect(selected && metadata.bools(pattern) == [true, false, false])
        let wrong = [
            metadata.replace("general.architecture", int: 3),
            metadata.replace("no.such.key", int: 3), metadata.select(pattern, [0, 7]),
        ]
        #expect(wrong == [false, false, false])
    }
}
