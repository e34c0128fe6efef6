// Dumps against what transformers' modules give at every site (scripts/goldens/activations.py).

import Activations
import Files
import Foundation
import TestSupport
import Testing

@Suite struct DumpGoldenTests {
    static let families = [
        "gemma3", "gpt2", "llama-gqa", "mistral", "neox-sequential", "olmo", "olmo2-gqa", "olmo3",
        "phi3", "pythia", "qwen2", "qwen3",
    ]

    /// Whether attention and MLP read the same state: then there is none between them.
    static func isParallel(_ family: String) -> Bool { family == "pythia" }

    static func sites(_ family: String) -> [String] {
        ["resid", "attn_out", "mlp_out", "q", "k", "v"] + (isParallel(family) ? [] : ["resid_mid"])
    }

    /// What one family's golden says, and the dump of the same ids.
    struct Case {
        let golden: TensorFixture
        let file: ActivationFile
        let scratch: ScratchDirectory

        init(_ family: String, _ arguments: [String]) throws {
            let folder = Locations.golden("models/\(family)")
            golden = try TensorFixture(Locations.golden("activations/\(family).safetensors"))
            let facts = try JSON.read(path: folder.appending(path: "expected.json").path)
            let ids = facts["tokens"]?.arrayValue?[1].arrayValue ?? []
            scratch = try ScratchDirectory()
            let data = try scratch.write(
                line(["tokens": .array(Array(ids.prefix(11)))]).utf8, to: "ids.jsonl")
            let result = try CommandRunner(analyze)(
                [
                    "dump", "--model", folder.path, "--data", data, "--precision", "f32", "--out",
                    scratch.file("a.h5"),
                ] + arguments)
            try #require(result.code == 0, "\(result)")
            file = try ActivationFile(path: scratch.file("a.h5"))
        }

        /// Rows of one step: [T][width].
        func golden(_ name: String, step: Int) throws -> [[Float]] {
            let (values, shape) = try golden.floats(name)
            let width = shape[2...].reduce(1, *)
            let first = step * shape[1] * width
            return (0..<shape[1]).map { row in
                Array(values[first + row * width..<first + (row + 1) * width])
            }
        }

        func dumped(_ name: String, layer: Int) throws -> [[Float]] {
            let site = try file.site(name)
            let values = try file.values(name, layer: layer)
            return stride(from: 0, to: values.count, by: site.width).map {
                Array(values[$0..<$0 + site.width])
            }
        }
    }

    static func norm(_ row: some Sequence<Float>) -> Double {
        row.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
    }

    /// Each row's distance is within 1e-4 of its length and what rounding its values may add.
    static func expectClose(
        _ ours: [[Float]], _ theirs: [[Float]], rounding: Double = 0, _ place: String
    ) {
        #expect(ours.count == theirs.count, "\(place)")
        for (position, (a, b)) in zip(ours, theirs).enumerated() {
            #expect(a.count == b.count)
            let error = norm(zip(a, b).map { $0 - $1 }) / norm(b)
            #expect(error <= 1e-4 + rounding, "\(place) at position \(position): \(error)")
        }
    }

    @Test(arguments: families, ["f32", "f16", "bf16"])
    func everySite(family: String, dtype: String) throws {
        let isParallel = Self.isParallel(family)
        let dump = try Case(
            family,
            [
                "--dtype", dtype, "--sites",
                (Self.sites(family) + ["attn_pattern"]).joined(separator: ","),
            ])
        let steps: [String: Double] = ["f32": 0, "f16": 0x1p-11, "bf16": 0x1p-8]
        let rounding = try #require(steps[dtype])
        let (_, shape) = try dump.golden.floats("resid")
        let layers = shape[0] - 1
        #expect(try dump.file.site("resid").layers == Array(0...layers))
        for boundary in 0...layers {
            Self.expectClose(
                try dump.dumped("resid", layer: boundary),
                try dump.golden("resid", step: boundary), rounding: rounding, "resid \(boundary)")
        }
        for layer in 0..<layers {
            for site in ["attn_out", "mlp_out", "q", "k", "v"] {
                Self.expectClose(
                    try dump.dumped(site, layer: layer), try dump.golden(site, step: layer),
                    rounding: rounding, "\(site) \(layer)")
            }
            if !isParallel {
                let before = try dump.golden("resid", step: layer)
                let added = try dump.golden("attn_out", step: layer)
                let middle = zip(before, added).map { a, b in zip(a, b).map { $0 + $1 } }
                Self.expectClose(
                    try dump.dumped("resid_mid", layer: layer), middle, rounding: rounding,
                    "resid_mid \(layer)")
            }
            let (weights, size) = try dump.golden.floats("attn_pattern")
            let count = size[1...].reduce(1, *)
            let ours = try dump.file.pattern(document: 0, layer: layer)
            #expect(ours.count == count)
            for (a, b) in zip(ours, weights[layer * count..<(layer + 1) * count]) {
                let limit = 1e-4 + rounding * Double(b)
                #expect(Double(abs(a - b)) <= limit)
            }
        }
        guard dtype == "f32" else { return }
        for layer in 0..<layers {
            let parts = try ["resid", "attn_out", "mlp_out"].map {
                try dump.dumped($0, layer: layer)
            }
            let after = try dump.dumped("resid", layer: layer + 1)
            for row in after.indices {
                let error = after[row].indices.map { index -> Float in
                    let added = parts[1][row][index] + parts[2][row][index]
                    return parts[0][row][index] + added - after[row][index]
                }
                #expect(Self.norm(error) <= 1e-5 * Self.norm(after[row]))
            }
        }
    }

