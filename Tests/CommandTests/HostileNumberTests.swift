// Numbers that no type holds, in options and in files: wrong usage or one line, never a trap, and no
// memory taken for them.

import Files
import Foundation
import TestSupport
import Testing

@Suite struct HostileNumberTests {
    private static let model = ["--model", "m"]
    private static let most = "\(Int.max)"

    @Test(arguments: [
        ("--examples", ["tasks", "syllogism", "--examples"]),
        ("--count", ["tasks", "syllogism", "--count"]),
        ("--tokens", ["dump", "--model", "m", "--out", "o", "--tokens"]),
        ("--part-size", ["dump", "--model", "m", "--out", "o", "--part-size"]),
        ("--tokens", ["tune-lens", "--model", "m", "--out", "o", "--tokens"]),
        ("--batch", ["tune-lens", "--model", "m", "--out", "o", "--batch"]),
        ("--every", ["tune-lens", "--model", "m", "--out", "o", "--every"]),
        ("--probe-examples", ["probe", "--model", "m", "--out", "o", "--probe-examples"]),
        ("--sequences", ["probe", "--model", "m", "--out", "o", "--sequences"]),
        ("--sequence-length", ["probe", "--model", "m", "--out", "o", "--sequence-length"]),
        ("--threads", ["probe", "--model", "m", "--out", "o", "--threads"]),
        (
            "--iterations",
            ["lens", "--model", "m", "--prompt", "a", "--split", "1-1-1", "--iterations"]
        ),
    ])
    func optionsBeyondEveryUse(option: String, arguments: [String]) throws {
        for value in [
            Self.most, "\(Int.max - 1)", "4611686018427387904", "9223372036854775808", "1e30",
        ] {
            let result = try CommandRunner(analyze)(arguments + [value])
            #expect(result.code == 64, "\(result)")
            #expect(result.errors.contains(option), "\(result)")
        }
    }

    @Test(arguments: [most, "4611686018427387904", "99999999999999999999"])
    func positionsBeyondEveryUse(step: String) throws {
        let result = try CommandRunner(analyze)([
            "dump", "--model", "m", "--out", "o", "--positions", "every:" + step,
        ])
        #expect(result.code == 64 && result.errors.contains("every:N"), "\(result)")
    }

    /// The largest numbers that are allowed run: sums with an added BOS stay whole numbers.
    @Test func theLargestNumbersRun() throws {
        let model = try TinyModel(addsBOS: true)
        let data = try model.write(String(repeating: "the end in the\n", count: 40), to: "a.txt")
        let base = ["--model", model.path, "--data", data, "--sequence-length", "32", "--quiet"]
        let text = "1000000000000"
        var result = try CommandRunner(analyze)(
            ["dump", "--out", model.file("a.h5"), "--tokens", text, "--positions", "every:" + text]
                + base)
        #expect(result.code == 0, "\(result)")
        result = try CommandRunner(analyze)(
            ["tune-lens", "--out", model.file("a.safetensors"), "--tokens", "200", "--every", text]
                + base)
        #expect(result.code == 0, "\(result)")
    }

    // MARK: Plans

    /// 65,536 executed layers are the most; 4 layers of which 2 think, or 1.
    @Test(arguments: [
        ("1-2-1", "32768"), ("1-1-2", "65534"), ("0-4-0", "16385"), ("1-2-1", "65536"),
        ("1-2-1", "1000000000"), ("1-2-1", "100000000"), ("1-2-1", most), ("1-2*32768-1", nil),
        ("1-2*1000000-1", nil), ("0-1*65534-3", nil),
    ])
    func plansThatAreTooLong(split: String, iterations: String?) throws {
        let model = try TinyModel()
        let input = try model.write(line(["tokens": [3, 4, 5]]), to: "in.jsonl")
        let result = try CommandRunner(etd)(
            [
                "score", "--model", model.path, "--split", split, "--input", input, "--output",
                model.file("out.jsonl"), "--quiet",
            ] + (iterations.map { ["--iterations", $0] } ?? []), shell: "ulimit -v 6000000")
        #expect(result.code == 64, "\(result)")
        #expect(result.errors.contains("65536"), "\(result)")
        #expect(names(in: model.file("")) == ["in.jsonl", "model"])
    }

    /// Keys and values of 60,004 steps and 2,048 positions: 14.6 GiB, where 6 are left.
    @Test func aPlanWhoseKeysDoNotFit() throws {
        let model = try TinyModel()
        try model.configure(["max_position_embeddings": 2048])
        let tokens = (0..<2048).map { 3 + $0 % 90 }
        let input = try model.write(line(["tokens": .ids(tokens)]), to: "in.jsonl")
        let result = try CommandRunner(etd)(
            [
                "score", "--model", model.path, "--split", "1-2-1", "--iterations", "30001",
                "--input", input, "--output", model.file("out.jsonl"), "--quiet", "--threads", "1",
            ], shell: "ulimit -v 6000000")
        expectFailure(
            result, naming: ["60004 executed layers", "bytes)", "available", "--iterations"])
    }

    // MARK: Configurations

