// A training run's curves: every step of a short run, means of a long one, and lines that are cut off.

import Files
import Reporting
import Testing

@Suite struct TrainingPageTests {
    private func lines(_ count: Int) -> [[UInt8]] {
        (1...count).map { step in
            let json: JSON = [
                "step": .number(step), "loss": .number(4 / Double(step)),
                "ce": .number(3.5 / Double(step)), "grad_norm": .number(1.5), "lr": .number(1e-4),
                "iterations": .number(1 + step % 3), "tokens": .number(128),
                "pass_grad_norms": .array((0...step % 3).map { .number(Double($0) + 0.5) }),
            ]
            return Array(json.text(indent: 0).utf8)
        }
    }

    private func page(_ lines: [[UInt8]]) throws -> PageReader {
        PageReader(
            TrainingPage.page(
                name: "run", curves: try TrainingCurves(lines: lines, path: "metrics.jsonl"),
                configuration: "model: \"<x>\"", createdBy: "test"))
    }

    @Test func everyCurveIsDrawn() throws {
        let page = try page(lines(6))
        #expect(page.problem == nil)
        for id in ["loss", "norm", "passes", "rate", "iterations"] {
            #expect(page.values("id").contains("\(id)-title"), "\(id)")
        }
        // Nothing was validated or timed.
        #expect(!page.values("id").contains("validation-title"))
        #expect(!page.values("id").contains("speed-title"))
        #expect(page.text.contains("Step,Loss,Cross-entropy 1,4,3.5 2,2,1.75"))
        #expect(page.text.contains("Step,Pass 1,Pass 2,Pass 3 1,0.5,1.5, 2,0.5,1.5,2.5"))
        #expect(page.text.contains("768") && page.text.contains("<x>"))
    }

    @Test func longRunsAreAveraged() throws {
        let curves = try TrainingCurves(lines: lines(1000), path: "metrics.jsonl")
        let page = try page(lines(1000))
        #expect(page.problem == nil && curves.steps.count == 1000)
        // Four steps in a row: 1, 2, 3, 4 have the mean loss (4 + 2 + 4/3 + 1)/4 at 2.5.
        #expect(page.text.contains("2.5,2.08333,1.8229"))
    }

    @Test func aLineThatIsCutOffIsLeftOut() throws {
        let whole = lines(5)
        let curves = try TrainingCurves(
            lines: whole.dropLast() + [Array(whole[4].prefix(20))], path: "metrics.jsonl")
        #expect(curves.steps == [1, 2, 3, 4])
        #expect(throws: FileError.self) {
            try TrainingCurves(lines: [Array("{}".utf8)] + whole, path: "metrics.jsonl")
        }
    }
}
