// READ on planted and on empty data.

import Foundation
import Probing
import Relevance
import TestSupport
import Testing

/// Features that hold both label and foil of four classes a little, and from a boundary on the label more.
private struct Plant {
    static let boundaries = 7
    static let width = 16
    static let rows = 500
    static let classes = 4

    let store: FeatureStore
    let labels: [Int]
    let foils: [Int]
    let templates: [Int]

    /// - Parameter step: the layer that writes the label; nil for none.
    init(_ step: Int?, strength: Float, seed: UInt64) {
        var random = SeededRandom(seed)
        func normal() -> Float {
            let u = Double.random(in: Double.leastNonzeroMagnitude..<1, using: &random)
            return Float(
                sqrt(-2 * log(u)) * cos(2 * .pi * Double.random(in: 0..<1, using: &random)))
        }
        let rows = Self.rows
        labels = (0..<rows).map { _ in Int.random(in: 0..<Self.classes, using: &random) }
        foils = (0..<rows).map { _ in Int.random(in: 0..<Self.classes, using: &random) }
        templates = (0..<rows).map { $0 % 6 }
        store = FeatureStore(boundaries: Self.boundaries, rows: rows, width: Self.width)
        let noise = (0..<rows * Self.width).map { _ in normal() }
        for boundary in 0..<Self.boundaries {
            let values = store.boundary(boundary)
            for row in 0..<rows {
                for index in 0..<Self.width {
                    // What a layer adds to a residual stream: most of the state stays.
                    values[row * Self.width + index] =
                        noise[row * Self.width + index] + 0.3 * Float(boundary) * normal() / 7
                }
                values[row * Self.width + labels[row]] += 0.5
                values[row * Self.width + foils[row]] += 0.5
                if let step, boundary > step {
                    values[row * Self.width + labels[row]] += strength
                }
            }
        }
    }

    func task(swaps: Int, seed: UInt64) -> ReadTask? {
        ReadTask.fit(
            name: "planted", features: store, classes: Self.classes, labels: labels, foils: foils,
            templates: templates, swaps: swaps, seed: seed)
    }
}

@Suite struct ReadTests {
    /// A label written at one layer is found there and nowhere else, in 18 of 20 plants at least.
    @Test func plantedLabelsAreFound() throws {
        var found = 0
        for plant in 0..<20 {
            let step = plant % 6
            let task = try #require(
                Plant(step, strength: 0.9, seed: UInt64(plant)).task(swaps: 99, seed: 7))
            let score = try #require(ReadScore([task]))
            let clear = (0..<6).filter { score.read[$0] > 0 && score.pValues[$0] <= 0.05 }
            if clear == [step] { found += 1 }
        }
        #expect(found >= 18, "\(found) of 20")
    }

    /// Where nothing tells label and foil apart, any layer is called clear in at most 5 % of runs, and two
    /// standard errors.
    @Test func nothingIsFoundInNothing() throws {
        var mistaken = 0
        let runs = 200
        for run in 0..<runs {
            let task = try #require(
                Plant(nil, strength: 0, seed: UInt64(1000 + run)).task(swaps: 39, seed: UInt64(run))
            )
            let score = try #require(ReadScore([task]))
            if score.pValues.contains(where: { $0 <= 0.05 }) { mistaken += 1 }
        }
        #expect(Double(mistaken) / Double(runs) <= 0.05 + 2 * sqrt(0.05 * 0.95 / Double(runs)))
    }

    /// The same seed gives the same bits, on any number of threads.
    @Test func sameSeedSameBits() throws {
        let plant = Plant(2, strength: 0.9, seed: 4)
        let one = try #require(plant.task(swaps: 9, seed: 3))
        let other = try #require(plant.task(swaps: 9, seed: 3))
        #expect(one.labelBits == other.labelBits && one.swapped == other.swapped)
        #expect(ReadScore([one]) == ReadScore([other]))
        #expect(ReadScore([]) == nil)
    }
}
