// Streams cut into windows: texts and files of token ids.

import Corpus
import Foundation
import TestSupport
import Testing
import Tokenizers

@Suite struct WindowTests {
    @Test func idFilesAreConsecutiveWindowsWithoutTheRemainder() throws {
        let folder = try ScratchDirectory()
        let ids = (0..<23).map { UInt16($0 * 2_000) }
        let path = try folder.write(encoded(ids), to: "data.u16")
        let documents = try CorpusReader.ofIDs(window: 7).read(path: path)
        #expect(documents.map(\.tokens.count) == [7, 7, 7])
        #expect(documents.flatMap(\.tokens) == ids.prefix(21).map(Int32.init))
        #expect(documents.allSatisfy { $0.addedTokens == 0 })
    }

    @Test func wholeWindowsLeaveNoRemainder() throws {
        let folder = try ScratchDirectory()
        let path = try folder.write(encoded([UInt16](0..<21)), to: "data.u16")
        #expect(try CorpusReader.ofIDs(window: 7).read(path: path).count == 3)
        #expect(try CorpusReader.ofIDs(window: 21).read(path: path).count == 1)
        #expect(try CorpusReader.ofIDs(window: 1).read(path: path).count == 21)
    }

    @Test func wideIDsAreLittleEndian() throws {
        let folder = try ScratchDirectory()
        let path = try folder.write(
            [0x01, 0x02, 0x01, 0x00, 0xFF, 0xFF, 0x00, 0x00], to: "data.u32")
        let documents = try CorpusReader.ofIDs(window: 2).read(path: path)
        #expect(documents == [Document(tokens: [0x10201, 0xFFFF])])
    }

    @Test(arguments: [(1, 1), (2, 2), (3, 3), (9, 3)])
    func limitsKeepTheFirstWindows(_ limit: Int, _ count: Int) throws {
        let folder = try ScratchDirectory()
        let path = try folder.write(encoded([UInt16](0..<23)), to: "data.u16")
        let documents = try CorpusReader.ofIDs(window: 7, limit: limit).read(path: path)
        #expect(documents.flatMap(\.tokens) == (0..<Int32(7 * count)).map { $0 })
    }

    // MARK: Text and BOS

    /// The first windows of a long text are those of the whole, and the text behind them is not looked at:
    /// here it is no UTF-8.
    @Test(arguments: [1, 3, 40])
    func textBehindTheWantedWindowsIsNotRead(_ limit: Int) throws {
        let folder = try ScratchDirectory()
        let text = (0..<4000).map { "\(Fixtures.text) \($0)\n" }.joined()
        let tokenizer = try Fixtures.plain()
        let ids = try tokenizer.encode(text, addSpecialTokens: false)
        let path = try folder.write(Array(text.utf8) + [0xFF, 0xFE], to: "data.txt")
        let documents = try CorpusReader.ofText(tokenizer, window: 50, limit: limit)
            .read(path: path)
        #expect(documents.count == limit)
        #expect(documents.flatMap(\.tokens) == Array(ids.prefix(limit * 50)))
        #expect(readingError(.ofText(tokenizer, window: 50), path) != nil)
    }

