// Lines become requests: the border between context and continuation is lm-evaluation-harness's.

import Corpus
import Evaluation
import Files
import Foundation
import TestSupport
import Testing
import Tokenizers

/// What `scripts/goldens/evaluation.py` wrote.
struct BorderGolden: Sendable, CustomTestStringConvertible {
    let tokenizer: String
    let bos, eos: Int32?
    let cases: [(context: String, continuation: String, request: ScoreRequest)]
    var testDescription: String { "\(tokenizer), BOS \(bos.map(String.init) ?? "none")" }

    static func all() throws -> [BorderGolden] {
        let json = try JSON.read(path: Locations.golden("evaluation/borders.json").path)
        return (json["sets"]?.arrayValue ?? []).map { set in
            BorderGolden(
                tokenizer: set["tokenizer"]?.stringValue ?? "",
                bos: set["bos"]?.intValue.map(Int32.init),
                eos: set["eos"]?.intValue.map(Int32.init),
                cases: (set["cases"]?.arrayValue ?? []).map { item in
                    (
                        item["context"]?.stringValue ?? "",
                        item["continuation"]?.stringValue ?? "",
                        ScoreRequest(
                            tokens: (item["ids"]?.arrayValue ?? []).compactMap {
                                $0.intValue.map(Int32.init)
                            },
                            firstScored: item["first"]?.intValue ?? 0)
                    )
                })
        }
    }

    func reader(_ bos: BOSPolicy = .auto) throws -> ScoreRequestReader {
        let path = Locations.golden("tokenizers/\(tokenizer).tokenizer.json").path
        return ScoreRequestReader(
            tokenizer: try Tokenizer(huggingFace: path).with(bos: self.bos, eos: eos), bos: bos,
            path: "lines.jsonl")
    }
}

@Suite struct BorderTests {
    @Test func bordersAreTheHarnesss() throws {
        let goldens = try BorderGolden.all()
        #expect(goldens.count == 4)
        for golden in goldens {
            let reader = try golden.reader()
            #expect(golden.cases.count > 20)
            for (context, continuation, request) in golden.cases {
                let pair: JSON = [
                    "context": .string(context), "continuation": .string(continuation),
                ]
                let olmes: JSON = ["doc_id": 1, "request": pair, "label": nil]
                for line in [pair, olmes] {
                    let text = "\(golden.testDescription): \(line.text(indent: 0))"
                    let read = Result { () throws(ScoreError) in
                        try reader.read(Array(line.text(indent: 0).utf8), number: 1)
                    }
                    guard request.firstScored < request.tokens.count else {
                        // The harness stops at an assertion where merging leaves nothing to score.
                        #expect(throws: ScoreError.self, "\(text)") { try read.get() }
                        continue
                    }
                    #expect(read == .success(request), "\(text)")
                }
            }
        }
    }

    private func read(
        _ line: String, _ bos: BOSPolicy = .auto, tokenizer: Tokenizer?, number: Int = 1
    ) throws -> ScoreRequest {
        try ScoreRequestReader(tokenizer: tokenizer, bos: bos, path: "lines.jsonl")
            .read(Array(line.utf8), number: number)
    }

    private func tokenizer(_ name: String) throws -> Tokenizer {
        try Tokenizer(
            huggingFace: Locations.golden("tokenizers/\(name).tokenizer.json").path)
    }

