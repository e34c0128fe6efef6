// Which token a character belongs to, against the offsets of Hugging Face's tokenizers.

import Files
import Foundation
import Probing
import TestSupport
import Testing
import Tokenizers

@Suite struct AnchorTests {
    @Test func everyCharacterHasTheTokenThatTokenizersSays() throws {
        let cases = try golden("anchors.json").records("cases")
        #expect(cases.count >= 8)
        for record in cases {
            let name = try #require(record["tokenizer"]?.stringValue)
            let text = try #require(record["text"]?.stringValue)
            let tokenizer = try Tokenizer(
                huggingFace: Locations.golden("tokenizers/\(name)").path)
            let ids = try tokenizer.encode(text, addSpecialTokens: false)
            let expected = try record.ints("ids")
            #expect(ids.map(Int.init) == expected)
            let anchor = TokenAnchor(tokenizer)
            for (position, token) in try record.ints("tokens").enumerated() {
                #expect(
                    anchor.token(of: position, in: text, ids: ids) == token,
                    "\(name), \"\(text)\", character \(position)")
            }
            #expect(anchor.token(of: text.unicodeScalars.count, in: text, ids: ids) == nil)
            #expect(anchor.token(of: -1, in: text, ids: ids) == nil)
        }
    }
}
