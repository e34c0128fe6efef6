import Checkpoints
import Files
import Foundation
import TestSupport
import Testing

/// Directories that are wrong as a whole: missing files, indices that do not fit their shards.
struct DirectoryErrorTests {
    private static let index = "model.safetensors.index.json"

    /// A directory with the shards `a.safetensors` and `b.safetensors`, one tensor each.
    private func sharded(weightMap: String) throws -> ScratchDirectory {
        let scratch = try ScratchDirectory()
        try scratch.write("{}".utf8, to: "config.json")
        try scratch.write(shard("one"), to: "a.safetensors")
        try scratch.write(shard("two"), to: "b.safetensors")
        try scratch.write(#"{"weight_map":\#(weightMap)}"#.utf8, to: Self.index)
        return scratch
    }

    private func shard(_ name: String) -> [UInt8] {
        let header = #"{"\#(name)":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#
        return littleEndian(UInt64(header.utf8.count)) + Array(header.utf8)
            + littleEndian(Float(2).bitPattern)
    }

    @Test func aGoodIndexOpens() throws {
        let scratch = try sharded(weightMap: #"{"two":"b.safetensors","one":"a.safetensors"}"#)
        let checkpoint = try Checkpoint.open(scratch.path)
        #expect(Array(checkpoint.tensors.keys) == ["one", "two"])
        #expect(checkpoint.files == [scratch.file("a.safetensors"), scratch.file("b.safetensors")])
    }

    @Test func aSingleFileWinsOverAnIndexAsInTransformers() throws {
        let scratch = try sharded(weightMap: #"{"one":"a.safetensors"}"#)
        try scratch.write(shard("alone"), to: "model.safetensors")
        #expect(Array(try Checkpoint.open(scratch.path).tensors.keys) == ["alone"])
    }

    @Test(arguments: [
        "../model.safetensors", "/etc/passwd", "..", ".", "", "sub/a.safetensors",
        "./a.safetensors",
        "a.safetensors\u{0}",
    ])
    func namesOutsideTheDirectoryAreRefused(shard: String) throws {
        let map = JSON.object(["one": .string(shard)])
        let scratch = try sharded(weightMap: map.text(indent: 0))
        let error = try openingError(scratch.path)
        #expect(
            error == .shardOutsideDirectory(index: scratch.file(Self.index), shard: shard))
        expectOneLine(error, naming: scratch.file(Self.index))
    }

    /// The caches of Hugging Face hold links to ../../blobs.
    @Test func plainNamesMayBeLinks() throws {
        let scratch = try ScratchDirectory()
        let snapshot = scratch.file("snapshots")
        let manager = FileManager.default
        try manager.createDirectory(atPath: snapshot, withIntermediateDirectories: true)
        try manager.createDirectory(
            atPath: scratch.file("blobs"), withIntermediateDirectories: true)
        try scratch.write(shard("one"), to: "blobs/0a1b")
        try scratch.write("{}".utf8, to: "blobs/2c3d")
        try scratch.write(#"{"weight_map":{"one":"m-1.safetensors"}}"#.utf8, to: "blobs/4e5f")
        for (name, blob) in [
            ("m-1.safetensors", "0a1b"), ("config.json", "2c3d"), (Self.index, "4e5f"),
        ] {
            try manager.createSymbolicLink(
                atPath: snapshot + "/" + name, withDestinationPath: "../blobs/" + blob)
        }
        let checkpoint = try Checkpoint.open(snapshot)
        #expect(checkpoint.tensors["one"]?.decoded() == [2])
        #expect(checkpoint.file(named: "config.json") == snapshot + "/config.json")
    }

    /// Blobs that were never fetched, or were removed to save space.
    @Test func linksThatLeadNowhereAreNamed() throws {
        let manager = FileManager.default
        let sharded = try sharded(weightMap: #"{"one":"a.safetensors"}"#)
        let shard = sharded.file("a.safetensors")
        try manager.removeItem(atPath: shard)
        try manager.createSymbolicLink(atPath: shard, withDestinationPath: "../../blobs/0a1b")
        expectOneLine(try openingError(sharded.path), naming: shard, "cannot open: No such file")

        let single = try ScratchDirectory()
        try single.write("{}".utf8, to: "config.json")
        try single.write([1], to: "other.safetensors")
        let weights = single.file("model.safetensors")
        try manager.createSymbolicLink(
            atPath: weights, withDestinationPath: "model.safetensors")
        expectOneLine(try openingError(single.path), naming: weights, "symbolic links")
    }

    @Test func indexAndShardsMustAgree() throws {
        let missing = try sharded(weightMap: #"{"one":"a.safetensors","three":"c.safetensors"}"#)
        let missingError = try openingError(missing.path)
        #expect(
            missingError
                == .missingShard(index: missing.file(Self.index), shard: "c.safetensors"))
        expectOneLine(missingError, naming: Self.index, "\"c.safetensors\"")

        let misplaced = try sharded(weightMap: #"{"one":"b.safetensors"}"#)
        let misplacedError = try openingError(misplaced.path)
        #expect(
            misplacedError
                == .tensorNotInShard(
                    index: misplaced.file(Self.index), tensor: "one", shard: "b.safetensors"))
        expectOneLine(misplacedError, naming: Self.index, "\"one\"", "\"b.safetensors\"")
    }

    /// As transformers does: what a shard holds beyond the index belongs to the checkpoint, so that
    /// the model can name it as left over.
    @Test func tensorsBeyondTheIndexAreKept() throws {
        let scratch = try sharded(weightMap: #"{"one":"a.safetensors"}"#)
        let header =
            #"{"one":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"#
            + #""more":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#
        try scratch.write(
            littleEndian(UInt64(header.utf8.count)) + Array(header.utf8), to: "a.safetensors")
        #expect(Array(try Checkpoint.open(scratch.path).tensors.keys) == ["one", "more"])
    }

    @Test func oneNameInTwoShardsIsRefused() throws {
        let scratch = try sharded(weightMap: #"{"one":"a.safetensors","two":"b.safetensors"}"#)
        let both =
            #"{"one":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"#
            + #""two":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#
        try scratch.write(
            littleEndian(UInt64(both.utf8.count)) + Array(both.utf8)
                + [UInt8](repeating: 0, count: 8), to: "b.safetensors")
        let error = try openingError(scratch.path)
        #expect(
            error
                == .duplicateTensor(
                    tensor: "one", first: scratch.file("a.safetensors"),
                    second: scratch.file("b.safetensors")))
        expectOneLine(error, naming: "a.safetensors", "b.safetensors", "\"one\"")
    }

    @Test(arguments: ["[]", "3", #"{"one":3}"#, #"{"one":null}"#, "null"])
    func indicesThatAreNotMaps(weightMap: String) throws {
        let scratch = try sharded(weightMap: weightMap)
        expectOneLine(try openingError(scratch.path), naming: Self.index, "weight_map")
    }

    @Test func anIndexThatIsNotJSON() throws {
        let scratch = try sharded(weightMap: "{")
        expectOneLine(
            try openingError(scratch.path), naming: Self.index, "not valid JSON", "line 1")
    }

    @Test func configurationsMustBeThereAndObjects() throws {
        let scratch = try ScratchDirectory()
        try scratch.write(shard("one"), to: "model.safetensors")
        expectOneLine(try openingError(scratch.path), naming: scratch.path, "config.json")
        try scratch.write("[]".utf8, to: "config.json")
        expectOneLine(try openingError(scratch.path), naming: "config.json", "an array")
        try scratch.write("{".utf8, to: "config.json")
        expectOneLine(try openingError(scratch.path), naming: "config.json", "not valid JSON")
    }

    @Test func whatIsNoCheckpointSaysWhatToGive() throws {
        let scratch = try ScratchDirectory()
        expectOneLine(
            try openingError(scratch.file("none")), naming: "none", "no such file or directory")
        expectOneLine(try openingError(scratch.path), naming: "no model.safetensors", ".gguf")

        try scratch.write([0x80], to: "pytorch_model.bin")
        #expect(
            try openingError(scratch.path)
                == .pickledOnly(directory: scratch.path, file: "pytorch_model.bin"))
        expectOneLine(try openingError(scratch.path), naming: "safetensors", "save_pretrained")

        try scratch.write([1, 2, 3, 4], to: "consolidated.safetensors")
        expectOneLine(try openingError(scratch.path), naming: "consolidated.safetensors")
        expectOneLine(
            try openingError(scratch.file("consolidated.safetensors")), naming: "give the directory"
        )
        try scratch.write([1, 2, 3, 4], to: "m.gguf")
        expectOneLine(try openingError(scratch.path), naming: "m.gguf", "path of the GGUF file")
        expectOneLine(try openingError(scratch.file("m.gguf")), naming: "m.gguf", "not a GGUF file")
    }

    @Test func filesBesideTheWeights() throws {
        let scratch = try ScratchDirectory()
        try scratch.write("{}".utf8, to: "tokenizer.json")
        try scratch.write(GGUFBuilder().bytes(), to: "m.gguf")
        let checkpoint = try Checkpoint.open(scratch.file("m.gguf"))
        #expect(checkpoint.file(named: "tokenizer.json") == scratch.file("tokenizer.json"))
        #expect(checkpoint.file(named: "tokenizer_config.json") == nil)
        #expect(checkpoint.file(named: "../m.gguf") == nil)
        #expect(checkpoint.file(named: "..") == nil)
    }
}
