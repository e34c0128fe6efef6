// Files of lines: JSON documents, OLMES requests, gzip.

import Corpus
import Foundation
import TestSupport
import Testing
import Tokenizers

@Suite struct LineTests {
    private func documents(
        _ lines: String, _ reader: CorpusReader, name: String = "data.jsonl"
    ) throws -> [Document] {
        let folder = try ScratchDirectory()
        return try reader.read(path: try folder.write(lines.utf8, to: name))
    }

    @Test func eachLineIsOneDocumentCutToItsFirstTokens() throws {
        let tokenizer = try Fixtures.plain()
        let lines = """
            {"text": "short"}
            {"id": 7, "text": "a rather longer line, which is cut", "meta": {"text": "other"}}
            """
        let read = try documents(lines, .ofText(tokenizer, window: 5))
        let first = try tokenizer.encode("short", addSpecialTokens: false)
        let second = try tokenizer.encode(
            "a rather longer line, which is cut", addSpecialTokens: false)
        #expect(second.count > 5)
        #expect(
            read == [Document(tokens: first), Document(tokens: Array(second.prefix(5)))])
    }

    @Test func anAddedBOSCountsAmongTheFirstTokens() throws {
        let tokenizer = try Fixtures.withBOS()
        let ids = try tokenizer.encode("one two three four five", addSpecialTokens: false)
        let lines = #"{"text": "one two three four five"}"#
        #expect(
            try documents(lines, .ofText(tokenizer, window: 4))
                == [Document(tokens: [2] + ids.prefix(3), addedTokens: 1)])
        #expect(
            try documents(lines, .ofText(tokenizer, window: 4, bos: .never))
                == [Document(tokens: Array(ids.prefix(4)))])
    }

    @Test func requestsAreContextAndContinuationTogether() throws {
        let tokenizer = try Fixtures.plain()
        let whole = Document(
            tokens: try tokenizer.encode("Question: 2+2? Answer: 4", addSpecialTokens: false))
        let lines = """
            {"context": "Question: 2+2? Answer:", "continuation": " 4"}
            {"request": {"context": "Question: 2+2? Answer:", "continuation": " 4"}, "doc_id": 3, \
            "doc": {"text": "not this"}, "native_id": null}
            """
        #expect(
            try documents(lines, .ofText(tokenizer, window: 100)) == [whole, whole])
    }

    @Test func tokenLinesNeedNoTokenizerAndGetABOSOnlyWhenAskedFor() throws {
        let lines = """
            {"tokens": [5, 6, 7]}
            {"tokens": [8]}
            """
        #expect(
            try documents(lines, .ofIDs(window: 2))
                == [Document(tokens: [5, 6]), Document(tokens: [8])])
        let always = CorpusReader.ofIDs(
            window: 3, bos: .always, tokenizer: try Fixtures.withBOS())
        #expect(
            try documents(lines, always) == [
                Document(tokens: [2, 5, 6], addedTokens: 1),
                Document(tokens: [2, 8], addedTokens: 1),
            ])
    }

    @Test func blankLinesAndLineEndsDoNotCount() throws {
        let lines = "\n{\"tokens\": [1]}\r\n \t \n\r\n{\"tokens\": [2]}"
        let read = try documents(lines, .ofIDs(window: 4))
        #expect(read.map(\.tokens) == [[1], [2]])
    }

    /// As in wikitext, where every second text is empty: such lines are no documents, count for no limit,
    /// and are told of.
    @Test func emptyDocumentsAreLeftOutAndToldOf() throws {
        let lines = [
            #"{"text": ""}"#, #"{"tokens": [5]}"#, "", #"{"tokens": []}"#,
            #"{"context": "", "continuation": ""}"#,
            #"{"request": {"context": "", "continuation": ""}}"#,
            #"{"tokens": [6]}"#, #"{"text": ""}"#, #"{"tokens": [7]}"#,
        ]
        let folder = try ScratchDirectory()
        let path = try folder.write(lines.joined(separator: "\n").utf8, to: "data.jsonl")
        func read(limit: Int? = nil) throws -> (ids: [[Int32]], empty: [Int]) {
            var empty: [Int] = []
            let reader = CorpusReader.ofText(try Fixtures.plain(), window: 4, limit: limit)
            let documents = try reader.read(path: path) { empty.append($0) }
            return (documents.map(\.tokens), empty)
        }
        let all = try read()
        #expect(all.ids == [[5], [6], [7]] && all.empty == [1, 4, 5, 6, 8])
        let two = try read(limit: 2)
        #expect(two.ids == [[5], [6]] && two.empty == [1, 4, 5, 6])
        let nothing = try folder.write(#"{"text": ""}"#.utf8, to: "nothing.jsonl")
        #expect(
            readingError(.ofText(try Fixtures.plain(), window: 4), nothing)
                == .line(
                    path: nothing, line: 1,
                    problem: "the document is empty, and no other line holds one; give some text"))
    }

    /// A tokenizer may have more ids than the embedding has rows: only one that occurs is wrong.
    @Test func anIDWithoutARowIsNamedWhereItOccurs() throws {
        let tokenizer = try Fixtures.plain()
        let text = "quick brown"
        let ids = try tokenizer.encode(text, addSpecialTokens: false)
        let rows = Int(ids.max() ?? 0)
        func reader(_ rows: Int) -> CorpusReader {
            CorpusReader(tokenizer: tokenizer, vocabularySize: rows, sequenceLength: 2)
        }
        let folder = try ScratchDirectory()
        let line = try folder.write("\n{\"text\": \"\(text)\"}".utf8, to: "data.jsonl")
        let whole = try folder.write(text.utf8, to: "data.txt")
        #expect(try reader(rows + 1).read(path: line).count == 1)
        for (path, place) in [(line, "line 2"), (whole, "the text")] {
            #expect(
                readingError(reader(rows), path)
                    == .tokenWithoutRow(
                        path: path, place: place, token: tokenizer.token(Int32(rows)) ?? "",
                        id: rows,
                        vocabularySize: rows))
        }
    }

    /// Ids need no tokenizer, whatever is wrong with it; texts say what.
    @Test func aTokenizerThatCannotBeOpenedIsNoMatterForIDs() throws {
        let broken = TokenizerError.unsupported(
            path: "t.json", component: "model", name: "X", known: ["BPE"])
        let lazy = LazyTokenizer { () throws(TokenizerError) in throw broken }
        let reader = CorpusReader(tokenizer: lazy, vocabularySize: 10, sequenceLength: 2)
        let folder = try ScratchDirectory()
        let ids = try folder.write(#"{"tokens": [1, 2]}"#.utf8, to: "ids.jsonl")
        #expect(try reader.read(path: ids).map(\.tokens) == [[1, 2]])
        let file = try folder.write(encoded([1, 2] as [UInt16]), to: "ids.u16")
        #expect(try reader.read(path: file).map(\.tokens) == [[1, 2]])
        for (name, content) in [("a.jsonl", #"{"text": "a"}"#), ("a.txt", "a")] {
            let path = try folder.write(content.utf8, to: name)
            #expect(readingError(reader, path) == .tokenizer(path: path, broken))
        }
        let always = CorpusReader(
            tokenizer: lazy, vocabularySize: 10, sequenceLength: 3, bos: .always)
        #expect(readingError(always, file) == .tokenizer(path: file, broken))
    }

    @Test func limitsKeepTheFirstDocuments() throws {
        // What stands behind the last document wanted is not even looked at.
        let lines = "{\"tokens\": [1]}\n\n{\"tokens\": [2]}\nnot JSON\n"
        #expect(
            try documents(lines, .ofIDs(window: 4, limit: 2)).map(\.tokens) == [[1], [2]])
    }

    // MARK: Gzip

    /// Two members, one behind the other, as `gzip` concatenates them, made by Python's gzip 3.13:
    /// `{"tokens": [1, 2, 3]}\r\n\n{"tokens": [4, 5]}\n` and `{"tokens": [6]}`.
    private static let members: [UInt8] = Array(
        Data(
            base64Encoded:
                "H4sIAAAAAAACA6tWKsnPTs0rVrJSiDbUUTDSUTCOreXl4qpGEjfRUTCNreUCAL6dWIQrAAAA"
                + "H4sIAAAAAAACA6tWKsnPTs0rVrJSiDaLrQUAxSj20A8AAAA=") ?? Data())

    @Test func gzipFilesAreReadThroughAllMembers() throws {
        let folder = try ScratchDirectory()
        let path = try folder.write(Self.members, to: "data.jsonl.gz")
        #expect(
            try CorpusReader.ofIDs(window: 9).read(path: path).map(\.tokens)
                == [[1, 2, 3], [4, 5], [6]])
    }

    @Test func damagedGzipFilesAreRefused() throws {
        let folder = try ScratchDirectory()
        let first = Array(Self.members.prefix(54))
        var flipped = first
        flipped[20] ^= 0x10
        var wrongSum = first
        wrongSum[first.count - 6] ^= 1
        let damaged = [
            "cut": Array(first.dropLast(9)), "short": Array(first.dropLast(1)),
            "flipped": flipped, "sum": wrongSum, "half": Array(Self.members.prefix(70)),
        ]
        for (name, bytes) in damaged {
            let path = try folder.write(bytes, to: "\(name).jsonl.gz")
            guard
                case .unreadable(path, let problem)? = readingError(.ofIDs(window: 9), path)
            else {
                Issue.record("\(name) was read")
                continue
            }
            #expect(problem.contains("damaged gzip file"), "\(name): \(problem)")
        }
    }

    /// A gzip file of stored blocks (RFC 1951, 3.2.4; RFC 1952).
    private static func stored(_ content: [UInt8]) -> [UInt8] {
        func words(_ value: Int, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(value >> (8 * $0) & 255) }
        }
        var file: [UInt8] = [31, 139, 8, 0, 0, 0, 0, 0, 0, 255]
        for start in stride(from: 0, to: content.count, by: 65_535) {
            let block = content[start..<min(content.count, start + 65_535)]
            file += [block.endIndex == content.count ? 1 : 0]
            file += words(block.count, 2) + words(~block.count & 65_535, 2) + block
        }
        var sum: UInt32 = .max
        for byte in content {
            sum ^= UInt32(byte)
            for _ in 0..<8 { sum = sum >> 1 ^ (sum & 1 == 1 ? 0xEDB8_8320 : 0) }
        }
        return file + words(Int(~sum), 4) + words(content.count, 4)
    }

    /// Lines that end anywhere in what is read at once, longer ones too; and of a file that is cut off
    /// what stands before is read where no more is wanted.
    @Test func longGzipFilesAreReadPieceByPiece() throws {
        let folder = try ScratchDirectory()
        let lengths = [1, 9_000, 300_000, 2, 70_000, 131_072, 5]
        let documents = lengths.enumerated().map { index, length in
            (0..<length).map { Int32(($0 + index) % 10) }
        }
        let text = documents.map { "{\"tokens\": \($0)}\n" }.joined()
        let bytes = Self.stored(Array(text.utf8))
        let whole = try folder.write(bytes, to: "whole.jsonl.gz")
        let reader = CorpusReader.ofIDs(window: 1 << 20)
        #expect(try reader.read(path: whole).map(\.tokens) == documents)
        let cut = try folder.write(Array(bytes.dropLast(100)), to: "cut.jsonl.gz")
        #expect(readingError(reader, cut) != nil)
        let limited = CorpusReader.ofIDs(window: 1 << 20, limit: 3)
        #expect(try limited.read(path: cut).map(\.tokens) == Array(documents[..<3]))
    }

    @Test func aMissingGzipFileIsSaidToBeMissing() throws {
        let folder = try ScratchDirectory()
        let path = folder.file("missing.jsonl.gz")
        let error = readingError(.ofIDs(window: 9), path)
        #expect(error?.description.contains("No such file") == true)
    }

    // MARK: Errors

    @Test(arguments: [
        (#"{"text": 5}"#, "expected \"text\""), (#"{"context": "a"}"#, "expected \"text\""),
        (#"{"request": {"continuation": "a"}}"#, "expected \"text\""), ("[]", "expected \"text\""),
        ("{", "not valid JSON"), (#"{"text": "a"} {"text": "b"}"#, "not valid JSON"),
        (#"{"tokens": [1, "2"]}"#, "a string"), (#"{"tokens": [1.5]}"#, "a number"),
    ])
    func aBadLineIsNamedByItsNumber(_ line: String, _ says: String) throws {
        let folder = try ScratchDirectory()
        // Blank lines count: the number is the file's.
        let path = try folder.write(
            ("{\"tokens\": [1]}\n\n" + line + "\n{\"tokens\": [2]}\n").utf8, to: "data.jsonl")
        let error = readingError(.ofText(try Fixtures.plain(), window: 4), path)
        guard case .line(path, 3, let problem)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(problem.contains(says), "\(problem)")
    }

    @Test func aLineThatIsNotUTF8IsNamed() throws {
        let folder = try ScratchDirectory()
        let path = try folder.write(
            Array("{\"tokens\": [1]}\n{\"text\": \"".utf8) + [0xFF] + Array("\"}\n".utf8),
            to: "data.jsonl")
        guard
            case .line(path, 2, _)? = readingError(.ofText(try Fixtures.plain(), window: 4), path)
        else {
            Issue.record("the line was read")
            return
        }
    }

    @Test(arguments: [100, -1, 1 << 40])
    func idsOutsideTheVocabularyNameTheirLine(_ id: Int) throws {
        let folder = try ScratchDirectory()
        let path = try folder.write(
            "{\"tokens\": [99]}\n{\"tokens\": [0, \(id)]}\n".utf8, to: "data.jsonl")
        #expect(
            readingError(.ofIDs(vocabulary: 100, window: 4), path)
                == .tokenOutOfRange(path: path, place: "line 2", id: id, vocabularySize: 100))
    }

    // MARK: What is not needed

    /// What stands behind the last document that is wanted is not even looked at.
    @Test func nothingIsReadBehindTheTokensThatAreWanted() throws {
        func reader(_ tokens: Int) -> CorpusReader {
            CorpusReader(
                tokenizer: nil, vocabularySize: 100, sequenceLength: 4, tokenLimit: tokens)
        }
        let lines = """
            {"tokens": [1, 2, 3, 4]}
            {"tokens": [5, 6, 7]}
            not JSON
            """
        #expect(try documents(lines, reader(4)).map(\.tokens) == [[1, 2, 3, 4]])
        #expect(try documents(lines, reader(5)).map(\.tokens) == [[1, 2, 3, 4], [5, 6, 7]])
        #expect(throws: CorpusError.self) { try documents(lines, reader(8)) }
        let folder = try ScratchDirectory()
        // The id 200 in the third window is outside the vocabulary.
        let ids: [UInt8] = (0..<12).flatMap { [$0 == 9 ? 200 : UInt8($0), 0] }
        let path = try folder.write(ids, to: "ids.u16")
        #expect(try reader(4).read(path: path).map(\.tokens) == [[0, 1, 2, 3]])
        #expect(
            try reader(5).read(path: path).map(\.tokens) == [[0, 1, 2, 3], [4, 5, 6, 7]])
        #expect(throws: CorpusError.self) { try reader(9).read(path: path) }
    }

    /// A small packed file whose one line would fill the memory.
    @Test func aLineHasALimit() throws {
        let folder = try ScratchDirectory()
        let path = folder.file("bomb.jsonl")
        let zeros = [UInt8](repeating: 0x20, count: TextLines.longestLine + 1)
        try folder.write(Array("{}\n".utf8) + zeros, to: "bomb.jsonl")
        let gzip = Process()
        gzip.executableURL = URL(filePath: "/usr/bin/env")
        gzip.arguments = ["gzip", "-1", "-k", path]
        try gzip.run()
        gzip.waitUntilExit()
        for name in [path, path + ".gz"] {
            let lines = try TextLines(path: name)
            #expect(try lines.next() == Array("{}".utf8))
            #expect {
                try lines.next()
            } throws: { error in
                "\(error)".contains(name) && "\(error)".contains("line 2")
                    && "\(error)".contains("64 MiB")
            }
        }
        // One that is just short enough is read.
        try folder.write(zeros.dropLast() + [0x0A], to: "fits.jsonl")
        let fits = try TextLines(path: folder.file("fits.jsonl"))
        #expect(try fits.next()?.count == TextLines.longestLine)
        #expect(try fits.next() == nil)
    }
}
