// `etd-analyze tune-lens`, and the lens it writes in `lens` and `probe`, on tiny models.

import Files
import Foundation
import TestSupport
import Testing

@Suite struct TunedLensTests {
    private static let words = ["the thin ", "a tin hat ", "in the inn; ", "then, think ", "no?\n"]

    /// Text of a few words in a fixed disorder.
    private static func text(_ characters: Int) -> String {
        var random = SeededRandom(9)
        var text = ""
        while text.count < characters { text += words[Int.random(in: 0..<5, using: &random)] }
        return text
    }

    /// A tiny model, its text and a trained lens.
    private struct Tuned {
        let model: TinyModel
        var data: String { model.file("text.txt") }
        var lens: String { model.file("lens.safetensors") }

        init(_ golden: String = "llama-gqa") throws {
            model = try TinyModel(golden)
            try model.write(TunedLensTests.text(3000), to: "text.txt")
        }

        func command(out: String? = nil, _ more: [String] = []) -> [String] {
            [
                "tune-lens", "--model", model.path, "--data", data, "--sequence-length", "64",
                "--precision", "f32", "--every", "1", "--rate", "0.3", "--batch", "64", "--out",
                out ?? lens,
            ] + more
        }

        func train() throws {
            let result = try CommandRunner(analyze)(command(["--quiet"]))
            try #require(result.code == 0, "\(result)")
            #expect(result.errors.isEmpty, "\(result)")
        }
    }

    @Test func theLensIsCloserAndReadEverywhere() throws {
        let tuned = try Tuned()
        try tuned.train()
        #expect(names(in: tuned.model.scratch.path) == ["lens.safetensors", "model", "text.txt"])

        let run = tuned.model.file("run")
        try succeed(
            analyze, "probe", "--model", tuned.model.path, "--data", tuned.data,
            "--sequence-length", "64", "--lens", "tuned", "--tuned", tuned.lens, "--out", run,
            "--quiet")
        let layers = try JSON.read(path: run + "/layers.json")
        #expect(try SchemaValidator("layers").problems(layers).isEmpty)
        #expect(layers["tuned_lens"]?["path"]?.stringValue == tuned.lens)
        let boundaries = try #require(layers["boundaries"]?.arrayValue)
        #expect(boundaries.count == 5)
        for boundary in boundaries.dropLast() {
            let plain = try #require(boundary["kl_from_final"]?.doubleValue)
            let after = try #require(boundary["tuned"]?["kl_from_final"]?.doubleValue)
            #expect(after < plain)
            #expect(boundary["tuned"]?["cross_entropy_se"]?.doubleValue != nil)
        }
        for name in ["entropy", "kl_from_final", "cross_entropy", "top1_agreement"] {
            #expect(boundaries[4]["tuned"]?[name] == boundaries[4][name])
        }
        let header = try String(contentsOfFile: run + "/layers.csv", encoding: .utf8)
            .split(separator: "\n")[0]
        #expect(header.contains("boundary_kl_from_final,"))
        #expect(header.contains("boundary_tuned_kl_from_final,boundary_tuned_kl_from_final_se"))
        let page = try String(contentsOfFile: run + "/report.html", encoding: .utf8)
        #expect(page.contains("Tuned against plain lens"))
        // Rebuilt from the files alone it is the same page.
        try succeed(analyze, "report", run)
        #expect(try String(contentsOfFile: run + "/report.html", encoding: .utf8) == page)

        let inspected = try JSON.parse(
            Array(succeed(analyze, "inspect", tuned.lens, "--json").output))["tuned lens"]
        #expect(inspected?["layers"]?.intValue == 4)
        #expect(inspected?["fingerprint"] == layers["model"]?["fingerprint"])
        #expect(inspected?["not_closer_at"]?.arrayValue?.isEmpty == true)
        #expect(inspected?["kl_from_final_tuned"]?.arrayValue?.count == 4)

        // The plain values do not depend on the tuned lens beside them.
        let bare = tuned.model.file("bare")
        try succeed(
            analyze, "probe", "--model", tuned.model.path, "--data", tuned.data,
            "--sequence-length", "64", "--out", bare, "--quiet")
        let others = try JSON.read(path: bare + "/layers.json")["boundaries"]?.arrayValue ?? []
        for (a, b) in zip(boundaries, others) {
            #expect(a["kl_from_final"] == b["kl_from_final"] && b["tuned"] == nil)
        }
    }

