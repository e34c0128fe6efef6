// What a recommendation asks beside a gain: text, accuracy, the number of iterations, rivals; and races replayed.

import Foundation
import Plans
import Records
import Selection
import Statistics
import TestSupport
import Testing

@Suite struct FrozenTests {
    private static let items = 120

    private func evidence(
        _ windows: [SavedEvidence.Window], confirmation: (Int) -> Bool = { _ in true },
        base: [Double] = []
    ) -> SavedEvidence {
        var evidence = SavedEvidence(
            model: ModelRecord(
                path: "m", architecture: "llama", layers: 20, hiddenSize: 8, vocabularySize: 9,
                parameters: 1, fingerprint: String(repeating: "0", count: 64)),
            documents: 2)
        evidence.scans = .init(
            windows: windows, isConfirmation: (0..<Self.items).map(confirmation), scored: [50, 50],
            baseMargins: base)
        return evidence
    }

    /// Gains `gain` nats, give or take, and costs text `text` nats per token.
    private func window(
        _ start: Int, _ length: Int, k: Int = 2, gain: Double, text: Double = 0,
        kind: String = "loop"
    ) -> SavedEvidence.Window {
        .init(
            kind: kind, start: start, length: length, iterations: k,
            margins: (0..<Self.items).map { gain + 0.2 * (Double(($0 * 7 + start) % 5) - 2) },
            nll: [50 * text, 50 * text])
    }

    private func frozen(_ evidence: SavedEvidence, textCost: Double = 0.1) -> Verdict.Frozen {
        Verdict(evidence, resamples: 100, limits: .init(textCost: textCost), seed: 1).frozen
    }

    @Test func aGainThatTextPaysForIsNotRecommended() throws {
        let costly = evidence([window(4, 4, gain: 0.6, text: 0.3), window(12, 4, gain: -0.2)])
        let refused = frozen(costly)
        #expect(refused.recommended == nil)
        #expect(refused.reason.contains("--max-text-cost") && refused.reason.contains("0.3"))
        #expect(frozen(costly, textCost: .infinity).recommended?.start == 4)
        // The next best that text can live with.
        let mild = frozen(
            evidence([window(4, 4, gain: 0.6, text: 0.3), window(12, 3, gain: 0.3, text: 0.05)]))
        #expect(mild.recommended?.start == 12)
        #expect(abs((mild.recommended?.text ?? 0) - 0.05) < 1e-12)
    }

    @Test func accuracyStandsBesideTheMargin() throws {
        // Every margin grows by about .5: items at -.2 turn right, those at -2 stay wrong.
        let base = (0..<Self.items).map { $0 % 4 == 0 ? -0.2 : -2.0 }
        let verdict = frozen(evidence([window(4, 4, gain: 0.7)], base: base))
        let accuracy = try #require(verdict.recommended?.accuracy)
        #expect(abs(accuracy.change - 0.25) < 1e-12 && accuracy.low > 0.1)
        #expect(verdict.reason.contains("+25.0 points"))
        // Most items gain a little and change nothing, some that were right turn wrong: no recommendation.
        var falling = window(4, 4, gain: 0.5)
        for item in stride(from: 0, to: Self.items, by: 4) { falling.margins[item] = -0.3 }
        let right = (0..<Self.items).map { $0 % 4 == 0 ? 0.1 : -2.0 }
        let refused = frozen(evidence([falling], base: right))
        #expect(refused.confirmed[0].low > 0 && refused.recommended == nil)
        #expect(refused.reason.contains("accuracy falls"))
        // Without the base's margins nothing is said of right answers.
        #expect(frozen(evidence([window(4, 4, gain: 0.7)])).recommended?.accuracy == nil)
    }

    @Test func moreIsNotAlwaysBetter() throws {
        let curve = frozen(
            evidence([
                window(4, 4, k: 2, gain: 0.3), window(4, 4, k: 3, gain: 0.6),
                window(4, 4, k: 4, gain: 0.1), window(14, 2, k: 2, gain: 0.1),
            ]))
        #expect(curve.recommended?.iterations == 3)
        #expect(curve.curve.map(\.iterations) == [2, 3, 4])
        #expect(curve.curve.map { ($0.change * 10).rounded() } == [3, 6, 1])
        #expect(frozen(evidence([window(4, 4, gain: 0.6)])).curve.isEmpty)
    }

