// Not a test of what is right: scripts/bench-dump runs it with ETD_BENCHMARK set to a dump.

import Activations
import Foundation
import TestSupport
import Testing

/// In turns: the dump's bytes through `dd bs=1M`, by dd's own clock, and its layers through the reader, one
/// after the other and each over all tokens, as a probe reads them. The file is dropped from the system's
/// cache before each.
@Suite struct DumpReadBenchmark {
    private static let path = ProcessInfo.processInfo.environment["ETD_BENCHMARK"].flatMap {
        $0.hasSuffix(".h5") ? $0 : nil
    }

    @Test(.enabled(if: path != nil, "scripts/bench-dump runs it"))
    func readLayers() throws {
        let path = try #require(Self.path)
        let file = try ActivationFile(path: path)
        let site = try file.site("resid")
        // Where a layer goes to is the caller's, and made before the clock starts, as dd's buffer is.
        var values = [Float](repeating: 0, count: site.tokens * site.width)
        var plain: [Double] = []
        var layers: [Double] = []
        for _ in 0..<9 {
            try Self.drop(path)
            plain.append(try Self.rateOfDD(path))
            try Self.drop(path)
            layers.append(try Self.rate(Self.readLayers(path, &values)))
        }
        func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
        let ratio = median(zip(layers, plain).map { $0 / $1 })
        print(
            "read layers at \(median(layers)) MB/s, dd at \(median(plain)) MB/s, "
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

    /// MB/s that dd says it read at.
    private static func rateOfDD(_ path: String) throws -> Double {
        let dd = Process()
        dd.executableURL = URL(filePath: "/bin/dd")
        dd.arguments = ["if=\(path)", "of=/dev/null", "bs=1M"]
        dd.environment = ["LC_ALL": "C"]
        let errors = Pipe()
        dd.standardError = errors
        try dd.run()
        let text = String(
            decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        dd.waitUntilExit()
        // "219506986 bytes (220 MB, 209 MiB) copied, 0.105 s, 2.1 GB/s"
        let found = try #require(
            text.firstMatch(of: /(\d+) bytes .*copied, ([0-9.e-]+) s/), "\(text)")
        return try #require(Double(found.1)) / 1e6 / #require(Double(found.2))
    }

    private static func drop(_ path: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        try #require(descriptor >= 0)
        fsync(descriptor)
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
        close(descriptor)
    }
}
