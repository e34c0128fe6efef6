// The geometry of states against numpy (scripts/goldens/geometry.py) and on data whose answer is known.
// States are fed to the taps by hand, in a session's blocks; that a session hands over the right states
// is for other tests.

import Analysis
import Corpus
import Files
import Foundation
import Models
import Plans
import Records
import Tensors
import TestSupport
import Testing

/// States of one document at every boundary: [boundary][tokens·d].
struct FedDocument {
    var states: [[Float]]
    var length: Int
    var added = 0

    var document: Document {
        Document(tokens: Array(repeating: 0, count: length), addedTokens: added)
    }

    /// As a session would: blocks of positions, each through all boundaries.
    func feed(width: Int, _ observe: (Activation) -> Void) {
        for start in stride(from: 0, to: length, by: BlockRunner.blockLength) {
            let positions = start..<min(length, start + BlockRunner.blockLength)
            for (boundary, values) in states.enumerated() {
                values.withUnsafeBufferPointer {
                    observe(
                        Activation(
                            states: $0.baseAddress! + start * width, boundary: boundary,
                            positions: positions, width: width))
                }
            }
        }
    }
}

func geometry(
    _ documents: [FedDocument], width: Int, sinks: SinkFinder? = nil, firstDocument: Int = 0,
    textTokens: Int? = nil
) -> BoundaryGeometry {
    let geometry = BoundaryGeometry(
        boundaries: documents[0].states.count, width: width,
        documents: documents.map(\.document), sinks: sinks, textTokens: textTokens)
    for (number, document) in documents.enumerated() {
        sinks?.begin(document.document, index: firstDocument + number)
        geometry.begin(document.document, index: firstDocument + number)
        document.feed(width: width) {
            sinks?.observe($0)
            geometry.observe($0)
        }
        sinks?.end()
        geometry.end()
    }
    return geometry
}

/// Metrics by name, for each boundary, and the rest.
func ended(
    _ geometry: BoundaryGeometry
) throws -> (metrics: [[String: Estimate]], results: GeometryResults) {
    let results = try geometry.results()
    let metrics = results.dimensions.enumerated().map { boundary, dimensions in
        var metrics = [
            "effective_rank": Estimate(mean: dimensions?.effectiveRank, standardError: nil),
            "participation_ratio": Estimate(
                mean: dimensions?.participationRatio, standardError: nil),
        ]
        for table in geometry.shapes { metrics[table.metric.name] = table.estimate(boundary) }
        return metrics
    }
    return (metrics, results)
}