    /// 4 × (2 - 1) layers more: another place and another shape are rivals, one layer off and other costs are not.
    @Test func rivalsOfTheTrainingChoiceCostTheSame() throws {
        var own = evidence([
            window(8, 4, gain: 0.5), window(9, 4, gain: 0.4), window(2, 4, gain: 0.1),
            window(6, 2, k: 3, gain: 0.2), window(8, 4, k: 3, gain: 0.9),
            window(3, 4, gain: 0.3, kind: "half"),
        ])
        own.use = .init(
            changes: (0..<40).map { item in
                (0..<20).map { layer in
                    (8..<12).contains(layer) ? -3 : 0.1 * Double((item + layer) % 3)
                }
            }, textDamage: (0..<20).map { 0.2 + 0.001 * Double($0 % 7) })
        let train = Verdict(own, resamples: 100, seed: 1).train
        #expect(train.candidates.first?.split == Split(encoder: 8, think: 4, decoder: 8))
        #expect(train.rivals.filter { $0.iterations == 2 && $0.length == 4 }.map(\.start) == [2])
        #expect(train.rivals.contains { $0.start == 6 && $0.iterations == 3 })
        #expect(train.rivals.allSatisfy { $0.kind == "loop" })
        let early = try #require(train.rivals.first { $0.start == 2 })
        #expect(abs(early.difference - 0.4) < 0.05 && early.low > 0)
        #expect(train.starts[8] == 100 && train.ends[11] == 100)
    }

    /// A race of four windows in two rounds; the scan dropped the last after the first.
    @Test func theRaceIsRunAgainInEveryResample() throws {
        func raced(_ start: Int, _ gains: (Int) -> Double, until last: Int) -> SavedEvidence.Window
        {
            .init(
                kind: "loop", start: start, length: 3, iterations: 2,
                margins: (0..<Self.items).map { $0 < last ? gains($0) : .nan }, nll: [])
        }
        let noise = { (item: Int) in 0.5 * (Double((item * 13) % 7) - 3) }
        let early = 16
        let own = evidence(
            [
                raced(4, { 0.2 + noise($0) }, until: Self.items),
                raced(7, { 0.3 + noise($0 + 1) }, until: Self.items),
                // Best of all on the few items that it saw, but the scan let it go.
                raced(11, { 2 + noise($0 + 2) }, until: early),
            ], confirmation: { _ in false })
        let stability = try #require(
            Verdict(own, resamples: 200, seed: 3).stability["loops"])
        #expect(stability.starts[11] == nil)
        #expect((stability.starts[7] ?? 0) > (stability.starts[4] ?? 0))
        #expect(stability.starts.values.reduce(0, +) == 200)
        let loops = try #require(Selector.all.first { $0.name == "loops" })
        #expect(loops.winner(EvidenceView(own))?.encoder == 7)
    }

    /// Halves share no document and no item, keep both stages, and together are the whole.
    @Test func halvesShareNothing() throws {
        var whole = evidence(
            [window(4, 4, gain: 0.5, text: 0.2)], confirmation: { $0 >= 80 },
            base: (0..<Self.items).map(Double.init))
        whole.documents = 4
        whole.tables["m"] = .init(
            places: 2, sums: (0..<8).map(Double.init), counts: Array(repeating: 1, count: 8))
        whole.use = .init(changes: (0..<5).map { [Double($0)] }, textDamage: [0.1])
        let (first, second) = (whole.half(.first), whole.half(.second))
        #expect(first.documents == 2 && second.documents == 2)
        #expect(first.tables["m"]?.sums == [0, 1, 4, 5])
        #expect(second.tables["m"]?.sums == [2, 3, 6, 7])
        #expect(first.use?.changes == [[0], [2], [4]] && second.use?.changes == [[1], [3]])
        for half in [first, second] {
            #expect(half.scans?.isConfirmation.count { $0 } == 20)
            #expect(half.scans?.isConfirmation.count { !$0 } == 40)
            #expect(half.scans?.windows[0].nll.count == 1 && half.scans?.scored == [50])
        }
        let own = first.scans?.baseMargins ?? []
        let items = Set(own)
        let others = Set(second.scans?.baseMargins ?? [])
        #expect(items.isDisjoint(with: others))
        #expect(items.union(others).count == Self.items)
        let margins = whole.scans?.windows[0].margins ?? []
        let expected = own.map { (item: Double) -> Double in margins[Int(item)] }
        #expect(first.scans?.windows[0].margins == expected)
    }

    @Test func settingsAreSwept() throws {
        var own = evidence([])
        own.scans = nil
        // Falls steeply to layer 5, then slowly, and rises at the end.
        let curve = (0..<20).map { (layer: Int) -> Double in
            let depth = Double(layer)
            if layer < 5 { return 0.5 - 0.08 * depth }
            return layer > 15 ? 0.1 + 0.05 * (depth - 15) : 0.1
        }
        own.tables["angular_distance_last"] = .init(
            places: 20, sums: curve + curve, counts: Array(repeating: 1, count: 40))
        var other = own
        other.tables["angular_distance_last"] = .init(
            places: 20, sums: Array((curve + curve).reversed()),
            counts: Array(repeating: 1, count: 40))
        let verdict = Verdict(own, resamples: 100, others: [("news", other)], seed: 1)
        let knees = verdict.sweeps.filter { $0.selector == "kneedle" && $0.text == nil }
        #expect(
            knees.map(\.setting)
                == [0.5, 1, 2, 5].map {
                    "S = \($0 == 0.5 ? "0.5" : String(Int($0))), last token"
                })
        let usual = try #require(knees.first { $0.setting.hasPrefix("S = 1,") }?.split)
        let kneedle = try #require(Selector.all.first { $0.name == "kneedle" })
        #expect(usual == kneedle.winner(EvidenceView(own)))
        let moved = try #require(
            verdict.sweeps.first { $0.text == "news" && $0.setting == "S = 1, last token" })
        #expect(moved.split == kneedle.winner(EvidenceView(other)))
        #expect(moved.split != usual)
        #expect(verdict.sweeps.contains { $0.selector == "plateau" && $0.text == "news" })
    }
}

