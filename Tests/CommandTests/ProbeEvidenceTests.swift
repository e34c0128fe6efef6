// The values by document that `probe` leaves in evidence.h5, and what is made of them: shards that merge to
// one run's bytes, looped models beside their base, runs that a scan adds to.

import Activations
import Files
import Foundation
import TestSupport
import Testing

@Suite struct ProbeEvidenceTests {
    private static let text = ["--sequence-length", "32", "--sequences", "23"]

    private func bytes(_ path: String) throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: path))
    }

    @Test func meansFollowFromTheEvidence() throws {
        let model = try TinyModel(addsBOS: true)
        let run = try ProbeFiles(model, Self.text)
        let evidence = try EvidenceFile.read(run.folder + "/evidence.h5")
        #expect(evidence.tokens == Array(repeating: 31, count: 23))
        #expect(Set(evidence.sha256).count == 23)
        for (list, tables) in [
            ("layers", evidence.probe.layers), ("boundaries", evidence.probe.boundaries),
        ] {
            for table in tables {
                let written = try run.values(list, table.name)
                for place in 0..<table.places {
                    var (sum, count) = (0.0, 0.0)
                    for document in evidence.tokens.indices {
                        let index = document * table.places + place
                        guard !table.sums[index].isNaN else { continue }
                        sum += table.sums[index]
                        count += table.counts?[index] ?? Double(evidence.tokens[document])
                    }
                    let mean = try #require(written[place])
                    #expect(abs(mean - sum / count) <= 1e-12 * max(1, abs(mean)), "\(table.name)")
                }
            }
        }
        let told = try succeed(analyze, "inspect", run.folder + "/evidence.h5").text
        for part in ["documents", "23", "kl_to_final", "jackknife over 20 blocks"] {
            #expect(told.contains(part))
        }
        let pairs = try #require(evidence.probe.blocks)
        #expect(pairs.pairs.count == 10 && pairs.values.count == 230)
        #expect(
            evidence.probe.jackknife.map(\.name) == [
                "cka", "effective_rank", "participation_ratio",
            ]
        )
        #expect(evidence.probe.jackknife.allSatisfy { $0.sums.count == 20 * $0.places })
    }

    @Test func shardsMergeToTheBytesOfOneRun() throws {
        let model = try TinyModel()
        let whole = try ProbeFiles(model, Self.text, out: "whole")
        let shards = try (1...3).map { index in
            try ProbeFiles(model, Self.text + ["--shard", "\(index)/3"], out: "shard\(index)")
                .folder
        }
        #expect(names(in: shards[0]) == (runFiles + ["shard.h5"]).sorted())
        let merged = model.file("merged")
        try succeed(
            analyze, "merge", shards[2], shards[0], shards[1], "--out", merged)
        #expect(names(in: merged) == runFiles)
        for name in ["layers.json", "layers.csv", "split.json", "evidence.h5"] {
            #expect(
                try bytes(merged + "/" + name) == bytes(whole.folder + "/" + name), "\(name)")
        }
        try fail(
            analyze, "merge", shards[0], shards[2], "--out", model.file("two"),
            naming: ["shard1", "one of 3 shards", "missing: 2"])
        try fail(
            analyze, "merge", shards[0], shards[0], "--out", model.file("two"),
            naming: ["shard1", "is shard 1/3"])
        try fail(
            analyze, "merge", shards[0], whole.folder, "--out", model.file("two"),
            naming: ["whole", "made without --shard"])
        let other = try ProbeFiles(
            model, ["--sequence-length", "16", "--sequences", "23", "--shard", "2/3"],
            out: "other")
        try fail(
            analyze, "merge", shards[0], other.folder, shards[2], "--out", model.file("two"),
            naming: ["other", "sequence length 16, but 32"])
        #expect(!FileManager.default.fileExists(atPath: model.file("two")))
        try fail(
            analyze, "probe", "--model", model.path, "--out", model.file("two"), "--sequences",
            "2", "--sequence-length", "32", "--shard", "1/3", naming: ["--shard 1/3", "fewer"])
    }

    @Test func aLoopedModelStandsBesideItsBase() throws {
        let model = try TinyModel()
        let base = try ProbeFiles(model, Self.text, out: "base")
        let run = try ProbeFiles(model, Self.text + ["--split", "1-2*3-1"], out: "looped")
        let json = try run.layers()
        #expect(try SchemaValidator("layers").problems(json).isEmpty)
        #expect(
            json["plan"] == "0,1..2*3,3" || json["plan"] == "1-2*3-1", "\(json["plan"] ?? .null)")
        let layers = try #require(json["layers"]?.arrayValue)
        #expect(layers.map { $0["layer"]?.intValue } == [0, 1, 2, 1, 2, 1, 2, 3])
        #expect(layers.map { $0["iteration"]?.intValue } == [nil, 1, 1, 2, 2, 3, 3, nil])
        #expect(try json["base"]?["layers"] == base.layers()["layers"])
        #expect(try json["base"]?["boundaries"] == base.layers()["boundaries"])
        // The split is of the model as it is.
        #expect(try run.json("split.json") == base.json("split.json"))
        let csv = try String(contentsOfFile: run.folder + "/layers.csv", encoding: .utf8)
        #expect(csv.hasPrefix("step,layer,iteration,angular_distance_last,"))
        #expect(csv.contains("\n3,1,2,"))
        let page = try String(contentsOfFile: run.folder + "/report.html", encoding: .utf8)
        #expect(page.contains("Last token, no loop"))
        let evidence = try EvidenceFile.read(run.folder + "/evidence.h5")
        #expect(evidence.probe.layers.first?.places == 8)
        #expect(evidence.base.layers.first?.places == 4)
        // Rebuilt from the files alone.
        let before = try bytes(run.folder + "/report.html")
        try succeed(analyze, "report", run.folder)
        #expect(try bytes(run.folder + "/report.html") == before)
    }

    @Test func positionsAndBoundsAreRecorded() throws {
        let model = try TinyModel()
        let run = try ProbeFiles(
            model, Self.text + ["--lens-positions", "last", "--until", "angular_distance_last 9"])
        let json = try run.layers()
        #expect(json["lens_positions"] == "last")
        #expect(json["data"]?["documents"] == 20)
        #expect(run.result.errors.contains("met after 20 of 23 documents"))
        // The model alone, which measures nothing.
        let none = try ProbeFiles(model, Self.text + ["--passes", "none"], out: "none")
        #expect(try none.layers()["layers"]?.arrayValue?[0].objectValue?.count == 2)
        #expect(
            json["boundaries"]?.arrayValue?[1]["cross_entropy"] == nil
                || json["boundaries"]?.arrayValue?[1]["cross_entropy"] == .null)
    }

    @Test func aScanAddsToARun() throws {
        let model = try TinyModel()
        let text = try model.write("the end in the hat, and so on to the end\n", to: "text.txt")
        let data = ["--data", text, "--sequence-length", "8"]
        let run = try ProbeFiles(model, data, out: "run")
        let before = try EvidenceFile.read(run.folder + "/evidence.h5")
        try succeedAll(
            ["scan", "--model", model.path, "--out", run.folder, "--lengths", "1"] + data)
        let after = try EvidenceFile.read(run.folder + "/evidence.h5")
        #expect(!after.scans.isEmpty && before.scans.isEmpty)
        #expect(after.probe.layers.map(\.name) == before.probe.layers.map(\.name))
        #expect(after.sha256 == before.sha256)
        // A probe that replaces the run keeps the scan's values.
        try succeedAll(
            ["probe", "--model", model.path, "--out", run.folder, "--overwrite"] + data)
        #expect(try EvidenceFile.read(run.folder + "/evidence.h5").scans.count == after.scans.count)
        // Values of two texts have no place in one file.
        let other = try CommandRunner(analyze)(
            ["scan", "--model", model.path, "--out", run.folder, "--overwrite", "--data", text]
                + ["--sequence-length", "5"])
        expectFailure(other, naming: ["evidence.h5", "other documents"])
    }

    /// What another tool has put into the file goes along, and holds it to its documents.
    @Test func groupsOfOthersAreKept() throws {
        let model = try TinyModel()
        let run = try ProbeFiles(model, Self.text, out: "run")
        let path = run.folder + "/evidence.h5"
        let values = [1.5, .nan, 3]
        let mine = model.file("mine.h5")
        let made = try HDF5File.create(mine)
        try made.root.makeGroup("spectra").write("change", values)
        try made.close()
        // As h5copy would.
        let file = try HDF5File.create(path + ".new")
        let (old, other) = (try HDF5File.open(path), try HDF5File.open(mine))
        try file.root.set("schema", EvidenceFile.schema)
        for name in try old.root.members() { try old.root.copy(name, into: file.root) }
        try other.root.copy("spectra", into: file.root)
        try file.close()
        #expect(rename(path + ".new", path) == 0)
        #expect(try EvidenceFile.read(path).others == ["spectra"])

        try succeedAll(
            ["probe", "--model", model.path, "--out", run.folder, "--overwrite"] + Self.text)
        let kept = try HDF5File.open(path).root.group("spectra").dataSet("change")
        #expect(try kept.read(as: Double.self).map(\.bitPattern) == values.map(\.bitPattern))
        #expect(try !EvidenceFile.read(path).probe.isEmpty)
        let shorter = try CommandRunner(analyze)(
            ["probe", "--model", model.path, "--out", run.folder, "--overwrite"]
                + ["--sequence-length", "16", "--sequences", "3"])
        expectFailure(shorter, naming: ["evidence.h5", "other documents"])
    }

    private func succeedAll(_ arguments: [String]) throws {
        let result = try CommandRunner(analyze)(arguments)
        #expect(result.code == 0, "\(result)")
    }
}
