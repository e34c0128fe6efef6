// `probe --probe-dump`: the rows and labels that reach the probes are the dump's, and what is refused.
// What the probes make of them is the business of the probing tests.

import Activations
import Files
import Foundation
import TestSupport
import Testing

@Suite struct ProbeDumpTests {
    /// 80 documents whose kind follows from their last token, each token's class from its id.
    private func labelled() throws -> DumpFixture {
        let fixture = try DumpFixture(documents: 80)
        let lines = try lines(of: fixture.data).map { text -> String in
            let tokens = try JSON.parse(text)["tokens"]?.arrayValue?.compactMap(\.intValue) ?? []
            return line([
                "tokens": .ids(tokens),
                "labels": [
                    "kind": .string((tokens.last ?? 0) % 2 == 0 ? "even" : "odd"),
                    "class": .array(tokens.map { .number($0 % 3) }),
                ],
            ])
        }
        try fixture.model.write(lines.joined(), to: "data.jsonl")
        return fixture
    }

    private func lines(of path: String) throws -> [String] {
        String(decoding: try bytes(of: path), as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// Little-endian f32 behind NumPy's header.
    private func array(_ path: String) throws -> [Float] {
        let data = [UInt8](try bytes(of: path))
        let start = 10 + Int(data[8]) + Int(data[9]) << 8
        return stride(from: start, to: data.count, by: 4).map { place in
            Float(
                bitPattern: (0..<4).reduce(UInt32(0)) { $0 | UInt32(data[place + $1]) << (8 * $1) })
        }
    }

    private func examples(_ path: String) throws -> [JSON] {
        try lines(of: path).map { try JSON.parse($0) }
    }

    @Test(arguments: [[], ["--split", "1-2-1", "--iterations", "2"]])
    func rowsAndLabels(plan: [String]) throws {
        let fixture = try labelled()
        let made = try CommandRunner(analyze)(fixture.arguments("a.h5", ["--labels"] + plan))
        try #require(made.code == 0, "\(made)")
        let path = fixture.file("a.h5")
        let features = fixture.file("features")
        let arguments = ["--probe-dump", path, "--probe-features", features] + plan
        let result = try CommandRunner(analyze)(
            [
                "probe", "--model", fixture.model.path, "--data", fixture.data, "--precision",
                "f32",
                "--passes", "angular", "--out", fixture.file("run"), "--probe-examples", "60",
            ] + arguments)
        try #require(result.code == 0, "\(result)")

        let file = try ActivationFile(path: path)
        let kinds = try examples(features + "/kind.jsonl")
        #expect(kinds.count == 60)
        let states = try array(features + "/kind.npy")
        // The order in which the plan runs the layers.
        let boundaries: [(name: String, layer: Int)] =
            plan.isEmpty
            ? (0...4).map { ("resid", $0) }
            : [
                ("resid", 0), ("resid", 1), ("resid@think1", 2), ("resid@think1", 3),
                ("resid@think2", 2), ("resid@think2", 3), ("resid", 4),
            ]
        #expect(states.count == boundaries.count * 60 * 32)
        for (boundary, place) in boundaries.enumerated() {
            let stored = try file.values(place.name, layer: place.layer)
            for (index, example) in kinds.enumerated() {
                let hash = try #require(example["item"]?.stringValue)
                let document = try #require(file.table.sha256.firstIndex(of: hash))
                let row = Int(file.table.offsets[document] + file.table.lengths[document]) - 1
                let isEven = file.table.ids[row] % 2 == 0
                #expect(example["label"] == (isEven ? "even" : "odd"))
                let first = (boundary * 60 + index) * 32
                #expect(states[first..<first + 32] == stored[row * 32..<(row + 1) * 32])
            }
        }
        for example in try examples(features + "/class.jsonl") {
            let id = try #require(example["item"]?.stringValue.flatMap { Int($0) })
            #expect(example["label"]?.stringValue == "\(id % 3)")
        }
        // No document stands in two splits.
        var splits: [String: Set<String>] = [:]
        for example in kinds {
            splits[example["item"]?.stringValue ?? "", default: []].insert(
                example["split"]?.stringValue ?? "")
        }
        #expect(splits.values.allSatisfy { $0.count == 1 })
        let record = try JSON.read(path: fixture.file("run/layers.json"))
        let tasks = try #require(record["probes"]?["tasks"]?.arrayValue)
        #expect(tasks.map { $0["name"] } == ["class", "kind"])
        for task in tasks { #expect(task["ridge"]?.arrayValue?.count == boundaries.count) }
    }

    @Test func whatIsRefused() throws {
        let fixture = try labelled()
        let labelled = try fixture.dump("labelled.h5", "--labels")
        func refused(_ path: String, _ parts: [String], _ more: String...) throws {
            let result = try CommandRunner(analyze)(
                [
                    "probe", "--model", fixture.model.path, "--data", fixture.data, "--out",
                    fixture.file("run"), "--probe-dump", path,
                ] + more)
            expectFailure(result, naming: parts)
            #expect(!FileManager.default.fileExists(atPath: fixture.file("run")))
        }
        try refused(try fixture.dump("plain.h5"), ["plain.h5", "--labels"])
        try refused(
            try fixture.dump("few.h5", "--labels", "--layers", "0-2"), ["few.h5", "boundary 3"])
        try refused(
            try fixture.dump("other.h5", "--labels", "--sites", "q"), ["other.h5", "boundary 0"])
        try refused(labelled, ["labelled.h5", "--split"], "--split", "1-2-1", "--iterations", "2")
        try refused(labelled, ["labelled.h5", "class"], "--probe-dump", labelled)
        try refused(labelled, ["labelled.h5", "5 examples"], "--probe-examples", "5")
        // A state that is no number, found by its bytes and damaged.
        let file = try ActivationFile(path: labelled)
        let last = Int(file.table.offsets[0] + file.table.lengths[0]) - 1
        let row = try file.values("resid", layer: 2)[last * 32..<(last + 1) * 32]
        var whole = try bytes(of: labelled)
        let place = try #require(whole.range(of: row.withUnsafeBytes { Data($0) }))
        withUnsafeBytes(of: Float.nan.bitPattern.littleEndian) {
            whole.replaceSubrange(place.lowerBound + 40..<place.lowerBound + 44, with: $0)
        }
        try whole.write(to: URL(filePath: fixture.file("damaged.h5")))
        try refused(
            fixture.file("damaged.h5"),
            ["damaged.h5", "resid of layer 2 holds NaN or Inf at stored row \(last)"], "--quiet")
        try fixture.model.set("model.norm.weight", at: 0, to: 0.5)
        try refused(labelled, ["labelled.h5", "fingerprint"])
    }
}
