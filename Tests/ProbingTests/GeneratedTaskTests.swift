// The generated tasks: labels true, balanced, and nothing shared between splits.

import Foundation
import Probing
import Tensors
import TestSupport
import Testing

@Suite struct GeneratedTaskTests {
    /// Every task at its standard, its lowest and its highest difficulty.
    static let settings: [(String, Int)] = ProbeTasks.all.flatMap { task in
        Set([
            task.difficulty.standard, task.difficulty.range.lowerBound,
            task.difficulty.range.upperBound,
        ]).sorted().map { (task.name, $0) }
    }

    @Test func thereAreEightReasoningTasksAndFourControls() {
        #expect(ProbeTasks.all.count { $0.kind == .reasoning } == 8)
        #expect(ProbeTasks.all.count { $0.kind == .surface } == 4)
        #expect(Set(ProbeTasks.all.map(\.name)).count == 12)
    }

    @Test(arguments: settings)
    func labelsAreTrueAndBalancedAndNothingLeaks(name: String, difficulty: Int) throws {
        let task = try ProbeTasks.named(name)
        let examples = try task.examples(count: 2000, difficulty: difficulty, seed: 0)
        #expect(examples.count == 2000)
        for example in examples {
            let label = try LabelChecker.label(name, example.text, difficulty: difficulty)
            #expect(label == example.label, "\(example.text)")
            #expect(example.position == example.text.unicodeScalars.count - 1)
        }
        #expect(Set(examples.map(\.text)).count == 2000)
        let parts = ProbeExample.Split.allCases.map { split in
            examples.filter { $0.split == split }
        }
        #expect(parts.map(\.count) == [1200, 400, 400])
        for part in parts {
            let counts = task.classes.map { label in part.count { $0.label == label } }
            #expect(counts.max().map { $0 - (counts.min() ?? 0) <= 1 } == true, "\(counts)")
        }
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            let (a, b) = (parts[one], parts[other])
            #expect(Set(a.map(\.template)).isDisjoint(with: b.map(\.template)))
            #expect(Set(a.flatMap(\.entities)).isDisjoint(with: b.flatMap(\.entities)))
            #expect(Set(a.map(\.key)).subtracting([""]).isDisjoint(with: b.map(\.key)))
        }
        // What does not rest on keys rests on entities: every example has one or the other.
        #expect(examples.allSatisfy { !$0.entities.isEmpty || !$0.key.isEmpty })
    }

    /// The label must not be in the order of the examples either: the online code cuts them in blocks.
    @Test func labelsAreShuffled() throws {
        for task in ProbeTasks.all {
            let examples = try task.examples(count: 500, seed: 3)
            let repeats = zip(examples, examples.dropFirst(task.classes.count)).count {
                $0.label == $1.label
            }
            #expect(repeats < 400, "\(task.name): \(repeats)")
        }
    }

    /// No property of a reasoning text that a look at its words alone gives may tell the label: the best
    /// single word does at most a little better than chance.
    @Test func noSingleWordGivesAReasoningLabelAway() throws {
        for task in ProbeTasks.all where task.kind == .reasoning {
            let examples = try task.examples(count: 2000, seed: 0)
            var byWord: [String: [String: Int]] = [:]
            for example in examples {
                for word in Set(example.text.split(separator: " ").map(String.init)) {
                    byWord[word, default: [:]][example.label, default: 0] += 1
                }
            }
            for (word, labels) in byWord {
                let total = labels.values.reduce(0, +)
                // Common words, of which a share is well estimated.
                guard total >= 200, let most = labels.values.max() else { continue }
                // Of two numbers in the text one is the answer.
                let limit = task.name == "variable_assignment" ? 0.4 : 0.12
                let chance = 1 / Double(task.classes.count)
                let share = Double(most) / Double(total)
                #expect(share < chance + limit, "\(task.name): \(word) \(labels)")
            }
        }
    }

    @Test func theSeedDecidesEverything() throws {
        for task in ProbeTasks.all {
            let first = try task.examples(count: 100, seed: 5)
            let again = try task.examples(count: 100, seed: 5)
            let other = try task.examples(count: 100, seed: 6)
            #expect(first == again)
            #expect(first != other)
        }
    }

    /// The examples are the same on every machine: FNV-1a over the lines of each task's first hundred,
    /// recorded when they were last changed on purpose. A change here changes everybody's figures.
    @Test func examplesAreThoseOfEveryOtherMachine() throws {
        let golden = try golden("tasks.json")
        for task in ProbeTasks.all {
            var value: UInt64 = 0xCBF2_9CE4_8422_2325
            let lines = try task.examples(count: 100, seed: 0).map {
                $0.json.text(indent: 0) + "\n"
            }
            for byte in lines.joined().utf8 { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }
            #expect(String(value, radix: 16) == golden[task.name]?.stringValue, "\(task.name)")
        }
    }

    @Test func namesAndDifficultiesAreRead() throws {
        let chosen = try ProbeTasks.parse("running_sum:4,syllogism")
        #expect(chosen.map(\.task.name) == ["running_sum", "syllogism"])
        #expect(chosen.map(\.difficulty) == [4, 2])
        for (text, part) in [
            ("runing_sum", "did you mean \"running_sum\""),
            ("bracket-depth", "did you mean \"bracket_depth\""),
            ("running_sum:99", "2 to 8"), ("running_sum:x", "NAME:DIFFICULTY"),
            ("running_sum,running_sum", "twice"), ("", "no task \"\""),
        ] {
            #expect {
                try ProbeTasks.parse(text)
            } throws: { "\($0)".contains(part) }
        }
    }

    @Test func tooFewExamplesAreRefused() throws {
        let task = try ProbeTasks.named("date_arithmetic")
        #expect(throws: ProbeTaskError.tooFew(count: 34, least: 35)) {
            try ProbeTaskData.generated(task, difficulty: 2, count: 34, seed: 0)
        }
    }
}

