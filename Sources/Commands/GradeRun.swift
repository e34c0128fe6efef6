import Corpus
import Evaluation
import Files
import Foundation

/// `etd eval --grade F.jsonl --task T`: scores predictions without a model.
public struct GradeRun {
    let path: String
    let task: String

    public init(path: String, task: String) {
        self.path = path
        self.task = task
    }

    /// - Parameter emit: called with each line of the output.
    /// - Returns: a summary.
    public func run(emit: (String) throws -> Void) throws -> String {
        let (grading, stops) = try rules()
        let lines = try TextLines(path: path)
        var (number, graded, total, open) = (0, 0, 0.0, 0)
        while let line = try lines.next() {
            number += 1
            if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) { continue }
            func wrong(_ problem: String) -> EvaluationError {
                .line(path: path, line: number, problem: problem)
            }
            let json: JSON
            do {
                json = try JSON.parse(line)
            } catch {
                throw wrong("not valid JSON: \(error)")
            }
            guard let prediction = json["prediction"]?.stringValue else {
                throw wrong("\"prediction\" is missing or no string")
            }
            guard let gold = json["gold"] else { throw wrong("\"gold\" is missing") }
            guard let grade = grading.grade(Grading.cut(prediction, at: stops), gold: gold) else {
                throw wrong("\"gold\" of \(task) must be \(grading.goldForm)")
            }
            var members: JSON.Object = [
                "index": .number(number - 1), "score": .number(grade.score),
                "extracted": .text(grade.extracted),
            ]
            if let flexible = grade.flexible {
                members["flexible"] = .number(flexible)
                members["needs_algebra"] = .bool(grade.needsAlgebra)
            }
            try emit(JSON.object(members).text(indent: 0) + "\n")
            graded += 1
            total += grade.score
            open += grade.needsAlgebra ? 1 : 0
        }
        guard graded > 0 else { throw CorpusError.empty(path: path) }
        var summary =
            "\(task): \(graded) predictions, mean score \(EvalTable.fixed(total / Double(graded), digits: 4))"
        if open > 0 {
            summary +=
                "; \(open) only a computer algebra system can decide (scored 0; scripts/check-math asks sympy)"
        }
        return summary
    }

    private func rules() throws -> (Grading, [String]) {
        let benchmark = try BenchmarkRegistry.resolve([task]).first
        guard let benchmark, benchmark.name == task else {
            throw CommandError.flag(
                name: "--task \(task)", problem: "is a group; name one task, such as gsm8k")
        }
        guard case .generation(let generation) = benchmark.form else {
            throw CommandError.flag(
                name: "--task \(task)",
                problem: "is scored by log-likelihoods and has no predictions to grade")
        }
        if task == "bbh" {
            throw CommandError.flag(
                name: "--task bbh", problem: "name the subtask, such as bbh_navigate")
        }
        let subtask = task.hasPrefix("bbh_") ? String(task.dropFirst(4)) : nil
        return (generation.grading(subtask), generation.stops)
    }
}
