// Answers are extracted and scored as OLMES's rules say. The rules in Python, with Python's own regular
// expressions and floats, scipy and sympy, are scripts/goldens/grading.py.

import Evaluation
import Files
import TestSupport
import Testing

@Suite struct GradingTests {
    private func goldens() throws -> [JSON] {
        try #require(
            try JSON.read(path: Locations.golden("evaluation/grading.json").path).arrayValue)
    }

    private func rules(_ task: String) throws -> (grading: Grading, stops: [String]) {
        let benchmark = try #require(BenchmarkRegistry.named(task), "\(task)")
        guard case .generation(let generation) = benchmark.form else {
            throw TestError(problem: "\(task) does not generate")
        }
        let subtask = task.hasPrefix("bbh_") ? String(task.dropFirst(4)) : nil
        return (generation.grading(subtask), generation.stops)
    }

    private struct TestError: Error { var problem: String }

    @Test(arguments: ["gsm8k", "drop", "naturalqs", "triviaqa", "bbh"])
    func scoresAreTheRules(_ task: String) throws {
        var counts: [String: Int] = [:]
        for golden in try goldens() {
            let name = try #require(golden["task"]?.stringValue)
            guard name == task || task == "bbh" && name.hasPrefix("bbh_") else { continue }
            let (grading, stops) = try rules(name)
            let prediction = try #require(golden["prediction"]?.stringValue)
            let gold = try #require(golden["gold"])
            let grade = try #require(
                grading.grade(Grading.cut(prediction, at: stops), gold: gold))
            let wanted = try #require(golden["score"]?.doubleValue)
            #expect(
                abs(grade.score - wanted) < 1e-12,
                "\(name): \(prediction.quotedForMessage), gold \(gold.text(indent: 0)): \(grade)")
            #expect(
                grade.extracted.map { Array($0.utf8) }
                    == golden["extracted"]?.stringValue.map { Array($0.utf8) },
                "\(name): \(prediction.quotedForMessage)")
            counts[name, default: 0] += 1
        }
        #expect(counts.count == (task == "bbh" ? 12 : 1))
        #expect(counts.values.allSatisfy { $0 >= 40 }, "\(counts)")
    }

    /// Where this package decides, it decides as sympy does; what it leaves open is scored 0 and marked.
    @Test func mathIsSympysWhereItIsDecided() throws {
        var (decided, open, openAndRight) = (0, 0, 0)
        for golden in try goldens() where golden["task"]?.stringValue == "minerva_math" {
            let (grading, stops) = try rules("minerva_math")
            let prediction = try #require(golden["prediction"]?.stringValue)
            let gold = try #require(golden["gold"])
            let grade = try #require(
                grading.grade(Grading.cut(prediction, at: stops), gold: gold))
            let sympy = try #require(golden["score"]?.doubleValue)
            #expect(
                grade.extracted == golden["extracted"]?.stringValue,
                "\(prediction.quotedForMessage)")
            if grade.needsAlgebra {
                open += 1
                openAndRight += sympy == 1 ? 1 : 0
                #expect(grade.score == 0)
            } else {
                decided += 1
                #expect(
                    grade.score == sympy,
                    "\(prediction.quotedForMessage), gold \(gold.text(indent: 0)): \(grade)")
            }
            #expect(grade.flexible ?? -1 >= grade.score)
        }
        #expect(decided >= 60)
        #expect(open >= 3 && openAndRight >= 2)
    }

    @Test func flexibleFormFindsWhatTheStrictOneDoesNot() throws {
        let (grading, _) = try rules("minerva_math")
        for (prediction, gold, flexible) in [
            ("So \\boxed{5}.", "5", 1.0), ("So \\boxed{\\frac{1}{2}}", "0.5", 1),
            ("\\boxed{4} \\boxed{5}", "5", 1), ("\\boxed{4} \\boxed{5}", "4", 0),
            ("it is $x = 5$ then", "5", 1), ("it is $5$ or $6$ then", "5", 0),
            ("\\boxed{(1,2)}", "(1,2)", 1), ("\\boxed{\\left(1,2\\right)}", "(1,2)", 1),
            ("\\boxed 5$", "5", 1), ("\\fbox{5}", "5", 0), ("\\boxed{5", "5", 0), ("5", "5", 1),
            ("3/4", "\\frac{3}{4}", 1), ("nothing", "5", 0),
            ("Final Answer: The final answer is $(1,2)$. I hope it is correct.", "(1,2)", 1),
        ] {
            let grade = try #require(grading.grade(prediction, gold: .string(gold)))
            #expect(grade.flexible == flexible, "\(prediction), \(gold): \(grade)")
        }
    }

    /// Golds that sympy cannot read score 0 even against themselves.
    @Test func goldsThatSympyReadsAreTheOnesThatCount() throws {
        let (grading, _) = try rules("minerva_math")
        let answers = try #require(
            try JSON.read(path: Locations.golden("evaluation/math_answers.json").path).arrayValue)
        #expect(answers.count > 1800)
        for answer in answers {
            let pair = try #require(answer.arrayValue)
            let text = try #require(pair[0].stringValue)
            let prediction = "Final Answer: The final answer is \(text). I hope it is correct."
            let grade = try #require(grading.grade(prediction, gold: pair[0]))
            guard grade.extracted == text else { continue }
            #expect(grade.score == (pair[1].boolValue == true ? 1 : 0), "\(text.quotedForMessage)")
        }
    }

    @Test func goldOfAnotherFormIsRefused() {
        #expect(Grading.gsm8k.grade("1", gold: 1) == nil)
        #expect(Grading.drop.grade("1", gold: ["1"]) == nil)
        #expect(Grading.drop.grade("1", gold: []) == nil)
        #expect(Grading.drop.grade("1", gold: [[]]) == nil)
        #expect(Grading.triviaQA.grade("1", gold: "1") == nil)
        #expect(Grading.naturalQuestions.grade("1", gold: [1]) == nil)
    }

    @Test func predictionsEndAtTheFirstStopString() {
        #expect(Grading.cut("a b\n\nc", at: ["c", "\n\n"]) == "a b")
        #expect(Grading.cut("a b", at: ["\n\n"]) == "a b")
        #expect(Grading.cut("Question: x", at: ["Question:"]) == "")
        #expect(Grading.cut("a\r\n\r\nb", at: ["\n\n"]) == "a\r\n\r\nb")
    }
}
