import Files
import Foundation
import FuzzTargets
import Models
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

    /// The fuzzer starts from whole files of every family: where it starts from nothing but refusals, it
    /// sees no further than the first check.
    @Test func everyFamilyHasSeedsThatAreAccepted() throws {
        func refusal(_ path: String, _ target: FuzzTarget) throws -> String? {
            let input = try MappedFile(path: path)
            return withExtendedLifetime(input) { target.run(input.bytes) }
        }
        let goldens = Locations.golden("models").path
        var accepted: Set<String> = []
        for name in try Paths.names(in: goldens) {
            let path = Paths.join(goldens, name + "/config.json")
            guard Paths.kind(path) == .file, try refusal(path, .config) == nil else { continue }
            let config = try JSON.read(path: path)
            accepted.insert((config["model_type"]?.stringValue) ?? "")
        }
        let seeds = Locations.golden("fuzz/gguf").path
        for family in ModelRegistry.families {
            #expect(!accepted.isDisjoint(with: family.modelTypes), "\(family.modelTypes)")
            guard let architecture = family.ggufArchitecture else { continue }
            let path = Paths.join(seeds, "seed-\(architecture).gguf")
            #expect(try refusal(path, .gguf) == nil, "\(architecture)")
        }
        #expect(try refusal(Paths.join(seeds, "seed-llama3.gguf"), .gguf) == nil)
        let tokenizers = Locations.golden("fuzz/tokenizer").path
        for name in try Paths.names(in: tokenizers) where name.hasPrefix("seed-") {
            #expect(try refusal(Paths.join(tokenizers, name), .tokenizer) == nil, "\(name)")
        }
    }

    /// What the fuzzer found, and what each must say now.
    @Test(arguments: [
        ("config/failed-architecture-with-newline.json", #"ConditionalG\u{a}eration"#),
        ("dump/failed-layer-beyond.json", "row for layer 9223372036854775807"),
        ("report/failed-number-of-layers.json", "model.layers"),
    ])
    func whatWasFoundIsRefusedInOneLine(file: String, part: String) throws {
        let target = try #require(FuzzTarget(rawValue: String(file.prefix { $0 != "/" })))
        let input = try MappedFile(path: Locations.golden("fuzz/\(file)").path)
        let message = withExtendedLifetime(input) { target.run(input.bytes) }
        #expect(message?.contains(part) == true, "\(message ?? "accepted")")
    }
}