@Suite struct ProbeDataTests {
    private func read(_ lines: [String]) throws -> ProbeTaskData {
        let scratch = try ScratchDirectory()
        try scratch.write((lines.joined(separator: "\n") + "\n").utf8, to: "mine.jsonl")
        return try ProbeDataReader.read(path: scratch.file("mine.jsonl"))
    }

    private func line(_ index: Int, _ label: String) -> String {
        "{\"text\": \"text \(index)\", \"label\": \"\(label)\"}"
    }

    @Test func everyClassIsInEverySplitAndEqualTextsStayTogether() throws {
        let lines = (0..<60).map { line($0 % 40, ["x", "y", "z"][$0 % 40 % 3]) }
        let data = try read(lines)
        #expect(data.examples.count == 60)
        #expect(data.classes == ["x", "y", "z"])
        #expect(data.name == "mine.jsonl")
        for split in ProbeExample.Split.allCases {
            let part = data.examples[data.range(split)]
            #expect(Set(part.map(\.label)) == ["x", "y", "z"])
            #expect(part.allSatisfy { $0.split == split })
        }
        let owners = Dictionary(grouping: data.examples, by: \.text)
        #expect(owners.values.allSatisfy { Set($0.map(\.split)).count == 1 })
        // Line numbers go with their examples.
        for (example, number) in zip(data.examples, data.lines) {
            #expect(lines[number - 1].contains("\"\(example.text)\""))
        }
    }

    @Test func labelsMayBeNumbersAndSplitsMayBeGiven() throws {
        let splits = ["train", "train", "train", "validation", "test"]
        let data = try read(
            (0..<20).map {
                "{\"text\":\"t \($0)\",\"label\":\($0 % 2),\"position\":2,\"item\":\($0 % 3),"
                    + "\"split\":\"\(splits[$0 % 5])\"}"
            })
        #expect(data.classes == ["0", "1"])
        #expect(data.range(.train) == 0..<12)
        #expect(data.examples[0].position == 2)
        #expect(data.examples[0].item == "0")
    }

    @Test func whatIsWrongIsNamed() throws {
        let good = (0..<20).map { line($0, $0 % 2 == 0 ? "x" : "y") }
        let cases: [([String], [String])] = [
            ((0..<20).map { line($0, "same") }, ["label \"same\"", "two classes"]),
            ((0..<6).map { line($0, "c\($0)") }, ["6 examples for 6 classes"]),
            (good + ["{\"text\": \"a\", "], ["line 21", "not valid JSON"]),
            (good + ["{\"label\": \"x\"}"], ["line 21", "\"text\""]),
            (good + ["{\"text\": \"a\"}"], ["line 21", "\"label\""]),
            (good + ["{\"text\": \"a\", \"label\": 1.5}"], ["line 21", "\"label\""]),
            (
                good + ["{\"text\": \"abc\", \"label\": \"x\", \"position\": 3}"],
                ["line 21", "outside the text", "0 to 2"]
            ),
            (
                good + ["{\"text\": \"abc\", \"label\": \"x\", \"position\": \"b\"}"],
                ["line 21", "position"]
            ),
            (
                good + ["{\"text\": \"abc\", \"label\": \"x\", \"split\": \"dev\"}"],
                ["line 21", "train, validation or test"]
            ),
            (
                good + ["{\"text\": \"abc\", \"label\": \"x\", \"split\": \"test\"}"],
                ["line 1", "\"split\""]
            ),
            ([""], ["no example"]),
        ]
        for (lines, parts) in cases {
            #expect {
                try read(lines)
            } throws: { error in
                parts.allSatisfy { "\(error)".contains($0) } && "\(error)".contains("mine.jsonl")
            }
        }
    }
}
