import Checkpoints
import Files
import TestSupport
import Testing

/// GGUF files that the Python package gguf wrote, and forms of the format beside them.
struct GGUFTests {
    @Test(arguments: ["tiny.gguf", "aligned.gguf"])
    func readsWhatTheReferenceWrote(file: String) throws {
        let golden = try #require(try Goldens.json("gguf.json")[file])
        let checkpoint = try Checkpoint.open(Goldens.path(file))
        let expected = try #require(golden["tensors"]?.objectValue)
        #expect(checkpoint.format == .gguf)
        #expect(checkpoint.config == .null)
        #expect(checkpoint.otherTensors.isEmpty)
        #expect(checkpoint.files == [Goldens.path(file)])
        #expect(Array(checkpoint.tensors.keys) == expected.keys)
        for (name, member) in expected {
            let tensor = try #require(checkpoint.tensors[name])
            #expect(tensor.type.description == member["type"]?.stringValue)
            #expect(tensor.shape == member["shape"]?.arrayValue?.compactMap(\.intValue))
            #expect(canonicalBits(tensor.decoded()) == (try member.words("values")), "\(name)")
        }
        #expect(checkpoint.fingerprint == golden["fingerprint"]?.stringValue)
    }

    @Test func metadataOfEveryType() throws {
        let metadata = try Checkpoint.open(Goldens.path("tiny.gguf")).metadata
        #expect(metadata.keys.first == "general.architecture")
        #expect(metadata.keys.last == "test.tokens")
        #expect(metadata.count == metadata.keys.count)
        #expect(metadata.string("general.architecture") == "tiny")
        #expect(metadata.int("test.uint8") == 200)
        #expect(metadata.int("test.int8") == -100)
        #expect(metadata.int("test.uint16") == 60000)
        #expect(metadata.int("test.int16") == -30000)
        #expect(metadata.int("test.uint32") == 4_000_000_000)
        #expect(metadata.int("test.int32") == -2_000_000_000)
        #expect(metadata.int("test.int64") == .min)
        #expect(metadata.int("test.uint64") == nil)
        guard case .uint(let large) = metadata["test.uint64"] else {
            Issue.record("test.uint64 is \(String(describing: metadata["test.uint64"]))")
            return
        }
        #expect(large == UInt64(1) << 63 + 1)
        #expect(metadata.type("test.uint64") == .uint64)
        #expect(metadata.double("test.float32") == Double(Float(0.1)))
        #expect(metadata.double("test.float64") == 0.1)
        #expect(metadata.double("test.uint8") == 200)
        #expect(metadata.bool("test.bool") == true)
        #expect(metadata.string("test.string") == "Grüße, 世界")
        #expect(metadata.bytes("test.string") == Array("Grüße, 世界".utf8))
        #expect(metadata.ints("test.ints") == [1, -2, 300_000])
        #expect(metadata.floats("test.floats") == [0.5, -1.25])
        #expect(metadata.bools("test.bools") == [true, false, true])
    }

    @Test func gettersOfAnotherTypeGiveNil() throws {
        let metadata = try Checkpoint.open(Goldens.path("tiny.gguf")).metadata
        #expect(metadata.int("test.float64") == nil)
        #expect(metadata.int("test.bool") == nil)
        #expect(metadata.bool("test.uint8") == nil)
        #expect(metadata.string("test.uint8") == nil)
        #expect(metadata.bytes("test.uint8") == nil)
        #expect(metadata.double("test.string") == nil)
        #expect(metadata.ints("test.floats") == nil)
        #expect(metadata.floats("test.ints") == nil)
        #expect(metadata.strings("test.ints") == nil)
        #expect(metadata.byteStrings("test.ints") == nil)
        #expect(metadata.bools("test.ints") == nil)
        #expect(metadata.ints("test.uint8") == nil)
        #expect(metadata["none"] == nil && metadata.type("none") == nil)
    }

