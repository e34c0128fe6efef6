import Analysis
import Files
import Foundation
import Plans
import Records
import Reporting

/// Records written by hand, shaped like those of real runs. No golden of a measurement: the numbers
/// only have to be plausible, and different enough that a mix-up shows.
enum Fixtures {
    /// SmolLM2-135M's angular distances at the last token, as measured in the project's notes.
    static let smolDistances = [
        0.49, 0.19, 0.085, 0.079, 0.092, 0.092, 0.085, 0.087, 0.102, 0.088, 0.085, 0.089, 0.078,
        0.079, 0.083, 0.084, 0.089, 0.082, 0.099, 0.102, 0.115, 0.105, 0.107, 0.099, 0.181, 0.07,
        0.082, 0.094, 0.098, 0.211,
    ]

    static func model(layers: Int, path: String = "models/smollm2-135m-instruct.gguf")
        -> ModelRecord
    {
        ModelRecord(
            path: path, architecture: "llama", layers: layers, hiddenSize: 576,
            vocabularySize: 49_152, parameters: 134_515_008,
            fingerprint: "9f2c1d40a6f5a1c7e4c3b2a1908f7e6d5c4b3a29180716253443526170899fab")
    }

    static let data = DataRecord(
        path: "default text", documents: 12, tokens: 6_144, sequenceLength: 512, bos: "auto")

    /// `distances.count` layers, all metrics, smooth lens curves.
    static func layers(
        _ distances: [Double] = smolDistances, path: String = "models/smollm2-135m-instruct.gguf"
    ) -> LayersRecord {
        let count = distances.count
        return LayersRecord(
            model: model(layers: count, path: path), data: data, precision: "f32",
            layers: distances.enumerated().map { index, distance in
                let other = distance * 0.9 + 0.01
                func estimate(_ value: Double, _ error: Double) -> Estimate {
                    Estimate(mean: value, standardError: error)
                }
                return LayersRecord.Layer(
                    index: index,
                    metrics: [
                        "angular_distance_last": estimate(distance, 0.004 + distance * 0.05),
                        "angular_distance": estimate(other, 0.001 + other * 0.01),
                        "block_influence": estimate(1 - cos(.pi * other), 0.002),
                        "contribution": estimate(index == 0 ? 6.4 : other * 3.4, other * 0.1),
                        "contribution_cosine": estimate(
                            0.3 * sin(Double(index) * 0.7) - 0.05, 0.01),
                    ],
                    scores: [:])
            },
            boundaries: (0...count).map { index in
                let depth = Double(index) / Double(count)
                func estimate(_ value: Double) -> Estimate {
                    Estimate(mean: value, standardError: 0.02 + value * 0.015)
                }
                return LayersRecord.Boundary(
                    index: index,
                    metrics: [
                        "entropy": estimate(10.6 - 7.9 * pow(depth, 2.2)),
                        "kl_to_final": estimate(9.1 * pow(1 - depth, 0.8)),
                        "kl_from_final": estimate(7.2 * pow(1 - depth, 0.6)),
                        "top1_agreement": estimate(pow(depth, 3.1)),
                        "top5_agreement": estimate(pow(depth, 2.4)),
                        "cross_entropy": estimate(3.1 + 8.0 * pow(1 - depth, 0.7)),
                        "effective_rank": Estimate(mean: 90 - 85 * depth, standardError: nil),
                        "participation_ratio": Estimate(mean: 40 - 38 * depth, standardError: nil),
                        "prompt_entropy": estimate(4.2 - 1.5 * sin(3 * depth)),
                        "curvature": estimate(2.1 - 0.2 * depth),
                    ])
            },
            matrices: [
                "cka": (0...count).map { row in
                    (0...count).map { column in exp(-0.01 * pow(Double(row - column), 2)) }
                }
            ])
    }

    /// Kneedle's curves over a decreasing curve, in the form the selector writes.
    static func kneedle(_ distances: [Double], knee: Int?, reversedKnee: Int?) -> JSON {
        func direction(_ values: [Double], _ knee: Int?) -> JSON {
            let low = values.min() ?? 0
            let span = max((values.max() ?? 1) - low, 1e-9)
            let normalized = values.map { 1 - ($0 - low) / span }
            let last = Double(max(1, values.count - 1))
            let difference = normalized.enumerated().map { $0.element - Double($0.offset) / last }
            let threshold = knee.flatMap { $0 < values.count ? difference[$0] - 1 / last : nil }
            return [
                "x": .array(values.indices.map { .int(Int64($0)) }),
                "normalized": .array(normalized.map(JSON.double)),
                "difference": .array(difference.map(JSON.double)),
                "threshold": .number(threshold), "knee": .number(knee),
            ]
        }
        return [
            "sensitivity": 1.0, "forward": direction(distances, knee),
            "reversed": direction(distances.reversed(), reversedKnee),
        ]
    }

