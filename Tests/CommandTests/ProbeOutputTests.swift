// `etd-analyze probe`: what a run writes, against the contract and the committed schemas, and its numbers
// against transformers' states and logits. Which data it takes is in ProbeDataTests, what it does to a
// target that is in its way in ProbeTargetTests.

import Files
import Foundation
import TestSupport
import Testing

/// Runs `probe` and reads what it wrote.
struct ProbeFiles {
    let folder: String
    let result: CommandRunner.Result

    init(_ model: TinyModel, _ arguments: [String], out: String = "run") throws {
        folder = model.file(out)
        let arguments = ["probe", "--model", model.path, "--out", folder] + arguments
        result = try CommandRunner(analyze)(arguments)
        try #require(result.code == 0, "\(result)")
    }

    func json(_ name: String) throws -> JSON { try JSON.read(path: folder + "/" + name) }

    func layers() throws -> JSON { try json("layers.json") }

    /// A metric of each layer or boundary; nil where it is null or missing.
    func values(_ list: String, _ name: String) throws -> [Double?] {
        (try layers()[list]?.arrayValue ?? []).map { $0[name]?.doubleValue }
    }
}

@Suite struct ProbeOutputTests {
    static let perLayer = [
        "angular_distance_last", "angular_distance", "block_influence", "contribution",
        "contribution_cosine",
    ]
    static let perBoundary = [
        "entropy", "kl_to_final", "kl_from_final", "top1_agreement", "top5_agreement",
        "cross_entropy",
    ]
    /// Means over positions, which have a twin without sinks beside them.
    static func withTwins(_ names: [String]) -> [String] {
        names.flatMap { name in
            name == "angular_distance_last" || geometry.contains(name)
                ? [name] : [name, name + "_nosink"]
        }
    }
    static let geometry = [
        "effective_rank", "participation_ratio", "prompt_entropy", "curvature",
    ]

    @Test(arguments: ["llama-gqa", "olmo2-gqa", "gemma3", "llama-sharded"])
    func aRunHasEveryFileAndEveryField(golden: String) throws {
        let model = try TinyModel(golden)
        let run = try ProbeFiles(model, ["--sequences", "3", "--sequence-length", "32"])
        #expect(names(in: run.folder) == runFiles)
        for name in ["layers", "split", "run"] {
            let problems = try SchemaValidator(name).problems(run.json(name + ".json"))
            #expect(problems.isEmpty, "\(name).json: \(problems.joined(separator: "; "))")
        }
        let facts = try TinyGolden(golden)
        let json = try run.layers()
        #expect(json["schema"] == "etd-layers/v1")
        #expect(json["model"]?["path"]?.stringValue == model.path)
        #expect(json["model"]?["layers"]?.intValue == facts.layers)
        #expect(json["model"]?["vocab_size"] == 131)
        #expect(json["data"]?["documents"] == 3)
        #expect(json["data"]?["tokens"] == 96)
        #expect(json["data"]?["sequence_length"] == 32)
        #expect(json["data"]?["bos"] == "auto")
        #expect(json["precision"] == "f32")

        try expectMetrics(
            json, "layers", Self.withTwins(Self.perLayer) + ["scores"], count: facts.layers)
        try expectMetrics(
            json, "boundaries", Self.withTwins(Self.perBoundary) + Self.geometry,
            count: facts.layers + 1)
        #expect(json["sinks"]?["policy"] == "drop")
        #expect(json["sinks"]?["positions"] == 96)
        #expect(json["sinks"]?["first"] == 3)

        let record = try run.json("run.json")
        #expect(record["tokens"] == 96)
        #expect(record["arguments"]?.arrayValue?.contains("--sequence-length") == true)
        #expect(record["hashes"]?["model"] == json["model"]?["fingerprint"])
        let checks = try #require(record["self_checks"]?.arrayValue)
        #expect(checks.count == 2)
        for check in checks {
            let value = try #require(check["value"]?.doubleValue)
            #expect(value <= 1e-4, "\(check.text())")
        }
    }