    @Test func aKilledTrainingGoesOn() throws {
        let tuned = try Tuned("olmo2-mha")
        try tuned.train()
        let other = tuned.model.file("other.safetensors")
        let arguments = tuned.command(out: other, ["--save-every", "0", "--tokens", "40000"])
        let running = try CommandRunner(analyze).start(arguments)
        while running.isRunning, Paths.kind(other + ".training") == .missing { usleep(2000) }
        running.send(SIGKILL)
        #expect(try running.finish().signal == SIGKILL)
        #expect(Paths.kind(other) == .missing)
        // Of other settings it says so and leaves it alone.
        let changed = try CommandRunner(analyze)(
            tuned.command(out: other, ["--tokens", "40000", "--seed", "7"]))
        expectFailure(changed, naming: [other + ".training", "seed 0, not 7", "--overwrite"])
        let resumed = try CommandRunner(analyze)(arguments)
        try #require(resumed.code == 0, "\(resumed)")
        #expect(resumed.errors.contains("goes on from token"))
        let whole = tuned.model.file("whole.safetensors")
        let again = try CommandRunner(analyze)(
            tuned.command(out: whole, ["--tokens", "40000", "--threads", "1", "--quiet"]))
        try #require(again.code == 0, "\(again)")
        #expect(try bytes(of: other) == bytes(of: whole))
        #expect(Paths.kind(other + ".training") == .missing)
    }

    @Test func thePromptsTableShowsIt() throws {
        let tuned = try Tuned()
        try tuned.train()
        let page = tuned.model.file("lens.html")
        let prompt = ["lens", "--model", tuned.model.path, "--prompt", "the thin"]
        let result = try CommandRunner(analyze)(
            prompt + ["--tuned", tuned.lens, "--json", "--html", page])
        try #require(result.code == 0, "\(result)")
        let json = try JSON.parse(result.output)
        let plain = try JSON.parse(try CommandRunner(analyze)(prompt + ["--json"]).output)
        #expect(json["tuned_lens"]?.stringValue == tuned.lens && plain["tuned_lens"] == nil)
        let rows = try #require(json["tuned_rows"]?.arrayValue)
        #expect(rows.count == 5 && rows[4] == json["rows"]?.arrayValue?[4])
        #expect(rows[1] != json["rows"]?.arrayValue?[1])
        #expect(json["rows"]?.arrayValue?[1]["cells"]?.arrayValue?.count == 4)
        let html = try String(contentsOfFile: page, encoding: .utf8)
        #expect(html.contains("id=\"lens-tuned\"") && html.contains("id=\"lens-plain\""))
        #expect(html.contains("<title>Tuned lens and logit lens · model</title>"))
        #expect(!html.contains("http"))
        let table = try CommandRunner(analyze)(prompt + ["--tuned", tuned.lens])
        #expect(table.lines[0].hasPrefix("Tuned lens "))
        // A looped plan reads each pass with the translators of its layers.
        let looped = try CommandRunner(analyze)(
            prompt + ["--tuned", tuned.lens, "--json", "--split", "1-2*2-1"])
        let loopedRows = try JSON.parse(looped.output)["tuned_rows"]?.arrayValue
        #expect(loopedRows?.count == 7, "\(looped)")
    }

