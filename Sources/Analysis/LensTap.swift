import Corpus
import Foundation
import Models
import Tensors

/// Stacks the normed states of all boundaries of a block and reads them with the logit lens when the
/// last boundary has come. A tap on `resid`.
public final class LensTap: Tap {
    private let lens: LogitLens
    private let boundaries: Int
    private let width: Int
    private let layout: LogitLens.Layout
    private let memory: FloatBuffer
    /// The block's normed states of all boundaries, over `memory`.
    private let stacked: PackedRows
    private var tokens: [Int32] = []
    private let body: (_ position: Int, _ readings: [LogitLens.Reading]) -> Void
    /// Receives the last boundary's logits of the next block's first positions, then is dropped.
    var finalLogits: FloatBuffer?

    /// - Parameters:
    ///   - boundaries: executed steps + 1.
    ///   - body: called for each position of a document with the readings of all boundaries.
    public init(
        model: Transformer, boundaries: Int,
        _ body: @escaping (_ position: Int, _ readings: [LogitLens.Reading]) -> Void
    ) {
        lens = LogitLens(model: model)
        self.boundaries = boundaries
        width = model.configuration.hiddenSize
        layout = LogitLens.Layout(boundaries: boundaries)
        let arithmetic = model.unembedding.arithmetic
        memory = FloatBuffer(
            count: PackedRows.floats(
                rows: layout.rows(positions: Session.blockLength), width: width, arithmetic))
        stacked = PackedRows(memory.pointer, width: width, arithmetic)
        self.body = body
    }

    /// Starts a document; the token after each position is that position's target.
    public func begin(_ tokens: [Int32]) { self.tokens = tokens }

    public func wants(_ site: Site) -> Bool { site == .resid }

    public func observe(_ activation: Activation) {
        let norm = lens.model.finalNorm
        let rows = activation.positions.count
        let chunk = 16
        let width = self.width
        Parallel.forEach((rows + chunk - 1) / chunk) { index in
            ScratchPool.shared.withFloats(width) { normed in
                for row in index * chunk..<min(rows, (index + 1) * chunk) {
                    norm.apply(activation.values + row * width, out: normed, width: width)
                    self.stacked.store(
                        normed, row: self.layout.row(position: row, boundary: activation.index))
                }
            }
        }
        guard activation.index == boundaries - 1 else { return }
        let targets = activation.positions.map { position in
            position + 1 < tokens.count ? tokens[position + 1] : -1
        }
        lens.read(
            stacked, layout, positions: rows, targets: targets, finalLogits: finalLogits
        ) { row, readings in
            body(activation.positions.lowerBound + row, readings)
        }
        finalLogits = nil
    }
}

/// Means of the lens over documents, per boundary.
struct LensMeans {
    private struct Sums {
        var values = [Double](repeating: 0, count: 5)
        var crossEntropy = 0.0
    }

    private let boundaries: Int
    private var sums: [Sums]
    private var positions = 0.0
    private var targets = 0.0
    private(set) var means: [[DocumentMean]]

    init(boundaries: Int) {
        self.boundaries = boundaries
        sums = Array(repeating: Sums(), count: boundaries)
        means = Array(repeating: Array(repeating: DocumentMean(), count: 6), count: boundaries)
    }

    mutating func take(_ readings: [LogitLens.Reading]) {
        let final = readings[boundaries - 1]
        positions += 1
        if final.crossEntropy != nil { targets += 1 }
        for (boundary, reading) in readings.enumerated() {
            let shared = reading.topIDs.count { final.topIDs.contains($0) }
            sums[boundary].values[0] += reading.entropy
            sums[boundary].values[1] += reading.klToFinal
            sums[boundary].values[2] += reading.klFromFinal
            sums[boundary].values[3] += reading.topIDs.first == final.topIDs.first ? 1 : 0
            sums[boundary].values[4] += Double(shared) / Double(max(1, final.topIDs.count))
            sums[boundary].crossEntropy += reading.crossEntropy ?? 0
        }
    }

    mutating func endDocument() {
        for boundary in 0..<boundaries {
            for metric in 0..<5 {
                means[boundary][metric].add(sum: sums[boundary].values[metric], count: positions)
            }
            means[boundary][5].add(sum: sums[boundary].crossEntropy, count: targets)
        }
        sums = Array(repeating: Sums(), count: boundaries)
        positions = 0
        targets = 0
    }
}
