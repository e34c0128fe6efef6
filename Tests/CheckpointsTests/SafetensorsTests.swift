import Checkpoints
import Files
import Foundation
import TestSupport
import Testing

/// Directories that the Python package safetensors wrote, and headers on whose acceptance it has
/// ruled. Directories that are wrong as a whole are in `DirectoryErrorTests`.
struct SafetensorsTests {
    @Test(arguments: ["single", "sharded"])
    func readsWhatTheReferenceWrote(directory: String) throws {
        let golden = try #require(try Goldens.json("directories.json")[directory])
        let checkpoint = try Checkpoint.open(Goldens.path(directory))
        let expected = try #require(golden["tensors"]?.objectValue)
        #expect(checkpoint.format == .safetensors)
        #expect(checkpoint.metadata.isEmpty)
        #expect(checkpoint.config["model_type"]?.stringValue == "tiny")
        #expect(
            Set(checkpoint.tensors.keys).union(checkpoint.otherTensors.keys) == Set(expected.keys))
        for (name, member) in expected {
            let type = member["type"]?.stringValue
            guard member["values"] != nil else {
                #expect(checkpoint.otherTensors[name] == type)
                #expect(checkpoint.tensors[name] == nil)
                continue
            }
            let tensor = try #require(checkpoint.tensors[name])
            #expect(tensor.name == name)
            #expect(tensor.type.description == type)
            #expect(tensor.shape == member["shape"]?.arrayValue?.compactMap(\.intValue))
            #expect(canonicalBits(tensor.decoded()) == (try member.words("values")), "\(name)")
            #expect(tensor.firstNonFinite() == nil)
        }
        #expect(checkpoint.fingerprint == golden["fingerprint"]?.stringValue)
        #expect(checkpoint.files.count == (directory == "single" ? 1 : 2))
    }

    /// The names in the test data come in the order of the data, not of the header or the alphabet.
    @Test func tensorsKeepTheOrderOfTheData() throws {
        let checkpoint = try Checkpoint.open(Goldens.path("single"))
        let addresses = checkpoint.tensors.values.compactMap(\.bytes.baseAddress)
        #expect(addresses.count == checkpoint.tensors.count)
        #expect(addresses == addresses.sorted())
        #expect(Array(checkpoint.tensors.keys) != checkpoint.tensors.keys.sorted())
    }

    @Test func headersAreAcceptedAsByTheReference() throws {
        let cases = try #require(try Goldens.json("headers.json").arrayValue)
        #expect(cases.count > 50)
        let scratch = try ScratchDirectory()
        try scratch.write("{}".utf8, to: "config.json")
        for item in cases {
            let name = try #require(item["name"]?.stringValue)
            let path = try scratch.write(try item.bytes("content"), to: "model.safetensors")
            if item["accepted"]?.boolValue == true {
                #expect(throws: Never.self, "\(name)") {
                    let checkpoint = try Checkpoint.open(scratch.path)
                    for tensor in checkpoint.tensors.values { _ = tensor.decoded() }
                }
            } else {
                let error = #expect(throws: CheckpointError.self, "\(name)") {
                    try Checkpoint.open(scratch.path)
                }
                if let error { expectOneLine(error, naming: path) }
            }
        }
    }

    private func error(header: String, data: Int, length: UInt64? = nil) throws -> CheckpointError {
        let scratch = try ScratchDirectory()
        try scratch.write("{}".utf8, to: "config.json")
        let content =
            littleEndian(length ?? UInt64(header.utf8.count)) + Array(header.utf8)
            + [UInt8](repeating: 0, count: data)
        try scratch.write(content, to: "model.safetensors")
        return try openingError(scratch.path)
    }

    private let good = #""a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#

    /// Where the reference is laxer: it lets the later of two tensors win.
    @Test func duplicateNamesAreRefused() throws {
        expectOneLine(
            try error(header: "{\(good),\(good)}", data: 8), naming: "model.safetensors",
            "duplicate key \"a\"")
    }

    @Test func messagesNameTheTensorAndTheNumbers() throws {
        expectOneLine(
            try error(header: "{\(good)}", data: 8, length: UInt64(Int64.max)),
            naming: "the header needs 9223372036854775815 bytes, the file has \(good.count + 18)")
        expectOneLine(
            try error(header: "{\(good)}", data: 8, length: 0), naming: "header: it is empty")
        expectOneLine(
            try error(header: "{\(good)}", data: 3), naming: "tensor \"a\"",
            "the data ends at byte 3, data_offsets at 8")
        expectOneLine(
            try error(
                header: #"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, data: 8),
            naming: "tensor \"a\"", "need 12 bytes, the header gives it 8")
        expectOneLine(
            try error(
                header: #"{\#(good),"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
                data: 8),
            naming: "tensor \"b\"", "within \"a\"")
        expectOneLine(
            try error(
                header: #"{\#(good),"b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}}"#,
                data: 16),
            naming: "tensor \"b\"", "bytes from 8 belong to no tensor")
        expectOneLine(
            try error(
                header: #"{"a":{"dtype":"Q9","shape":[1],"data_offsets":[0,8]}}"#, data: 8),
            naming: "tensor \"a\"", "\"Q9\"")
        // A name that would break the line, or the terminal.
        expectOneLine(
            try error(header: #"{"a\n\u001b[31m":{"shape":[1],"data_offsets":[0,8]}}"#, data: 8),
            naming: #"tensor "a\u{a}\u{1b}[31m""#, "no dtype")
    }

    @Test func aFileTooShortForALength() throws {
        let scratch = try ScratchDirectory()
        for size in 0..<8 {
            let path = try scratch.write(
                [UInt8](repeating: 0, count: size), to: "model.safetensors")
            #expect(
                try openingError(scratch.path)
                    == .truncated(
                        path: path, what: "the header's length", needed: 8, actual: size))
        }
    }

    @Test func everyTruncationIsRefused() throws {
        let content = try Goldens.bytes("single/model.safetensors")
        let scratch = try ScratchDirectory()
        try scratch.write("{}".utf8, to: "config.json")
        for size in stride(from: 0, to: content.count, by: 37) {
            let path = try scratch.write(content[..<size], to: "model.safetensors")
            expectOneLine(try openingError(scratch.path), naming: path)
        }
    }
}