    @Test func textsAreScoredFromTheSecondToken() throws {
        let plain = try tokenizer("byte-level-digits")
        let ids = try plain.encode("Hello there", addSpecialTokens: false)
        let line = #"{"text": "Hello there"}"#
        #expect(
            try read(line, tokenizer: plain) == ScoreRequest(tokens: ids, firstScored: 1))
        // A template's BOS stands before, its EOS does not stand behind.
        let template = try tokenizer("prepend-replace")
        let bare = try template.encode("Hello there", addSpecialTokens: false)
        #expect(
            try read(line, tokenizer: template)
                == ScoreRequest(tokens: [1] + bare, firstScored: 1))
        #expect(
            try read(line, .never, tokenizer: template)
                == ScoreRequest(tokens: bare, firstScored: 1))
        #expect(
            try read(line, .always, tokenizer: plain.with(bos: 1, eos: nil))
                == ScoreRequest(tokens: [1] + ids, firstScored: 1))
    }

    @Test func bosNeverLeavesTheContextAsItIs() throws {
        let template = try tokenizer("replace-byte-fallback")
        let ids = try template.encode("one two three", addSpecialTokens: false)
        let first = try template.encode("one two", addSpecialTokens: false).count
        #expect(
            try read(
                #"{"context": "one two", "continuation": " three"}"#, .never, tokenizer: template)
                == ScoreRequest(tokens: ids, firstScored: first))
    }

    @Test func tokensAreTakenAsTheyAre() throws {
        let line = #"{"tokens": [5, 0, 2147483647]}"#
        let request = ScoreRequest(tokens: [5, 0, .max], firstScored: 1)
        #expect(try read(line, tokenizer: nil) == request)
        let template = try tokenizer("replace-byte-fallback")
        for bos in [BOSPolicy.auto, .never] {
            #expect(try read(line, bos, tokenizer: template) == request)
        }
        #expect(
            try read(line, .always, tokenizer: template)
                == ScoreRequest(tokens: [2, 5, 0, .max], firstScored: 1))
        #expect(
            try read(#"{"tokens": [5]}"#, .always, tokenizer: template)
                == ScoreRequest(tokens: [2, 5], firstScored: 1))
    }

    @Test(arguments: [
        ("{", "not valid JSON"), ("", "not valid JSON"), ("[]", "expected \"tokens\""),
        ("{}", "expected \"tokens\""), (#"{"context": "a"}"#, "expected \"tokens\""),
        (#"{"request": {"context": "a", "continuation": 5}}"#, "expected \"tokens\""),
        (#"{"tokens": []}"#, "two ids or more"), (#"{"tokens": [1]}"#, "two ids or more"),
        (#"{"tokens": [1, null]}"#, "holds null"), (#"{"tokens": [1, "2"]}"#, "holds \"2\""),
        (#"{"tokens": [1, 2.5]}"#, "holds 2.5"), (#"{"tokens": [1, 2147483648]}"#, "2147483648"),
        (#"{"text": ""}"#, "0 tokens"), (#"{"text": "a"}"#, "1 tokens"),
        (#"{"context": "a b", "continuation": ""}"#, "the continuation is empty"),
        (#"{"context": "", "continuation": ""}"#, "the continuation is empty"),
        (#"{"context": "half a wo", "continuation": "rd"}"#, "no token is left"),
        (#"{"context": "", "continuation": "a"}"#, "needs a BOS or EOS token"),
    ])
    func aBadLineIsNamedByItsNumber(_ line: String, _ says: String) throws {
        let tokenizer = try tokenizer("byte-level-digits")
        let error = #expect(throws: ScoreError.self) {
            try read(line, tokenizer: tokenizer, number: 41)
        }
        guard case .line("lines.jsonl", 41, let problem)? = error else { return }
        #expect(problem.contains(says), "\(problem)")
        let isOneLine = error?.description.contains { $0.isNewline } == false
        #expect(isOneLine)
    }

    @Test func whatTheModelLacksIsSaid() throws {
        for line in [#"{"text": "a b"}"#, #"{"context": "a", "continuation": "b"}"#] {
            let error = #expect(throws: ScoreError.self) { try read(line, tokenizer: nil) }
            #expect(error?.description.contains("tokenizer.json") == true)
        }
        let plain = try tokenizer("byte-level-digits")
        for tokenizer in [plain, nil] {
            let error = #expect(throws: ScoreError.self) {
                try read(#"{"tokens": [1, 2]}"#, .always, tokenizer: tokenizer)
            }
            #expect(error?.description.contains("--bos always") == true)
        }
    }
}