    /// All windows of the project's rule, by mean angular distance within each length.
    static func alternatives(_ distances: [Double]) -> [SplitRecord.Alternative] {
        let count = distances.count
        let edge = (count + 7) / 8
        var result: [SplitRecord.Alternative] = []
        for length in stride(from: max(2, count / 8), through: max(3, count / 3), by: 1) {
            guard edge + length <= count - edge else { continue }
            let windows = (edge...count - edge - length).map { start in
                SplitRecord.Alternative(
                    split: Split(encoder: start, think: length, decoder: count - start - length),
                    scores: [
                        "mean_angular_distance":
                            distances[start..<start + length].reduce(0, +) / Double(length)
                    ])
            }
            result += windows.sorted {
                ($0.scores["mean_angular_distance"] ?? 0)
                    < ($1.scores["mean_angular_distance"] ?? 0)
            }.prefix(5)
        }
        return result
    }

    static func abstained(_ distances: [Double] = smolDistances) -> SplitRecord {
        SplitRecord(
            architecture: "llama", layers: distances.count,
            fingerprint: model(layers: distances.count).fingerprint, method: "kneedle", split: nil,
            confidence: nil,
            abstention:
                "Kneedle gives 2-27*k-1: its think block is 27 of 30 layers, more than half the model",
            alternatives: alternatives(distances),
            evidence: [
                "kneedle": .init(
                    proposal: Split(encoder: 2, think: 27, decoder: 1),
                    values: kneedle(distances, knee: 2, reversedKnee: 1))
            ], cost: [], createdBy: "etd-analyze 0.1.0")
    }

    /// Sixteen layers with the split that the paper found for OLMo-2 1B.
    static let olmoDistances = [
        0.42, 0.33, 0.27, 0.22, 0.17, 0.13, 0.105, 0.09, 0.088, 0.086, 0.09, 0.1, 0.115, 0.14, 0.18,
        0.29,
    ]

    static let proposed = SplitRecord(
        architecture: "olmo2", layers: 16, fingerprint: model(layers: 16).fingerprint,
        method: "kneedle", split: Split(encoder: 7, think: 4, decoder: 5), recommendedIterations: 3,
        maximumIterations: 5, confidence: 0.87, abstention: nil,
        alternatives: alternatives(olmoDistances),
        evidence: [
            "kneedle": .init(
                proposal: Split(encoder: 7, think: 4, decoder: 5),
                values: kneedle(olmoDistances, knee: 7, reversedKnee: 5))
        ],
        cost: [
            .init(iterations: 1, flopsPerToken: 2.37e9, kvBytesPerToken: 131_072),
            .init(iterations: 3, flopsPerToken: 3.31e9, kvBytesPerToken: 196_608),
        ], createdBy: "etd-analyze 0.1.0")

    static let run = RunRecord(
        arguments: [
            "etd-analyze", "probe", "--model", "models/smollm2-135m-instruct.gguf", "--out",
            "runs/it's here",
        ],
        versions: ["etd-analyze": "0.1.0", "swift": "6.3.1", "openblas": "0.3.21"],
        blasCoreType: "SkylakeX", threads: 2,
        hashes: ["model": "9f2c1d40a6f5", "tokenizer": "51a4bb02c7", "data": "0c93e1aa55"],
        tokens: 6_144, peakResidentBytes: 1_288_490_189,
        timings: .init(open: 0.412, tokenize: 0.093, pass: 187.42, total: 188.31),
        selfChecks: [
            .init(name: "lens at L equals the logits", value: 3.4e-6, limit: 1e-4),
            .init(name: "contributions add up to h_L", value: 7.7e-7, limit: 1e-4),
        ], created: "2026-11-23T21:04:11Z")
}

extension Fixtures {
    /// Four tokens, five boundaries; later boundaries are surer.
    static let lens: LensTable = {
        let prompt = [(504, "The"), (3575, " capital"), (282, " of"), (4649, " France")]
            .map { LensTable.Token(id: $0.0, text: $0.1) }
        let guesses = [" the", " Paris", "\n", "日本", " is"]
        return LensTable(
            model: "models/smollm2-135m-instruct.gguf", prompt: prompt,
            rows: (0...4).map { boundary in
                LensTable.Row(
                    boundary: boundary,
                    cells: prompt.indices.map { column in
                        let sure = 0.05 + 0.2 * Double(boundary) + 0.03 * Double(column)
                        let top = (0..<5).map { place in
                            LensTable.Candidate(
                                token: .init(
                                    id: 100 + place,
                                    text: guesses[(place + boundary + column) % guesses.count]),
                                probability: sure * pow(0.4, Double(place)))
                        }
                        return LensTable.Cell(
                            top: top, entropy: 9 - 2 * Double(boundary),
                            klToFinal: 8 - 2 * Double(boundary),
                            finalRank: boundary == 4 ? 1 : 1200 - 300 * boundary,
                            finalProbability: sure / 2)
                    })
            })
    }()
}

/// What the passes say of themselves.
let declarations = MeasuringPass.all.map(\.declaration)
