// Ridge and logistic probes against scikit-learn, figures against scipy, scikit-learn and NumPy. The
// goldens are of scripts/goldens/probing.py.

import Files
import Foundation
import Probing
import Tensors
import TestSupport
import Testing

func golden(_ name: String) throws -> JSON {
    try JSON.read(path: Locations.golden("probing/\(name)").path)
}

extension JSON {
    func doubles(_ key: String) throws -> [Double] {
        try #require(self[key]?.arrayValue).map { try #require($0.doubleValue) }
    }

    func ints(_ key: String) throws -> [Int] {
        try #require(self[key]?.arrayValue).map { try #require($0.intValue) }
    }

    func double(_ key: String) throws -> Double { try #require(self[key]?.doubleValue) }

    func records(_ key: String) throws -> [JSON] { try #require(self[key]?.arrayValue) }
}

/// The golden's features and labels.
private struct Fixture {
    let json: JSON
    let features: FloatBuffer
    let width: Int
    let labels: [[Int]]
    let train: Range<Int>
    let validation: Range<Int>
    let test: Range<Int>

    init() throws {
        json = try golden("classifiers.json")
        let rows = try #require(json["rows"]?.intValue)
        width = try #require(json["width"]?.intValue)
        features = FloatBuffer(count: rows * width)
        var random = SplitMix64(seed: 2018)
        for row in 0..<rows {
            for column in 0..<width {
                var total = 0.0
                for _ in 0..<4 { total += Double(random.next() >> 40) / 16_777_216 }
                let scale = pow(2, Double(column % 7 - 3))
                let value = (total - 2) * scale + Double(column % 5) * 40 * scale
                features.pointer[row * width + column] =
                    column == width - 1 ? 3.5 : Float(value)
            }
        }
        labels = [try json.ints("labels"), try json.ints("other_labels")]
        let end = try #require(json["train"]?.intValue)
        let held = try #require(json["validation"]?.intValue)
        (train, validation, test) = (0..<end, end..<end + held, end + held..<rows)
    }

    func problem(
        _ labels: [[Int]]? = nil, features: FloatBuffer? = nil, width: Int? = nil,
        train: Range<Int>? = nil
    ) -> ProbeProblem {
        ProbeProblem(
            features: UnsafePointer((features ?? self.features).pointer),
            width: width ?? self.width, classes: 3, labels: labels ?? self.labels,
            train: train ?? self.train, validation: validation, test: test)
    }

    /// Products of two features, less their first row, as the golden's script makes them.
    func pairs(_ count: Int) -> FloatBuffer {
        let all = (0..<width).flatMap { i in (i..<width).map { (i, $0) } }.prefix(count)
        let out = FloatBuffer(count: test.upperBound * count)
        for row in 0..<test.upperBound {
            func value(_ column: Int) -> Float { features[row * width + column] - features[column] }
            for (place, (i, j)) in all.enumerated() {
                out.pointer[row * count + place] = value(i) * value(j)
            }
        }
        return out
    }

    func accuracy(_ predicted: [Int]) -> Double {
        Double(zip(test, predicted).count { labels[0][$0] == $1 }) / Double(test.count)
    }
}

@Suite struct ClassifierTests {
    @Test func bothSidesHaveTheSameFeatures() throws {
        let fixture = try Fixture()
        let first = try fixture.json.doubles("first_features")
        for (index, value) in first.enumerated() {
            #expect(Double(fixture.features[index]) == value)
        }
    }

    @Test func ridgeCoefficientsAreThoseOfScikitLearn() throws {
        let fixture = try Fixture()
        try Self.compare(fixture.problem(), with: fixture.json.records("ridge"))
    }

    @Test func ridgeOfFewerRowsThanFeaturesIsThatOfScikitLearn() throws {
        let fixture = try Fixture()
        let few = try #require(fixture.json["ridge_few"])
        let end = try #require(few["train"]?.intValue)
        #expect(end < fixture.width)
        try Self.compare(fixture.problem(train: 0..<end), with: few.records("fits"))
    }

    /// A first row at a million deviations of the others, another far row, a feature far from zero: none of
    /// these features is left out, and none loses digits.
    @Test func ridgeOfFarRowsIsThatOfScikitLearn() throws {
        let fixture = try Fixture()
        let far = fixture.features
        far.pointer[0] = 72168
        far.pointer[100 * fixture.width + 4] = -1e6
        for row in 0..<fixture.test.upperBound { far.pointer[row * fixture.width + 8] += 16384 }
        let problem = fixture.problem(features: far)
        try Self.compare(problem, with: fixture.json.records("ridge_far"))
        let weights = try #require(RidgeProbe(problem).classifiers(strength: 0.1))[0].weights
        for feature in 0..<fixture.width - 1 {
            #expect(weights[feature * 3..<feature * 3 + 3].allSatisfy { $0 != 0 }, "\(feature)")
        }
        // Only the last one never changes.
        #expect(weights.suffix(3).allSatisfy { $0 == 0 })
    }

    private static func compare(_ problem: ProbeProblem, with records: [JSON]) throws {
        let probe = RidgeProbe(problem)
        for record in records {
            let strength = try record.double("strength")
            let classifiers = try #require(probe.classifiers(strength: strength))
            let expected = try record.records("weights").flatMap {
                try #require($0.arrayValue).map { try #require($0.doubleValue) }
            }
            #expect(classifiers[0].weights.count == expected.count)
            for (ours, theirs) in zip(classifiers[0].weights, expected) {
                #expect(abs(ours - theirs) <= 1e-9 * max(1, abs(theirs)), "strength \(strength)")
            }
            for (ours, theirs) in zip(
                classifiers[0].intercepts, try record.doubles("intercepts"))
            {
                #expect(abs(ours - theirs) <= 1e-7 * max(1, abs(theirs)), "strength \(strength)")
            }
        }
    }

    /// The blocks of the online code begin with fewer rows than features and end with more.
    @Test func ridgeOnManyFeaturesIsThatOfScikitLearn() throws {
        let fixture = try Fixture()
        let wide = try #require(fixture.json["ridge_wide"])
        let width = try #require(wide["width"]?.intValue)
        let features = fixture.pairs(width)
        let problem = fixture.problem(features: features, width: width)
        try Self.compare(problem, with: wide.records("fits"))
        let fits = RidgeProbe(problem).fits()
        #expect(try fits[0].strength == wide.double("chosen"))
        #expect(
            try abs(fixture.accuracy(fits[0].predicted) - wide.double("test_accuracy")) < 1e-3)
        let bits = try #require(fits[0].codeLength)
        let expected = try wide.double("code_bits")
        #expect(abs(bits - expected) < 1e-3 * expected, "\(bits), \(expected)")
    }

    @Test func ridgeChoosesPredictsAndCodesAsScikitLearn() throws {
        let fixture = try Fixture()
        let fits = RidgeProbe(fixture.problem()).fits()
        let chosen = try fixture.json.double("ridge_chosen")
        #expect(fits[0].strength == chosen)
        let record = try #require(
            fixture.json.records("ridge").first { $0["strength"]?.doubleValue == chosen })
        #expect(
            try abs(fixture.accuracy(fits[0].predicted) - record.double("test_accuracy")) < 1e-3)
        let bits = try #require(fits[0].codeLength)
        let expected = try fixture.json.double("ridge_code_bits")
        #expect(abs(bits - expected) < 1e-3 * expected, "\(bits), \(expected)")
    }

    /// A labelling's fit does not depend on what it is fitted beside.
    @Test func labellingsDoNotTouchEachOther() throws {
        let fixture = try Fixture()
        let both = RidgeProbe(fixture.problem()).fits()
        let alone = RidgeProbe(fixture.problem([fixture.labels[1]])).fits()
        #expect(both[1].strength == alone[0].strength)
        #expect(both[1].predicted == alone[0].predicted)
    }

    @Test func logisticLossAndChoiceAreThoseOfScikitLearn() throws {
        let fixture = try Fixture()
        let probe = LogisticProbe(fixture.problem())
        for record in try fixture.json.records("logistic") {
            let strength = try record.double("strength")
            let loss = probe.fit(fixture.train, labelling: 0, strength: strength).loss
            let expected = try record.double("loss")
            #expect(loss >= expected * (1 - 1e-9), "below the minimum: \(loss), \(expected)")
            #expect(loss <= expected * (1 + 1e-5), "strength \(strength): \(loss), \(expected)")
        }
        let fits = probe.fits()
        let chosen = try fixture.json.double("logistic_chosen")
        #expect(fits[0].strength == chosen)
        let record = try #require(
            fixture.json.records("logistic").first { $0["strength"]?.doubleValue == chosen })
        #expect(
            try abs(fixture.accuracy(fits[0].predicted) - record.double("test_accuracy")) < 1e-3)
        let bits = try #require(fits[0].codeLength)
        let expected = try fixture.json.double("logistic_code_bits")
        #expect(abs(bits - expected) < 1e-3 * expected, "\(bits), \(expected)")
    }

    @Test func moreFeaturesThanRowsHaveASolutionToo() throws {
        let (rows, width) = (30, 200)
        let features = FloatBuffer(count: rows * width)
        var random = SplitMix64(seed: 5)
        for index in 0..<features.count {
            features.pointer[index] = Float(random.next() >> 40) / 16_777_216
        }
        let labels = (0..<rows).map { $0 % 2 }
        for row in 0..<rows { features.pointer[row * width] = labels[row] == 0 ? 30 : -30 }
        let problem = ProbeProblem(
            features: UnsafePointer(features.pointer), width: width, classes: 2, labels: [labels],
            train: 0..<18, validation: 18..<24, test: 24..<30)
        for fit in [RidgeProbe(problem).fits()[0], LogisticProbe(problem).fits()[0]] {
            let finite = fit.classifier.weights.allSatisfy { $0.isFinite }
            #expect(finite)
            #expect(fit.predicted.count == 6)
        }
    }
}

