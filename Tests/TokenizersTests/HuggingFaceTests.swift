import Files
import Foundation
import TestSupport
import Testing
import Tokenizers

@Suite("tokenizer.json against HF tokenizers")
struct HuggingFaceTests {
    @Test(arguments: [
        "byte-level-digits", "split-template", "prepend-replace", "replace-byte-fallback",
        "metaspace-first", "composed-added",
    ])
    func smallTokenizer(_ name: String) throws {
        let path = Locations.golden("tokenizers/\(name).tokenizer.json").path
        try Golden("\(name).golden.json").expect(Tokenizer(huggingFace: path))
    }

    private static let dolma2File = Locations.shared("tokenizers/olmo2_dolma2_tokenizer.json.gz")

    @Test(
        "OLMo-2's dolma2",
        .enabled(if: dolma2File != nil, "needs shared/tokenizers/olmo2_dolma2_tokenizer.json.gz"))
    func dolma2() throws {
        let gzip = Process()
        gzip.executableURL = URL(filePath: "/usr/bin/env")
        gzip.arguments = ["gzip", "-dc", try #require(Self.dolma2File).path]
        let output = Pipe()
        gzip.standardOutput = output
        try gzip.run()
        let content = try #require(try output.fileHandleForReading.readToEnd())
        gzip.waitUntilExit()
        let tokenizer = try withTemporaryFile(content) { try Tokenizer(huggingFace: $0) }
        try Golden("dolma2.golden.json").expect(tokenizer)
    }

    @Test("Components: where each pre-tokenizer cuts and what each normalizer writes")
    func components() throws {
        let json = try Golden("components.json").json
        let texts = try #require(json["texts"]?.arrayValue).compactMap(\.stringValue)
        let cases = try #require(json["cases"]?.arrayValue)
        #expect(cases.count > 60 && texts.count > 50)
        for item in cases {
            guard case .object(var root)? = json["tokenizer"] else {
                Issue.record("no tokenizer")
                return
            }
            root["normalizer"] = item["normalizer"] ?? .null
            root["pre_tokenizer"] = item["pre_tokenizer"] ?? .null
            let name =
                "\(root["normalizer"]!.text(indent: 0)) \(root["pre_tokenizer"]!.text(indent: 0))"
            let tokenizer = try withTemporaryFile(JSON.object(root).text(indent: 0).utf8) {
                try Tokenizer(huggingFace: $0)
            }
            let digests = try #require(item["digests"]?.arrayValue)
            #expect(digests.count == texts.count)
            for (text, expected) in zip(texts, digests) {
                let ids = try tokenizer.encode(text, addSpecialTokens: false)
                #expect(
                    digest(ids) == expected.intValue,
                    "\(name) on \(shown(text)): \(ids.compactMap(tokenizer.token))")
            }
        }
    }

