// Added tokens against `tokenizers` and transformers: hostile ones, and those that only files beside the
// tokenizer.json name. Goldens by scripts/goldens/named_tokens.py.

import Files
import Foundation
import TestSupport
import Testing
import Tokenizers

@Suite struct AddedTokenTests {
    private func ids(_ json: JSON) -> [Int32]? {
        json.arrayValue?.compactMap { $0.intValue.map(Int32.init) }
    }

    /// "spaces": tokens that strip white space, lie in what others stripped, or of which normalization
    /// leaves nothing. "first": `Metaspace`'s first word behind normalizers that make several characters of
    /// one. Where `tokenizers` panics nothing is compared, but nothing may trap.
    @Test(arguments: [("spaces", 120, 6000), ("first", 250, 13000)])
    func hostileTokenizers(_ name: String, _ leastCases: Int, _ leastTexts: Int) throws {
        let group = try #require(try Golden("hostile.json").json[name])
        let model = try #require(group["model"])
        let texts = try #require(group["texts"]?.arrayValue).compactMap(\.stringValue)
        let cases = try #require(group["cases"]?.arrayValue)
        var compared = 0
        for item in cases {
            var root = try #require(item["tokenizer"]?.objectValue)
            root["model"] = model
            let tokenizer = try FamilyTests.tokenizer(root)
            root["model"] = nil
            let places = (item["texts"]?.arrayValue ?? []).compactMap(\.intValue)
            for (place, expected) in zip(places, item["ids"]?.arrayValue ?? []) {
                let found = try tokenizer.encode(texts[place], addSpecialTokens: false)
                #expect(found.allSatisfy { tokenizer.token($0) != nil })
                guard let expected = ids(expected) else { continue }
                compared += 1
                #expect(
                    found == expected,
                    "\(shown(texts[place])) by \(JSON.object(root).text(indent: 0))")
            }
        }
        #expect(cases.count >= leastCases && compared >= leastTexts)
    }

    /// White space that a token has taken is taken once: what lies in it and strips to its left is gone.
    /// `tokenizers` gives these ids for two spaces, and panics for more.
    @Test(arguments: 0...9)
    func whiteSpaceIsTakenOnce(_ spaces: Int) throws {
        let file = """
            {"added_tokens": [{"id": 2, "content": "<|x|>", "rstrip": true, "special": true},
            {"id": 3, "content": "  ", "lstrip": true, "normalized": false}],
            "model": {"type": "BPE", "vocab": {"z": 0, " ": 1}, "merges": []}}
            """
        let tokenizer = try withTemporaryFile(file.utf8) { try Tokenizer(huggingFace: $0) }
        let text = "<|x|>" + String(repeating: " ", count: spaces) + "z"
        #expect(try tokenizer.encode(text, addSpecialTokens: false) == [2, 0])
    }

    private static let beside = Result { try Golden("beside.json").json }

    static func directories() -> [String] {
        let cases = (try? beside.get())?["cases"]?.arrayValue ?? []
        return cases.compactMap { $0["name"]?.stringValue }
    }

    @Test func allDirectoriesAreThere() { #expect(Self.directories().count >= 30) }

    private func tokenizer(_ files: JSON.Object) throws -> Tokenizer {
        let scratch = try ScratchDirectory()
        for (file, content) in files { try scratch.write(content.text().utf8, to: file) }
        return try Tokenizer(directory: scratch.path)
    }

    @Test(arguments: directories())
    func filesBesideATokenizer(_ name: String) throws {
        let json = try Self.beside.get()
        let item = try #require(
            json["cases"]?.arrayValue?.first { $0["name"]?.stringValue == name })
        let texts = (json["texts"]?.arrayValue ?? []).compactMap(\.stringValue)
        let tokenizer = try tokenizer(try #require(item["files"]?.objectValue))
        let expected = try #require(item["ids"]?.arrayValue)
        let skipped = try #require(item["skipped"]?.arrayValue)
        #expect(texts.count == expected.count && texts.count == skipped.count)
        for (index, text) in texts.enumerated() {
            let found = try tokenizer.encode(text, addSpecialTokens: false)
            #expect(found == ids(expected[index]), "\(text)")
            expectSame(
                tokenizer.decode(found, skipSpecialTokens: true), skipped[index].stringValue)
        }
        #expect(tokenizer.bosToken.map(Int.init) == item["bos"]?.intValue)
        #expect(tokenizer.eosToken.map(Int.init) == item["eos"]?.intValue)
        #expect(tokenizer.prefixTokens.isEmpty && tokenizer.suffixTokens.isEmpty)
    }

    private let small: JSON = [
        "added_tokens": [],
        "model": ["type": "BPE", "vocab": ["a": 0, "b": 1], "merges": []],
    ]

    /// A declared id is kept where it is free, holes and all; names without an id follow the highest.
    @Test func declaredIDsAreKept() throws {
        let tokenizer = try tokenizer([
            "tokenizer.json": small,
            "tokenizer_config.json": [
                "added_tokens_decoder": ["7": ["content": "<x>"], "1": ["content": "<y>"]],
                "pad_token": "<pad>",
            ],
        ])
        // 1 is b's: the token is numbered on from the two of the model.
        #expect(
            try tokenizer.encode("a<x>b<y><pad>", addSpecialTokens: false) == [0, 7, 1, 2, 8])
        #expect(tokenizer.vocabularySize == 9)
    }

    /// Only a file that says nothing of BOS leaves it to config.json.
    @Test func nullIsNoToken() throws {
        let config: JSON = ["bos_token_id": 1, "eos_token_id": [0, 1]]
        let silent = try tokenizer(["tokenizer.json": small, "config.json": config])
        #expect(silent.bosToken == 1 && silent.eosToken == 0)
        let denied = try tokenizer([
            "tokenizer.json": small, "config.json": config,
            "tokenizer_config.json": ["bos_token": nil],
        ])
        #expect(denied.bosToken == nil && denied.eosToken == 0)
    }

    @Test(arguments: [
        ("tokenizer_config.json", "[]", "holds an array"),
        ("tokenizer_config.json", "{", "not valid JSON"),
        (
            "tokenizer_config.json", #"{"added_tokens_decoder": {"x": {"content": "<x>"}}}"#,
            "added_tokens_decoder.x: has an id"
        ),
        (
            "tokenizer_config.json", #"{"added_tokens_decoder": {"5": {"special": true}}}"#,
            "\"content\" should be a string"
        ),
        ("added_tokens.json", #"{"<x>": -1}"#, "has an id"),
        ("special_tokens_map.json", "3", "holds a number"),
        (
            "special_tokens_map.json", #"{"pad_token": {"content": "<p>", "lstrip": 1}}"#,
            "\"lstrip\" should be"
        ),
    ])
    func aDamagedFileIsNamed(_ file: String, _ content: String, _ says: String) throws {
        let scratch = try ScratchDirectory()
        try scratch.write(small.text().utf8, to: "tokenizer.json")
        let path = try scratch.write(content.utf8, to: file)
        let error = #expect(throws: TokenizerError.self) {
            try Tokenizer(directory: scratch.path)
        }
        let text = error?.description ?? ""
        #expect(text.hasPrefix(path) && text.contains(says) && !text.contains("\n"), "\(text)")
    }

    /// A tokenizer is opened once, where it is first asked for, and fails the same way each time.
    @Test func aLazyTokenizerIsOpenedOnce() throws {
        let count = Counter()
        let error = TokenizerError.invalid(path: "x", place: "y", problem: "z")
        let lazy = LazyTokenizer { () throws(TokenizerError) in
            count.value += 1
            throw error
        }
        #expect(count.value == 0)
        for _ in 0..<3 { #expect(throws: error) { try lazy.get() } }
        #expect(count.value == 1)
    }

    /// What stands before a text and before ids, of a tokenizer that adds a BOS (2), of one that only names
    /// one, of one that does neither, and without any. nil: asked for, and there is none.
    @Test func whatStandsBeforeADocument() throws {
        func fixture(_ name: String) throws -> Tokenizer {
            try Tokenizer(huggingFace: Locations.golden("tokenizers/\(name).tokenizer.json").path)
        }
        let plain = try fixture("byte-level-digits")
        let tokenizers = [
            try fixture("replace-byte-fallback"), plain.with(bos: 7, eos: nil), plain, nil,
        ]
        let texts: [BOSPolicy: [[Int32]?]] = [
            .auto: [[2], [], [], []], .always: [[2], [7], nil, nil], .never: [[], [], [], []],
        ]
        let ids: [BOSPolicy: [[Int32]?]] = [
            .auto: [[], [], [], []], .always: [[2], [7], nil, nil], .never: [[], [], [], []],
        ]
        for policy in BOSPolicy.allCases {
            #expect(tokenizers.map { one in policy.prefix(before: .text) { one } } == texts[policy])
            #expect(tokenizers.map { one in policy.prefix(before: .ids) { one } } == ids[policy])
        }
        // Ids alone open no tokenizer.
        let opened = Counter()
        for policy in [BOSPolicy.auto, .never] {
            _ = policy.prefix(before: .ids) {
                opened.value += 1
                return plain
            }
        }
        #expect(opened.value == 0)
    }

    /// Used from one thread.
    private final class Counter: @unchecked Sendable { var value = 0 }
}
