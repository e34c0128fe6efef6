// How often intervals and bands hold the truth, by simulation.

import Foundation
import Statistics
import TestSupport
import Testing

@Suite struct IntervalTests {
    /// Skewed values with correlated places: e^z - e^½ shifted by a common part.
    private func sample(
        _ items: Int, places: Int, _ random: inout SeededRandom
    ) -> [[Double]] {
        func normal() -> Double {
            let u = Double.random(in: Double.leastNonzeroMagnitude..<1, using: &random)
            return sqrt(-2 * log(u)) * cos(2 * .pi * Double.random(in: 0..<1, using: &random))
        }
        return (0..<items).map { _ in
            let common = normal()
            return (0..<places).map { _ in
                let z = (common + normal()) / 2.0.squareRoot()
                return exp(0.6 * z) - exp(0.18)
            }
        }
    }

    /// 400 draws: a share of 95 % has a standard error of 1.1 %.
    @Test(arguments: [64, 200]) func coverage(_ items: Int) {
        var random = SeededRandom(UInt64(items))
        let places = 5
        let draws = 400
        var pointwise = 0
        var simultaneous = 0
        for draw in 0..<draws {
            let band = MeanBand(
                sample(items, places: places, &random), resamples: 600, seed: UInt64(draw))
            pointwise += (0..<places).count { band.low[$0] <= 0 && 0 <= band.high[$0] }
            let holds = (0..<places).allSatisfy { band.bandLow[$0] <= 0 && 0 <= band.bandHigh[$0] }
            simultaneous += holds ? 1 : 0
        }
        let share = Double(pointwise) / Double(draws * places)
        let whole = Double(simultaneous) / Double(draws)
        print("\(items) items: pointwise \(share), simultaneous \(whole)")
        #expect((0.93...0.97).contains(share))
        #expect(whole >= 0.95 - 2 * sqrt(0.95 * 0.05 / Double(draws)))
    }

    /// Items of a group count as one: with every item twice, errors are those of one copy.
    @Test func groupsAreOneDrawing() {
        var random = SeededRandom(3)
        let values = sample(30, places: 2, &random)
        let once = MeanBand(values, seed: 5)
        let twice = MeanBand(
            values + values, groups: Array(values.indices) + Array(values.indices), seed: 5)
        for place in 0..<2 {
            #expect(abs(once.means[place] - twice.means[place]) < 1e-12)
            #expect(abs(once.errors[place] - twice.errors[place]) < 1e-12)
            #expect(abs(once.low[place] - twice.low[place]) < 1e-9)
        }
    }

    @Test func whatDoesNotVaryHasNoSpread() {
        let band = MeanBand([[0, 2], [0, 2], [0, 2]], seed: 1)
        #expect(band.means == [0, 2] && band.errors == [0, 0] && band.low == [0, 2])
        #expect(band.pValues == [1, 1])
    }
}
