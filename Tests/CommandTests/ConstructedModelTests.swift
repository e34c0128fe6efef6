// What `scan` and `select` say of models whose think block is known, and of random weights.

import Files
import Foundation
import TestSupport
import Testing

@Suite struct ConstructedModelTests {
    private static let planted: [Range<Int>] = (0..<20).map { number in
        let length = 3 + number % 3
        let start = 3 + (number * 3) % (11 - length)
        return start..<start + length
    }

    /// Of twenty, 18 are found at least and none abstains; the frozen model's loop is recommended too.
    @Test func thinkBlocksOfConstructedModelsAreFound() throws {
        var found = 0
        var recommended = 0
        var problems: [String] = []
        for (seed, think) in Self.planted.enumerated() {
            let model = try ConstructedModel(think: think, items: 600, seed: UInt64(seed))
            let split = try model.verdict(lengths: "2..5")
            let notation = split["notation"]?.stringValue
            if split["abstained"]?.boolValue != false {
                problems.append("\(think): abstained, \(split["reason"]?.stringValue ?? "")")
            }
            if let encoder = split["split"]?["encoder"]?.intValue,
                let length = split["split"]?["think"]?.intValue,
                abs(encoder - think.lowerBound) <= 1,
                abs(encoder + length - think.upperBound) <= 1
            {
                found += 1
            } else {
                problems.append("\(think): \(notation ?? "none")")
            }
            if let window = split["verdict"]?["frozen"]?["recommended"],
                let start = window["start"]?.intValue, let length = window["length"]?.intValue,
                abs(start - think.lowerBound) <= 1, abs(start + length - think.upperBound) <= 1
            {
                recommended += 1
            } else {
                problems.append("\(think): \(split["verdict"]?["frozen"]?["reason"]?.text() ?? "")")
            }
        }
        #expect(found >= 18, "\(found) of 20: \(problems)")
        #expect(!problems.contains { $0.contains("abstained") }, "\(problems)")
        #expect(recommended >= 18, "\(recommended) of 20: \(problems)")
    }

    /// Nothing is there to be found: 95 of 100 abstain at least, and few loops are recommended.
    @Test func randomWeightsAbstain() throws {
        var proposed: [String] = []
        var recommended: [Int] = []
        for seed in 0..<100 {
            let model = try ConstructedModel(think: nil, items: 120, seed: UInt64(1000 + seed))
            let split = try model.verdict(lengths: "2..3")
            if split["abstained"]?.boolValue != true {
                proposed.append("\(seed): \(split["notation"]?.stringValue ?? "")")
            }
            if split["verdict"]?["frozen"]?["recommended"]?.objectValue != nil {
                recommended.append(seed)
            }
        }
        #expect(proposed.count <= 5, "\(proposed)")
        #expect(recommended.count <= 5, "\(recommended)")
    }
}
