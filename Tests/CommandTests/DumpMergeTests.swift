// Shards against the unsharded run, and what `merge` refuses.

import Activations
import Files
import Foundation
import TestSupport
import Testing

@Suite struct DumpMergeTests {
    private func shards(
        _ fixture: DumpFixture, of count: Int, _ more: [String], prefix: String = "s"
    ) throws -> [String] {
        try (1...count).map { index in
            let name = "\(prefix)\(index).h5"
            let result = try CommandRunner(analyze)(
                fixture.arguments(name, ["--shard", "\(index)/\(count)"] + more))
            try #require(result.code == 0, "\(result)")
            return fixture.file(name)
        }
    }

    /// In every byte, whatever the order of the shards, threads and parts.
    @Test(arguments: [
        ["--sites", "resid,q,attn_pattern"],
        ["--dtype", "f16", "--positions", "every:3", "--text"],
        ["--dtype", "bf16", "--compression", "deflate:1", "--layers", "1-3"],
        ["--moments", "--sites", "resid,attn_out,k"],
        ["--moments", "--compression", "deflate:1", "--layers", "0,4"],
        ["--split", "1-2-1", "--iterations", "2", "--moments"],
    ])
    func mergedEqualsUnsharded(arguments: [String]) throws {
        let fixture = try DumpFixture(documents: 23)
        let whole = try CommandRunner(analyze)(
            fixture.arguments("whole.h5", arguments + ["--threads", "1"]))
        try #require(whole.code == 0, "\(whole)")
        let shards = try shards(fixture, of: 4, arguments + ["--part-size", "0"])
        let merged = fixture.file("merged.h5")
        let result = try CommandRunner(analyze)(
            ["merge", shards[2], shards[0], shards[3], shards[1], "--out", merged])
        #expect(result.code == 0, "\(result)")
        #expect(try bytes(of: merged) == bytes(of: fixture.file("whole.h5")))
        try succeed(analyze, "inspect", merged, "--check")
    }

    @Test func whatMergeRefuses() throws {
        let fixture = try DumpFixture(documents: 8)
        let shards = try shards(fixture, of: 3, [])
        let out = fixture.file("m.h5")
        func refused(_ paths: [String], _ parts: [String]) throws {
            let result = try CommandRunner(analyze)(["merge"] + paths + ["--out", out])
            expectFailure(result, naming: parts)
            #expect(!FileManager.default.fileExists(atPath: out))
        }
        try refused([shards[0], shards[2]], ["missing", "2"])
        try refused(shards + [shards[1]], ["overlap", "2/3"])
        try refused([shards[0], try fixture.dump("whole.h5")], ["whole.h5", "--shard"])
        let halves = try self.shards(fixture, of: 2, [], prefix: "h")
        try refused([shards[0], halves[1]], ["3 shards", "2"])
        let other = try self.shards(fixture, of: 3, ["--dtype", "bf16"], prefix: "d")
        try refused([shards[0], shards[1], other[2]], ["d3.h5", "dtype", "bf16", "f32"])
        let moments = try self.shards(fixture, of: 3, ["--moments"], prefix: "m")
        try refused([shards[0], shards[1], moments[2]], ["m3.h5"])
        try refused([moments[0], moments[1]], ["missing", "3"])

        // The same data through other weights, and through another tokenizer.
        try fixture.model.set("model.norm.weight", at: 0, to: 0.5)
        let weights = try self.shards(fixture, of: 3, [], prefix: "w")
        let prints = try [shards[0], weights[2]].map {
            try ActivationFile(path: $0).header.fingerprint
        }
        #expect(prints[0] != prints[1])
        try refused(
            [shards[0], shards[1], weights[2]], ["w3.h5", "fingerprint", prints[0], prints[1]])
        let text = TinyModel.tokenizer(addsBOS: false, extra: ["zzz"]).text()
        try Data(text.utf8).write(to: URL(filePath: fixture.model.path + "/tokenizer.json"))
        let tokenizers = try self.shards(fixture, of: 3, [], prefix: "t")
        try refused([weights[0], weights[1], tokenizers[2]], ["t3.h5", "tokenizer"])

        let whole = try bytes(of: shards[1])
        try whole.prefix(whole.count - 100).write(to: URL(filePath: shards[1]))
        try refused(shards, ["s2.h5", "truncated"])
        try whole.write(to: URL(filePath: shards[1]))
        try succeed(analyze, "merge", shards[0], shards[1], shards[2], "--out", out)
        let made = try bytes(of: out)
        try fail(
            analyze, "merge", shards[0], shards[1], shards[2], "--out", out,
            naming: ["m.h5", "exists"])
        #expect(try bytes(of: out) == made)
    }

    @Test func moreShardsThanDocuments() throws {
        let fixture = try DumpFixture(documents: 2)
        let result = try CommandRunner(analyze)(fixture.arguments("a.h5", ["--shard", "1/3"]))
        expectFailure(result, naming: ["--shard 1/3", "2 documents"])
    }
}
