import Files
import Foundation
import TestSupport
import Testing
import Tokenizers

/// The pipelines that the model families' files have, on small models, against HF tokenizers.
@Suite("Pipelines of the families")
struct FamilyTests {
    private static let golden = Result { try Golden("families.json").json }

    static func names() -> [String] {
        let cases = (try? golden.get())?["cases"]?.arrayValue ?? []
        return cases.compactMap { $0["name"]?.stringValue }
    }

    /// The `tokenizer.json` of a case.
    static func file(_ name: String) throws -> (root: JSON.Object, golden: JSON) {
        let json = try golden.get()
        let item = try #require(
            json["cases"]?.arrayValue?.first { $0["name"]?.stringValue == name })
        var root = try #require(item["components"]?.objectValue)
        root["model"] = try #require(json["models"]?[item["model"]?.stringValue ?? ""])
        return (root, item)
    }

    static func tokenizer(_ root: JSON.Object) throws -> Tokenizer {
        try withTemporaryFile(JSON.object(root).text(indent: 0).utf8) {
            try Tokenizer(huggingFace: $0)
        }
    }

    @Test func allAreThere() throws {
        #expect(Self.names().count >= 22)
    }

    @Test(arguments: names())
    func pipeline(_ name: String) throws {
        let (root, item) = try Self.file(name)
        let tokenizer = try Self.tokenizer(root)
        let more = try #require(Self.golden.get()["texts"]?.arrayValue).compactMap(\.stringValue)
        let texts = try Golden.corpus() + more
        let ids = try #require(item["ids"]?.arrayValue)
        let decoded = try #require(item["decoded"]?.arrayValue)
        #expect(ids.count == texts.count && decoded.count == texts.count && texts.count > 100)
        for (index, text) in texts.enumerated() {
            let found = try tokenizer.encode(text, addSpecialTokens: false)
            #expect(
                digest(found) == ids[index].intValue,
                "\(shown(text)): \(found.prefix(40).compactMap(tokenizer.token))")
            let kept = tokenizer.decode(found, skipSpecialTokens: false)
            let skipped = tokenizer.decode(found, skipSpecialTokens: true)
            let bytes = (kept + skipped).utf8.map(Int32.init)
            #expect(
                digest(bytes) == decoded[index].intValue, "\(shown(text)) → \(shown(kept))")
        }
        let whole = try #require(item["with_special_tokens"]?.arrayValue).compactMap(\.intValue)
        #expect(try tokenizer.encode("a b", addSpecialTokens: true).map(Int.init) == whole)
    }
}