    @Test(arguments: [
        #"{"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 1e30}"#,
        #"{"rope_type": "yarn", "factor": 1e30, "original_max_position_embeddings": 1e30}"#,
        #"{"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 9223372036854775808}"#,
        #"{"rope_type": "longrope", "short_factor": [1, 1, 1, 1], "long_factor": [1, 1, 1, 1], "original_max_position_embeddings": 1e30}"#,
        #"{"rope_type": "dynamic", "factor": 1e30}"#, #"{"rope_type": "dynamic", "factor": 1e308}"#,
        #"{"type": "dynamic", "factor": 7.3e16}"#,
    ])
    func rotaryScaling(scaling: String) throws {
        let model = try TinyModel()
        try model.configure([
            "rope_parameters": .null, "rope_scaling": try JSON.parse(Array(scaling.utf8)),
        ])
        try fail(analyze, "inspect", model.path, naming: [model.path, "rope_scaling."])
    }

    @Test(arguments: [1e30, 1e300]) func factorsThatStayNumbers(factor: Double) throws {
        let model = try TinyModel()
        try model.configure([
            "rope_parameters": .null,
            "rope_scaling": ["rope_type": "linear", "factor": .number(factor)],
        ])
        #expect(try succeed(analyze, "inspect", model.path).text.contains("linear"))
    }

    // MARK: Records of runs

    /// A run to be damaged.
    private func run() throws -> TinyModel {
        let model = try TinyModel()
        try succeed(
            analyze, "probe", "--model", model.path, "--out", model.file("run"), "--passes",
            "angular,lens", "--sequence-length", "64", "--quiet")
        return model
    }

    private func edit(_ path: String, _ change: (inout JSON) throws -> Void) throws {
        var json = try JSON.read(path: path)
        try change(&json)
        try json.text().write(toFile: path, atomically: true, encoding: .utf8)
    }

    @Test func chartsOfAbsurdNumbers() throws {
        let model = try run()
        let (layers, split) = (model.file("run/layers.json"), model.file("run/split.json"))
        let numbers: [JSON] = [
            1e19, -1e19, 1e308, -1e308, .int(.max), .int(.min), 9.3e18, 0x1p63, 0x1p53,
            .double(.leastNonzeroMagnitude),
        ]
        for (index, number) in numbers.enumerated() {
            let other = numbers[(index + 1) % numbers.count]
            try edit(split) {
                let curve: JSON = [
                    "x": [number, 0, other, 3], "difference": [number, 0.5, other, 1],
                    "normalized": [0, 1, number, 1], "threshold": number, "knee": number,
                ]
                $0[member: "evidence"] = [
                    "kneedle": [
                        "proposal": nil,
                        "values": ["sensitivity": number, "forward": curve, "reversed": curve],
                    ]
                ]
                $0[member: "iterations"] = ["recommended": number, "maximum": number]
                $0[member: "confidence"] = number
            }
            try edit(layers) { json in
                guard var list = json["layers"]?.arrayValue,
                    var boundaries = json["boundaries"]?.arrayValue
                else { return }
                let whole: JSON = .int(index % 2 == 0 ? .max - Int64(index) : .min + Int64(index))
                list[0][member: "index"] = whole
                list[1][member: "angular_distance_last"] = number
                list[1][member: "angular_distance_last_se"] = other
                boundaries[0][member: "index"] = whole
                boundaries[1][member: "entropy"] = number
                boundaries[1][member: "entropy_se"] = other
                json[member: "layers"] = .array(list)
                json[member: "boundaries"] = .array(boundaries)
                json[member: "cka"] = [[number, other], [1, nil]]
            }
            try succeed(analyze, "report", model.file("run"))
            try succeed(analyze, "inspect", model.file("run"))
            try succeed(analyze, "inspect", model.file("run"), "--json")
        }
    }

    @Test func numbersOfLayers() throws {
        let model = try run()
        for name in ["layers.json", "split.json"] {
            let path = model.file("run/" + name)
            let whole = try Data(contentsOf: URL(filePath: path))
            for value: JSON in [1e18, .int(.max), 65_537, -1, 1.5, 1e19] {
                try edit(path) { json in
                    var described = json["model"] ?? [:]
                    described[member: "layers"] = value
                    json[member: "model"] = described
                }
                try fail(analyze, "report", model.file("run"), naming: [path, "model.layers"])
                try fail(analyze, "inspect", path, naming: [path, "model.layers"])
            }
            try whole.write(to: URL(filePath: path))
        }
        let path = model.file("run/split.json")
        for part: JSON in [.int(.max), 1e18, -1, .int(.min)] {
            try edit(path) {
                $0[member: "alternatives"] = [
                    [
                        "split": ["encoder": part, "think": .int(.max), "decoder": part],
                        "scores": [:],
                    ]
                ]
            }
            try fail(analyze, "report", model.file("run"), naming: [path, "alternatives[0]"])
        }
    }
}

extension JSON {
    /// A member of an object, to be set.
    subscript(member key: String) -> JSON? {
        get { objectValue?[key] }
        set {
            var members = objectValue ?? [:]
            members[key] = newValue
            self = .object(members)
        }
    }
}
