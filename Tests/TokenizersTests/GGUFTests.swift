import Files
import Foundation
import TestSupport
import Testing
import Tokenizers

extension GGUFVocabulary {
    /// The entries `tokenizer.ggml.*` as the golden script writes them.
    init(_ json: JSON) throws {
        func id(_ key: String) -> Int32? { json[key]?.intValue.map { Int32($0) } }
        self.init(
            model: try #require(json["model"]?.stringValue), pre: json["pre"]?.stringValue,
            tokens: try #require(json["tokens"]?.arrayValue).compactMap(\.stringValue),
            scores: json["scores"]?.arrayValue?.compactMap { $0.doubleValue.map { Float($0) } },
            types: json["token_type"]?.arrayValue?.compactMap { $0.intValue.map { Int32($0) } },
            merges: json["merges"]?.arrayValue?.compactMap(\.stringValue),
            bos: id("bos_token_id"), eos: id("eos_token_id"), unknown: id("unknown_token_id"),
            padding: id("padding_token_id"), addBOS: json["add_bos_token"]?.boolValue,
            addEOS: json["add_eos_token"]?.boolValue,
            addSpacePrefix: json["add_space_prefix"]?.boolValue)
    }

    static func small(_ name: String) throws -> GGUFVocabulary {
        try GGUFVocabulary(Golden("\(name).vocabulary.json").json)
    }
}

@Suite("GGUF vocabularies against HF tokenizers with llama.cpp's rules")
struct GGUFTests {
    /// The script has checked its oracle against SentencePiece's own rule.
    @Test(arguments: ["gguf-llama", "gguf-gemma"])
    func sentencePiece(_ name: String) throws {
        let tokenizer = try Tokenizer(vocabulary: .small(name), path: name)
        try Golden("\(name).golden.json").expect(tokenizer, checksTemplate: false)
    }

    @Test("Every kind of pre-tokenizer")
    func preTokenizers() throws {
        let corpus = try Golden.corpus()
        let kinds = try #require(Golden("gguf-gpt2.golden.json").json["pre"]?.objectValue)
        var vocabulary = try GGUFVocabulary.small("gguf-gpt2")
        #expect(kinds.count >= 16)
        for (pre, golden) in kinds {
            vocabulary.pre = pre
            let tokenizer = try Tokenizer(vocabulary: vocabulary, path: pre)
            let digests = try #require(golden["digests"]?.arrayValue)
            #expect(digests.count == corpus.count)
            for (text, expected) in zip(corpus, digests) {
                let ids = try tokenizer.encode(text, addSpecialTokens: false)
                #expect(digest(ids) == expected.intValue, "\(pre) on \(shown(text))")
                expectSame(tokenizer.decode(ids, skipSpecialTokens: false), text)
            }
            #expect(tokenizer.prefixTokens == (golden["adds_bos"]?.boolValue == true ? [0] : []))
        }
    }

    /// llama.cpp's `llama_vocab::impl::load`: a file without `pre` is warned of and read as "default".
    @Test func aMissingPreIsDefaultAndSaid() throws {
        let corpus = try Golden.corpus()
        let golden = try Golden("gguf-gpt2.golden.json").json["pre"]?["default"]?["digests"]
        let digests = try #require(golden?.arrayValue)
        var vocabulary = try GGUFVocabulary.small("gguf-gpt2")
        vocabulary.pre = "default"
        #expect(try Tokenizer(vocabulary: vocabulary, path: "x").assumptions.isEmpty)
        vocabulary.pre = nil
        let tokenizer = try Tokenizer(vocabulary: vocabulary, path: "x")
        #expect(tokenizer.assumptions.count == 1)
        #expect(tokenizer.assumptions[0].contains("assumed tokenizer.ggml.pre \"default\""))
        #expect(tokenizer.with(bos: 1, eos: nil).assumptions == tokenizer.assumptions)
        for (text, expected) in zip(corpus, digests) {
            let ids = try tokenizer.encode(text, addSpecialTokens: false)
            #expect(digest(ids) == expected.intValue, "\(shown(text))")
        }
        // SentencePiece's vocabularies have no use for one.
        var llama = try GGUFVocabulary.small("gguf-llama")
        llama.pre = nil
        #expect(try Tokenizer(vocabulary: llama, path: "x").assumptions.isEmpty)
    }

    @Test("What is added, by llama.cpp's defaults and by the file")
    func addedTokens() throws {
        var llama = try GGUFVocabulary.small("gguf-llama")
        #expect(llama.addBOS == nil)
        let tokenizer = try Tokenizer(vocabulary: llama, path: "x")
        #expect(tokenizer.prefixTokens == [1] && tokenizer.suffixTokens == [])
        #expect(tokenizer.bosToken == 1 && tokenizer.eosToken == 2)
        expectSame(
            tokenizer.decode(
                try tokenizer.encode("a  b", addSpecialTokens: true), skipSpecialTokens: true),
            "a  b")
        llama.addBOS = false
        llama.addEOS = true
        let other = try Tokenizer(vocabulary: llama, path: "x")
        #expect(other.prefixTokens == [] && other.suffixTokens == [2])
    }

    private typealias Change = @Sendable (inout GGUFVocabulary) -> Void

    @Test("A vocabulary that is wrong is an error that says where")
    func errors() throws {
        let cases: [(name: String, expected: String, change: Change)] = [
            (
                "gguf-gpt2", "unknown tokenizer.ggml.pre \"kimi-k2\"; this package knows ",
                { $0.pre = "kimi-k2" }
            ),
            (
                "gguf-gpt2", "unknown tokenizer.ggml.model \"t5\"; this package knows gpt2, llama",
                { $0.model = "t5" }
            ),
            ("gguf-gpt2", "tokenizer.ggml.merges: is missing", { $0.merges = nil }),
            ("gguf-gpt2", "merges[1]: is not two tokens", { $0.merges = ["a b", "ab"] }),
            ("gguf-gpt2", "merges[0]: \"zq\" is not in the", { $0.merges = ["zq qz"] }),
            ("gguf-gpt2", "bos_token_id: is 100000, beyond", { $0.bos = 100_000 }),
            ("gguf-gpt2", "bos_token_id: is -1, beyond", { $0.bos = -1 }),
            ("gguf-gpt2", "token_type: has 1 entries for", { $0.types = [1] }),
            ("gguf-gpt2", "twice, the second time as 6", { $0.tokens[5] = $0.tokens[6] }),
            ("gguf-gpt2", "tokens: is empty", { $0.tokens = [] }),
            (
                "gguf-gpt2", "add_eos_token: is true, but there is no such token",
                {
                    $0.addEOS = true
                    $0.eos = nil
                }
            ),
            ("gguf-llama", "scores: is missing", { $0.scores = nil }),
            ("gguf-llama", "scores: has 1 entries for", { $0.scores = [0] }),
            (
                "gguf-llama", "scores: is NaN at 300",
                { $0.scores = Array(repeating: 0, count: 300) + [.nan] + $0.scores!.dropFirst(301) }
            ),
        ]
        for (name, expected, change) in cases {
            var vocabulary = try GGUFVocabulary.small(name)
            change(&vocabulary)
            let error = #expect(throws: TokenizerError.self) {
                try Tokenizer(vocabulary: vocabulary, path: "m.gguf")
            }
            let message = error?.description ?? ""
            #expect(message.hasPrefix("m.gguf: ") && message.contains(expected), "\(message)")
        }
    }
}
