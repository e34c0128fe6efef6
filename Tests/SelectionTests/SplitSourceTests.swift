import Files
import Foundation
import Plans
import Records
import Selection
import Testing

@Suite struct SplitNotationTests {
    @Test(
        arguments: [
            ("7-4-5", nil), ("7-4*k-5", nil), ("7-4*3-5", 3), ("7-4*1-5", 1), ("007-4-5", nil),
        ] as [(String, Int?)])
    func reads(text: String, iterations: Int?) throws {
        let notation = try SplitNotation(text, layers: 16)
        #expect(notation.split == Split(encoder: 7, think: 4, decoder: 5))
        #expect(notation.iterations == iterations)
    }

    @Test func emptyEncoderAndDecoderAreSplits() throws {
        #expect(try SplitNotation("0-16-0", layers: 16).split.thinkRange == 0..<16)
    }

    @Test func theSumNamesBothNumbers() {
        #expect(throws: PlanError.sum(text: "7-4-5", actual: 16, expected: 30)) {
            try SplitNotation("7-4-5", layers: 30)
        }
        let message = "\(PlanError.sum(text: "7-4-5", actual: 16, expected: 30))"
        #expect(message.contains("16") && message.contains("30") && message.contains("7-4-5"))
    }

    @Test(arguments: [
        ("", "it is empty"), ("7-4", "three parts joined by -, found 2"),
        ("7-4-5-1", "found 4"), ("7--4-5", "found 4"), ("-7-4-5", "found 4"),
        ("7-4-", "the decoder is missing"), ("a-4-5", "the encoder is \"a\", not a whole number"),
        ("7-+4-5", "the think block is \"+4\""), ("7-0-5", "the think block is empty"),
        ("7-4*-5", "the number after * (or k) is missing"), ("7-4*0-5", "at least once"),
        ("7-4*kk-5", "\"kk\""), ("7-4*3*3-5", "\"3*3\""), ("7 -4-5", "\"7 \""),
        ("٧-4-5", "not a whole number"), ("7-4.5-5", "\"4.5\""),
        ("99999999999999999999-4-5", "above 1000000"),
        ("9223372036854775807-1-9223372036854775807", "above 1000000"),
    ])
    func saysWhatIsWrong(text: String, problem: String) throws {
        let error = #expect(throws: PlanError.self) { try SplitNotation(text, layers: 16) }
        let message = "\(try #require(error))"
        #expect(message.contains(problem), "\(message)")
        #expect(!message.contains("\n"))
    }
}

@Suite struct SplitSourceTests {
    private let proposed = SplitRecord(
        architecture: "olmo2", layers: 16, fingerprint: "feed", method: "angular+kneedle",
        split: Split(encoder: 7, think: 4, decoder: 5), recommendedIterations: 3, confidence: 0.9,
        abstention: nil,
        alternatives: [
            SplitRecord.Alternative(split: Split(encoder: 6, think: 4, decoder: 6), scores: [:]),
            SplitRecord.Alternative(split: Split(encoder: 8, think: 3, decoder: 5), scores: [:]),
        ], evidence: [:], cost: [], createdBy: "test")

    private var abstaining: SplitRecord {
        var record = proposed
        record.split = nil
        record.abstention = "the decoder\nis empty"
        return record
    }

    private func withFile<Value>(
        _ record: SplitRecord, _ body: (String) throws -> Value
    ) throws -> Value {
        let path = FileManager.default.temporaryDirectory
            .appending(path: "split-\(UUID().uuidString).json").path
        try AtomicFile.write(record.json, to: path)
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try body(path)
    }

    private func resolve(
        _ argument: String, alternative: Int? = nil, layers: Int = 16, fingerprint: String = "feed",
        allowMismatch: Bool = false
    ) throws -> (split: Split, iterations: Int?) {
        try SplitSource.resolve(
            argument: argument, alternative: alternative, layers: layers, fingerprint: fingerprint,
            allowMismatch: allowMismatch)
    }

    @Test func takesANotation() throws {
        let (split, iterations) = try resolve("7-4*3-5")
        #expect(split.notation == "7-4*k-5")
        #expect(iterations == 3)
        #expect(throws: SelectionError.plan(.sum(text: "7-4-6", actual: 17, expected: 16))) {
            // No flag lets a plan through that does not fit the model.
            try resolve("7-4-6", allowMismatch: true)
        }
        #expect(throws: SelectionError.alternativeOfNotation(text: "7-4-5")) {
            try resolve("7-4-5", alternative: 1)
        }
    }

    @Test func takesASplitFile() throws {
        try withFile(proposed) { (path: String) throws -> Void in
            let (split, iterations) = try resolve(path)
            #expect(split == proposed.split)
            #expect(iterations == 3)
            let other = try resolve(path, alternative: 2)
            #expect(other.split.notation == "8-3*k-5")
            #expect(other.iterations == nil)
        }
    }

    @Test func anAbstainingFileListsItsAlternatives() throws {
        try withFile(abstaining) { (path: String) throws -> Void in
            let error = #expect(throws: SelectionError.self) { try resolve(path) }
            let message = "\(try #require(error))"
            for part in [path, "the decoder is empty", "1 = 6-4*k-6", "2 = 8-3*k-5"] {
                #expect(message.contains(part), "\(message)")
            }
            #expect(!message.contains("\n"))
            #expect(try resolve(path, alternative: 1).split.notation == "6-4*k-6")
            for number in [0, 3, -1] {
                #expect(
                    throws: SelectionError.noSuchAlternative(
                        path: path, number: number,
                        available: abstaining.alternatives.map(\.split))
                ) { try resolve(path, alternative: number) }
            }
        }
    }

    @Test func aFileOfAnotherModelIsRefused() throws {
        try withFile(proposed) { (path: String) throws -> Void in
            #expect(
                throws: SelectionError.fingerprint(path: path, actual: "feed", expected: "f00d")
            ) { try resolve(path, fingerprint: "f00d") }
            #expect(
                try resolve(path, fingerprint: "f00d", allowMismatch: true).split == proposed.split)
            for allowed in [false, true] {
                #expect(throws: SelectionError.layerCount(path: path, actual: 16, expected: 18)) {
                    try resolve(path, layers: 18, allowMismatch: allowed)
                }
            }
        }
    }

    @Test func missingAndBrokenFilesAreNamed() throws {
        let missing = #expect(throws: SelectionError.self) { try resolve("no/such/split.json") }
        #expect("\(try #require(missing))".hasPrefix("no/such/split.json: cannot open"))
        // Neither a notation nor a file: what a notation looks like is the more helpful answer.
        let neither = #expect(throws: SelectionError.self) { try resolve("seven-four-five") }
        #expect("\(try #require(neither))".contains("the encoder is \"seven\""))
        let path = FileManager.default.temporaryDirectory
            .appending(path: "split-\(UUID().uuidString).json").path
        try AtomicFile.write("{\"schema\": \"etd-layers/v1\"}", to: path)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let other = #expect(throws: SelectionError.self) { try resolve(path) }
        #expect("\(try #require(other))".contains("expected schema \"etd-split/v1\""))
    }
}