@Suite struct GeometryTests {
    private func close(
        _ ours: Double?, _ theirs: Double?, _ tolerance: Double, _ what: String,
        _ location: SourceLocation = #_sourceLocation
    ) throws {
        let ours = try #require(ours, sourceLocation: location)
        let theirs = try #require(theirs, sourceLocation: location)
        #expect(
            abs(ours - theirs) <= tolerance, "\(what): \(ours), numpy \(theirs)",
            sourceLocation: location)
    }

    @Test func everyNumberAgreesWithNumPy() throws {
        try compare(states: "states", expected: "expected") { _ in nil }
    }

    /// Sinks of every kind, and states that are nearly ones: numpy names the massive positions, too.
    @Test func withoutSinksEveryNumberAgreesWithNumPy() throws {
        var finder: SinkFinder?
        try compare(states: "sinks", expected: "sinks") { documents in
            finder = SinkFinder(
                boundaries: 4, longest: documents.map(\.length).max() ?? 0)
            return finder
        }
        let counts = try #require(finder?.counts)
        #expect(counts.positions == 600 + 299 + 40 + 1 + 1100)
        #expect(counts.first == 4, "one document begins with an added token")
        let massive = try JSON.read(path: Locations.golden("geometry/sinks.json").path)["massive"]
        #expect(counts.massive == massive?.arrayValue?.count)
    }

    private func compare(
        states file: String, expected golden: String, _ finder: ([FedDocument]) -> SinkFinder?
    ) throws {
        let fixture = try TensorFixture(Locations.golden("geometry/\(file).safetensors"))
        let expected = try JSON.read(path: Locations.golden("geometry/\(golden).json").path)
        let states = try (0..<4).map { try fixture.floats("states.\($0)") }
        let width = states[0].shape[1]
        var start = 0
        let documents = try #require(expected["documents"]?.arrayValue).map { entry in
            let length = entry.arrayValue?[0].intValue ?? 0
            defer { start += length }
            return FedDocument(
                states: states.map { Array($0.values[start * width..<(start + length) * width]) },
                length: length, added: entry.arrayValue?[1].intValue ?? 0)
        }
        let found = geometry(documents, width: width, sinks: finder(documents))
        let (metrics, results) = try ended(found)
        let boundaries = try #require(expected["boundaries"]?.arrayValue)
        for (boundary, values) in boundaries.enumerated() {
            let moments = try #require(results.moments[boundary])
            #expect(moments.count == values["count"]?.intValue)
            let covariance = (values["covariance"]?.arrayValue ?? []).map { row in
                (row.arrayValue ?? []).compactMap(\.doubleValue)
            }
            var ours = [Double](repeating: 0, count: width * width)
            #expect(moments.covariance(into: &ours))
            for row in 0..<width {
                let mean = values["mean"]?.arrayValue?[row].doubleValue
                try close(
                    moments.mean?[row], mean, 1e-13 * max(1, abs(mean ?? 0)),
                    "mean \(row) at \(boundary)")
                for column in 0...row {
                    let scale = (covariance[row][row] * covariance[column][column]).squareRoot()
                    // An offset of 5 deviations takes its square from the digits.
                    try close(
                        ours[row * width + column], covariance[row][column], 1e-11 * scale,
                        "covariance \(row), \(column) at \(boundary)")
                }
            }
            let norm = (values["norm"]?.arrayValue ?? []).map(\.doubleValue)
            let ourNorms = [
                moments.meanNorm, moments.normRange?.lowerBound, moments.normRange?.upperBound,
                moments.sumOfSquares,
            ]
            for (place, name) in ["mean", "least", "greatest", "squares"].enumerated() {
                try close(
                    ourNorms[place], norm[place], 1e-12 * (norm[place] ?? 0), "norm: \(name)")
            }
            for metric in [Metric.effectiveRank, .participationRatio] {
                let estimate = try #require(metrics[boundary][metric.name])
                let value = values[metric.name]?.doubleValue
                try close(
                    estimate.mean, value, 1e-9 * (value ?? 0), "\(metric.name) at \(boundary)")
                #expect(estimate.standardError == nil)
            }
            for metric in [Metric.promptEntropy, .curvature] {
                let estimate = try #require(metrics[boundary][metric.name])
                let both = values[metric.name]?.arrayValue?.map(\.doubleValue)
                try close(estimate.mean, both?[0], 1e-10, "\(metric.name) at \(boundary)")
                try close(estimate.standardError, both?[1], 1e-10, "\(metric.name)_se")
            }
        }
        let cka = results.alignments
        for (row, values) in try #require(expected["cka"]?.arrayValue).enumerated() {
            for (column, value) in (values.arrayValue ?? []).enumerated() {
                try close(cka[row][column], value.doubleValue, 1e-9, "CKA \(row), \(column)")
            }
        }
    }

    // MARK: - Data whose answer is known

    @Test(arguments: [1, 3, 8])
    func dataOfRankRHasAtMostRDirections(_ rank: Int) throws {
        let width = 24
        let length = 400
        var random = SeededRandom(UInt64(rank))
        let basis = random.normals(rank * width)
        let factors = random.normals(rank * length)
        var states = [Float](repeating: 0, count: length * width)
        for row in 0..<length {
            for column in 0..<width {
                for k in 0..<rank {
                    states[row * width + column] +=
                        factors[row * rank + k] * basis[k * width + column]
                }
            }
        }
        let document = FedDocument(states: [states], length: length)
        let metrics = try ended(geometry([document], width: width)).metrics[0]
        let effective = try #require(metrics["effective_rank"]?.mean)
        let ratio = try #require(metrics["participation_ratio"]?.mean)
        #expect(ratio <= effective + 1e-9)
        // f32 rounding of the states adds directions of no weight.
        #expect(effective <= Double(rank) + 1e-6)
        #expect(effective > Double(rank) * 0.6)
        let entropy = try #require(metrics["prompt_entropy"]?.mean)
        #expect(exp(entropy) <= Double(rank) + 1e-6)
    }

    @Test func aRotatedAndScaledCopyIsWhollyAligned() throws {
        let width = 16
        let length = 600
        var random = SeededRandom(5)
        let states = random.normals(length * width, deviation: 2)
        // A reflection across the plane at right angles to v.
        let v = random.normals(width)
        let square = v.reduce(0) { $0 + $1 * $1 }
        var copy = states
        for row in 0..<length {
            var dot: Float = 0
            for column in 0..<width { dot += states[row * width + column] * v[column] }
            for column in 0..<width {
                let turned = states[row * width + column] - 2 * dot / square * v[column]
                copy[row * width + column] = 7 * turned + 100
            }
        }
        let other = random.normals(length * width)
        let cka = geometry(
            [FedDocument(states: [states, copy, other], length: length)], width: width
        ).alignments()
        #expect(abs(try #require(cka[0][1]) - 1) < 1e-6)
        #expect(cka[0][0] == 1)
        #expect(abs(try #require(cka[0][2])) < 0.1)
        #expect(cka[1][2] == cka[2][1])
    }

    @Test func independentStatesAreNotAlignedWhateverTheWidth() throws {
        // 64 directions and 256 tokens: the biased estimator would say about 0.2.
        let width = 64
        let length = 4096
        var values: [Double] = []
        for seed in 1...4 {
            var random = SeededRandom(UInt64(seed))
            let document = FedDocument(
                states: [random.normals(length * width), random.normals(length * width)],
                length: length)
            values.append(
                try #require(geometry([document], width: width).alignments()[0][1]))
        }
        for value in values { #expect(abs(value) < 0.02) }
        #expect(abs(values.reduce(0, +) / 4) < 0.01)
    }

    @Test func straightPathsDoNotTurnAndZigzagsTurnBack() throws {
        let width = 8
        let length = 300
        var random = SeededRandom(3)
        let step = random.normals(width).map { ($0 * 64).rounded() / 64 }
        var straight: [Float] = []
        var zigzag: [Float] = []
        for position in 0..<length {
            straight += step.map { $0 * Float(position) }
            zigzag += step.map { $0 * Float(position % 2) }
        }
        let noise = random.normals(length * width)
        let still = [Float](repeating: 2, count: length * width)
        let document = FedDocument(states: [straight, zigzag, noise, still], length: length)
        let metrics = try ended(geometry([document], width: width)).metrics
        #expect(try #require(metrics[0]["curvature"]?.mean) < 1e-6)
        #expect(abs(try #require(metrics[1]["curvature"]?.mean) - .pi) < 1e-6)
        #expect(abs(try #require(metrics[2]["curvature"]?.mean) - 2 * .pi / 3) < 0.15)
        // One document: no standard error. States that never change: nothing is defined.
        #expect(metrics[0]["curvature"]?.standardError == nil)
        for name in ["curvature", "prompt_entropy", "effective_rank", "participation_ratio"] {
            #expect(metrics[3][name]?.mean == nil, "\(name)")
        }
    }

    @Test func veryShortDocumentsLeaveWhatIsUndefinedOut() throws {
        var random = SeededRandom(4)
        let lone = FedDocument(states: [random.normals(4)], length: 1)
        let onlyAdded = FedDocument(states: [random.normals(4)], length: 1, added: 1)
        let found = geometry([lone, onlyAdded], width: 4)
        let (metrics, results) = try ended(found)
        #expect(metrics[0].values.allSatisfy { $0.mean == nil })
        #expect(results.alignments == [[nil]])
    }
}