    /// Every name with its `_se`, each a finite number: three documents leave nothing undefined.
    private func expectMetrics(
        _ json: JSON, _ list: String, _ metrics: [String], count: Int
    ) throws {
        let entries = try #require(json[list]?.arrayValue)
        #expect(entries.count == count)
        for (index, entry) in entries.enumerated() {
            let members = try #require(entry.objectValue)
            let names = metrics.flatMap { $0 == "scores" ? [$0] : [$0, $0 + "_se"] }
            #expect(Set(members.keys) == Set(["index"] + names))
            #expect(entry["index"]?.intValue == index)
            for name in names where name != "scores" {
                // Values of the whole run have no standard error.
                if ["effective_rank_se", "participation_ratio_se"].contains(name) {
                    #expect(members[name] == .null)
                    continue
                }
                #expect(members[name]?.doubleValue?.isFinite == true, "\(list)[\(index)].\(name)")
            }
        }
    }

    @Test func theTableHoldsTheSameNumbers() throws {
        let model = try TinyModel()
        let run = try ProbeFiles(model, ["--sequences", "2", "--sequence-length", "16"])
        let table = try String(contentsOfFile: run.folder + "/layers.csv", encoding: .utf8)
        let rows = table.split(separator: "\n").map {
            $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        }
        let header = rows[0]
        #expect(header.first == "layer")
        #expect(rows.allSatisfy { $0.count == header.count })
        #expect(rows.dropFirst().map { $0[0] } == ["-1", "0", "1", "2", "3"])
        for (name, list, shift) in [
            ("contribution", "layers", 2), ("angular_distance_last_se", "layers", 2),
            ("boundary_entropy", "boundaries", 1), ("boundary_cross_entropy_se", "boundaries", 1),
        ] {
            let column = try #require(header.firstIndex(of: name))
            let metric = name.replacingOccurrences(of: "boundary_", with: "")
            for (index, value) in try run.values(list, metric).enumerated() {
                #expect(Double(rows[index + shift][column]) == value, "\(name) \(index)")
            }
        }
    }

    /// Angular distance, influence, contribution and cosine computed here, by the formulas, from the
    /// states that transformers gave.
    @Test(arguments: ["llama-gqa", "olmo2-gqa", "gemma3"])
    func layerMetricsEqualThoseOfTransformersStates(name: String) throws {
        let golden = try TinyGolden(name)
        let model = try TinyModel(name, tokenizer: false)
        let tokens = golden.tokens(1)
        try model.write(line(["tokens": .ids(tokens)]), to: "one.jsonl")
        let run = try ProbeFiles(model, ["--data", model.file("one.jsonl")])
        let states = try golden.rows("states.1")
        for layer in 0..<golden.layers {
            var sums = [Double](repeating: 0, count: 4)
            var first: [Double] = []
            var last = 0.0
            for position in tokens.indices {
                let h = states[layer * tokens.count + position]
                let g = states[(layer + 1) * tokens.count + position]
                let u = zip(g, h).map { $0 - $1 }
                let cosine = dot(h, g) / (norm(h) * norm(g))
                if position == 1 { first = sums }
                last = acos(min(1, max(-1, cosine))) / .pi
                let contribution = norm(u) / norm(h)
                let values = [last, 1 - cosine, contribution, dot(u, h) / (norm(u) * norm(h))]
                for index in 0..<4 { sums[index] += values[index] }
            }
            let expected = [last] + sums.map { $0 / Double(tokens.count) }
            for (metric, value) in zip(Self.perLayer, expected) {
                let ours = try #require(try run.values("layers", metric)[layer])
                #expect(abs(ours - value) < 1e-4, "layer \(layer) \(metric): \(ours), \(value)")
            }
            // None of these is massive, so the twins leave out the first position alone.
            #expect(try run.layers()["sinks"]?["massive"] == 0)
            for (index, metric) in ["block_influence", "contribution", "contribution_cosine"]
                .enumerated()
            {
                let twin = try #require(try run.values("layers", metric + "_nosink")[layer])
                let value = (sums[index + 1] - first[index + 1]) / Double(tokens.count - 1)
                #expect(abs(twin - value) < 1e-4, "layer \(layer) \(metric): \(twin), \(value)")
            }
        }
    }

