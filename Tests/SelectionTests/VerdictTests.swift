// The verdict on planted evidence, on noise, and on gains that only the searched items have.

import Files
import Foundation
import Plans
import Records
import Selection
import TestSupport
import Testing

@Suite struct VerdictTests {
    private static let layers = 20
    private static let items = 120

    /// Evidence of noise, in which a window can be planted.
    /// - Parameters:
    ///   - strength: of what is planted, in standard deviations of one item's or document's noise.
    private func evidence(
        planted: Range<Int>? = nil, strength: Double = 0, gain: Double = 0, confirms: Bool = true,
        seed: UInt64
    ) -> SavedEvidence {
        var random = SeededRandom(seed)
        func normal() -> Double {
            let u = Double.random(in: Double.leastNonzeroMagnitude..<1, using: &random)
            return sqrt(-2 * log(u)) * cos(2 * .pi * Double.random(in: 0..<1, using: &random))
        }
        let (layers, items, documents) = (Self.layers, Self.items, 8)
        var evidence = SavedEvidence(
            model: ModelRecord(
                path: "m", architecture: "llama", layers: layers, hiddenSize: 8, vocabularySize: 9,
                parameters: 1, fingerprint: String(repeating: "0", count: 64)),
            documents: documents)
        func share(_ window: Range<Int>) -> Double {
            guard let planted else { return 0 }
            let common = window.clamped(to: planted).count
            return Double(common) / Double(window.count + planted.count - common)
        }
        evidence.use = .init(
            changes: (0..<items).map { _ in
                (0..<layers).map { layer in
                    normal() - (planted?.contains(layer) == true ? strength : 0)
                }
            }, textDamage: (0..<layers).map { _ in 0.2 + 0.01 * normal() })
        var windows: [SavedEvidence.Window] = []
        for length in 2...6 {
            for start in 3...17 - length {
                let window = start..<start + length
                windows.append(
                    SavedEvidence.Window(
                        kind: "half", start: start, length: length, iterations: 2,
                        margins: (0..<items).map { item in
                            let isConfirmation = item >= items / 2
                            let counts = confirms || !isConfirmation
                            return normal() + (counts && window == planted ? gain : 0)
                                + strength * 0.3 * share(window)
                        },
                        nll: (0..<documents).map { _ in
                            0.1 + 0.02 * normal() - 0.1 * strength * share(window)
                        }))
            }
        }
        evidence.scans = .init(
            windows: windows, isConfirmation: (0..<items).map { $0 >= items / 2 },
            scored: Array(repeating: 1, count: documents))
        return evidence
    }

    /// Twenty models of varied start and length: found within one layer in 18 at least, none abstained.
    @Test func plantedWindowsAreFound() {
        var found = 0
        var abstained: [String] = []
        for plant in 0..<20 {
            let length = 3 + plant % 4
            let start = 3 + (plant * 3) % (14 - length)
            let window = start..<start + length
            let verdict = Verdict(
                evidence(planted: window, strength: 2, seed: UInt64(plant)), resamples: 100,
                seed: 1)
            if let reason = verdict.train.abstention {
                let best = verdict.train.candidates.first?.split.notation ?? "none"
                abstained.append("\(window), best \(best): \(reason)")
            }
            if let best = verdict.train.candidates.first?.split,
                abs(best.encoder - start) <= 1,
                abs(best.encoder + best.think - window.upperBound) <= 1
            {
                found += 1
            }
        }
        #expect(found >= 18, "\(found) of 20")
        #expect(abstained.isEmpty, "\(abstained)")
    }

    /// Nothing planted: 95 of 100 abstain at least.
    @Test func noiseIsNotProposed() {
        var abstained = 0
        for seed in 0..<100 {
            let verdict = Verdict(evidence(seed: UInt64(500 + seed)), resamples: 60, seed: 2)
            if verdict.train.abstention != nil { abstained += 1 }
            #expect(verdict.frozen.upperBound != nil)
        }
        #expect(abstained >= 95, "\(abstained) of 100")
    }

    @Test func aWindowThatGainsIsRecommended() throws {
        let window = 7..<10
        let verdict = Verdict(
            evidence(planted: window, gain: 1.5, seed: 3), resamples: 100, seed: 1)
        let recommended = try #require(verdict.frozen.recommended, "\(verdict.frozen.reason)")
        #expect(recommended.start == 7 && recommended.length == 3 && recommended.low > 0)
        // Only the searched items say so.
        let searched = Verdict(
            evidence(planted: window, gain: 1.5, confirms: false, seed: 3), resamples: 100, seed: 1)
        #expect(searched.frozen.recommended == nil)
        #expect(searched.frozen.reason.contains("gains more than"))
        #expect((searched.frozen.upperBound ?? 0) > 0)
    }

