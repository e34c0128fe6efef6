// Examples that run together in one block: which ones do, and that company changes no byte of a state.
// That a state is right is the business of ModelsTests.

import Checkpoints
import Corpus
import Models
import Plans
import Probing
import TestSupport
import Testing

@Suite struct FeatureExtractorTests {
    @Test func groupsCoverEveryDocumentWithinTheLimit() {
        var random = SeededRandom(3)
        for _ in 0..<50 {
            let lengths = (0..<30).map { _ in Int.random(in: 1...90, using: &random) }
            let groups = FeatureExtractor.groups(lengths, rows: 64)
            #expect(groups.flatMap(Array.init) == Array(lengths.indices))
            for (group, next) in zip(groups, groups.dropFirst()) {
                let sum = lengths[group].reduce(0, +)
                #expect(sum <= 64 || group.count == 1)
                // No group that had room for the next document.
                #expect(sum + lengths[next.lowerBound] > 64)
            }
        }
        #expect(FeatureExtractor.groups([3, 4], rows: 0) == [0..<1, 1..<2])
        #expect(FeatureExtractor.groups([], rows: 64).isEmpty)
    }

    /// Sliding windows, learned positions, frequencies that depend on the length; a looped plan too.
    @Test(
        arguments: [
            "llama-gqa", "gemma3", "gpt2", "pythia", "olmo2-mha", "qwen3-yarn", "llama-dynamic",
        ], [false, true])
    func companyDoesNotChangeAByte(golden: String, looped: Bool) throws {
        let model = try Transformer.load(
            Checkpoint.open(Locations.golden("models/\(golden)").path))
        let layers = model.configuration.layerCount
        let plan =
            looped
            ? try LayerPlan.split(
                encoder: 0, think: 1, decoder: layers - 1, iterations: 3, layers: layers)
            : .identity(layers: layers)
        var random = SeededRandom(9)
        let longest = min(model.configuration.contextLength, 300)
        let documents = [4, 17, 1, longest, 30, 30, 2].map { count in
            Document(
                tokens: (0..<min(count, longest)).map { _ in
                    Int32.random(
                        in: 0..<Int32(model.configuration.vocabularySize), using: &random)
                })
        }
        let extractor = FeatureExtractor(model: model, plan: plan)
        var seen = 0
        let together = try extractor.run(documents) { seen += $0 }
        #expect(seen == documents.count)
        for (row, document) in documents.enumerated() {
            let alone = try extractor.run([document]) { _ in }
            for boundary in 0..<together.boundaries {
                let width = together.width
                let state = (0..<width).map { together.boundary(boundary)[row * width + $0] }
                let expected = (0..<width).map { alone.boundary(boundary)[$0] }
                #expect(state == expected, "document \(row), boundary \(boundary)")
            }
        }
    }
}
