// Where answers are read, by family of tokenizer.

import Evaluation
import Foundation
import ModelStore
import Probing
import Relevance
import Scans
import TestSupport
import Testing
import Tokenizers

@Suite struct ReadPositionTests {
    /// Every reasoning task, at every level: the options agree up to the read token, no option ends there,
    /// and no two have the same token behind it where they differ. The text up to there is the question, for
    /// numbers with the space that stands alone before a digit.
    private func check(_ tokenizer: Tokenizer, _ family: String) throws {
        let reader = ScanItemReader(
            tokenizer: LazyTokenizer(tokenizer), bos: .auto, path: family, vocabulary: .max)
        for task in ProbeTasks.all where task.kind == .reasoning {
            for level in TaskLevel.levels(of: try ProbeTasks.named(task.name)) {
                for question in try level.questions(12, seed: 2) {
                    let item = try reader.item(
                        context: question.context, options: question.options, gold: question.gold,
                        task: level.description)
                    let position = try #require(
                        item.readPosition, "\(family) \(level): no token of its own")
                    let heads = Set(item.options.map { Array($0.tokens[...position]) })
                    #expect(heads.count == 1, "\(family) \(level)")
                    #expect(item.options.allSatisfy { $0.tokens.count > position + 1 })
                    let next = Set(item.options.map { $0.tokens[position + 1] })
                    #expect(next.count > 1, "\(family) \(level)")
                    let read = tokenizer.decode(try #require(heads.first), skipSpecialTokens: true)
                    let isNumber = question.options[0].dropFirst().allSatisfy(\.isNumber)
                    let wanted = question.context + (isNumber ? " " : "")
                    #expect(read == wanted, "\(family) \(level): \(read.suffix(30))")
                }
            }
        }
    }

    @Test(
        "SmolLM2's byte-level BPE",
        .enabled(
            if: Locations.model("smollm2-135m-instruct") != nil,
            "needs scripts/fetch-model smollm2-135m-instruct"))
    func byteLevel() throws {
        let path = try #require(Locations.model("smollm2-135m-instruct")).path
        try check(ModelSource(path).tokenizer(), "smollm2")
    }

    @Test(
        "Gemma-3's SentencePiece",
        .enabled(
            if: Locations.model("gemma-3-270m") != nil, "needs scripts/fetch-model gemma-3-270m"))
    func sentencePiece() throws {
        let path = try #require(Locations.model("gemma-3-270m")).path
        try check(ModelSource(path).tokenizer(), "gemma-3")
    }

    private static let dolma2File = Locations.shared("tokenizers/olmo2_dolma2_tokenizer.json.gz")

    @Test(
        "OLMo-2's dolma2",
        .enabled(if: dolma2File != nil, "needs shared/tokenizers/olmo2_dolma2_tokenizer.json.gz"))
    func dolma2() throws {
        let scratch = try ScratchDirectory()
        let gzip = Process()
        gzip.executableURL = URL(filePath: "/usr/bin/env")
        gzip.arguments = ["gzip", "-dc", try #require(Self.dolma2File).path]
        let path = scratch.file("tokenizer.json")
        FileManager.default.createFile(atPath: path, contents: nil)
        gzip.standardOutput = try FileHandle(forWritingTo: URL(filePath: path))
        try gzip.run()
        gzip.waitUntilExit()
        try #require(gzip.terminationStatus == 0)
        try check(Tokenizer(huggingFace: path), "dolma2")
    }

    /// Small vocabularies of each scheme: words fall into pieces, a space may stand before or inside.
    @Test(arguments: ["byte-level-digits", "replace-byte-fallback", "prepend-replace"])
    func small(_ name: String) throws {
        let path = Locations.golden("tokenizers/\(name).tokenizer.json").path
        let tokenizer = try Tokenizer(huggingFace: path)
        let reader = ScanItemReader(
            tokenizer: LazyTokenizer(tokenizer), bos: .never, path: name, vocabulary: .max)
        var read = 0
        for task in ProbeTasks.all where task.kind == .reasoning {
            let level = TaskLevel.levels(of: try ProbeTasks.named(task.name))[0]
            for question in try level.questions(6, seed: 2) {
                let item = try reader.item(
                    context: question.context, options: question.options, gold: question.gold,
                    task: level.description)
                // Without a token of its own there is nothing to read; that is said, not guessed.
                guard let position = item.readPosition else { continue }
                read += 1
                #expect(Set(item.options.map { Array($0.tokens[...position]) }).count == 1)
                #expect(Set(item.options.map { $0.tokens[position + 1] }).count > 1)
            }
        }
        #expect(read > 0)
    }
}