    /// f16 and bf16 hold what rounding the f32 dump to nearest even gives, value by value.
    @Test(arguments: ["gemma3", "pythia"])
    func halvesAreTheRoundedSingles(family: String) throws {
        let sites = Self.sites(family)
        let dumps = try ["f32", "f16", "bf16"].map {
            try Case(family, ["--dtype", $0, "--sites", sites.joined(separator: ",")])
        }
        for name in sites {
            for layer in try dumps[0].file.site(name).layers {
                let exact = try dumps[0].file.values(name, layer: layer)
                #expect(try dumps[1].file.values(name, layer: layer) == exact.map(Self.toHalf))
                #expect(try dumps[2].file.values(name, layer: layer) == exact.map(Self.toBrain))
            }
        }
        for (dump, encoding) in zip(dumps, ActivationEncoding.allCases) {
            for site in dump.file.sites {
                #expect(site.encoding == encoding)
                for (row, layer) in site.layers.enumerated() {
                    let values = try dump.file.values(site.name, layer: layer)
                    #expect(site.maxAbs[row] == values.map(\.magnitude).max())
                }
            }
        }
    }

    /// Through the grid of representable values: a step is 2^(e-10) for normal halves, 2^-24 below.
    static func toHalf(_ value: Float) -> Float {
        guard value != 0 else { return value }
        let step = Double(sign: .plus, exponent: max(-24, Int(value.exponent) - 10), significand: 1)
        return Float((Double(value) / step).rounded(.toNearestOrEven) * step)
    }

    static func toBrain(_ value: Float) -> Float {
        guard value != 0 else { return value }
        let step = Double(sign: .plus, exponent: Int(value.exponent) - 7, significand: 1)
        return Float((Double(value) / step).rounded(.toNearestOrEven) * step)
    }

    /// A looped plan: each pass of the think block has data sets of its own.
    @Test(arguments: families)
    func loopedPlan(family: String) throws {
        let facts = try JSON.read(
            path: Locations.golden("models/\(family)/expected.json").path)
        let notation = try #require(facts["looped"]?["notation"]?.stringValue)
        let plan = try #require(facts["looped"]?["plan"]?.arrayValue).compactMap(\.intValue)
        let sites = Self.sites(family).filter { $0 != "resid_mid" }
        let dump = try Case(
            family,
            ["--split", notation, "--sites", (sites + ["attn_pattern"]).joined(separator: ",")])
        let numbers = notation.split { !$0.isNumber }.compactMap { Int($0) }
        let (encoder, think, passes) = (numbers[0], numbers[1], numbers[2])
        #expect(plan.count == encoder + think * passes + numbers[3])
        Self.expectClose(
            try dump.dumped("resid", layer: 0), try dump.golden("looped.resid", step: 0),
            "the embedding")
        var rows = 1
        for (step, layer) in plan.enumerated() {
            let inside = (encoder..<encoder + think * passes).contains(step)
            let suffix = inside ? "@think\((step - encoder) / think + 1)" : ""
            for site in sites where site != "resid" {
                Self.expectClose(
                    try dump.dumped(site + suffix, layer: layer),
                    try dump.golden("looped." + site, step: step), "\(site)\(suffix) \(layer)")
            }
            Self.expectClose(
                try dump.dumped("resid" + suffix, layer: layer + 1),
                try dump.golden("looped.resid", step: step + 1), "resid\(suffix) \(layer + 1)")
            let (weights, size) = try dump.golden.floats("looped.attn_pattern")
            let count = size[1...].reduce(1, *)
            let ours = try dump.file.pattern(
                document: 0, layer: layer, name: "attn_pattern" + suffix)
            for (a, b) in zip(ours, weights[step * count..<(step + 1) * count]) {
                #expect(abs(a - b) <= 1e-4)
            }
            rows += 1
        }
        let resid = dump.file.sites.filter { $0.name.hasPrefix("resid") }
        #expect(resid.reduce(0) { $0 + $1.layers.count } == rows)
        #expect(Set(resid.map(\.name)) == Set(["resid"] + (1...passes).map { "resid@think\($0)" }))
    }

    @Test func parallelResidualHasNoMiddle() throws {
        let scratch = try ScratchDirectory()
        let data = try scratch.write(line(["tokens": [5, 6, 7]]).utf8, to: "ids.jsonl")
        let model = Locations.golden("models/pythia").path
        try fail(
            analyze, "dump", "--model", model, "--data", data, "--sites", "resid_mid", "--out",
            scratch.file("a.h5"), naming: ["resid_mid", "parallel"])
        #expect(try scratch.names() == ["ids.jsonl"])
    }
}
