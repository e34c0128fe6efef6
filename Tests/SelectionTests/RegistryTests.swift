// Walks the registry of selectors: each says what it reads and where it comes from, and gives the same
// proposal for the same evidence.

import Records
import Selection
import Testing

@Suite struct SelectorRegistryTests {
    @Test func theRegistryIsWhole() {
        #expect(Set(Selector.all.map(\.name)).count == Selector.all.count)
        for selector in Selector.all {
            for text in [selector.title, selector.explanation, selector.predicts] {
                #expect(!text.isEmpty, "\(selector.name)")
            }
            #expect(!selector.reads.isEmpty)
            #expect(!selector.source.text.isEmpty)
        }
    }

    @Test(arguments: Selector.all.map(\.name))
    func aSelectorIsAFunctionOfItsEvidence(_ name: String) throws {
        let selector = try #require(Selector.all.first { $0.name == name })
        let curve = [0.5, 0.3, 0.2, 0.1, 0.09, 0.08, 0.09, 0.1, 0.09, 0.1, 0.2, 0.4]
        let documents = (0..<6).map { number in curve.map { $0 * (1 + Double(number) / 50) } }
        let evidence = LayerEvidence(distances: curve, documents: documents)
        let said = selector(evidence)
        #expect(said == selector(LayerEvidence(distances: curve, documents: documents)))
        if let proposal = said.proposal { #expect(proposal.layers == curve.count) }
        // Evidence that says nothing proposes nothing.
        let flat = LayerEvidence(
            distances: Array(repeating: 0.1, count: 12), documents: [])
        #expect(selector(flat).proposal == nil)
    }
}
