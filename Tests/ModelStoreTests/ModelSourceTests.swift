// Where models are looked for: paths, names that scripts/fetch-model gives, and the hub's cache, laid out
// as huggingface_hub lays it out (refs/main names the commit, snapshots/<commit> holds the files).

import Foundation
import ModelStore
import TestSupport
import Testing

@Suite struct ModelSourceTests {
    private let home: ScratchDirectory
    private let snapshot: String

    init() throws {
        home = try ScratchDirectory()
        let folder = ".cache/huggingface/hub/models--allenai--OLMo-2-0425-1B"
        snapshot = home.file(folder + "/snapshots/abc123")
        for path in ["\(folder)/refs", "\(folder)/snapshots/abc123", ".cache/etd/models/tiny"] {
            try FileManager.default.createDirectory(
                atPath: home.file(path), withIntermediateDirectories: true)
        }
        try home.write("abc123\n".utf8, to: folder + "/refs/main")
        try home.write([1], to: ".cache/etd/models/small.gguf")
    }

    private func path(_ name: String, _ more: [String: String] = [:]) throws -> String {
        let home = ["HOME": home.file(".").replacing("/.", with: "")]
        return try ModelSource(name, environment: home.merging(more) { $1 }).path
    }

    @Test func fetchedModelsHaveShortNames() throws {
        #expect(try path("tiny") == home.file(".cache/etd/models/tiny"))
        #expect(try path("small") == home.file(".cache/etd/models/small.gguf"))
    }

    @Test(arguments: ["allenai/OLMo-2-0425-1B", "AllenAI/olmo-2-0425-1b"])
    func hubIDsAreFoundInTheCache(_ name: String) throws {
        #expect(try path(name) == snapshot)
    }

    @Test func theCacheMayBeElsewhere() throws {
        let hub = home.file(".cache/huggingface/hub")
        let other = ["XDG_CACHE_HOME": home.file("elsewhere")]
        #expect(throws: ModelStoreError.self) { try path("allenai/OLMo-2-0425-1B", other) }
        for variables in [
            ["HF_HUB_CACHE": hub], ["HF_HOME": home.file(".cache/huggingface")],
        ] {
            #expect(
                try path("allenai/OLMo-2-0425-1B", other.merging(variables) { $1 }) == snapshot)
        }
    }

    @Test func foldersOfTheCacheAreTheirSnapshot() throws {
        let folder = home.file(".cache/huggingface/hub/models--allenai--OLMo-2-0425-1B")
        #expect(try path(folder) == snapshot)
        #expect(try path(snapshot) == snapshot)
    }

    @Test func aTildeIsTheHome() throws {
        #expect(try path("~/.cache/etd/models/tiny") == home.file(".cache/etd/models/tiny"))
    }

    @Test(arguments: [
        ("nobody/nothing", "hf download nobody/nothing"),
        ("nothing", "scripts/fetch-model nothing"), ("", "fetch-model"),
        ("../etc/passwd", "no such file"), ("a/b/c", "no such file"), ("a/..", "no such file"),
    ])
    func whatIsNotThereSaysHowToGetIt(_ name: String, _ advice: String) throws {
        let error = #expect(throws: ModelStoreError.self) { try path(name) }
        let message = "\(try #require(error))"
        #expect(message.contains(advice) && !message.contains("\n"), "\(message)")
        #expect(!message.contains("--model"))
    }
}
