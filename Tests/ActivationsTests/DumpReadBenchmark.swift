// Not a test of what is right: scripts/bench-dump runs it with ETD_BENCHMARK set to a dump.

import Activations
import Foundation
import TestSupport
import Testing

@Suite struct DumpReadBenchmark {
    private static let path = ProcessInfo.processInfo.environment["ETD_BENCHMARK"].flatMap {
        $0.hasSuffix(".h5") ? $0 : nil
    }

    /// One layer after the other, each over all tokens, as a probe reads them.
    @Test(.enabled(if: path != nil, "scripts/bench-dump runs it"))
    func readLayers() throws {
        let clock = ContinuousClock()
        let start = clock.now
        let file = try ActivationFile(path: try #require(Self.path))
        let site = try file.site("resid")
        var values = [Float](repeating: 0, count: site.tokens * site.width)
        for layer in site.layers {
            try file.read("resid", layer: layer, tokens: 0..<site.tokens, into: &values)
        }
        let seconds = (clock.now - start) / .seconds(1)
        let bytes = Double(site.layers.count * site.tokens * site.width * site.encoding.size)
        print("read \(site.layers.count) layers at \(bytes / 1e6 / seconds) MB/s")
        #expect(values.contains { $0 != 0 })
    }
}
