// Which depth items need, counted by hand.

import Evaluation
import Testing

@Suite struct DepthAuditTests {
    private func run(_ passes: Int, _ right: [Bool], task: String = "t", isShare: Bool = true)
        -> (passes: Int, items: [EvaluatedItem])
    {
        (
            passes,
            right.enumerated().map { number, isRight in
                EvaluatedItem(
                    task: task, format: .cloze, id: "\(number)", subtask: nil,
                    cluster: "\(number)", gold: 0, prediction: 0, score: isRight ? 1 : 0,
                    isShare: isShare, passes: passes)
            }
        )
    }

    @Test func leastDepthsAreCounted() throws {
        // Depths are sorted; the last item is not in all runs.
        let audits = DepthAudit.all([
            run(3, [true, false, false, true, false]),
            run(1, [true, true, false, false, false, true]),
            run(2, [false, true, false, true, false, true]),
        ])
        let audit = try #require(audits.first)
        #expect(audits.count == 1)
        #expect(audit.depths == [1, 2, 3] && audit.items == 5)
        #expect(audit.right == [2, 2, 2])
        #expect(audit.least == [2, 1, 0] && audit.never == 2 && audit.lost == 1)
        #expect(audit.oracle.value == 0.6)
        #expect(abs(audit.independent - (1 - 0.6 * 0.6 * 0.6)) < 1e-15)
        #expect(audit.meanLeast == 4.0 / 3)
    }

    @Test func oneDepthAndWordSharesHaveNone() {
        #expect(DepthAudit.all([run(1, [true])]).isEmpty)
        #expect(
            DepthAudit.all([run(1, [true], isShare: false), run(2, [true], isShare: false)])
                .isEmpty)
        #expect(DepthAudit.all([run(1, [false]), run(2, [false])])[0].meanLeast == nil)
    }
}
