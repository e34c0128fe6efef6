import Checkpoints
import Files
import Foundation
import TestSupport
import Testing

/// Split GGUF files: those that the Python package gguf wrote, and sets of parts that do not fit.
struct GGUFPartsTests {
    private static func name(_ number: Int, of count: Int, _ stem: String = "m") -> String {
        String(format: "\(stem)-%05d-of-%05d.gguf", number, count)
    }

    /// `split-*.gguf` holds what `tiny.gguf` does, in three parts.
    @Test(arguments: 1...3) func anyPartOpensAll(part: Int) throws {
        let whole = try Checkpoint.open(Goldens.path("tiny.gguf"))
        let path = Goldens.path(Self.name(part, of: 3, "split"))
        let split = try Checkpoint.open(path)
        #expect(split.path == path)
        #expect(split.files == (1...3).map { Goldens.path(Self.name($0, of: 3, "split")) })
        #expect(Array(split.tensors.keys) == Array(whole.tensors.keys))
        #expect(split.fingerprint == whole.fingerprint)
        for (name, tensor) in whole.tensors {
            let other = try #require(split.tensors[name])
            #expect(other.type == tensor.type && other.shape == tensor.shape)
            #expect(canonicalBits(other.decoded()) == canonicalBits(tensor.decoded()))
        }
        // The model's metadata stand in the first part.
        let added = ["split.no", "split.count", "split.tensors.count"]
        #expect(Set(split.metadata.keys) == Set(whole.metadata.keys + added))
        #expect(split.metadata.string("test.string") == whole.metadata.string("test.string"))
        #expect(try split.sha256OfFiles().count == 3)
    }

    /// A set of parts with one tensor each, "t1" and so on.
    private struct Parts {
        var builders: [GGUFBuilder]

        init(_ count: Int = 3) {
            builders = (0..<count).map { number in
                var builder = GGUFBuilder()
                builder.add("split.no", 2, littleEndian(UInt16(number)))
                builder.add("split.count", 2, littleEndian(UInt16(count)))
                builder.add("split.tensors.count", 5, littleEndian(Int32(count)))
                builder.add(tensor: "t\(number + 1)", [1], type: 0, [0, 0, 0, 0])
                return builder
            }
        }

        mutating func set<T: FixedWidthInteger>(_ key: String, of part: Int, to value: T) {
            let place = builders[part - 1].metadata.firstIndex { $0.key == Array(key.utf8) }
            if let place { builders[part - 1].metadata[place].value = littleEndian(value) }
        }

        func write(to scratch: ScratchDirectory) throws {
            for (number, builder) in builders.enumerated() {
                let name = GGUFPartsTests.name(number + 1, of: builders.count)
                try scratch.write(builder.bytes(), to: name)
            }
        }
    }

    private func error(
        opening part: Int = 1, _ change: (inout Parts) -> Void
    ) throws -> CheckpointError {
        var parts = Parts()
        change(&parts)
        let scratch = try ScratchDirectory()
        try parts.write(to: scratch)
        return try openingError(scratch.file(Self.name(part, of: 3)))
    }

    @Test func missingPartsAreNamed() throws {
        let scratch = try ScratchDirectory()
        try Parts().write(to: scratch)
        let path = scratch.file(Self.name(2, of: 3))
        #expect(try Checkpoint.open(path).tensors.keys == ["t1", "t2", "t3"])
        try FileManager.default.removeItem(atPath: scratch.file(Self.name(3, of: 3)))
        expectOneLine(try openingError(path), naming: path, "\"m-00003-of-00003.gguf\"")
        try FileManager.default.removeItem(atPath: scratch.file(Self.name(1, of: 3)))
        expectOneLine(
            try openingError(path), naming: path, "\"m-00001-of-00003.gguf\"",
            "\"m-00003-of-00003.gguf\"")
    }

    @Test func partsThatDisagreeAreNamed() throws {
        expectOneLine(
            try error { $0.set("split.count", of: 2, to: UInt16(4)) },
            naming: "m-00002-of-00003.gguf", "split.count is 4, and 3")
        expectOneLine(
            try error { $0.set("split.count", of: 2, to: UInt16(1)) },
            naming: "m-00002-of-00003.gguf", "whole file")
        expectOneLine(
            try error { $0.set("split.no", of: 3, to: UInt16(1)) },
            naming: "m-00003-of-00003.gguf", "split.no is 1, and 2 by its name")
        expectOneLine(
            try error { $0.set("split.tensors.count", of: 3, to: Int32(9)) },
            naming: "m-00003-of-00003.gguf", "split.tensors.count is 9, and 3")
        expectOneLine(
            try error { parts in
                for part in 1...3 { parts.set("split.tensors.count", of: part, to: Int32(4)) }
            }, naming: "split.tensors.count is 4, and the parts hold 3")
    }

    @Test func partsThatCannotBe() throws {
        expectOneLine(
            try error { $0.set("split.no", of: 1, to: UInt16(3)) },
            naming: "m-00001-of-00003.gguf", "split.no is not a whole number from 0 to 2")
        expectOneLine(
            try error { $0.set("split.tensors.count", of: 1, to: Int32(-1)) },
            naming: "split.tensors.count is not a whole number")
        expectOneLine(
            try error { $0.builders[0].metadata.remove(at: 0) }, naming: "without split.no")
        // Counts that a careless reader would make names for.
        expectOneLine(
            try error {
                $0.builders[0].metadata[1] = (
                    Array("split.count".utf8), 11, [255] + [0, 0, 0, 0, 0, 0, 127]
                )
            },
            naming: "split.count is not a whole number")
        expectOneLine(
            try error { $0.set("split.count", of: 1, to: UInt16.max) },
            naming: "m-00001-of-00003.gguf", "-00001-of-65535.gguf")
    }

    @Test func oneNameInTwoPartsIsRefused() throws {
        let twice = try error { $0.builders[2].tensors[0].name = Array("t1".utf8) }
        guard case .duplicateTensor("t1", let first, let second) = twice else {
            Issue.record("\(twice)")
            return
        }
        #expect(first.hasSuffix("m-00001-of-00003.gguf") && second.hasSuffix("00003-of-00003.gguf"))
        expectOneLine(twice, naming: "\"t1\"", first, second)
    }

    @Test func aPartUnderAnotherNameSaysWhatItIs() throws {
        let scratch = try ScratchDirectory()
        let path = try scratch.write(Parts().builders[1].bytes(), to: "model.gguf")
        expectOneLine(
            try openingError(path), naming: path, "part 2 of 3", "-00002-of-00003.gguf")
    }

    /// llama-gguf-split writes 0 into what it has joined.
    @Test(arguments: [0, 1]) func onePartIsAWholeFile(count: UInt16) throws {
        var builder = GGUFBuilder()
        builder.add("split.count", 2, littleEndian(count))
        let scratch = try ScratchDirectory()
        _ = try Checkpoint.open(try scratch.write(builder.bytes(), to: "m.gguf"))
    }
}
