// The page of a run with READ and USE, scans, and a verdict.

import Analysis
import Files
import Foundation
import Plans
import Records
import Reporting
import Testing

@Suite struct RelevancePageTests {
    private static func layers() -> LayersRecord {
        var record = Fixtures.layers()
        for index in record.layers.indices {
            let isFound = index == 12
            record.layers[index].scores = [
                "read_bits": isFound ? 0.3 : 0.01, "read_bits_low": isFound ? 0.1 : -0.2,
                "read_bits_high": isFound ? 0.5 : 0.2, "read_bits_p": isFound ? 0.005 : 0.9,
                "use": index == 18 ? 0.7 : 0.0, "use_low": index == 18 ? 0.4 : -0.3,
                "use_high": index == 18 ? 1.0 : 0.3, "use_p": index == 18 ? 0.001 : 1,
                "use_damage": -0.1, "use_text_damage": index == 5 ? nil : 0.2,
            ]
        }
        record.relevance = RelevanceRecord(
            seed: 0, isComplete: false,
            trials: [
                .init(
                    task: "variable_assignment", difficulty: 2, shots: 0, items: 200, accuracy: 0.4,
                    information: Estimate(mean: 0.14, standardError: 0.03), passed: true),
                .init(
                    task: "syllogism", difficulty: 2, shots: 5, items: 50, accuracy: 0.5,
                    information: Estimate(mean: -0.01, standardError: 0.02), passed: false),
            ],
            read: .init(
                tasks: ["variable_assignment:2"], items: 1000, swaps: 199, detectable: 0.16,
                unread: ["a <task>: reason"]),
            use: .init(
                tasks: ["variable_assignment:2"], items: 400, intercept: 0.1, slope: -1,
                fitted: Array(1..<30), critical: 3.1, detectable: 0.2, halfCorrelation: 0.5,
                halves: [[0.1], [nil]]), knowledge: nil, seconds: ["gate": 3])
        return record
    }

    private static func scans() -> ScansRecord {
        func values(_ value: Double) -> ScansRecord.Values {
            let estimate = Estimate(mean: value, standardError: 0.01)
            return .init(margin: estimate, accuracy: estimate, nll: estimate)
        }
        var record = ScansRecord(
            model: Fixtures.model(layers: 30), precision: "f32", bos: "auto",
            items: .init(path: "items.jsonl", sha256: "0", count: 80), tooLong: 0,
            text: .init(path: "t", sha256: "0", count: 900), documents: 2,
            racing: .init(isOn: true, seed: 0, search: 40, confirmation: 40), base: values(1),
            windows: (0..<20).flatMap { start in
                [("loop", 2), ("skip", nil)].map { kind, iterations in
                    .init(
                        kind: kind, start: start, length: 2, iterations: iterations,
                        stage: start == 4 ? "confirm" : "search", items: 40, documents: 2,
                        values: values(1), change: values(Double(start) / 100))
                }
            }, notRun: 3, isComplete: false, executions: 10, naiveExecutions: 100)
        record.dynamics = (0..<5).map { start in
            .init(
                start: start, length: 2, change: [1, 0.5, Double(start) / 5], cosine: [0.1, -0.2])
        }
        record.skipEffect = (0..<30).map { skipped in
            (0..<30).map { $0 > skipped ? 0.3 : nil }
        }
        return record
    }

    private static func split() -> SplitRecord {
        var record = Fixtures.abstained()
        record.evidence["use"] = .init(
            proposal: Split(encoder: 9, think: 9, decoder: 12),
            values: ["z": 2, "use": .array((0..<30).map { .number(Double($0 % 7)) })])
        record.evidence["dynamics"] = .init(
            proposal: Split(encoder: 2, think: 2, decoder: 26),
            values: [
                "windows": .array(
                    (0..<5).map { ["start": .number($0), "length": 2, "ratio": 0.5] })
            ])
        record.verdict = [
            "frozen": [
                "recommended": .null, "upper_bound": 0.1,
                "reason": "No window gains more than 0.1.",
                "confirmed": [
                    [
                        "kind": "loop", "start": 4, "length": 2, "iterations": 2, "items": 40,
                        "margin_delta": 0.04, "low": -0.1, "high": 0.2,
                    ]
                ],
            ],
            "train": [
                "parts": ["use"], "confidence": 0.3, "reason": "Resamples disagree.",
                "note": "unproven until trained",
                "candidates": [["notation": "9-9*k-12", "score": 1.5, "parts": ["use": 1.5]]],
            ], "resamples": 100,
            "stability": ["kneedle": ["same": 0.5, "within_one_layer": 0.75]],
            "missing": ["READ": ["read_bits"]],
        ]
        return record
    }

    @Test func everythingIsDrawnAndWellFormed() {
        let page = HTMLReport.page(
            layers: Self.layers(), split: Self.split(), run: Fixtures.run,
            passes: MeasuringPass.all.map(\.declaration), scans: Self.scans())
        let reader = PageReader(page)
        #expect(reader.problem == nil)
        let identifiers = reader.values("id")
        #expect(Set(identifiers).count == identifiers.count, "ids are unique")
        for id in [
            "answers", "relevance", "scans", "selector-use", "selector-dynamics", "relevance-read",
            "relevance-use", "scan-dynamics",
        ] {
            #expect(identifiers.contains { $0 == id || $0.hasPrefix(id + "-") }, "\(id)")
        }
        for text in [
            "No window gains more than 0.1.", "Resamples disagree.", "Read: layer 12",
            "Used: layer 18", "Not done by this model, and left out: syllogism", "0.16 bits",
            "a <task>: reason", "3 windows have not run", "READ: needs read_bits", "75 %",
        ] {
            #expect(reader.text.contains(text), "\(text)")
        }
        // What a verdict shows as strips it does not print as JSON.
        #expect(reader.count("pre") <= 1)
    }

    @Test func whatWasNotMeasuredIsNotThere() {
        let page = HTMLReport.page(
            layers: Fixtures.layers(), split: Fixtures.abstained(), run: Fixtures.run,
            passes: MeasuringPass.all.map(\.declaration))
        let identifiers = PageReader(page).values("id")
        #expect(!identifiers.contains { ["answers", "relevance", "scans"].contains($0) })
    }
}
