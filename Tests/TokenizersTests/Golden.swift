import Files
import Foundation
import TestSupport
import Testing
import Tokenizers

/// What Hugging Face's `tokenizers` makes of the corpus; written by `scripts/goldens/tokenizers.py`.
struct Golden {
    let json: JSON

    init(_ name: String) throws {
        json = try JSON.read(path: Locations.golden("tokenizers/\(name)").path)
    }

    static func corpus() throws -> [String] {
        let json = try JSON.read(path: Locations.golden("tokenizers/corpus.json").path)
        return try #require(json.arrayValue).compactMap(\.stringValue)
    }

    private func ids(_ json: JSON) -> [Int32] {
        (json.arrayValue ?? []).compactMap { $0.intValue.map { Int32($0) } }
    }

    private func array(_ key: String) throws -> [JSON] { try #require(json[key]?.arrayValue) }

    /// Compares a tokenizer with the golden in everything the golden holds.
    /// - Parameter checksTemplate: Whether the golden's object had a post-processor.
    func expect(_ tokenizer: Tokenizer, checksTemplate: Bool = true) throws {
        let corpus = try Self.corpus()
        let expected = try array("ids")
        let decoded = try array("decoded")
        let skipping = try array("decoded_skipping")
        #expect(expected.count == corpus.count && corpus.count > 80)
        #expect(tokenizer.vocabularySize == json["vocabulary_size"]?.intValue)
        for (index, text) in corpus.enumerated() {
            let found = try tokenizer.encode(text, addSpecialTokens: false)
            #expect(found == ids(expected[index]), "\(shown(text))")
            let whole = try tokenizer.encode(text, addSpecialTokens: true)
            #expect(whole == tokenizer.prefixTokens + found + tokenizer.suffixTokens)
            let plain = decoded[index].stringValue ?? text
            expectSame(tokenizer.decode(ids(expected[index]), skipSpecialTokens: false), plain)
            expectSame(
                tokenizer.decode(ids(expected[index]), skipSpecialTokens: true),
                skipping[index].stringValue ?? plain)
        }
        if checksTemplate {
            let found = try tokenizer.encode("a b", addSpecialTokens: true)
            #expect(found == ids(try #require(json["with_special_tokens"])))
        }
        let lists = try array("lists")
        let texts = try array("lists_decoded")
        let skippingTexts = try array("lists_decoded_skipping")
        #expect(lists.count > 100)
        for (index, list) in lists.enumerated() {
            expectSame(
                tokenizer.decode(ids(list), skipSpecialTokens: false), texts[index].stringValue)
            expectSame(
                tokenizer.decode(ids(list), skipSpecialTokens: true),
                skippingTexts[index].stringValue)
        }
    }
}

/// Compares scalars: `String`'s `==` takes canonically equivalent texts for equal.
func expectSame(
    _ found: String, _ expected: String?, sourceLocation: SourceLocation = #_sourceLocation
) {
    let isSame = expected.map { $0.utf8.elementsEqual(found.utf8) } ?? false
    #expect(
        isSame, "\(shown(found)) is not \(shown(expected ?? "there"))",
        sourceLocation: sourceLocation)
}

/// A text as ASCII, cut short.
func shown(_ text: String) -> String {
    text.unicodeScalars.prefix(60).map { $0.escaped(asASCII: true) }.joined()
}

/// The script's digest of a list of ids: the upper half of FNV-1a.
func digest(_ ids: [Int32]) -> Int {
    let hash = ids.reduce(0xCBF2_9CE4_8422_2325 as UInt64) {
        ($0 ^ UInt64(UInt32(bitPattern: $1))) &* 0x100_0000_01B3
    }
    return Int(hash >> 32)
}

/// Writes `content` to a file of its own for the time of `body`.
func withTemporaryFile<Result>(
    _ content: some Sequence<UInt8>, _ body: (String) throws -> Result
) throws -> Result {
    let url = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString).json")
    defer { try? FileManager.default.removeItem(at: url) }
    try Data(content).write(to: url)
    return try body(url.path)
}
