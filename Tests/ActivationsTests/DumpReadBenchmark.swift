// Not a test of what is right: scripts/bench-dump runs it with ETD_BENCHMARK set to a dump.

import Activations
import Foundation
import TestSupport
import Testing

/// In turns, in one process: the dump's bytes as `dd bs=1M` reads them, and its layers through the
/// reader, one after the other and each over all tokens, as a probe reads them. The file is dropped from
/// the system's cache before each.
@Suite struct DumpReadBenchmark {
    private static let path = ProcessInfo.processInfo.environment["ETD_BENCHMARK"].flatMap {
        $0.hasSuffix(".h5") ? $0 : nil
    }

    @Test(.enabled(if: path != nil, "scripts/bench-dump runs it"))
    func readLayers() throws {
        let path = try #require(Self.path)
        let file = try ActivationFile(path: path)
        let site = try file.site("resid")
        // Both sides read into memory that is there already.
        var values = [Float](repeating: 0, count: site.tokens * site.width)
        var plain: [Double] = []
        var layers: [Double] = []
        for _ in 0..<9 {
            try Self.drop(path)
            plain.append(try Self.rate(Self.readBytes(path)))
            try Self.drop(path)
            layers.append(try Self.rate(Self.readLayers(path, &values)))
        }
        func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
        let ratio = median(zip(layers, plain).map { $0 / $1 })
        print(
            "read layers at \(median(layers)) MB/s, bytes at \(median(plain)) MB/s, "
                + "ratio \(ratio); cached \(try Self.rate(Self.readLayers(path, &values))) MB/s")
        #expect(values.contains { $0 != 0 })
    }

    /// MB/s of what says how many bytes it read.
    private static func rate(_ body: @autoclosure () throws -> Int) rethrows -> Double {
        let clock = ContinuousClock()
        let start = clock.now
        let bytes = try body()
        return Double(bytes) / 1e6 / ((clock.now - start) / .seconds(1))
    }

    private static func readLayers(_ path: String, _ values: inout [Float]) throws -> Int {
        let file = try ActivationFile(path: path)
        let site = try file.site("resid")
        for layer in site.layers {
            try file.read("resid", layer: layer, tokens: 0..<site.tokens, into: &values)
        }
        return site.layers.count * site.tokens * site.width * site.encoding.size
    }

    private static func readBytes(_ path: String) throws -> Int {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 1, count: 1 << 20)
        var total = 0
        while case let count = read(descriptor, &buffer, buffer.count), count > 0 {
            total += count
        }
        return total
    }

    private static func drop(_ path: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        try #require(descriptor >= 0)
        fsync(descriptor)
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
        close(descriptor)
    }
}
