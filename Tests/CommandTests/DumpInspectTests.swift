// `inspect` of dumps and moments.

import Activations
import Files
import Foundation
import TestSupport
import Testing

@Suite struct DumpInspectTests {
    private func inspected(_ path: String, _ more: String...) throws -> JSON {
        let result = try CommandRunner(analyze)(["inspect", path, "--json"] + more)
        try #require(result.code == 0, "\(result)")
        return try JSON.parse(result.output)
    }

    private func close(_ a: JSON?, _ b: Double) -> Bool {
        a?.doubleValue.map { abs($0 - b) <= 5e-4 * abs(b) } ?? false
    }

    /// Norms from all rows, against the same written out.
    @Test func normsByLayer() throws {
        let fixture = try DumpFixture(documents: 30)
        let path = try fixture.dump("a.h5", "--sites", "resid,k,attn_pattern", "--dtype", "f16")
        let file = try ActivationFile(path: path)
        let found = try inspected(path, "--check")
        #expect(found["dump"]?["documents"] == 30)
        #expect(found["dump"]?["stored tokens"] == .number(file.table.ids.count))
        #expect(found["dump"]?["fingerprint"]?.stringValue == file.header.fingerprint)
        #expect(found["dump"]?["dtype"] == "f16")
        #expect(found["sites"]?["attn_pattern"]?["documents"] == 30)
        for (site, title) in [("resid", "resid by boundary"), ("k", "k by layer")] {
            let known = try file.site(site)
            #expect(found["sites"]?[site]?["encoding"] == "float16")
            for layer in known.layers {
                let values = try file.values(site, layer: layer).map(Double.init)
                let norms = stride(from: 0, to: values.count, by: known.width).map {
                    values[$0..<$0 + known.width].reduce(0) { $0 + $1 * $1 }.squareRoot()
                }
                let line = try #require(found[title]?["\(layer)"])
                #expect(line["rows"] == .number(norms.count))
                #expect(close(line["norm"], norms.reduce(0, +) / Double(norms.count)))
                #expect(close(line["norm_min"], norms.min() ?? 0))
                #expect(close(line["norm_max"], norms.max() ?? 0))
                #expect(close(line["max_abs"], values.map(\.magnitude).max() ?? 0))
            }
        }
        // Without --check a part of the rows is read, with much the same result.
        let quick = try inspected(path)
        for layer in try file.site("resid").layers {
            let (a, b) = (quick["resid by boundary"], found["resid by boundary"])
            let some = try #require(a?["\(layer)"]?["norm"]?.doubleValue)
            let all = try #require(b?["\(layer)"]?["norm"]?.doubleValue)
            #expect(abs(some - all) < 0.05 * all)
            #expect(try #require(a?["\(layer)"]?["rows"]?.intValue) < file.table.ids.count)
        }
        let text = try succeed(analyze, "inspect", path).text
        #expect(text.contains("resid by boundary") && text.contains("norm_max"))
    }

    /// An embedding with one large dimension and one huge value at the first token of each document.
    @Test func outliersAndMassiveActivations() throws {
        let fixture = try DumpFixture(documents: 12)
        let lines = (0..<12).map { (document: Int) -> String in
            let ids: [Int] = (0..<30).map { (place: Int) -> Int in 10 + (document + place) % 50 }
            return line(["tokens": .ids([120] + ids)])
        }
        try fixture.model.write(lines.joined(), to: "data.jsonl")
        for id in 0..<131 {
            try fixture.model.set("model.embed_tokens.weight", at: id * 32 + 7, to: 20)
        }
        try fixture.model.set("model.embed_tokens.weight", at: 120 * 32 + 21, to: 9000)
        let dump = try inspected(try fixture.dump("a.h5"))
        let first = try #require(dump["resid by boundary"]?["0"])
        let outliers = try #require(first["outlier_dimensions"]?.arrayValue)
        #expect(outliers.map { $0["dimension"] } == [7])
        #expect(try #require(outliers[0]["times_median"]?.doubleValue) > 10)
        let massive = try #require(first["massive_at_position_0"])
        #expect(massive["dimension"] == 21)
        #expect(massive["value"]?.doubleValue == 9000)
        #expect(massive["largest_elsewhere"]?.doubleValue == 20)
        #expect(dump["resid by boundary"]?["0"]?["norm_max"]?.doubleValue == 9000)

        let moments = try inspected(try fixture.dump("m.h5", "--moments"), "--check")
        let summed = try #require(moments["moments of resid by boundary"]?["0"])
        #expect(summed["count"] == .number(12 * 31))
        let found = try #require(summed["outlier_dimensions"]?.arrayValue).compactMap {
            $0["dimension"]?.intValue
        }
        #expect(found == [21, 7])
        // One direction has nearly all variance.
        let rank = try #require(summed["effective_rank"]?.doubleValue)
        #expect(rank >= 1 && rank < 1.01)
    }

    /// A changed value is found by reading all of them, and not by looking.
    @Test func checkReadsEveryValue() throws {
        let fixture = try DumpFixture(documents: 40)
        let path = try fixture.dump("a.h5", "--sites", "mlp_out")
        let file = try ActivationFile(path: path)
        let rows = try file.site("mlp_out").tokens
        let values = try file.values("mlp_out", layer: 2)
        var whole = try bytes(of: path)
        // A row in the middle, found by its bytes.
        let row = values[(rows / 2 + 64) * 32..<(rows / 2 + 65) * 32]
        let pattern = row.withUnsafeBytes { Data($0) }
        let place = try #require(whole.range(of: pattern))
        for (bits, part) in [
            (Float.nan.bitPattern, "no number"), (Float(1e6).bitPattern, "max_abs"),
        ] {
            withUnsafeBytes(of: bits.littleEndian) {
                whole.replaceSubrange(place.lowerBound + 40..<place.lowerBound + 44, with: $0)
            }
            let damaged = fixture.file("damaged.h5")
            try whole.write(to: URL(filePath: damaged))
            try fail(
                analyze, "inspect", damaged, "--check",
                naming: ["damaged.h5", "mlp_out", "layer 2", part])
        }
    }
}
