// Statistics against scipy, statsmodels, numpy and CPython's random.

import Evaluation
import Files
import TestSupport
import Testing

@Suite struct StatisticsTests {
    /// What `scripts/goldens/evaluation_statistics.py` wrote.
    let golden: JSON

    init() throws {
        golden = try JSON.read(path: Locations.golden("evaluation/statistics.json").path)
    }

    private func rows(_ key: String) throws -> [JSON] {
        let rows = try #require(golden[key]?.arrayValue)
        #expect(!rows.isEmpty)
        return rows
    }

    private func numbers(_ json: JSON?) throws -> [Double] {
        try #require(json?.arrayValue).map { try #require($0.doubleValue) }
    }

    private func share(_ json: JSON) throws -> Share {
        let values = try numbers(json)
        return Share(right: Int(values[0]), items: Int(values[1]))
    }

    private func expect(
        _ interval: Interval, _ expected: [Double], _ comment: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        for (found, wanted) in zip([interval.value, interval.low, interval.high], expected) {
            #expect(
                abs(found - wanted) < 1e-12, "\(comment): \(interval), expected \(expected)",
                sourceLocation: sourceLocation)
        }
    }

    @Test func wilsonsIntervalIsStatsmodels() throws {
        for row in try rows("wilson") {
            let values = try #require(row.arrayValue)
            let share = Share(
                right: try #require(values[0].intValue), items: try #require(values[1].intValue))
            expect(share.wilson, try numbers(values[2]), "\(share)")
        }
    }

    @Test func macroIntervalsCombineWilsons() throws {
        for row in try rows("macro") {
            let values = try #require(row.arrayValue)
            let strata = try #require(values[0].arrayValue).map(share)
            expect(StratifiedInterval.macro(strata), try numbers(values[1]), "\(strata)")
        }
        let one = Share(right: 3, items: 10)
        #expect(abs(StratifiedInterval.macro([one]).low - one.wilson.low) < 1e-15)
    }

    @Test func mcnemarIsExact() throws {
        for row in try rows("mcnemar") {
            let values = try numbers(row)
            let p = PairedTests.mcnemar(gained: Int(values[0]), lost: Int(values[1]))
            #expect(abs(p - values[2]) <= 1e-9 * values[2], "\(values): \(p)")
        }
    }

    @Test func bootstrapDrawsAsPythonWould() throws {
        for row in try rows("bootstrap") {
            var items: [Bootstrap.Item] = []
            for (s, stratum) in try #require(row["strata"]?.arrayValue).enumerated() {
                for (c, cluster) in try #require(stratum.arrayValue).enumerated() {
                    for value in try numbers(cluster) {
                        items.append(
                            Bootstrap.Item(value: value, stratum: "\(s)", cluster: "\(s) \(c)"))
                    }
                }
            }
            let interval = Bootstrap.interval(
                items, resamples: try #require(row["resamples"]?.intValue),
                seed: UInt64(try #require(row["seed"]?.intValue)))
            expect(interval, try numbers(row["interval"]), "\(items.count) items")
        }
    }

    @Test func detectableEffectsAndNeededItemsFollowTheFormula() throws {
        for row in try rows("effects") {
            let differences = try numbers(row["differences"])
            let wanted = try #require(row["mde"]?.doubleValue)
            let found = try #require(PairedTests.minimumDetectableEffect(differences))
            #expect(abs(found - wanted) < 1e-12)
            for (effect, items) in try #require(row["needed"]?.objectValue) {
                let needed = PairedTests.itemsNeeded(
                    differences, effect: try #require(Double(effect)))
                #expect(needed == items.intValue, "\(effect)")
            }
        }
        #expect(PairedTests.minimumDetectableEffect([1]) == nil)
        #expect(PairedTests.itemsNeeded([1], effect: 0.1) == nil)
    }

    @Test func adjustedValuesAreStatsmodels() throws {
        for row in try rows("adjusted") {
            let p = try numbers(row["p"])
            let q = try numbers(row["q"])
            for (found, wanted) in zip(PairedTests.benjaminiHochberg(p), q) {
                #expect(abs((found ?? -1) - wanted) < 1e-12)
            }
            // What is missing stays missing and changes nothing.
            let withGaps = PairedTests.benjaminiHochberg([nil] + p + [nil])
            #expect(withGaps.first == .some(nil) && withGaps.last == .some(nil))
            #expect(Array(withGaps.dropFirst().dropLast()) == PairedTests.benjaminiHochberg(p))
        }
    }

    @Test func samplesAndNumbersAreCPythons() throws {
        let cases = try #require(golden["random"]?["samples"]?.arrayValue)
        #expect(cases.count > 8)
        for item in cases {
            let count = try #require(item["count"]?.intValue)
            var random = PythonRandom(seed: UInt64(try #require(item["seed"]?.intValue)))
            let sample = random.sample(
                population: try #require(item["population"]?.intValue), count: count)
            #expect(sample.count == count)
            let shown = count <= 50 ? sample : Array(sample.prefix(20) + sample.suffix(20))
            #expect(shown == (item["sample"]?.arrayValue ?? []).compactMap(\.intValue))
        }
        var random = PythonRandom(seed: 99)
        for value in try numbers(golden["random"]?["random"]) { #expect(random.random() == value) }
    }
}