@Suite struct StatisticsTests {
    @Test func wilsonIsThatOfScipy() throws {
        for record in try golden("statistics.json").records("wilson") {
            let values = try #require(record.arrayValue).compactMap(\.doubleValue)
            let interval = ProbeStatistics.wilson(Int(values[0]), of: Int(values[1]))
            #expect(abs(interval.lowerBound - values[2]) < 1e-12, "\(values)")
            #expect(abs(interval.upperBound - values[3]) < 1e-12, "\(values)")
        }
    }

    @Test func macroF1IsThatOfScikitLearn() throws {
        for record in try golden("statistics.json").records("macro_f1") {
            let value = ProbeStatistics.macroF1(
                try record.ints("truth"), try record.ints("predicted"),
                classes: try #require(record["classes"]?.intValue))
            let expected = try record.double("f1")
            #expect(abs(value - expected) < 1e-12, "\(record.text())")
        }
    }

    /// The product that gives all resamples against drawing items and adding up, one after the other.
    @Test(arguments: [1, 7, 130])
    func resamplesAreThoseOfThePlainWay(_ count: Int) {
        var random = SplitMix64(seed: 11)
        let items = (0..<3 * count).map { $0 < count ? $0 : random.below(count) }
        let differences = (0..<5).map { _ in items.map { _ in Int8(random.below(3)) - 1 } }
        let bootstrap = SelectivityBootstrap(items: items, differences: differences, seed: 29)
        #expect(bootstrap.draws.count == SelectivityBootstrap.resamples)
        random = SplitMix64(seed: 29)
        for draw in bootstrap.draws {
            let drawn = (0..<count).map { _ in random.below(count) }
            var (size, sums) = (0, [Int](repeating: 0, count: differences.count))
            for item in drawn {
                for (place, other) in items.enumerated() where other == item {
                    size += 1
                    for index in sums.indices { sums[index] += Int(differences[index][place]) }
                }
            }
            #expect(draw == sums.map { Double($0) / Double(size) })
        }
    }

    @Test func percentilesAreThoseOfNumPy() throws {
        let json = try golden("statistics.json")
        let interval = ProbeStatistics.interval(try json.doubles("values"))
        let expected = try json.doubles("percentiles")
        #expect(abs(interval.lowerBound - expected[0]) < 1e-12)
        #expect(abs(interval.upperBound - expected[1]) < 1e-12)
    }

    @Test func blocksDouble() {
        #expect(ProbeStatistics.blocks(1200, least: 40) == [75, 150, 300, 600, 1200])
        #expect(ProbeStatistics.blocks(3, least: 40) == [3])
        #expect(ProbeStatistics.blocks(80, least: 40) == [40, 80])
    }
}
