// READ's probes against numpy (scripts/goldens/relevance.py), which fits every fold and labelling by itself.

import Files
import Foundation
import Probing
import Relevance
import Statistics
import TestSupport
import Testing

@Suite struct CrossFitTests {
    static let golden = try? JSON.read(path: Locations.golden("relevance/cross-fit.json").path)

    static func numbers(_ json: JSON?) -> [Double] {
        (json?.arrayValue ?? []).compactMap(\.doubleValue)
    }

    static func whole(_ json: JSON?) -> [Int] { (json?.arrayValue ?? []).compactMap(\.intValue) }

    @Test(arguments: 0..<3)
    func bitsEqualNumpy(_ index: Int) throws {
        let json = try #require(Self.golden?["cases"]?.arrayValue?[index])
        let features = Self.numbers(json["features"]).map(Float.init)
        let pairs = PairedLabels(
            labels: Self.whole(json["labels"]), foils: Self.whole(json["foils"]),
            swaps: (json["swaps"]?.arrayValue ?? []).map { Self.whole($0).map { $0 == 1 } })
        let width = try #require(json["width"]?.intValue)
        let classes = try #require(json["classes"]?.intValue)
        let result = try #require(
            features.withUnsafeBufferPointer { features in
                CrossFit(
                    features: features.baseAddress!, width: width, classes: classes,
                    folds: Self.whole(json["folds"])
                ).run(pairs)
            })
        let label = Self.numbers(json["label_bits"])
        #expect(label.count == result.labelBits.count && !label.isEmpty)
        for (found, expected) in [
            (result.labelBits, label), (result.foilBits, Self.numbers(json["foil_bits"])),
            (result.swapped, Self.numbers(json["swapped"])),
        ] {
            for (one, other) in zip(found, expected) { #expect(abs(one - other) < 1e-9) }
        }
    }

    @Test func spearmanEqualsScipy() throws {
        for pair in try #require(Self.golden?["spearman"]?.arrayValue) {
            let found = RankCorrelation.spearman(
                Self.numbers(pair["a"]), Self.numbers(pair["b"]))
            #expect(abs(try #require(found) - (pair["spearman"]?.doubleValue ?? .nan)) < 1e-12)
        }
        #expect(RankCorrelation.spearman([1, 1, 1], [1, 2, 3]) == nil)
    }

    /// The line and what lies beside it equal numpy's `polyfit`; a layer that changes nothing has USE 0.
    @Test func useEqualsNumpy() throws {
        let json = try #require(Self.golden?["use"])
        let changes = (json["changes"]?.arrayValue ?? []).map { Self.numbers($0) }
        let score = try #require(
            UseScore(
                changes: changes, textDamage: Self.numbers(json["text_damage"]),
                groups: Array(changes.indices), halves: changes.indices.map { $0 % 2 }, seed: 1))
        #expect(abs(score.slope - (json["slope"]?.doubleValue ?? .nan)) < 1e-12)
        #expect(abs(score.intercept - (json["intercept"]?.doubleValue ?? .nan)) < 1e-12)
        let use = Self.numbers(json["use"])
        #expect(use.count == 8)
        for (found, expected) in zip(score.use.means, use) {
            #expect(abs(found - expected) < 1e-12)
        }
        #expect(score.use.means[2] == 0 && score.use.bandLow[2] == 0 && score.use.bandHigh[2] == 0)
        #expect(score.use.pValues[2] == 1)
    }
}
