// Items, foils, levels and the gate.

import Evaluation
import Foundation
import Probing
import Relevance
import Scans
import TestSupport
import Testing

@Suite struct TaskTests {
    /// Every reasoning task has a foil among its classes, which is not always the label, and whose
    /// distribution over the classes is no giveaway.
    @Test(arguments: ProbeTasks.all.filter { $0.kind == .reasoning }.map(\.name))
    func foilsAreAnswers(_ name: String) throws {
        let task = try ProbeTasks.named(name)
        for level in TaskLevel.levels(of: task) {
            let questions = try level.questions(300, seed: 5)
            #expect(questions.count == 300)
            #expect(Set(questions.map(\.context)).count == 300)
            #expect(questions.allSatisfy { $0.options.count == task.classes.count })
            let foils = questions.compactMap(\.foil)
            #expect(foils.count == 300)
            #expect(zip(questions, foils).contains { $0.gold != $1 })
            #expect(Set(foils).count > 1)
            #expect(Set(questions.map(\.template)).count == 6)
            // Classes in turn: labels are balanced.
            let counts = task.classes.indices.map { label in
                questions.count { $0.gold == label }
            }
            #expect((counts.max() ?? 0) - (counts.min() ?? 0) <= 1)
            // The first of more are the same.
            #expect(try level.questions(20, seed: 5) == Array(questions.prefix(20)))
        }
    }

    /// Foils worked out again from the text.
    @Test func foilsFollowFromTheText() throws {
        let sums = TaskLevel(task: try ProbeTasks.named("running_sum"), difficulty: 3, shots: 0)
        for question in try sums.questions(60, seed: 1) {
            let text = question.context.replacing("odulo five", with: "")
            let numbers = text.split { !$0.isNumber }.compactMap { Int($0) }
            #expect(numbers.count == 4)
            #expect(question.gold == numbers.reduce(0, +) % 5)
            #expect(question.foil == numbers.dropLast().reduce(0, +) % 5)
        }
        let variables = TaskLevel(
            task: try ProbeTasks.named("variable_assignment"), difficulty: 1, shots: 0)
        for question in try variables.questions(60, seed: 1) {
            let numbers = question.context.split { !$0.isNumber }.compactMap { Int($0) }
            #expect(numbers.count == 2)
            #expect(Set([question.gold + 1, (question.foil ?? -1) + 1]) == Set(numbers))
        }
        let things = ["ball", "book", "coin", "lamp"]
        let tracking = TaskLevel(
            task: try ProbeTasks.named("entity_tracking"), difficulty: 2, shots: 0)
        for question in try tracking.questions(40, seed: 1) {
            let who = try #require(question.context.firstMatch(of: /Now (\w+) has the$/)?.1)
            let first = try #require(
                question.context.firstMatch(of: try Regex("\(who) \\w+ the (\\w+)\\."))?[1]
                    .substring)
            #expect(things[question.foil ?? 0] == first)
        }
    }

    /// Behind the last token that all options share.
    @Test func answersAreReadBeforeTheyDiffer() {
        func item(_ options: [[Int32]]) -> ScanItem {
            ScanItem(
                options: options.map { ScoreRequest(tokens: [1, 2, 3] + $0, firstScored: 3) },
                gold: 0)
        }
        // " 5" is two tokens, the space and the digit.
        #expect(item([[9, 4], [9, 5]]).readPosition == 3)
        #expect(item([[4], [5]]).readPosition == 2)
        #expect(item([[4, 7, 8], [4, 7, 6, 2]]).readPosition == 4)
        // "1" and "10": the first has no token of its own.
        #expect(item([[4], [4, 5]]).readPosition == nil)
    }

    @Test func theGateIsTheInformationOfCalibratedAnswers() {
        // The model always prefers option 0 by 2 nats; calibrated it is right by 1 nat either way.
        let logs = (0..<200).map { $0 % 2 == 0 ? [-1.0, -4.0] : [-2.0, -3.0] }
        let gold = (0..<200).map { $0 % 2 }
        let gate = TaskGate(logs, gold: gold, isCalibrated: true)
        let information = log(2) - log(1 + exp(-1.0))
        #expect(abs(gate.information - information) < 1e-12 && gate.accuracy == 1)
        #expect(gate.passes == (gate.z > 3))
        let raw = TaskGate(logs, gold: gold, isCalibrated: false)
        #expect(raw.information < gate.information && raw.accuracy == 0.5)
        let none = TaskGate(logs, gold: gold.map { 1 - $0 }, isCalibrated: true)
        #expect(!none.passes && none.information < 0)
    }

    @Test func factsHaveFourOptionsAndGroups() {
        let questions = KnowledgeItems.questions(150, seed: 4)
        #expect(questions.count == 150)
        #expect(questions.allSatisfy { Set($0.question.options).count == 4 })
        #expect(Set(questions.map(\.question.context)).count == 150)
        #expect(KnowledgeItems.questions(10_000, seed: 1).count == KnowledgeItems.most)
    }
}