@Suite struct RaceRuleTests {
    /// Numpy's answer: 10 contestants, standard error of paired differences with n - 1.
    @Test func halvesAndDrops() throws {
        let items = 16
        let values = (0..<20).map { (contestant: Int) -> [Double] in
            (0..<items).map { item in Double((contestant * 31 + item * 17) % 11 - contestant) }
        }
        let kept = RaceRule.survivors(values)
        #expect(kept == [0, 1, 2])
        // Twins cannot be told apart: half of them go on, but eight at least.
        let twins = (0..<30).map { _ in (0..<items).map { Double($0 % 3) } }
        #expect(RaceRule.survivors(twins) == Array(0..<15))
        #expect(RaceRule.survivors(Array(twins.prefix(10))) == Array(0..<8))
        // Drawn items count as often as they were drawn, undefined values end a race.
        let two = [[0.0, 0, 10, 10], [1, 1, 0, 0], [.nan, 1, 1, 1]]
        #expect(RaceRule.survivors(two, times: [2, 2, 0, 0]) == [1])
        #expect(RaceRule.survivors(two, times: [0, 0, 2, 2]) == [0])
        #expect(RaceRule.survivors(two, times: [0, 0, 0, 0]) == [0, 1, 2])
    }
}

@Suite struct PairedShareTests {
    /// By scipy: norm.ppf and Agresti and Min's formula, worked out in Python.
    @Test func holdsWhereFewItemsChange() throws {
        #expect(abs(NormalDistribution.quantile(0.975) - 1.959963984540054) < 1e-9)
        #expect(abs(NormalDistribution.quantile(0.9975) - 2.807033768343804) < 1e-9)
        let some = PairedShare(gained: 12, lost: 5, items: 100)
        #expect(abs(some.change - 0.07) < 1e-12)
        #expect(abs(some.low - -0.011801075) < 1e-6 && abs(some.high - 0.149055976) < 1e-6)
        let none = PairedShare(gained: 0, lost: 0, items: 50, comparisons: 10)
        #expect(none.change == 0 && none.low < -0.04 && none.high == -none.low)
    }
}