    @Test func itNamesTheBoundariesThatAreNotCloser() throws {
        let tuned = try Tuned()
        // Too large a rate for too short a time: some boundary gets worse.
        let result = try CommandRunner(analyze)(
            tuned.command(["--rate", "3000", "--tokens", "200"]))
        #expect(result.code == 0, "\(result)")
        #expect(result.text.contains("not below"), "\(result)")
        #expect(result.text.contains("is not closer to the output at boundar"))
    }

    @Test func badInputIsNamed() throws {
        let tuned = try Tuned()
        try tuned.train()
        let model = tuned.model
        func lens(_ file: String, _ folder: String, naming parts: [String]) throws {
            try fail(
                analyze, "lens", "--model", folder, "--prompt", "the", "--tuned", file,
                naming: [file] + parts)
        }
        let other = try TinyModel("olmo2-mha")
        try lens(
            tuned.lens, other.path, naming: ["another model", "llama, 4 layers", "olmo2, 3 layers"])
        try lens(model.file("none"), model.path, naming: ["cannot open"])
        try lens(model.path + "/model.safetensors", model.path, naming: ["is not a tuned lens"])
        try model.write("{}", to: "half.safetensors")
        try lens(model.file("half.safetensors"), model.path, naming: ["truncated"])

        // Damage, written by hand.
        let whole = [UInt8](try bytes(of: tuned.lens))
        let length = (0..<8).reduce(0) { $0 | Int(whole[$1]) << (8 * $1) }
        let header = String(decoding: whole[8..<8 + length], as: UTF8.self)
        func damaged(_ name: String, _ edit: (String) -> String, _ data: [UInt8]? = nil) throws
            -> String
        {
            let text = Array(edit(header).utf8)
            let size = (0..<8).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) }
            return try model.scratch.write(
                size + text + (data ?? Array(whole[(8 + length)...])), to: name)
        }
        var values = Array(whole[(8 + length)...])
        values.replaceSubrange(0..<4, with: [0, 0, 0xC0, 0x7F])
        try lens(
            try damaged("nan", { $0 }, values), model.path,
            naming: ["translators.0.weight", "NaN or Inf at place 0"])
        try lens(
            try damaged(
                "name", { $0.replacing("translators.2.bias", with: "translators.9.bias") }),
            model.path, naming: ["translators.2.bias is missing"])
        try lens(
            try damaged("shape", { $0.replacing("[32,32]", with: "[16,64]") }), model.path,
            naming: ["translators.0.weight has shape [16, 64], expected [32, 32]"])
        try lens(
            try damaged("schema", { $0.replacing("etd-tuned-lens/v1", with: "etd-tuned-lens/v7") }),
            model.path, naming: ["schema", "etd-tuned-lens/v7"])

        // Training.
        expectFailure(
            try CommandRunner(analyze)(tuned.command()), naming: ["--out", "--overwrite"])
        try model.write(Self.text(70), to: "short.txt")
        try fail(
            analyze, "tune-lens", "--model", model.path, "--data", model.file("short.txt"),
            "--sequence-length", "40", "--out", model.file("a"), naming: ["one document", "--data"])
        try model.write("garbage", to: "b.training")
        expectFailure(
            try CommandRunner(analyze)(tuned.command(out: model.file("b"))),
            naming: ["b.training", "--overwrite"])
        try fail(
            analyze, "tune-lens", "--model", model.path, "--out", "/no/such/place/x",
            naming: ["/no/such/place/x", "cannot create"])
        for usage in [
            ["probe", "--model", model.path, "--out", "r", "--lens", "tuned"],
            ["probe", "--model", model.path, "--out", "r", "--lens", "plain", "--tuned", "f"],
            ["probe", "--model", model.path, "--out", "r", "--passes", "angular", "--tuned", "f"],
            ["tune-lens", "--model", model.path, "--out", "r", "--rate", "0"],
        ] {
            let result = try CommandRunner(analyze)(usage)
            #expect(result.code == 64, "\(result)")
        }
    }
}
