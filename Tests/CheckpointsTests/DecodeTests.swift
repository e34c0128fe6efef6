import Checkpoints
import Files
import Tensors
import TestSupport
import Testing

/// Codes of the types in GGUF files, as the format's documentation lists them.
private let codes: [String: UInt32] = [
    "F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8, "Q2_K": 10,
    "Q3_K": 11, "Q4_K": 12, "Q5_K": 13, "Q6_K": 14, "F64": 28, "BF16": 30, "IQ2_XXS": 16,
    "IQ2_XS": 17, "IQ3_XXS": 18, "IQ1_S": 19, "IQ4_NL": 20, "IQ3_S": 21, "IQ2_S": 22, "IQ4_XS": 23,
    "IQ1_M": 29, "MXFP4": 39,
]

/// Decoding against the Python package `gguf`, on random blocks whose scales take every kind of
/// value. Whether real weights decode right is tested in `RealModelTests`.
struct DecodeTests {
    /// A checkpoint of one tensor, its data `shift` bytes from an aligned place.
    private func open(
        _ type: String, count: Int, _ bytes: [UInt8], shift: Int = 0, in scratch: ScratchDirectory
    ) throws -> StoredTensor {
        var builder = GGUFBuilder()
        builder.setAlignment(1)
        builder.add("padding", string: "")
        builder.add(tensor: "w", [UInt64(count)], type: try #require(codes[type]), bytes)
        let start = builder.bytes().count - bytes.count
        builder.metadata[1].value = GGUFBuilder.string(
            repeatElement(UInt8(ascii: "x"), count: (8 - start % 8) % 8 + shift))
        let file = try scratch.write(builder.bytes(), to: "\(type)-\(shift).gguf")
        let tensor = try #require(try Checkpoint.open(file).tensors["w"])
        #expect(Int(bitPattern: tensor.bytes.baseAddress) % 8 == shift)
        return tensor
    }

    @Test func everyTypeHasAGolden() throws {
        let types = try #require(try Goldens.json("blocks.json")["types"]?.objectValue)
        let known = Set(ElementType.allCases.map(\.description))
        #expect(Set(types.keys).union(["F16"]) == known)
        #expect(Set(codes.keys) == known)
    }

    @Test(arguments: codes.keys.filter { $0 != "F16" }.sorted())
    func decodesBitForBitAtEveryAlignment(type: String) throws {
        let golden = try #require(try Goldens.json("blocks.json")["types"]?[type])
        let count = try #require(golden["count"]?.intValue)
        let bytes = try golden.bytes("bytes")
        let expected = try golden.words("values")
        #expect(expected.count == count)
        let scratch = try ScratchDirectory()
        for shift in 0..<8 {
            let tensor = try open(type, count: count, bytes, shift: shift, in: scratch)
            #expect(tensor.type.description == type)
            #expect(tensor.type.bytes(count: count) == bytes.count)
            #expect(canonicalBits(tensor.decoded()) == expected, "\(type), shifted by \(shift)")
        }
    }

    /// 1,024 blocks of random bytes: every entry of every grid, and scales of every kind.
    @Test func longStreamsOfBlocks() throws {
        let golden = try Goldens.json("streams.json")
        let hashes = try #require(golden["sha256"]?.objectValue)
        let blocks = try #require(golden["blocks"]?.intValue)
        let scratch = try ScratchDirectory()
        let types = ElementType.allCases.filter { $0.blockLength > 1 }
        #expect(Set(types.map(\.description)) == Set(hashes.keys))
        for type in types {
            // As in the generator of the goldens: Knuth's 64-bit congruential generator.
            var state: UInt64 = 1
            let bytes = (0..<blocks * type.blockBytes).map { _ -> UInt8 in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return UInt8(state >> 56)
            }
            let tensor = try open(
                type.description, count: blocks * type.blockLength, bytes, in: scratch)
            let decoded = canonicalBits(tensor.decoded()).flatMap(littleEndian)
            #expect(
                hexadecimalSHA256(decoded) == hashes[type.description]?.stringValue, "\(type)")
        }
    }

    /// Every half there is: against Swift's own conversion and against numpy's.
    @Test func everyHalf() throws {
        let halves = (0...UInt16.max).flatMap(littleEndian)
        let scratch = try ScratchDirectory()
        let tensor = try open("F16", count: 65536, halves, shift: 1, in: scratch)
        let bits = canonicalBits(tensor.decoded())
        for pattern in 0...UInt16.max {
            let expected = canonicalBits([Float(Float16(bitPattern: pattern))])[0]
            #expect(bits[Int(pattern)] == expected, "half \(String(pattern, radix: 16))")
        }
        let golden = try #require(try Goldens.json("blocks.json")["every_half_sha256"]?.stringValue)
        #expect(hexadecimalSHA256(bits.flatMap(littleEndian)) == golden)
    }

    @Test func rangesOfBlocksDecodeAsTheWhole() throws {
        let golden = try #require(try Goldens.json("blocks.json")["types"]?["Q5_K"])
        let scratch = try ScratchDirectory()
        let tensor = try open("Q5_K", count: 2048, try golden.bytes("bytes"), in: scratch)
        let whole = canonicalBits(tensor.decoded())
        for range in [0..<256, 256..<768, 1792..<2048, 512..<512] {
            let part = [Float](unsafeUninitializedCapacity: range.count) { buffer, count in
                tensor.decode(
                    range, into: UnsafeMutableBufferPointer(rebasing: buffer[..<range.count]))
                count = range.count
            }
            #expect(canonicalBits(part) == Array(whole[range]))
        }
    }

    /// Longer than the pieces it reads in, so that positions in later pieces count.
    @Test(arguments: [0, 1, 4095, 4096, 9999], [Float.nan, .infinity, -.infinity])
    func firstNonFiniteNamesThePlace(position: Int, value: Float) throws {
        let scratch = try ScratchDirectory()
        var values = (0..<10_000).map { Float($0) * 1e34 }
        let finite = values.flatMap { littleEndian($0.bitPattern) }
        #expect(try open("F32", count: 10_000, finite, in: scratch).firstNonFinite() == nil)
        values[position] = value
        values[9999] = .nan
        let bytes = values.flatMap { littleEndian($0.bitPattern) }
        let tensor = try open("F32", count: 10_000, bytes, shift: 3, in: scratch)
        #expect(tensor.firstNonFinite() == position)
    }

    @Test func firstNonFiniteReadsBlocksAndRoundsDoubles() throws {
        let scratch = try ScratchDirectory()
        // The second block's scale is infinite, and the first of its values is not zero times it.
        let block: (UInt16) -> [UInt8] = { littleEndian($0) + Array(1...32) }
        let blocks = block(0x3C00) + block(0x7C00)
        #expect(try open("Q8_0", count: 64, blocks, in: scratch).firstNonFinite() == 32)
        let doubles = [1.0, 1e39, 2.0].flatMap { littleEndian($0.bitPattern) }
        #expect(try open("F64", count: 3, doubles, in: scratch).firstNonFinite() == 1)
    }
}
