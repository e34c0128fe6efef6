// Gemma-3-270M in f32 and bf16: the file's states against the angular distances that transformers gives.
// It has post-norms, QK-norm, one key/value head, and values that f16 cannot hold.

import Activations
import Files
import Foundation
import TestSupport
import Testing

@Suite(
    .enabled(
        if: Locations.model("gemma-3-270m") != nil, "needs scripts/fetch-model gemma-3-270m"))
struct DumpRealModelTests {
    @Test func gemma() throws {
        let golden = try JSON.read(path: Locations.golden("models/real/gemma-3-270m.json").path)
        let windows = try #require(golden["windows"]?.arrayValue)
        let scratch = try ScratchDirectory()
        let data = try scratch.write(
            windows.map { line(["tokens": $0]) }.joined().utf8, to: "ids.jsonl")
        for dtype in ["f32", "bf16"] {
            try succeed(
                analyze, "dump", "--model", "gemma-3-270m", "--data", data, "--precision", "f32",
                "--dtype", dtype, "--sites", "resid,attn_out,mlp_out", "--out",
                scratch.file(dtype + ".h5"))
        }
        let exact = try ActivationFile(path: scratch.file("f32.h5"))
        let brain = try ActivationFile(path: scratch.file("bf16.h5"))
        let layers = 18
        let width = 640
        #expect(try exact.site("resid").layers == Array(0...layers))
        #expect(exact.table.ids.count == windows.reduce(0) { $0 + ($1.arrayValue?.count ?? 0) })

        let distances = try #require(golden["layers"]?["angular_distance"]?.arrayValue)
        var states = try exact.values("resid", layer: 0)
        for layer in 0..<layers {
            let next = try exact.values("resid", layer: layer + 1)
            let attention = try exact.values("attn_out", layer: layer)
            let mlp = try exact.values("mlp_out", layer: layer)
            var sum = 0.0
            var worst = 0.0
            let rows = states.count / width
            for row in 0..<rows {
                var (dot, a, b, error) = (0.0, 0.0, 0.0, 0.0)
                for index in row * width..<(row + 1) * width {
                    let (x, y) = (Double(states[index]), Double(next[index]))
                    dot += x * y
                    a += x * x
                    b += y * y
                    let rebuilt = x + Double(attention[index]) + Double(mlp[index])
                    error += (rebuilt - y) * (rebuilt - y)
                }
                sum += acos(max(-1, min(1, dot / (a * b).squareRoot()))) / .pi
                worst = max(worst, (error / b).squareRoot())
            }
            let theirs = try #require(distances[layer].doubleValue)
            #expect(abs(sum / Double(rows) - theirs) < 1e-4, "layer \(layer)")
            #expect(worst < 1e-4, "layer \(layer): \(worst)")
            states = next
        }
        for name in ["resid", "attn_out", "mlp_out"] {
            for layer in try exact.site(name).layers {
                let values = try exact.values(name, layer: layer)
                let wanted = values.map(DumpGoldenTests.toBrain)
                #expect(try brain.values(name, layer: layer) == wanted, "\(name) \(layer)")
            }
        }
        let first = try exact.values("resid", layer: layers)
        #expect(first.contains { $0.magnitude > 1000 })
        try succeed(analyze, "inspect", scratch.file("bf16.h5"), "--check")
    }
}