    /// At the last boundary the lens is the model's output.
    @Test(arguments: ["llama-gqa", "gemma3"])
    func theLastBoundaryIsTheOutput(name: String) throws {
        let golden = try TinyGolden(name)
        let model = try TinyModel(name, tokenizer: false)
        let tokens = golden.tokens(1)
        try model.write(line(["tokens": .ids(tokens)]), to: "one.jsonl")
        let run = try ProbeFiles(model, ["--data", model.file("one.jsonl"), "--passes", "lens"])
        let rows = try golden.rows("logits.1").map(logSoftmax)
        let entropy = rows.map { -$0.reduce(0) { $0 + exp($1) * $1 } }.reduce(0, +)
        let cross = zip(rows, tokens.dropFirst()).reduce(0) { $0 - $1.0[$1.1] }
        func last(_ metric: String) throws -> Double {
            try #require(try run.values("boundaries", metric).last ?? nil)
        }
        #expect(abs(try last("entropy") - entropy / Double(tokens.count)) < 1e-4)
        #expect(abs(try last("cross_entropy") - cross / Double(tokens.count - 1)) < 1e-4)
        for (metric, value) in [
            ("kl_to_final", 0.0), ("kl_from_final", 0), ("top1_agreement", 1),
            ("top5_agreement", 1),
        ] {
            #expect(abs(try last(metric) - value) < 1e-9, "\(metric)")
        }
    }

    private func dot(_ a: [Double], _ b: [Double]) -> Double {
        zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
    }

    private func norm(_ a: [Double]) -> Double { dot(a, a).squareRoot() }

    /// Two documents of different lengths, each run by itself, give mean and error of both by the
    /// contract's formula; one alone has no error.
    @Test func standardErrorsAreOverDocuments() throws {
        let model = try TinyModel(tokenizer: false)
        let documents = [[5, 9, 77, 14, 30], [44, 101, 8, 8, 61, 130, 2, 19, 90]]
        var alone: [ProbeFiles] = []
        for (index, ids) in documents.enumerated() {
            try model.write(line(["tokens": .ids(ids)]), to: "\(index).jsonl")
            alone.append(
                try ProbeFiles(model, ["--data", model.file("\(index).jsonl")], out: "r\(index)"))
        }
        try model.write(
            documents.map { line(["tokens": .ids($0)]) }.joined(), to: "both.jsonl")
        let both = try ProbeFiles(model, ["--data", model.file("both.jsonl")])
        let counts: [(list: String, name: String, counts: [Double])] = [
            ("layers", "angular_distance_last", [1, 1]), ("layers", "contribution", [5, 9]),
            ("boundaries", "entropy", [5, 9]), ("boundaries", "top5_agreement", [5, 9]),
            ("boundaries", "cross_entropy", [4, 8]),
        ]
        for (list, name, n) in counts {
            let means = try alone.map { try $0.values(list, name) }
            for entry in means[0].indices {
                let sums = try zip(means, n).map { try #require($0[entry]) * $1 }
                let m = (sums[0] + sums[1]) / (n[0] + n[1])
                let squares = zip(sums, n).reduce(0) { $0 + pow($1.0 - m * $1.1, 2) }
                let error = (2 * squares).squareRoot() / (n[0] + n[1])
                let ours = try #require(try both.values(list, name)[entry])
                let ourError = try #require(try both.values(list, name + "_se")[entry])
                #expect(abs(ours - m) < 1e-6, "\(name)[\(entry)]")
                #expect(abs(ourError - error) < 1e-6, "\(name)_se[\(entry)]")
            }
            for run in alone {
                let members = try #require(try run.layers()[list]?.arrayValue?.first?.objectValue)
                #expect(members[name + "_se"] == .null, "there, and null")
            }
        }
    }

    /// One token: no next token, no second document. What is undefined is null, and never NaN.
    @Test func whatIsUndefinedIsNull() throws {
        let model = try TinyModel(tokenizer: false)
        try model.write(line(["tokens": [7]]), to: "one.jsonl")
        let run = try ProbeFiles(model, ["--data", model.file("one.jsonl")])
        for entry in try #require(try run.layers()["boundaries"]?.arrayValue) {
            #expect(entry.objectValue?["cross_entropy"] == .null)
            #expect(entry.objectValue?["cross_entropy_se"] == .null)
            #expect(entry.objectValue?["entropy_se"] == .null)
            #expect(entry["entropy"] != nil)
        }
        // NaN is how evidence.h5 marks what is undefined.
        for name in runFiles where name != "report.html" && name != "evidence.h5" {
            let text = try String(contentsOfFile: run.folder + "/" + name, encoding: .utf8)
            #expect(text.range(of: #"\b(nan|inf)\b"#, options: [.regularExpression]) == nil)
        }
        #expect(try SchemaValidator("layers").problems(run.layers()).isEmpty)
        #expect(try SchemaValidator("split").problems(run.json("split.json")).isEmpty)
        #expect(try run.json("split.json").objectValue?["confidence"] == .null)
    }