    @Test func textIsTokenizedWholeAndThenCut() throws {
        let folder = try ScratchDirectory()
        let path = try folder.write(Fixtures.text.utf8, to: "data.txt")
        let tokenizer = try Fixtures.plain()
        let ids = try tokenizer.encode(Fixtures.text, addSpecialTokens: false)
        let documents = try CorpusReader.ofText(tokenizer, window: 50).read(path: path)
        #expect(documents.count == ids.count / 50)
        #expect(documents.count > 5)
        #expect(documents.flatMap(\.tokens) == Array(ids.prefix(documents.count * 50)))
        #expect(documents.allSatisfy { $0.addedTokens == 0 })
        // The same text without a file.
        #expect(
            try CorpusReader.ofText(tokenizer, window: 50).read(text: Fixtures.text, path: "x")
                == documents)
    }

    @Test(arguments: [BOSPolicy.auto, .always])
    func anAddedBOSStandsInEveryWindowAndCounts(_ bos: BOSPolicy) throws {
        let folder = try ScratchDirectory()
        let path = try folder.write(Fixtures.text.utf8, to: "data.txt")
        let tokenizer = try Fixtures.withBOS()
        let ids = try tokenizer.encode(Fixtures.text, addSpecialTokens: false)
        let documents = try CorpusReader.ofText(tokenizer, window: 50, bos: bos).read(path: path)
        #expect(documents.count == ids.count / 49)
        for (index, document) in documents.enumerated() {
            #expect(document.tokens == [2] + ids[index * 49..<(index + 1) * 49])
            #expect(document.addedTokens == 1)
        }
    }

    @Test func bosNeverAddsNothingButReadsWhatIsWritten() throws {
        let tokenizer = try Fixtures.withBOS()
        let reader = CorpusReader.ofText(tokenizer, window: 4, limit: 1, bos: .never)
        let documents = try reader.read(text: "<bos>one two three four five", path: "x")
        #expect(documents[0].tokens.first == 2)
        #expect(documents[0].addedTokens == 0)
        let without = try reader.read(text: "one two three four five", path: "x")
        #expect(!without[0].tokens.contains(2))
    }

    @Test func bosAlwaysTakesTheTokenThatTheConfigurationNames() throws {
        let tokenizer = try Fixtures.plain().with(bos: 1, eos: 0)
        let auto = CorpusReader.ofText(tokenizer, window: 8, limit: 1)
        #expect(try auto.read(text: Fixtures.text, path: "x")[0].addedTokens == 0)
        let always = CorpusReader.ofText(tokenizer, window: 8, limit: 1, bos: .always)
        let document = try always.read(text: Fixtures.text, path: "x")[0]
        let ids = try tokenizer.encode(Fixtures.text, addSpecialTokens: false)
        #expect(document == Document(tokens: [1] + ids.prefix(7), addedTokens: 1))
    }

    @Test func idFilesGetABOSOnlyWhenAskedFor() throws {
        let folder = try ScratchDirectory()
        let path = try folder.write(encoded([UInt16](10..<22)), to: "data.u16")
        let tokenizer = try Fixtures.withBOS()
        for bos in [BOSPolicy.auto, .never] {
            let reader = CorpusReader.ofIDs(window: 5, bos: bos, tokenizer: tokenizer)
            #expect(
                try reader.read(path: path) == [
                    Document(tokens: [10, 11, 12, 13, 14]), Document(tokens: [15, 16, 17, 18, 19]),
                ])
        }
        let reader = CorpusReader.ofIDs(window: 5, bos: .always, tokenizer: tokenizer)
        #expect(
            try reader.read(path: path) == [
                Document(tokens: [2, 10, 11, 12, 13], addedTokens: 1),
                Document(tokens: [2, 14, 15, 16, 17], addedTokens: 1),
                Document(tokens: [2, 18, 19, 20, 21], addedTokens: 1),
            ])
    }

    // MARK: Errors

    @Test func emptyFilesAreRefused() throws {
        let folder = try ScratchDirectory()
        let reader = CorpusReader.ofText(try Fixtures.plain(), window: 4)
        for name in ["data.txt", "data.u16", "data.u32", "data.jsonl"] {
            let path = try folder.write([], to: name)
            #expect(readingError(reader, path) == .empty(path: path))
        }
        let blank = try folder.write(" \n\t\n\r\n".utf8, to: "blank.jsonl")
        #expect(readingError(reader, blank) == .empty(path: blank))
    }

    /// Offsets are what Python's `bytes.decode` gives as the start of the error.
    @Test(
        arguments: [
            ([97, 98, 0xEF, 0xBF], 2), ([0xEF, 0xBF, 65], 0), ([0xC3, 0xA9, 0xFF], 2),
            ([120, 0xED, 0xA0, 0x80], 1), ([0xC0, 0x80], 0), ([97, 98, 99, 0xF5, 0x80], 3),
            ([0xE4, 0xB8, 0xAD, 0x80], 3), ([0xEF, 0xBF, 0xBD, 32, 111, 107, 0xE2, 0x82], 6),
            ([0xF0, 0x9F, 0x98, 65], 0), ([0, 10, 0x80], 2),
        ] as [([UInt8], Int)])
    func textThatIsNotUTF8NamesTheFirstWrongByte(_ bytes: [UInt8], _ offset: Int) throws {
        let folder = try ScratchDirectory()
        let path = try folder.write(bytes, to: "data.txt")
        let error = readingError(.ofText(try Fixtures.plain(), window: 1), path)
        #expect(error == .notUTF8(path: path, offset: offset))
        #expect(error?.description.contains("offset \(offset)") == true)
    }

    @Test func halfAnIDIsRefused() throws {
        let folder = try ScratchDirectory()
        for (name, bytes) in [("data.u16", 5), ("data.u32", 6)] {
            let path = try folder.write([UInt8](repeating: 0, count: bytes), to: name)
            guard
                case .unreadable(path, let problem)? = readingError(.ofIDs(window: 1), path)
            else {
                Issue.record("\(name) was read")
                continue
            }
            #expect(problem.hasPrefix("\(bytes) bytes"))
        }
    }

    @Test func idsOutsideTheVocabularyNameTheirPlace() throws {
        let folder = try ScratchDirectory()
        let reader = CorpusReader.ofIDs(vocabulary: 100, window: 2)
        let path = try folder.write(encoded([UInt16]([0, 99, 100, 7])), to: "data.u16")
        #expect(
            readingError(reader, path)
                == .tokenOutOfRange(path: path, place: "token 2", id: 100, vocabularySize: 100))
        let wide = try folder.write(encoded([UInt32]([3, .max])), to: "data.u32")
        #expect(
            readingError(reader, wide)
                == .tokenOutOfRange(
                    path: wide, place: "token 1", id: 0xFFFF_FFFF, vocabularySize: 100))
    }

    @Test func dataShorterThanAWindowIsRefused() throws {
        let folder = try ScratchDirectory()
        let path = try folder.write(encoded([UInt16](0..<5)), to: "data.u16")
        #expect(
            readingError(.ofIDs(window: 6), path) == .tooShort(path: path, tokens: 5, window: 6))
        // With a BOS in it the window needs one token less.
        let reader = CorpusReader.ofIDs(
            window: 6, bos: .always, tokenizer: try Fixtures.withBOS())
        #expect(
            try reader.read(path: path) == [Document(tokens: [2, 0, 1, 2, 3, 4], addedTokens: 1)])
    }

    @Test func aWindowMustHoldMoreThanTheBOS() throws {
        let folder = try ScratchDirectory()
        let reader = CorpusReader.ofText(try Fixtures.withBOS(), window: 1)
        for (name, content) in [("data.txt", "text"), ("data.jsonl", #"{"text": "text"}"#)] {
            let path = try folder.write(content.utf8, to: name)
            guard case .invalidWindow(1, _)? = readingError(reader, path) else {
                Issue.record("\(name) was read")
                continue
            }
        }
    }

    @Test func bosAlwaysNeedsABOS() throws {
        let reader = CorpusReader.ofText(try Fixtures.plain(), window: 4, bos: .always)
        #expect(throws: CorpusError.noBOS(path: "x")) {
            try reader.read(text: Fixtures.text, path: "x")
        }
    }

    @Test func textNeedsATokenizer() throws {
        let folder = try ScratchDirectory()
        for (name, content) in [("data.txt", "text"), ("data.jsonl", #"{"text": "text"}"#)] {
            let path = try folder.write(content.utf8, to: name)
            #expect(readingError(.ofIDs(window: 2), path) == .noTokenizer(path: path))
        }
    }

    @Test func otherFilesAreRefused() throws {
        let folder = try ScratchDirectory()
        for name in ["data.csv", "data", "data.txt.gz", "u16"] {
            let path = try folder.write("text".utf8, to: name)
            #expect(readingError(.ofIDs(window: 2), path) == .unknownKind(path: path))
        }
        let missing = folder.file("missing.u16")
        let error = readingError(.ofIDs(window: 2), missing)
        guard case .file? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(error?.description.contains(missing) == true)
    }
}
