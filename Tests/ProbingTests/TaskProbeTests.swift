// Probes over several boundaries, on features whose content is known.

import Files
import Foundation
import Probing
import Records
import Tensors
import TestSupport
import Testing

/// A task of `count` examples with features of noise, in which the label's direction can be planted.
private struct Planted {
    let data: ProbeTaskData
    let store: FeatureStore
    static let width = 32

    /// - Parameters:
    ///   - from: the first boundary that has the direction; nil for none.
    ///   - strength: of the direction, in standard deviations of the noise.
    init(
        count: Int = 600, boundaries: Int = 7, from: Int?, strength: Float = 3,
        kind: ProbeTaskKind = .reasoning, seed: UInt64, items: Int = 40
    ) {
        var random = SplitMix64(seed: seed)
        let labels = (0..<count).map { _ in random.below(3) }
        let splits: [ProbeExample.Split] = (0..<count).map {
            $0 < count * 3 / 5 ? .train : $0 < count * 4 / 5 ? .validation : .test
        }
        data = ProbeTaskData(
            name: "planted-\(seed)", kind: kind, difficulty: nil, path: nil,
            classes: ["a", "b", "c"],
            examples: (0..<count).map { index in
                ProbeExample(
                    text: "\(index)", label: ["a", "b", "c"][labels[index]], position: 0,
                    item: "\(random.below(items))", split: splits[index])
            })
        store = FeatureStore(boundaries: boundaries, rows: count, width: Self.width)
        // Three fixed directions, different at every boundary.
        for boundary in 0..<boundaries {
            let directions = (0..<3).map { _ in (0..<Self.width).map { _ in Self.noise(&random) } }
            let values = store.boundary(boundary)
            for row in 0..<count {
                for column in 0..<Self.width {
                    var value = Self.noise(&random)
                    if let from, boundary >= from {
                        value += strength / 4 * directions[labels[row]][column]
                    }
                    values[row * Self.width + column] = value
                }
            }
        }
    }

    /// Mean 0, variance 1.
    static func noise(_ random: inout SplitMix64) -> Float {
        var total: Float = -6
        for _ in 0..<12 { total += Float(random.next() >> 40) / 16_777_216 }
        return total
    }

    func run(_ depth: ProbeDepth = .ridge) -> ProbesRecord.Task {
        TaskProbe(data: data, features: store, depth: depth, seed: 1).run()
    }
}

@Suite struct TaskProbeTests {
    @Test(arguments: [1, 3, 6])
    func aPlantedDirectionIsFoundWhereItAppearsAndNowhereEarlier(from: Int) {
        let task = Planted(from: from, seed: UInt64(100 + from)).run(.full)
        #expect(task.readableAt == from)
        for readings in [task.ridge, task.logistic] {
            for (boundary, reading) in readings.enumerated() {
                if boundary < from {
                    #expect(reading.accuracy.low < 1.0 / 3 + 0.05, "\(boundary)")
                    #expect(reading.selectivity.low < 0.05, "\(boundary)")
                    #expect(reading.compression < 1.05)
                } else {
                    #expect(reading.accuracy.value > 0.9, "\(boundary): \(reading)")
                    #expect(reading.selectivity.low > 0.3)
                    #expect(reading.macroF1 > 0.9)
                    #expect(reading.compression > 1.5, "\(reading)")
                }
                #expect(reading.accuracy.low <= reading.accuracy.value)
                #expect(reading.selectivity.low <= reading.selectivity.value)
                #expect(reading.selectivity.high >= reading.selectivity.value)
            }
        }
        #expect(!task.isSurface)
    }

    /// Labels that the features know nothing of: 95 % intervals of 20 tasks × 7 boundaries hold zero,
    /// but for about one in twenty. The tasks are independent, the boundaries too.
    @Test func onShuffledLabelsSelectivityHoldsZero() {
        var outside = 0
        var readings = 0
        for seed in 0..<20 {
            for reading in Planted(from: nil, seed: UInt64(500 + seed)).run().ridge {
                readings += 1
                if reading.selectivity.low > 0 || reading.selectivity.high < 0 { outside += 1 }
            }
        }
        #expect(readings == 140)
        #expect(outside <= 18, "\(outside) of \(readings) intervals miss zero")
    }

    @Test func aLabelInTheEmbeddingIsFlaggedAsSurface() {
        let task = Planted(from: 0, seed: 9).run()
        #expect(task.readableAt == 0)
        #expect(task.isSurface)
    }

    @Test func controlLabelsBelongToItems() {
        // Features that are the item alone: the control task can be read, the task cannot.
        let planted = Planted(from: nil, seed: 77, items: 6)
        let values = planted.store.boundary(3)
        for (row, example) in planted.data.examples.enumerated() {
            for column in 0..<Planted.width {
                values[row * Planted.width + column] = Int(example.item) == column ? 1 : 0
            }
        }
        let task = planted.run()
        #expect(task.ridge[3].controlAccuracy == 1)
        #expect(task.ridge[3].selectivity.high < 0)
    }

    @Test func theRecordSurvivesItsFile() throws {
        let task = Planted(boundaries: 3, from: 1, seed: 4).run(.full)
        let record = ProbesRecord(
            seed: .max, plan: "1-1*2-0",
            boundaries: [
                .init(layer: nil, iteration: nil), .init(layer: 0, iteration: nil),
                .init(layer: 1, iteration: 1),
            ], tasks: [task])
        let layers = LayersRecord(
            model: ModelRecord(
                path: "m", architecture: "llama", layers: 2, hiddenSize: 32, vocabularySize: 9,
                parameters: 1, fingerprint: String(repeating: "0", count: 64)),
            data: DataRecord(path: "d", documents: 1, tokens: 1, sequenceLength: 1, bos: "auto"),
            precision: "f32", layers: [], boundaries: [], probes: record)
        let scratch = try ScratchDirectory()
        try scratch.write(layers.json.text().utf8, to: "layers.json")
        #expect(try LayersRecord.read(path: scratch.file("layers.json")) == layers)
    }
}