    @Test func passesLimitWhatIsMeasured() throws {
        let model = try TinyModel()
        let data = ["--sequences", "2", "--sequence-length", "16"]
        let metrics: [(passes: String, layer: [String], boundary: [String])] = [
            ("angular", ["angular_distance_last", "angular_distance"], []),
            ("influence", ["block_influence"], []),
            ("contribution", ["contribution", "contribution_cosine"], []),
            ("lens", [], Self.perBoundary),
            ("geometry", [], Self.geometry),
            ("angular,lens", ["angular_distance_last", "angular_distance"], Self.perBoundary),
        ]
        let whole = try ProbeFiles(model, data, out: "whole")
        for (index, wanted) in metrics.enumerated() {
            let run = try ProbeFiles(
                model, data + ["--passes", wanted.passes], out: "run\(index)")
            #expect(names(in: run.folder) == runFiles)
            let json = try run.layers()
            let layer = try #require(json["layers"]?.arrayValue?.first?.objectValue)
            #expect(
                Set(layer.keys)
                    == Set(
                        ["index", "scores"]
                            + Self.withTwins(wanted.layer).flatMap { [$0, $0 + "_se"] }))
            #expect(json["boundaries"]?.arrayValue?.count == (wanted.boundary.isEmpty ? 0 : 5))
            for name in wanted.layer {
                #expect(try run.values("layers", name) == whole.values("layers", name))
            }
            for name in wanted.boundary {
                #expect(try run.values("boundaries", name) == whole.values("boundaries", name))
            }
            #expect(try SchemaValidator("layers").problems(json).isEmpty)
            #expect(try SchemaValidator("split").problems(run.json("split.json")).isEmpty)
        }
    }

    @Test func theGeometryHasEveryBoundaryAndPair() throws {
        let model = try TinyModel()
        let run = try ProbeFiles(
            model, ["--sequences", "3", "--sequence-length", "64", "--passes", "geometry"])
        let json = try run.layers()
        let boundaries = try #require(json["boundaries"]?.arrayValue)
        #expect(boundaries.count == 5)
        let width = try #require(json["model"]?["hidden_size"]?.doubleValue)
        for boundary in boundaries {
            let rank = try #require(boundary["effective_rank"]?.doubleValue)
            let ratio = try #require(boundary["participation_ratio"]?.doubleValue)
            #expect(1 <= ratio && ratio <= rank && rank <= width)
            #expect(boundary.objectValue?["effective_rank_se"] == .some(.null))
            #expect(try #require(boundary["prompt_entropy"]?.doubleValue) <= log(width))
            #expect(try #require(boundary["prompt_entropy_se"]?.doubleValue) > 0)
            #expect((0...Double.pi).contains(try #require(boundary["curvature"]?.doubleValue)))
        }
        let cka = try #require(json["cka"]?.arrayValue).map { $0.arrayValue ?? [] }
        #expect(cka.count == 5)
        for row in 0..<5 {
            #expect(cka[row].count == 5)
            #expect(cka[row][row].doubleValue == 1)
            for column in 0..<row { #expect(cka[row][column] == cka[column][row]) }
        }
        let reader = try String(contentsOfFile: run.folder + "/report.html", encoding: .utf8)
        #expect(reader.contains("CKA between boundaries"))
        #expect(json["sinks"]?["first"] == 3)
        #expect(reader.contains("Of 192 positions, 3 first positions of documents"))
        #expect(reader.contains("The geometry leaves them out."))
        #expect(run.result.text.contains("The geometry leaves them out."))
    }

    @Test func keptSinksAreInTheGeometryAndNothingElseMoves() throws {
        let model = try TinyModel()
        let data = ["--sequences", "3", "--sequence-length", "64"]
        let dropped = try ProbeFiles(model, data, out: "dropped")
        let kept = try ProbeFiles(model, data + ["--sinks", "keep"], out: "kept")
        #expect(try kept.layers()["sinks"]?["policy"] == "keep")
        #expect(try kept.layers()["layers"] == dropped.layers()["layers"])
        for name in Self.withTwins(Self.perBoundary) {
            #expect(try kept.values("boundaries", name) == dropped.values("boundaries", name))
        }
        for name in Self.geometry {
            #expect(try kept.values("boundaries", name) != dropped.values("boundaries", name))
        }
        #expect(kept.result.text.contains("The geometry keeps them (--sinks keep)."))
        #expect(try SchemaValidator("layers").problems(kept.layers()).isEmpty)
    }

    @Test func theSplitFileSaysHowTheModelIsCut() throws {
        let model = try TinyModel("llama-deep")
        let run = try ProbeFiles(model, ["--sequences", "4", "--sequence-length", "32"])
        let split = try run.json("split.json")
        let fingerprint = try run.layers()["model"]?["fingerprint"]
        #expect(split["model"]?["fingerprint"] == fingerprint)
        #expect(split["evidence"]?["kneedle"]?["values"]?["sensitivity"]?.doubleValue == 1)
        let candidates = try #require(split["alternatives"]?.arrayValue)
        // L = 8: windows of 2 and 3 layers, one layer free at either end.
        #expect(!candidates.isEmpty)
        for candidate in candidates {
            let parts = ["encoder", "think", "decoder"].compactMap {
                candidate["split"]?[$0]?.intValue
            }
            #expect(parts.reduce(0, +) == 8)
            #expect((2...3).contains(parts[1]) && parts[0] >= 1 && parts[2] >= 1)
            #expect(
                candidate["notation"]?.stringValue == "\(parts[0])-\(parts[1])*k-\(parts[2])")
        }
        if split["abstained"] == true {
            #expect(run.result.text.contains("No split proposed"))
            #expect(split["reason"]?.stringValue?.isEmpty == false)
        } else {
            let notation = try #require(split["notation"]?.stringValue)
            #expect(run.result.text.contains("Proposed split: \(notation)"))
        }
        #expect(run.result.text.contains("\(run.folder)/report.html"))
    }

    /// The validator must be able to fail, or the tests above show nothing.
    @Test func theValidatorFindsWhatIsWrong() throws {
        let model = try TinyModel()
        let run = try ProbeFiles(model, ["--sequences", "2", "--sequence-length", "8"])
        let valid = try #require(try run.layers().objectValue)
        let schema = try SchemaValidator("layers")
        func problems(_ change: (inout JSON.Object) -> Void) -> [String] {
            var changed = valid
            change(&changed)
            return schema.problems(.object(changed))
        }
        #expect(problems { _ in }.isEmpty)
        #expect(!problems { $0.removeValue(forKey: "data") }.isEmpty)
        #expect(!problems { $0["schema"] = "etd-layers/v2" }.isEmpty)
        #expect(!problems { $0["precision"] = "f16" }.isEmpty)
        #expect(
            !problems { $0["layers"] = [["index": 0, "entropy": "low", "scores": [:]]] }.isEmpty)
        #expect(!problems { $0["layers"] = [["index": -1, "scores": [:]]] }.isEmpty)
        #expect(
            !problems { $0["layers"] = [["index": 0, "scores": [:], "contribution": 1]] }.isEmpty)
        let split = try #require(try run.json("split.json").objectValue)
        var abstained = split
        abstained["abstained"] = .bool(split["abstained"] != true)
        #expect(try !SchemaValidator("split").problems(.object(abstained)).isEmpty)
    }
}
