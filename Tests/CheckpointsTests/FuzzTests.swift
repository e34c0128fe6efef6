import Checkpoints
import Files
import TestSupport
import Testing

/// Damaged copies of small files: opening either succeeds or throws one line, and what opened can be
/// read to its last byte. Finds traps and reads out of bounds, not wrong values; the same seed gives
/// the same files on every run.
struct FuzzTests {
    /// SplitMix64, for numbers that are the same everywhere.
    private struct Random: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
            return z ^ z >> 31
        }
    }

    private func mutate(_ bytes: inout [UInt8], head: Int, _ random: inout Random) {
        for _ in 0...Int.random(in: 0..<3, using: &random) {
            // Mostly where the header stands: damaged weights are weights.
            let limit = Bool.random(using: &random) ? min(head, bytes.count) : bytes.count
            guard limit > 8 else { return }
            let place = Int.random(in: 0..<limit - 8, using: &random)
            switch Int.random(in: 0..<7, using: &random) {
            case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1: bytes[place] = .random(in: 0...255, using: &random)
            case 2: bytes.removeLast(Int.random(in: 1..<bytes.count, using: &random))
            case 3: bytes.insert(.random(in: 0...255, using: &random), at: place)
            case 4: bytes.remove(at: place)
            case 5:
                let large: [UInt64] = [0, .max, 1 << 63, 1 << 62, 1 << 32, UInt64(bytes.count)]
                let value = large.randomElement(using: &random) ?? 0
                bytes.replaceSubrange(place..<place + 8, with: littleEndian(value))
            default:
                let length = Int.random(in: 1...8, using: &random)
                let from = Int.random(in: 0...bytes.count - length, using: &random)
                bytes.replaceSubrange(
                    place..<place + length, with: Array(bytes[from..<from + length]))
            }
        }
    }

    /// Reads everything a checkpoint offers.
    private func readAll(_ checkpoint: Checkpoint) {
        for tensor in checkpoint.tensors.values {
            #expect(tensor.bytes.count == tensor.type.bytes(count: tensor.count))
            _ = tensor.decoded()
            _ = tensor.firstNonFinite()
        }
        _ = checkpoint.fingerprint
        for key in checkpoint.metadata.keys {
            _ = checkpoint.metadata.byteStrings(key)
            _ = checkpoint.metadata.strings(key)
            _ = checkpoint.metadata.ints(key)
            _ = checkpoint.metadata.floats(key)
            _ = checkpoint.metadata.bools(key)
        }
    }

    private func fuzz(
        _ original: [UInt8], head: Int, rounds: Int, as name: String, in scratch: ScratchDirectory,
        opening path: String
    ) throws {
        var random = Random(state: 2025)
        var opened = 0
        for round in 0..<rounds {
            var bytes = original
            mutate(&bytes, head: head, &random)
            try scratch.write(bytes, to: name)
            do {
                readAll(try Checkpoint.open(path))
                opened += 1
            } catch {
                let isOneLine = !error.description.contains { $0.isNewline }
                #expect(isOneLine, "round \(round)")
            }
        }
        // Neither everything nor nothing got through, or the test looked at nothing.
        #expect(opened > rounds / 200)
        #expect(opened < rounds)
    }

    @Test(arguments: ["tiny.gguf", "aligned.gguf"]) func gguf(file: String) throws {
        let scratch = try ScratchDirectory()
        try fuzz(
            try Goldens.bytes(file), head: 1300, rounds: 3000, as: "m.gguf", in: scratch,
            opening: scratch.file("m.gguf"))
    }

    @Test func safetensors() throws {
        let scratch = try ScratchDirectory()
        try scratch.write("{}".utf8, to: "config.json")
        try fuzz(
            try Goldens.bytes("single/model.safetensors"), head: 900, rounds: 3000,
            as: "model.safetensors", in: scratch, opening: scratch.path)
    }

    @Test func index() throws {
        let scratch = try ScratchDirectory()
        for name in ["config.json", "model-00001-of-00002.safetensors"]
            + ["model-00002-of-00002.safetensors"]
        {
            try scratch.write(try Goldens.bytes("sharded/\(name)"), to: name)
        }
        let name = "model.safetensors.index.json"
        let original = try Goldens.bytes("sharded/\(name)")
        try fuzz(
            original, head: original.count, rounds: 1000, as: name, in: scratch,
            opening: scratch.path)
    }
}