    /// The first two tokens are canonically equal, so `==` on strings could not tell them apart.
    @Test func tokensKeepTheirBytes() throws {
        let metadata = try Checkpoint.open(Goldens.path("tiny.gguf")).metadata
        let tokens = try #require(metadata.strings("test.tokens"))
        #expect(
            tokens.map { Array($0.utf8) } == [
                [0xC3, 0xA9], [0x65, 0xCC, 0x81], Array("\u{FFFD}\u{FFFD}".utf8), [],
                Array("plain".utf8),
            ])
        #expect(
            metadata.byteStrings("test.tokens") == [
                [0xC3, 0xA9], [0x65, 0xCC, 0x81], [0xFF, 0xFE], [], Array("plain".utf8),
            ])
    }

    @Test func metadataOutlivesItsCheckpoint() throws {
        func metadata() throws -> GGUFMetadata {
            try Checkpoint.open(Goldens.path("tiny.gguf")).metadata
        }
        func tensor() throws -> StoredTensor? {
            try Checkpoint.open(Goldens.path("tiny.gguf")).tensors["plain.f32"]
        }
        #expect(try metadata().ints("test.ints") == [1, -2, 300_000])
        #expect(try tensor()?.decoded().count == 15)
    }

    @Test func versionTwoIsReadAlike() throws {
        var content = try Goldens.bytes("tiny.gguf")
        content[4] = 2
        let scratch = try ScratchDirectory()
        let two = try Checkpoint.open(try scratch.write(content, to: "two.gguf"))
        let three = try Checkpoint.open(Goldens.path("tiny.gguf"))
        #expect(two.fingerprint == three.fingerprint)
        #expect(two.metadata.keys == three.metadata.keys)
    }

    @Test func aVocabularyAloneOpens() throws {
        var builder = GGUFBuilder()
        builder.add("general.architecture", string: "llama")
        let scratch = try ScratchDirectory()
        let checkpoint = try Checkpoint.open(try scratch.write(builder.bytes(), to: "v.gguf"))
        #expect(checkpoint.tensors.isEmpty)
        #expect(checkpoint.metadata.string("general.architecture") == "llama")
    }

    @Test func shapesAreTurnedRound() throws {
        var builder = GGUFBuilder()
        builder.add(
            tensor: "w", [4, 3, 2], type: 0,
            (0..<24).flatMap { littleEndian(Float($0).bitPattern) })
        builder.add(tensor: "scalar", [], type: 0, littleEndian(Float(7).bitPattern))
        builder.add(tensor: "empty", [0, 5], type: 0, [])
        let scratch = try ScratchDirectory()
        let tensors = try Checkpoint.open(try scratch.write(builder.bytes(), to: "m.gguf")).tensors
        #expect(tensors["w"]?.shape == [2, 3, 4])
        #expect(tensors["w"]?.decoded() == (0..<24).map(Float.init))
        #expect(tensors["scalar"]?.shape == [])
        #expect(tensors["scalar"]?.decoded() == [7])
        #expect(tensors["empty"]?.shape == [5, 0])
        #expect(tensors["empty"]?.decoded() == [])
        #expect(tensors["empty"]?.firstNonFinite() == nil)
    }

    @Test func tensorsMayStandInAnyOrderWithGaps() throws {
        var builder = GGUFBuilder()
        let (one, two) = (littleEndian(Float(1).bitPattern), littleEndian(Float(2).bitPattern))
        builder.add(tensor: "b", [1], type: 0, offset: 64, one)
        builder.add(tensor: "hole", [1], type: 0, offset: 32, two)
        builder.add(tensor: "a", [1], type: 0, offset: 0, [UInt8](repeating: 0, count: 4))
        let scratch = try ScratchDirectory()
        let tensors = try Checkpoint.open(try scratch.write(builder.bytes(), to: "m.gguf")).tensors
        #expect(Array(tensors.keys) == ["b", "hole", "a"])
        #expect(tensors["a"]?.decoded() == [1])
        #expect(tensors["hole"]?.decoded() == [2])
        #expect(tensors["b"]?.decoded() == [0])
    }
}
