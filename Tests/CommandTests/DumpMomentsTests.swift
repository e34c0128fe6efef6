// `dump --moments` against sums over the activations of a plain dump, written out in f64.

import Activations
import Files
import Foundation
import TestSupport
import Testing

@Suite struct DumpMomentsTests {
    @Test(arguments: ["resid", "q"])
    func momentsOfWhatADumpHolds(site: String) throws {
        let fixture = try DumpFixture(documents: 9)
        let file = try ActivationFile(path: fixture.dump("a.h5", "--sites", site))
        let root = try HDF5File.open(fixture.dump("m.h5", "--sites", site, "--moments")).root
        #expect(!root.has("activations") && !root.has("tokens"))
        let group = try root.group("moments").group(site)
        let known = try file.site(site)
        #expect(try group.values("layers", as: Int64.self).map(Int.init) == known.layers)
        let d = known.width
        func numbers(_ name: String) throws -> [Double] { try group.dataSet(name).read() }
        let (means, covariances) = (try numbers("mean"), try numbers("covariance"))
        for (row, layer) in known.layers.enumerated() {
            let values = try file.values(site, layer: layer).map(Double.init)
            let n = Double(known.tokens)
            #expect(try numbers("count")[row] == n)
            let rows = stride(from: 0, to: values.count, by: d).map { Array(values[$0..<$0 + d]) }
            let mean = (0..<d).map { j in rows.reduce(0) { $0 + $1[j] } / n }
            let scale = rows.reduce(0) { $0 + $1.reduce(0) { $0 + $1 * $1 } } / n / Double(d)
            for j in 0..<d {
                #expect(abs(means[row * d + j] - mean[j]) < 1e-12 * scale.squareRoot())
                for i in 0...j {
                    let sum = rows.reduce(0) { $0 + ($1[i] - mean[i]) * ($1[j] - mean[j]) }
                    let place = row * d * d + j * d + i
                    #expect(abs(covariances[place] - sum / (n - 1)) < 1e-11 * scale)
                    #expect(covariances[place] == covariances[row * d * d + i * d + j])
                }
            }
            let norms = rows.map { $0.reduce(0) { $0 + $1 * $1 }.squareRoot() }
            let least = norms.min() ?? 0
            let most = norms.max() ?? 0
            #expect(abs(try numbers("norm_mean")[row] - norms.reduce(0, +) / n) < 1e-12 * most)
            let squares = norms.reduce(0) { $0 + $1 * $1 } / n
            #expect(abs(try numbers("norm_rms")[row] - squares.squareRoot()) < 1e-12 * most)
            #expect(abs(try numbers("norm_range")[row * 2] - least) < 1e-12 * most)
            #expect(abs(try numbers("norm_range")[row * 2 + 1] - most) < 1e-12 * most)
            let rank = try numbers("effective_rank")[row]
            #expect(rank > 1 && rank <= Double(d))
        }
    }

    /// A BOS that was added is run and not counted.
    @Test func addedTokensAreLeftOut() throws {
        let model = try TinyModel(addsBOS: true)
        let data = try model.write(
            line(["text": "the inn"]) + line(["text": "thin"]), to: "d.jsonl")
        for name in ["a", "m"] {
            try succeed(
                analyze, "dump", "--model", model.path, "--data", data, "--out",
                model.file(name + ".h5"), name == "m" ? "--moments" : "--text")
        }
        let stored = try ActivationFile(path: model.file("a.h5"))
        let added = stored.table.ids.count { $0 == 1 }
        #expect(added == 2)
        let group = try HDF5File.open(model.file("m.h5")).root.group("moments").group("resid")
        let counts: [Int64] = try group.dataSet("count").read()
        #expect(counts.allSatisfy { Int($0) == stored.table.ids.count - added })
    }

    @Test func whatMomentsRefuse() throws {
        let fixture = try DumpFixture(documents: 1)
        for (more, part) in [
            (["--sites", "attn_pattern"], "attn_pattern"),
            (["--positions", "last"], "--positions"),
            (["--dtype", "bf16"], "--dtype"), (["--text"], "--text"), (["--virtual"], "--virtual"),
        ] {
            let result = try CommandRunner(analyze)(fixture.arguments("m.h5", ["--moments"] + more))
            #expect(result.code == 64 && result.errors.contains(part), "\(result)")
        }
        #expect(try fixture.names().isEmpty)
    }

    /// Sums that leave their range stop the run, and leave nothing.
    @Test func sumsOutOfRange() throws {
        let fixture = try DumpFixture(documents: 3)
        try fixture.model.set("model.embed_tokens.weight", at: 50 * 32, to: 1e15)
        try fixture.model.write(
            line(["tokens": .ids([5, 6, 7])]) + line(["tokens": .ids([50, 6])]), to: "data.jsonl")
        let result = try CommandRunner(analyze)(
            fixture.arguments("m.h5", ["--moments", "--part-size", "0"]))
        expectFailure(result, naming: ["resid", "boundary 0", "range"])
        #expect(try fixture.names().isEmpty)
    }
}
