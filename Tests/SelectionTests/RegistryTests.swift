// Walks the registry of selectors: each says what it reads and where it comes from, and gives the same
// proposal for the same evidence.

import Records
import Selection
import Testing

@Suite struct SelectorRegistryTests {
    @Test func theRegistryIsWhole() {
        #expect(Set(Selector.all.map(\.name)).count == Selector.all.count)
        for selector in Selector.all {
            for text in [selector.title, selector.explanation, selector.predicts] {
                #expect(!text.isEmpty, "\(selector.name)")
            }
            #expect(!selector.reads.isEmpty)
            #expect(!selector.source.text.isEmpty)
        }
    }

    /// Every kind of evidence, of a model in which layers 4 to 7 are different.
    private func evidence(flat: Bool = false) -> SavedEvidence {
        let layers = 12
        let documents = 6
        var evidence = SavedEvidence(
            model: ModelRecord(
                path: "m", architecture: "llama", layers: layers, hiddenSize: 8, vocabularySize: 9,
                parameters: 1, fingerprint: String(repeating: "0", count: 64)),
            documents: documents)
        func isThink(_ place: Int) -> Bool { (4..<8).contains(place) }
        func table(_ places: Int, _ value: (Int) -> Double) -> SavedEvidence.Table {
            let sums = (0..<documents).flatMap { document in
                (0..<places).map { place in
                    flat ? 0.5 : value(place) * (1 + Double((document + place) % 3) / 100)
                }
            }
            return .init(places: places, sums: sums, counts: sums.map { _ in 1 })
        }
        for name in ["angular_distance_last", "block_influence", "contribution"] {
            evidence.tables[name] = table(layers) { isThink($0) ? 0.1 : 0.4 }
        }
        evidence.tables["contribution_cosine"] = table(layers) { isThink($0) ? 0.3 : -0.2 }
        for name in ["entropy", "kl_to_final", "tuned_entropy", "tuned_kl_to_final"] {
            evidence.tables[name] = table(layers + 1) { $0 < 4 ? 3 : $0 < 8 ? 2 : 0.5 }
        }
        let pairs = (0...layers).flatMap { i in (0...layers).filter { $0 > i }.map { (i, $0) } }
        let distances = pairs.map { i, j in
            flat ? 0.2 : (i..<j).reduce(0.0) { $0 + (isThink($1) ? 0.01 : 0.05) }
        }
        evidence.pairs = .init(
            pairs: pairs, values: (0..<documents).flatMap { _ in distances })
        func stage(_ boundary: Int) -> Int { boundary < 4 ? 0 : boundary < 8 ? 1 : 2 }
        evidence.matrices["cka"] = (0...layers).map { i in
            (0...layers).map { j in flat || stage(i) == stage(j) ? 1 : 0.3 }
        }
        evidence.scores["read_bits"] = (0..<layers).map { flat ? 0 : isThink($0) ? 0.2 : 0.0 }
        evidence.use = .init(
            changes: (0..<5).map { item in
                (0..<layers).map { layer in
                    flat ? 0 : (isThink(layer) ? -1 : -0.1) * (1 + Double(item) / 10)
                }
            }, textDamage: (0..<layers).map { flat ? 0 : 0.1 + Double($0 % 3) / 100 })
        evidence.skipEffect = (0..<layers).map { skipped in
            (0..<layers).map { later in
                later > skipped ? (flat ? 0.5 : isThink(skipped) ? 0.6 : 0.1) : nil
            }
        }
        let windows = flat ? [] : Array(1...8)
        evidence.scans = .init(
            windows: ["loop", "half", "damped"].flatMap { kind in
                windows.map { start in
                    SavedEvidence.Window(
                        kind: kind, start: start, length: 3, iterations: 2,
                        margins: (0..<8).map { Double($0 % 2) / 10 + (start == 5 ? 1 : 0) },
                        nll: [0.1, 0.2])
                }
            }, isConfirmation: (0..<8).map { $0 >= 4 }, scored: [10, 20])
        evidence.dynamics = windows.map { start in
            .init(
                start: start, length: 3,
                change: [1, 0.5, start == 5 ? 0.1 : 0.5 + Double(start) / 50])
        }
        return evidence
    }

    @Test(arguments: Selector.all.map(\.name))
    func aSelectorIsAFunctionOfItsEvidence(_ name: String) throws {
        let selector = try #require(Selector.all.first { $0.name == name })
        let view = EvidenceView(evidence())
        let said = try #require(selector(view))
        #expect(said == selector(EvidenceView(evidence())))
        #expect(said.proposal == selector.winner(view))
        // What was planted; Kneedle's answer is about knees, not about the lowest window.
        if name != "kneedle" {
            let split = try #require(said.proposal, "\(name)")
            #expect(split.layers == 12)
            let think = split.encoder..<split.encoder + split.think
            #expect(think.overlaps(4..<8) && abs(think.lowerBound - 4) <= 1, "\(name): \(split)")
        }
        // Evidence that says nothing proposes nothing.
        if selector.missing(in: evidence(flat: true)).isEmpty {
            #expect(selector.winner(EvidenceView(evidence(flat: true))) == nil, "\(name)")
        }
        // Without what it reads it is silent, and says what is missing.
        let empty = SavedEvidence(model: evidence().model, documents: 0)
        #expect(selector(EvidenceView(empty)) == nil)
        #expect(selector.missing(in: empty) == selector.reads)
        for need in selector.reads {
            #expect(need.command(model: "M", run: "RUN").hasPrefix("etd-analyze "))
        }
    }

    /// Means of a resample are those of the drawn documents, worked out one by one.
    @Test func resamplesAreMeansOfWhatWasDrawn() throws {
        let evidence = evidence()
        var seen = 0
        EvidenceResampler(evidence, resamples: 7, seed: 3).run { view in
            seen += 1
            let times = view.documentTimes ?? []
            #expect(times.reduce(0, +) == 6)
            for (name, table) in evidence.tables {
                let means = view.means(name) ?? []
                for place in 0..<table.places {
                    let sum = (0..<6).reduce(0.0) {
                        $0 + times[$1] * table.sums[$1 * table.places + place]
                    }
                    #expect(abs(means[place] - sum / 6) < 1e-12)
                }
            }
        }
        #expect(seen == 7)
    }
}