    @Test func tokensAndTemplate() throws {
        let path = Locations.golden("tokenizers/prepend-replace.tokenizer.json").path
        let tokenizer = try Tokenizer(huggingFace: path)
        #expect(tokenizer.prefixTokens == [1] && tokenizer.suffixTokens == [2])
        #expect(tokenizer.token(1) == "<s>" && tokenizer.id(of: "</s>") == 2)
        #expect(tokenizer.token(3) == "<0x00>" && tokenizer.id(of: "<0xFF>") == 258)
        #expect(tokenizer.token(-1) == nil && tokenizer.token(1 << 30) == nil)
        #expect(tokenizer.id(of: "no such token") == nil)
        #expect(tokenizer.bosToken == nil && tokenizer.eosToken == nil)
        let named = tokenizer.with(bos: 1, eos: 2)
        #expect(named.bosToken == 1 && named.eosToken == 2)
        #expect(
            try named.encode("x", addSpecialTokens: true)
                == tokenizer.encode("x", addSpecialTokens: true))
    }

    @Test("Composed and decomposed spellings are two tokens")
    func canonicalEquivalence() throws {
        let file = """
            {"model": {"type": "BPE", "vocab": {"e": 0, "\\u0301": 1, "\\u00e9": 2, "e\\u0301": 3},
            "merges": [["e", "\\u0301"]]}}
            """
        let tokenizer = try withTemporaryFile(file.utf8) { try Tokenizer(huggingFace: $0) }
        #expect(try tokenizer.encode("\u{E9}e\u{301}e", addSpecialTokens: false) == [2, 3, 0])
        #expect(tokenizer.id(of: "\u{E9}") == 2 && tokenizer.id(of: "e\u{301}") == 3)
        expectSame(tokenizer.decode([3], skipSpecialTokens: false), "e\u{301}")
    }

    @Test("Settings for truncation and padding play no part")
    func truncation() throws {
        var text = try String(
            contentsOf: Locations.golden("tokenizers/byte-level-digits.tokenizer.json"),
            encoding: .utf8)
        text.replace(
            "\"truncation\":null",
            with: """
                "truncation":{"direction":"Right","max_length":2,"strategy":"LongestFirst","stride":0}
                """)
        #expect(text.contains("max_length"))
        let tokenizer = try withTemporaryFile(text.utf8) { try Tokenizer(huggingFace: $0) }
        #expect(try tokenizer.encode("one two three four", addSpecialTokens: true).count > 2)
    }

    // MARK: - Errors

    private func failure(_ changes: [String: JSON]) throws -> String {
        guard case .object(var root) = try Golden("byte-level-digits.tokenizer.json").json else {
            return ""
        }
        for (key, value) in changes { root[key] = value }
        return try withTemporaryFile(JSON.object(root).text(indent: 0).utf8) { path in
            do {
                _ = try Tokenizer(huggingFace: path)
                return "no error"
            } catch {
                return "\(error)".replacing(path, with: "FILE")
            }
        }
    }

    @Test(
        "An unknown component is an error that names it",
        arguments: [
            ("normalizer", "normalizer"), ("pre_tokenizer", "pre-tokenizer"),
            ("decoder", "decoder"), ("post_processor", "post-processor"), ("model", "model"),
        ])
    func unknownComponent(key: String, name: String) throws {
        let message = try failure([key: ["type": "Frobnicate"]])
        #expect(message.hasPrefix("FILE: unknown \(name) \"Frobnicate\"; this package knows "))
        #expect(!message.contains("\n"))
    }

    @Test(
        "A wrong component is an error that says where",
        arguments: [
            (
                ["pre_tokenizer": ["type": "Digits"]],
                "pre_tokenizer: \"individual_digits\" should be true or false, and is nothing"
            ),
            (
                ["pre_tokenizer": ["type": "Sequence", "pretokenizers": [["type": "X"]]]],
                "unknown pre-tokenizer \"X\""
            ),
            (
                [
                    "pre_tokenizer": [
                        "type": "Split", "pattern": ["Regex": "(a)\\1"], "behavior": "Isolated",
                    ]
                ], "has \"\\1\", which this package does not know"
            ),
            (
                [
                    "pre_tokenizer": [
                        "type": "Split", "pattern": ["Regex": "(?:ab)+"], "behavior": "Isolated",
                    ]
                ], "repeats a group without bound"
            ),
            (
                [
                    "pre_tokenizer": [
                        "type": "Split", "pattern": ["Regex": "[a"], "behavior": "Isolated",
                    ]
                ], "has a class without its ']'"
            ),
            (
                [
                    "pre_tokenizer": [
                        "type": "Split", "pattern": ["Regex": "\\p{Klingon}"],
                        "behavior": "Isolated",
                    ]
                ], "has the property \"Klingon\""
            ),
            (
                [
                    "pre_tokenizer": [
                        "type": "Split", "pattern": ["String": " "], "behavior": "Sideways",
                    ]
                ], "unknown split behavior \"Sideways\""
            ),
            (
                ["model": ["type": "BPE", "vocab": ["a": 0], "merges": ["a b"]]],
                "model.merges[0]: \"b\" is not in the vocabulary"
            ),
            (
                ["model": ["type": "BPE", "vocab": ["a": 0], "merges": ["a"]]],
                "model.merges[0]: is not two tokens"
            ),
            (
                ["model": ["type": "BPE", "vocab": ["a": -1], "merges": []]],
                "model.vocab: \"a\" has an id that is not a number"
            ),
            (
                ["model": ["type": "BPE", "vocab": ["a": 0], "merges": [], "dropout": 0.1]],
                "\"dropout\" makes tokenization random"
            ),
            (
                ["model": ["type": "BPE", "vocab": ["a": 0], "merges": [], "unk_token": "<unk>"]],
                "\"unk_token\" \"<unk>\" is not in the vocabulary"
            ),
            (
                [
                    "post_processor": [
                        "type": "TemplateProcessing",
                        "single": [["SpecialToken": ["id": "<s>", "type_id": 0]]],
                        "special_tokens": [:],
                    ]
                ], "\"<s>\" is not among the special tokens"
            ),
            (
                [
                    "post_processor": [
                        "type": "TemplateProcessing", "single": [], "special_tokens": [:],
                    ]
                ], "\"single\" holds the text 0 times, not once"
            ),
        ] as [([String: JSON], String)])
    func wrongComponent(changes: [String: JSON], expected: String) throws {
        let message = try failure(changes)
        #expect(message.contains(expected), "\(message)")
    }

    @Test func missingFile() {
        #expect(throws: TokenizerError.self) { try Tokenizer(huggingFace: "/nonexistent/x.json") }
    }
}
