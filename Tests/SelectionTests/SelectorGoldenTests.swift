// Selectors against numpy (scripts/goldens/selection.py), which looks at every window and pair of borders
// one by one.

import Files
import Foundation
import Records
import Selection
import TestSupport
import Testing

@Suite struct SelectorGoldenTests {
    private func rows(_ json: JSON, _ key: String) throws -> [[Double]] {
        try #require(json[key]?.arrayValue).map { row in
            (row.arrayValue ?? []).compactMap(\.doubleValue)
        }
    }

    private func evidence(_ json: JSON) throws -> SavedEvidence {
        let layers = try #require(json["layers"]?.intValue)
        var evidence = SavedEvidence(
            model: ModelRecord(
                path: "m", architecture: "llama", layers: layers, hiddenSize: 8, vocabularySize: 9,
                parameters: 1, fingerprint: String(repeating: "0", count: 64)),
            documents: 1)
        for name in [
            "block_influence", "contribution", "contribution_cosine", "entropy", "kl_to_final",
        ] {
            let values = try json.doubles(name)
            evidence.tables[name] = .init(
                places: values.count, sums: values, counts: values.map { _ in 1 })
        }
        let distances = try rows(json, "distances")
        let pairs = (0...layers).flatMap { i in (i..<layers + 1).filter { $0 > i }.map { (i, $0) } }
        evidence.pairs = .init(pairs: pairs, values: pairs.map { distances[$0][$1] })
        evidence.matrices["cka"] = try rows(json, "cka").map { $0.map(Optional.some) }
        evidence.scores["read_bits"] = try json.doubles("read_bits").map(Optional.some)
        evidence.skipEffect = try rows(json, "effect").map { $0.map(Optional.some) }
        evidence.use = .init(
            changes: try rows(json, "changes"), textDamage: try json.doubles("text_damage"))
        evidence.dynamics = try json.records("dynamics").map {
            .init(
                start: try #require($0["start"]?.intValue),
                length: try #require($0["length"]?.intValue), change: try $0.doubles("change"))
        }
        return evidence
    }

    @Test func proposalsEqualNumpy() throws {
        let cases = try golden("selectors.json").records("cases")
        #expect(cases.count == 3)
        for json in cases {
            let view = EvidenceView(try evidence(json))
            let proposals = try #require(json["proposals"]?.objectValue)
            // The last layer has no later one: its effect is unknown here, 0 in numpy.
            for (name, expected) in proposals {
                let selector = try #require(Selector.all.first { $0.name == name })
                #expect(
                    selector.winner(view)?.notation == expected.stringValue,
                    "\(name) of \(view.layers) layers")
            }
            #expect(proposals.count == 9)
        }
    }
}
