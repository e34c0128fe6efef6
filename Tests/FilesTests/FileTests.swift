import Files
import Foundation
import TestSupport
import Testing

/// Writing whole files, mapping them and reading them in pieces, and the questions about paths.
/// A kill in the middle of a write is not played here: it is the rename that protects against it,
/// and what an error leaves behind is tested.
struct FileTests {
    @Test func writesAndReplacesWholeFiles() throws {
        let scratch = try ScratchDirectory()
        let path = scratch.file("out.txt")
        try AtomicFile.write("first, and longer", to: path)
        try AtomicFile.write("second", to: path)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "second")
        try AtomicFile.write([UInt8](), to: path)
        #expect(try Data(contentsOf: URL(filePath: path)).isEmpty)
        let large = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try AtomicFile.write(large, to: path)
        #expect(try Data(contentsOf: URL(filePath: path)) == Data(large))
        try AtomicFile.write(["a": 1] as JSON, to: path)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "{\n  \"a\": 1\n}\n")
        #expect(try scratch.names() == ["out.txt"])
    }

    /// The target is a folder with content.
    @Test func aFailureLeavesNothingBehind() throws {
        let scratch = try ScratchDirectory()
        try FileManager.default.createDirectory(
            atPath: scratch.file("taken"), withIntermediateDirectories: true)
        try scratch.write([1], to: "taken/inside")
        let path = scratch.file("taken")
        let error = try #require(throws: FileError.self) { try AtomicFile.write("x", to: path) }
        #expect(error.description.hasPrefix("\(path): cannot write: it is a directory"))
        #expect(try scratch.names() == ["taken"])

        let nowhere = scratch.file("no/such/folder")
        let missing = try #require(throws: FileError.self) {
            try AtomicFile.write("x", to: nowhere)
        }
        #expect(missing.description.hasPrefix("\(nowhere): cannot create: No such file"))
    }

    @Test func mapsWholeFiles() throws {
        let scratch = try ScratchDirectory()
        let content = (0..<10_000).map { UInt8(truncatingIfNeeded: $0) }
        let file = try MappedFile(path: try scratch.write(content, to: "data"))
        #expect(Array(file.bytes) == content)
        #expect(try MappedFile(path: try scratch.write([], to: "empty")).bytes.isEmpty)
        let folder = try #require(throws: FileError.self) { try MappedFile(path: scratch.path) }
        #expect(folder.description.contains("not a regular file"))
    }

    /// Opening says why; "no such file" would send the reader looking for a name that is there.
    @Test func linksThatLeadNowhereAreNotMissing() throws {
        let scratch = try ScratchDirectory()
        let manager = FileManager.default
        for (link, target) in [("dangling", "gone"), ("loop", "loop"), ("through", "file/x")] {
            try manager.createSymbolicLink(
                atPath: scratch.file(link), withDestinationPath: target)
        }
        try scratch.write([1], to: "file")
        #expect(Paths.kind(scratch.file("none")) == .missing)
        #expect(Paths.kind(scratch.file("file/x")) == .missing)
        for (link, reason) in [
            ("dangling", "No such file"), ("loop", "symbolic links"),
            ("through", "Not a directory"),
        ] {
            let path = scratch.file(link)
            #expect(Paths.kind(path) == .other)
            let error = try #require(throws: FileError.self) { try MappedFile(path: path) }
            #expect(error.description.hasPrefix("\(path): cannot open: "))
            #expect(error.description.contains(reason))
        }
    }

    /// Nobody writes to the pipe: opening it in the usual way would never return.
    @Test(.timeLimit(.minutes(20))) func aPipeIsAnError() throws {
        let scratch = try ScratchDirectory()
        #expect(mkfifo(scratch.file("pipe"), 0o600) == 0)
        #expect(throws: FileError.self) { try MappedFile(path: scratch.file("pipe")) }
        #expect(Paths.kind(scratch.file("pipe")) == .other)
    }

    @Test(arguments: [1, 7, 4096]) func readsInPieces(size: Int) throws {
        let scratch = try ScratchDirectory()
        let content = (0..<5000).map { UInt8(truncatingIfNeeded: $0 / 3) }
        let path = try scratch.write(content, to: "data")
        var pieces: [[UInt8]] = []
        try FileChunks.forEach(path: path, size: size) { pieces.append(Array($0)) }
        #expect(Array(pieces.joined()) == content)
        #expect(pieces.dropLast().allSatisfy { $0.count == size })
        #expect(throws: FileError.self) {
            try FileChunks.forEach(path: scratch.path) { _ in }
        }
        #expect(throws: FileError.self) {
            try FileChunks.forEach(path: scratch.file("none")) { _ in }
        }
    }

    @Test func paths() throws {
        let scratch = try ScratchDirectory()
        let file = try scratch.write([1], to: "b é")
        try FileManager.default.createSymbolicLink(
            atPath: scratch.file("a link"), withDestinationPath: "b é")
        #expect(Paths.kind(file) == .file)
        #expect(Paths.kind(scratch.file("a link")) == .file)
        #expect(Paths.kind(scratch.path) == .directory)
        #expect(try Paths.names(in: scratch.path) == ["a link", "b é"])
        #expect(throws: FileError.self) { try Paths.names(in: file) }
        #expect(Paths.join("a", "b") == "a/b" && Paths.join("/", "b") == "/b")
        #expect(Paths.directory(of: "a/b/c") == "a/b")
        #expect(Paths.directory(of: "c") == "." && Paths.directory(of: "/c") == "/")
        for name in ["", ".", "..", "a/b", "/a", "a\u{0}"] {
            #expect(!Paths.isPlainName(name), "\(name)")
        }
        for name in ["a", "...", ".a", "a b", "é", "a\\b"] {
            #expect(Paths.isPlainName(name), "\(name)")
        }
    }

    @Test func foreignStringsOnOneLine() {
        #expect("plain é 世界".quotedForMessage == "\"plain é 世界\"")
        #expect("a\n\u{1B}[31m\"\\".quotedForMessage == #""a\u{a}\u{1b}[31m\"\\""#)
        #expect("\u{202E}\u{2028}\u{0}".quotedForMessage == #""\u{202e}\u{2028}\u{0}""#)
        let long = String(repeating: "x", count: 1000)
        #expect(long.quotedForMessage == "\"" + String(repeating: "x", count: 80) + "…\"")
    }
}
