// Files in the making: their names, what lies in their way, what is left of dead processes.

import Files
import Foundation
import TestSupport
import Testing

@Suite struct TemporaryFileTests {
    private func text(_ path: String) throws -> String {
        String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
    }

    private func write(_ text: String, _ file: TemporaryFile) throws {
        var text = text
        try text.withUTF8 { try file.write(UnsafeRawBufferPointer($0)) }
    }

    @Test func aFileHasItsNameWhenItIsWhole() throws {
        let scratch = try ScratchDirectory()
        let path = scratch.file("a")
        do {
            let file = try TemporaryFile(for: path)
            try write("new", file)
            #expect(try scratch.names().count == 1)
            #expect(TemporaryFile.finalName(of: Paths.name(of: file.path)) == "a")
            try file.commit(replacing: false)
        }
        #expect(try scratch.names() == ["a"])
        #expect(try text(path) == "new")
        // One that is given up leaves nothing.
        _ = try TemporaryFile(for: path)
        #expect(try scratch.names() == ["a"])
    }

    @Test func whatCameMeanwhileStays() throws {
        let scratch = try ScratchDirectory()
        let path = scratch.file("a")
        do {
            let file = try TemporaryFile(for: path)
            try write("new", file)
            try scratch.write(Array("theirs".utf8), to: "a")
            #expect(throws: FileError.exists(path: path)) { try file.commit(replacing: false) }
        }
        #expect(try scratch.names() == ["a"])
        #expect(try text(path) == "theirs")
        // Nor does a link that came meanwhile lead anywhere.
        do {
            let file = try TemporaryFile(for: scratch.file("b"))
            try write("new", file)
            #expect(symlink("a", scratch.file("b")) == 0)
            #expect(throws: FileError.self) { try file.commit(replacing: true) }
        }
        #expect(try text(path) == "theirs")
        // Nor is a folder in the way of the very last step.
        do {
            let file = try TemporaryFile(for: scratch.file("c"))
            try write("new", file)
            try FileManager.default.createDirectory(
                atPath: scratch.file("c"), withIntermediateDirectories: false)
            #expect(throws: FileError.self) { try file.commit(replacing: true) }
        }
        #expect(try scratch.names().sorted() == ["a", "b", "c"])
    }

    @Test func aPrivateFileIsNeverOpenToOthers() throws {
        let scratch = try ScratchDirectory()
        try scratch.write([], to: "a")
        #expect(chmod(scratch.file("a"), 0o600) == 0)
        let file = try TemporaryFile(for: scratch.file("a"))
        var status = stat()
        #expect(lstat(file.path, &status) == 0 && status.st_mode & 0o077 == 0)
        try file.commit(replacing: true)
        #expect(lstat(scratch.file("a"), &status) == 0 && status.st_mode & 0o7777 == 0o600)
    }

    @Test func onlyTheDeadAreCleared() throws {
        let scratch = try ScratchDirectory()
        let path = scratch.file("a")
        let living = try TemporaryFile(for: path)
        let dead = String(Paths.name(of: living.path).dropLast(16)) + "0123456789abcdef"
        // Another file's, another machine's, names that are only like ours, a link of that name.
        let others = [
            "b" + String(dead.dropFirst()), "a.tmp-00000000-0123456789abcdef", "a.tmp-1234",
            "a.tmp",
            dead + "0",
        ]
        for name in others + [dead] { try scratch.write(Array("x".utf8), to: name) }
        let link = String(dead.dropLast(1)) + "0"
        try scratch.write(Array("x".utf8), to: "kept")
        #expect(symlink("kept", scratch.file(link)) == 0)
        TemporaryFile.removeStale(beside: [path])
        let expected = others + [Paths.name(of: living.path), "kept", link]
        #expect(try scratch.names().sorted() == expected.sorted())
        withExtendedLifetime(living) {}
    }

    @Test func locksExcludeEachOther() throws {
        let scratch = try ScratchDirectory()
        do {
            let held = try #require(try FolderLock.folder(scratch.path))
            #expect(throws: FileError.busy(path: scratch.path)) {
                try FolderLock.folder(scratch.path)
            }
            let file = try FolderLock.file(scratch.file("lock"))
            #expect(throws: FileError.busy(path: scratch.file("lock"))) {
                try FolderLock.file(scratch.file("lock"))
            }
            withExtendedLifetime((held, file)) {}
        }
        #expect(try scratch.names() == [])
        #expect(try FolderLock.folder(scratch.path) != nil)
        // A link that lies in the place of a lock is not followed.
        #expect(symlink("target", scratch.file("lock")) == 0)
        #expect(throws: FileError.self) { try FolderLock.file(scratch.file("lock")) }
        #expect(try scratch.names() == ["lock"])
    }
}
