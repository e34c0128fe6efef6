import Checkpoints
import Files
import TestSupport
import Testing

/// GGUF headers that cannot be. Every count, length and size of a header is wrong somewhere here.
struct GGUFErrorTests {
    /// Numbers that wrap, or turn negative, where a reader is careless.
    private static let absurd: [UInt64] = [
        1 << 62, 1 << 63 - 1, 1 << 63, .max - 31, .max,
    ]

    private func error(
        _ change: (inout GGUFBuilder) throws -> Void,
        at location: SourceLocation = #_sourceLocation
    ) throws -> CheckpointError {
        var builder = GGUFBuilder()
        builder.add("general.architecture", string: "tiny")
        builder.add(tensor: "w", [2], type: 0, [UInt8](repeating: 0, count: 8))
        try change(&builder)
        let scratch = try ScratchDirectory()
        let error = try openingError(try scratch.write(builder.bytes(), to: "m.gguf"))
        expectOneLine(error, naming: "m.gguf", at: location)
        return error
    }

    @Test func everyTruncationIsRefused() throws {
        let content = try Goldens.bytes("tiny.gguf")
        let scratch = try ScratchDirectory()
        // The last tensor, 420 bytes of Q6_K, is followed by padding that no tensor needs.
        let end = content.count - 28
        for size in 0..<end {
            let path = try scratch.write(content[..<size], to: "cut.gguf")
            let error = #expect(throws: CheckpointError.self, "\(size) bytes") {
                try Checkpoint.open(path)
            }
            if let error { expectOneLine(error, naming: path) }
        }
        _ = try Checkpoint.open(try scratch.write(content[..<end], to: "cut.gguf"))
    }

    @Test func otherMagicsVersionsAndByteOrders() throws {
        expectOneLine(try error { $0.magic = Array("GGML".utf8) }, naming: "not a GGUF file")
        expectOneLine(try error { $0.magic = Array("FUGG".utf8) }, naming: "big-endian")
        expectOneLine(try error { $0.version = UInt32(3).byteSwapped }, naming: "big-endian")
        expectOneLine(try error { $0.version = UInt32(2).byteSwapped }, naming: "big-endian")
        expectOneLine(try error { $0.version = 1 }, naming: "version 1")
        expectOneLine(try error { $0.version = 4 }, naming: "version 4")
        expectOneLine(try error { $0.version = 0 }, naming: "version 0")
    }

    @Test(arguments: absurd) func absurdCounts(count: UInt64) throws {
        expectOneLine(try error { $0.tensorCount = count }, naming: "tensors", "\(count)")
        expectOneLine(try error { $0.metadataCount = count }, naming: "metadata", "\(count)")
        expectOneLine(
            try error {
                $0.add("tokens", 9, littleEndian(UInt32(8)) + littleEndian(count))
            }, naming: "elements of metadata \"tokens\"", "\(count)")
        expectOneLine(
            try error { $0.add("bytes", 9, littleEndian(UInt32(0)) + littleEndian(count)) },
            naming: "elements of metadata \"bytes\"", "\(count)")
    }

    @Test(arguments: absurd) func absurdLengths(length: UInt64) throws {
        expectOneLine(
            try error { $0.add("name", 8, littleEndian(length)) }, naming: "\"name\"", "truncated")
        expectOneLine(
            try error {
                $0.add(
                    "tokens", 9,
                    littleEndian(UInt32(8)) + littleEndian(UInt64(1)) + littleEndian(length))
            }, naming: "a string of metadata \"tokens\"", "truncated")
    }

    @Test(arguments: absurd) func absurdShapesAndOffsets(size: UInt64) throws {
        expectOneLine(try error { $0.tensors[0].dimensions = [size] }, naming: "tensor \"w\"")
        expectOneLine(try error { $0.tensors[0].dimensions = [2, size] }, naming: "tensor \"w\"")
        expectOneLine(
            try error { $0.tensors[0].dimensions = [size, size] }, naming: "tensor \"w\"")
        expectOneLine(try error { $0.tensors[0].offset = size }, naming: "tensor \"w\"")
        expectOneLine(try error { $0.tensors[0].offset = size & ~31 }, naming: "tensor \"w\"")
    }

    /// 2^62 · 4 bytes, and (2^62 + 2) · 2 · 2 bytes, are 0 and 8 modulo 2^64.
    @Test func sizesThatWrapRound() throws {
        expectOneLine(try error { $0.tensors[0].dimensions = [1 << 62] }, naming: "overflows")
        expectOneLine(
            try error {
                $0.tensors[0].dimensions = [1 << 62 + 2, 2]
                $0.tensors[0].type = 1
            }, naming: "overflows")
    }

    @Test func countsOfMoreThanThereIs() throws {
        expectOneLine(try error { $0.tensorCount = 2 }, naming: "m.gguf")
        expectOneLine(try error { $0.metadataCount = 2 }, naming: "m.gguf")
        expectOneLine(try error { $0.tensors[0].dimensions = [3] }, naming: "truncated", "\"w\"")
        expectOneLine(try error { $0.tensors[0].offset = 32 }, naming: "truncated", "\"w\"")
    }

    @Test func typesOfMetadata() throws {
        expectOneLine(try error { $0.add("x", 13, [0]) }, naming: "\"x\"", "unknown type 13")
        expectOneLine(
            try error {
                $0.add("x", 9, littleEndian(UInt32(99)) + littleEndian(UInt64(0)))
            }, naming: "\"x\"", "unknown type 99")
        let empty = littleEndian(UInt32(0)) + littleEndian(UInt64(0))
        expectOneLine(
            try error {
                $0.add("x", 9, littleEndian(UInt32(9)) + littleEndian(UInt64(1)) + empty)
            }, naming: "\"x\"", "array of arrays")
        expectOneLine(try error { $0.add("x", 7, [2]) }, naming: "\"x\"", "boolean of value 2")
        expectOneLine(
            try error {
                $0.add("x", 9, littleEndian(UInt32(7)) + littleEndian(UInt64(2)) + [1, 255])
            }, naming: "\"x\"", "boolean of value 255")
    }

    @Test func namesMustBeTextAndUnique() throws {
        expectOneLine(
            try error { $0.add("general.architecture", string: "again") },
            naming: "\"general.architecture\"", "twice")
        expectOneLine(try error { $0.add("", string: "") }, naming: "key", "empty")
        expectOneLine(
            try error { $0.metadata[0].key = [0xFF] }, naming: "metadata entry 0", "not UTF-8")
        expectOneLine(try error { $0.tensors[0].name = [0xC3] }, naming: "tensor 0", "not UTF-8")
        expectOneLine(try error { $0.tensors[0].name = [] }, naming: "tensor 0", "empty")
        let twice = try error {
            $0.add(tensor: "w", [2], type: 0, [UInt8](repeating: 0, count: 8))
        }
        guard case .duplicateTensor("w", _, _) = twice else {
            Issue.record("\(twice)")
            return
        }
    }

    @Test func typesOfTensors() throws {
        let refused: [(UInt32, String)] = [
            (4, "Q4_2"), (5, "Q4_3"), (9, "Q8_1"), (15, "Q8_K"), (24, "I8"), (26, "I32"),
            (34, "TQ1_0"), (35, "TQ2_0"), (40, "NVFP4"), (7000, "number 7000"),
            (.max, "4294967295"),
        ]
        for (code, name) in refused {
            let error = try error { $0.tensors[0].type = code }
            guard case .unsupportedType(_, "w", _, _) = error else {
                Issue.record("\(error)")
                continue
            }
            expectOneLine(error, naming: "\"w\"", name, "Q4_K")
        }
        expectOneLine(
            try error {
                $0.tensors[0].type = 12
                $0.tensors[0].dimensions = [128, 2]
            }, naming: "\"w\"", "rows of 128", "blocks of 256")
        expectOneLine(
            try error {
                $0.tensors[0].type = 8
                $0.tensors[0].dimensions = []
            }, naming: "\"w\"", "rows of 1 ")
        expectOneLine(
            try error { $0.tensors[0].dimensions = [1, 1, 1, 1, 2] }, naming: "5 dimensions")
    }

    @Test func alignments() throws {
        for bad: UInt32 in [0, 3, 33, .max] {
            expectOneLine(
                try error { $0.add("general.alignment", 4, littleEndian(bad)) },
                naming: "general.alignment")
        }
        expectOneLine(
            try error { $0.add("general.alignment", 10, littleEndian(UInt64(32))) },
            naming: "general.alignment", "uint32")
        // The largest there is puts the data far beyond the file.
        expectOneLine(
            try error { $0.add("general.alignment", 4, littleEndian(UInt32(1) << 31)) },
            naming: "truncated", "\"w\"")
        expectOneLine(
            try error { $0.tensors[0].offset = 4 }, naming: "\"w\"", "alignment 32")
    }

    @Test func tensorsMustNotOverlap() throws {
        expectOneLine(
            try error {
                $0.tensors[0] = .init(
                    name: Array("w".utf8), dimensions: [16], type: 0, offset: 0,
                    bytes: [UInt8](repeating: 0, count: 64))
                $0.add(tensor: "v", [1], type: 0, offset: 32, [0, 0, 0, 0])
            }, naming: "\"v\"", "within \"w\"")
        expectOneLine(
            try error { $0.add(tensor: "v", [1], type: 0, offset: 0, [0, 0, 0, 0]) },
            naming: "within")
    }

    /// Zero elements need no bytes, wherever they are said to be within the file; beside a 0, other
    /// sizes may be anything that does not overflow.
    @Test func tensorsWithoutElements() throws {
        var builder = GGUFBuilder()
        builder.add(tensor: "none", [0], type: 0, offset: 0, [])
        builder.add(tensor: "wide", [1 << 40, 0], type: 0, offset: 0, [])
        builder.add(tensor: "blocks", [256, 0], type: 12, offset: 0, [])
        let scratch = try ScratchDirectory()
        let path = try scratch.write(builder.bytes(), to: "m.gguf")
        let checkpoint = try Checkpoint.open(path)
        for tensor in checkpoint.tensors.values {
            #expect(tensor.count == 0 && tensor.bytes.isEmpty)
            #expect(tensor.decoded().isEmpty && tensor.firstNonFinite() == nil)
        }
        #expect(checkpoint.tensors["wide"]?.shape == [0, 1 << 40])
        expectOneLine(
            try error { $0.tensors[0].dimensions = [0, 1 << 40, 1 << 40] }, naming: "overflows")
        expectOneLine(
            try error {
                $0.tensors[0].dimensions = [0]
                $0.tensors[0].offset = 1 << 40
            }, naming: "truncated", "\"w\"")
    }

    /// A zero byte is a character of a name like any other, and does not end a message.
    @Test func namesWithZeroBytes() throws {
        let nul = try error {
            $0.tensors[0].name = Array("w\u{0}x".utf8)
            $0.tensors[0].dimensions = [3]
        }
        expectOneLine(nul, naming: #""w\u{0}x""#, "truncated")
        var builder = GGUFBuilder()
        builder.add("a\u{0}b", string: "c\u{0}d")
        builder.add("a", string: "e")
        let scratch = try ScratchDirectory()
        let metadata = try Checkpoint.open(try scratch.write(builder.bytes(), to: "m.gguf"))
            .metadata
        #expect(metadata.string("a\u{0}b") == "c\u{0}d")
        #expect(metadata.string("a") == "e")
    }
}