    /// A rival elsewhere that gains as much forbids a recommendation; the same one layer off does not.
    @Test func aRivalMustBeBeatenANeighbourNot() throws {
        func verdict(other start: Int) -> Verdict.Frozen {
            var evidence = evidence(seed: 8)
            func window(_ start: Int) -> SavedEvidence.Window {
                .init(
                    kind: "loop", start: start, length: 4, iterations: 2,
                    margins: (0..<60).map { 0.5 + 0.1 * Double(($0 * 7 + start) % 5) }, nll: [])
            }
            evidence.scans = .init(
                windows: [window(8), window(start)],
                isConfirmation: Array(repeating: true, count: 60), scored: [])
            return Verdict(evidence, resamples: 100, seed: 1).frozen
        }
        #expect(verdict(other: 9).recommended != nil)
        let rivalled = verdict(other: 13)
        #expect(rivalled.recommended == nil)
        #expect(rivalled.reason.contains("not clearly more than loop of layers"))
    }

    @Test func withoutCausalEvidenceItAbstains() throws {
        var cheap = evidence(seed: 4)
        cheap.use = nil
        cheap.scans = nil
        cheap.scores["read_bits"] = (0..<Self.layers).map { Double($0 % 5) }
        let verdict = Verdict(cheap, resamples: 100, seed: 1)
        #expect(verdict.train.abstention?.contains("No causal evidence") == true)
        #expect(verdict.missing["USE"] == [.score("use")])
        let record = verdict.record(cheap, cost: { _ in [] }, createdBy: "test")
        #expect(record.split == nil && record.abstention != nil && !record.alternatives.isEmpty)
    }

    /// Same inputs, same bytes; and the file survives reading.
    @Test func theRecordSurvivesItsFile() throws {
        let evidence = evidence(planted: 6..<10, strength: 2, seed: 5)
        func record() -> SplitRecord {
            Verdict(evidence, resamples: 100, seed: 9).record(
                evidence, cost: { _ in [] }, createdBy: "test")
        }
        let text = record().json.text()
        #expect(record().json.text() == text)
        let scratch = try ScratchDirectory()
        try scratch.write(text.utf8, to: "split.json")
        let read = try SplitRecord.read(path: scratch.file("split.json"))
        #expect(read.json.text() == text)
        #expect(read.split != nil && (read.confidence ?? 0) >= 0.5)
    }

    /// Gain against executed layers: only what no cheaper window beats, and nothing beyond the limit.
    @Test func theFrontIsWhatNoCheaperWindowBeats() throws {
        var evidence = evidence(seed: 6)
        let items = 60
        func window(_ length: Int, _ k: Int, _ gain: Double) -> SavedEvidence.Window {
            .init(
                kind: "loop", start: 4, length: length, iterations: k,
                margins: Array(repeating: gain, count: items), nll: [])
        }
        evidence.scans = .init(
            windows: [
                window(2, 2, 0.1), window(2, 3, 0.3), window(3, 2, 0.05), window(4, 2, 0.2),
                window(4, 3, 0.4), window(5, 2, -1), window(6, 3, 0.4),
            ], isConfirmation: Array(repeating: false, count: items), scored: [])
        func front(_ most: Double) -> [[Double]] {
            Verdict(evidence, resamples: 100, limits: .init(overhead: most), seed: 1).front.map {
                [Double($0.length), Double($0.iterations), $0.overhead]
            }
        }
        // Twenty layers. 3 × 2 is dearer than 2 × 2 and gains less; 4 × 2 costs what 2 × 3 does.
        #expect(front(.infinity) == [[2, 2, 1.1], [2, 3, 1.2], [4, 3, 1.4]])
        #expect(front(1.25) == [[2, 2, 1.1], [2, 3, 1.2]])
        #expect(front(1.01).isEmpty)
    }

    @Test func aRecommendationKeepsWithinTheOverhead() throws {
        let evidence = evidence(planted: 7..<10, gain: 1.5, seed: 3)
        func verdict(_ most: Double) -> Verdict {
            Verdict(evidence, resamples: 100, limits: .init(overhead: most), seed: 1)
        }
        #expect(verdict(1.15).frozen.recommended?.start == 7)
        let cheaper = verdict(1.1).frozen
        #expect(cheaper.recommended?.start != 7)
        #expect(cheaper.confirmed.allSatisfy { $0.length == 2 })
        #expect(verdict(1.01).frozen.reason.contains("--max-overhead"))
        let planted = Verdict(
            self.evidence(planted: 6..<10, strength: 2, seed: 5), resamples: 100,
            limits: .init(overhead: 1.5), seed: 9)
        let record = planted.record(evidence, cost: { _ in [] }, createdBy: "test")
        let think = try #require(record.split?.think)
        #expect(record.maximumIterations == 1 + 10 / think)
    }
}
