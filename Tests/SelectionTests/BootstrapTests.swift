import Files
import Plans
import Records
import Selection
import Tensors
import Testing

@Suite struct BootstrapTests {
    @Test func generatorGivesThePublishedSequence() throws {
        let golden = try golden("bootstrap.json")
        var random = SplitMix64(seed: 1_234_567)
        for value in try golden.records("splitmix64_of_1234567") {
            #expect(String(random.next()) == value.stringValue)
        }
        var bounded = SplitMix64(seed: 99)
        for pair in try golden.records("below_of_99") {
            let values = try #require(pair.arrayValue).compactMap(\.intValue)
            #expect(bounded.below(values[0]) == values[1])
        }
    }

    /// The oracle draws, averages and runs `kneed` in Python.
    @Test func countsEqualTheReference() throws {
        let cases = try golden("bootstrap.json").records("cases")
        #expect(cases.count == 4)
        for item in cases {
            let documents = try item.records("documents").map { row in
                try #require(row.arrayValue).compactMap(\.doubleValue)
            }
            let resamples = try #require(item["resamples"]?.intValue)
            let bootstrap = SplitBootstrap(
                resamples: resamples, seed: UInt64(try #require(item["seed"]?.intValue)),
                kneedle: Kneedle())
            let found = try #require(bootstrap.run(documents: documents))
            let expected = try #require(item["counts"]?.objectValue)
            #expect(found.documents == documents.count)
            #expect(found.entries.map(\.count) == found.entries.map(\.count).sorted(by: >))
            #expect(
                found.entries.reduce(into: [:]) { $0[$1.split?.notation ?? "none"] = $1.count }
                    == expected.reduce(into: [:]) { $0[$1.key] = $1.value.intValue })
            let proposal = try #require(item["proposal"]?.stringValue)
            let split = try SplitNotation(proposal, layers: documents[0].count).split
            let count = try #require(expected[proposal]?.intValue)
            #expect(found.share(of: split) == Double(count) / Double(resamples))
            let near = try expected.filter { notation, _ in
                guard notation != "none" else { return false }
                let other = try SplitNotation(notation, layers: documents[0].count).split
                return (-1...1).contains(other.encoder - split.encoder)
                    && (-1...1).contains(other.decoder - split.decoder)
            }
            #expect(
                found.share(near: split)
                    == Double(near.compactMap(\.value.intValue).reduce(0, +)) / Double(resamples))
        }
    }

    @Test func needsTwoDocuments() {
        let bootstrap = SplitBootstrap(resamples: 10, seed: 0, kneedle: Kneedle())
        #expect(bootstrap.run(documents: []) == nil)
        #expect(bootstrap.run(documents: [[3, 2, 1, 1]]) == nil)
        #expect(bootstrap.run(documents: [[3, 2, 1, 1], [3, 2, 1, 1]])?.entries.count == 1)
    }

    @Test func noResamplesGiveNothing() {
        let bootstrap = SplitBootstrap(resamples: 0, seed: 0, kneedle: Kneedle())
        #expect(bootstrap.run(documents: [[3, 2, 1], [3, 2, 1]]) == nil)
    }
}
