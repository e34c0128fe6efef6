// What moments cost beside the forward pass that feeds them. scripts/bench-moments runs it; otherwise it
// is skipped, since a busy machine would make it fail.

import Analysis
import Checkpoints
import Corpus
import Foundation
import Models
import Records
import TestSupport
import Testing

@Suite(
    .serialized,
    .enabled(
        if: ProcessInfo.processInfo.environment["ETD_BENCHMARK"] == "moments",
        "a benchmark: scripts/bench-moments"))
struct MomentsBenchmark {
    @Test(arguments: [256, 1024])
    func momentsOfAllBoundariesCostUnderAQuarter(_ length: Int) throws {
        let path = try #require(Locations.model("smollm2-135m-instruct")).path
        let model = try Transformer.load(Checkpoint.open(path))
        let c = model.configuration
        #expect(c.hiddenSize == 576)
        var random = SeededRandom(1)
        let count = 1_024 / length
        let documents = (0..<count).map { _ in
            Document(
                tokens: (0..<length).map { _ in
                    Int32.random(in: 0..<Int32(c.vocabularySize), using: &random)
                })
        }
        func seconds(_ taps: [any Tap]) throws -> Double {
            let loop = try DocumentLoop(model: model, longest: length, taps: taps)
            let start = ContinuousClock.now
            for (index, document) in documents.enumerated() {
                try loop.run(document, index: index)
            }
            return (ContinuousClock.now - start) / .seconds(1)
        }
        var plain: [Double] = []
        var withMoments: [Double] = []
        var withAll: [Double] = []
        let moments = MomentsTap(sites: [.resid])
        let sinks = SinkFinder(boundaries: c.layerCount + 1, longest: length)
        let all = BoundaryGeometry(
            boundaries: c.layerCount + 1, width: c.hiddenSize, documents: documents, sinks: sinks)
        _ = try seconds([moments])
        for _ in 0..<3 {
            plain.append(try seconds([]))
            withMoments.append(try seconds([moments]))
            withAll.append(try seconds([sinks, all]))
        }
        let start = ContinuousClock.now
        _ = try all.results()
        let ranks = (ContinuousClock.now - start) / .seconds(1)
        func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
        func share(_ values: [Double]) -> Double {
            median(zip(values, plain).map { $0 / $1 - 1 })
        }
        print(
            String(
                format:
                    "documents of %d: forward pass %.0f tokens/s; moments of %d boundaries +%.1f %%; "
                    + "all geometry +%.1f %%, and %.2f s at the end for ranks",
                length, Double(count * length) / median(plain), c.layerCount + 1,
                100 * share(withMoments), 100 * share(withAll), ranks))
        #expect(share(withMoments) < 0.25)
    }
}
