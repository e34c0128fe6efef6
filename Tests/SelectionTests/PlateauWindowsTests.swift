import Files
import Records
import Selection
import Testing

/// Windows against a Python enumeration; depth against the textbook variance of a mean drawn
/// without replacement (unbiased sample variance and finite population correction).
@Suite struct PlateauWindowsTests {
    @Test func ranksEqualTheReference() throws {
        let cases = try golden("windows.json").records("cases")
        #expect(cases.count > 15)
        for item in cases {
            let found = PlateauWindows(distances: try item.doubles("distances"))
            let expected = try item.records("windows")
            #expect(
                found.windows.map(\.split.notation)
                    == expected.map { $0["notation"]?.stringValue })
            for (window, record) in zip(found.windows, expected) {
                let mean = try #require(record["mean"]?.doubleValue)
                #expect(abs(window.mean - mean) < 1e-12)
                #expect((window.depth == nil) == (record["depth"] == nil))
                if let depth = window.depth, let reference = record["depth"]?.doubleValue {
                    #expect(abs(depth - reference) < 1e-9)
                }
            }
            #expect(found.leading?.split.notation == item["leading"]?.stringValue)
        }
    }

    @Test func lengthsAndEdgesFollowTheDepthOfTheModel() {
        for layers in 4...130 {
            let distances = (0..<layers).map { Double(($0 * 37) % 11) }
            let found = PlateauWindows(distances: distances, perLength: .max)
            for split in found.windows.map(\.split) {
                #expect(split.layers == layers)
                #expect(split.think >= max(2, layers / 8) && split.think <= max(3, layers / 3))
                #expect(min(split.encoder, split.decoder) * 8 >= layers)
            }
            #expect(Set(found.windows.map(\.split)).count == found.windows.count)
        }
    }

    @Test func modelsTooSmallHaveNone() {
        for layers in 0...3 {
            let found = PlateauWindows(distances: [Double](repeating: 0.1, count: layers))
            #expect(found.windows.isEmpty)
            #expect(found.leading == nil)
        }
    }

    @Test func aFlatMiddleHasNoLeadingWindow() {
        // 0.1 summed and divided is not 0.1: depth must not be made of rounding.
        let found = PlateauWindows(distances: [Double](repeating: 0.1, count: 24))
        #expect(!found.windows.isEmpty)
        #expect(found.windows.allSatisfy { $0.depth == nil })
        #expect(found.leading == nil)
    }

    @Test func unknownLayersAreLeftOut() {
        var distances = (0..<16).map { Double($0) }
        distances[8] = .nan
        let found = PlateauWindows(distances: distances, perLength: .max)
        #expect(!found.windows.isEmpty)
        #expect(found.windows.allSatisfy { !$0.split.thinkRange.contains(8) && $0.mean.isFinite })
    }

    /// The rule must find a planted plateau of any length, not the shortest or longest window.
    @Test(arguments: 3...10)
    func leadingFindsAPlantedPlateau(length: Int) {
        var distances = (0..<30).map { 0.3 + Double(($0 * 7) % 5) * 0.02 }
        for layer in 10..<10 + length { distances[layer] = 0.1 + Double(layer % 3) * 0.01 }
        let found = PlateauWindows(distances: distances)
        #expect(found.leading?.split.thinkRange == 10..<10 + length)
    }
}
