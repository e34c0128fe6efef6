import Files
import Foundation
import FuzzTargets
import TestSupport
import Testing

/// Every committed input of the fuzz targets, without a fuzzer: what failed once stays mended, and the
/// targets themselves stay alive. `scripts/fuzz --replay` does the same under AddressSanitizer.
struct ReplayTests {
    private func inputs(_ target: FuzzTarget) throws -> [String] {
        let folder = Locations.golden("fuzz/\(target.rawValue)").path
        return try Paths.names(in: folder).map { Paths.join(folder, $0) }
    }

    /// A trap ends the tests, and so does an error that is not one line; a hang meets the limit.
    @Test(.timeLimit(.minutes(20)), arguments: FuzzTarget.allCases)
    func everyCommittedInput(target: FuzzTarget) throws {
        let paths = try inputs(target)
        #expect(!paths.isEmpty)
        var accepted = 0
        let started = ContinuousClock.now
        for path in paths {
            let input = try MappedFile(path: path)
            withExtendedLifetime(input) { if target.run(input.bytes) == nil { accepted += 1 } }
        }
        let elapsed = ContinuousClock.now - started
        #expect(elapsed < .milliseconds(200 * (paths.count + 5)), "\(paths.count) inputs")
        // The corpus holds both kinds, or the targets look at nothing.
        #expect(accepted > 0 && accepted < paths.count, "\(accepted) of \(paths.count)")
    }

    /// What the fuzzer found, and what each must say now.
    @Test(arguments: [
        ("config/failed-architecture-with-newline.json", #"ConditionalG\u{a}eration"#)
    ])
    func whatWasFoundIsRefusedInOneLine(file: String, part: String) throws {
        let target = try #require(FuzzTarget(rawValue: String(file.prefix { $0 != "/" })))
        let input = try MappedFile(path: Locations.golden("fuzz/\(file)").path)
        let message = withExtendedLifetime(input) { target.run(input.bytes) }
        #expect(message?.contains(part) == true, "\(message ?? "accepted")")
    }
}
