import Corpus
import Foundation
import TestSupport
import Testing
import Tokenizers

/// Tokenizers of the committed goldens.
enum Fixtures {
    /// Names no BOS token and adds none.
    static func plain() throws -> Tokenizer { try tokenizer("byte-level-digits") }
    /// Adds BOS, id 2, before a text.
    static func withBOS() throws -> Tokenizer { try tokenizer("replace-byte-fallback") }

    private static func tokenizer(_ name: String) throws -> Tokenizer {
        try Tokenizer(
            huggingFace: Locations.golden("tokenizers/\(name).tokenizer.json").path)
    }

    /// A text of a few hundred tokens.
    static let text = (1...60).map { "Line \($0): the quick brown fox, 2 + 2 = 4." }
        .joined(separator: "\n")
}

extension CorpusReader {
    /// A reader of token ids.
    static func ofIDs(
        vocabulary: Int = 70_000, window: Int, limit: Int? = nil, bos: BOSPolicy = .auto,
        tokenizer: Tokenizer? = nil
    ) -> CorpusReader {
        CorpusReader(
            tokenizer: tokenizer, vocabularySize: vocabulary, sequenceLength: window, limit: limit,
            bos: bos)
    }

    static func ofText(
        _ tokenizer: Tokenizer, window: Int, limit: Int? = nil, bos: BOSPolicy = .auto
    ) -> CorpusReader {
        CorpusReader(
            tokenizer: tokenizer, vocabularySize: tokenizer.vocabularySize, sequenceLength: window,
            limit: limit, bos: bos)
    }
}

/// Little-endian bytes of ids.
func encoded<ID: FixedWidthInteger>(_ ids: [ID]) -> [UInt8] {
    ids.flatMap { id in withUnsafeBytes(of: id.littleEndian) { Array($0) } }
}

/// The error of reading `path`, whose message must be one line that names the file.
func readingError(
    _ reader: CorpusReader, _ path: String, at location: SourceLocation = #_sourceLocation
) -> CorpusError? {
    do {
        _ = try reader.read(path: path)
        return nil
    } catch {
        let isOneLine = !error.description.contains { $0.isNewline }
        #expect(isOneLine, "\(error)", sourceLocation: location)
        return error
    }
}
