import Corpus
import Foundation
import Models
import Tensors

/// Stacks the normed states of all boundaries of a block and reads them with the logit lens when the
/// last boundary has come; with a tuned lens, the translated states beside them in the same pass over the
/// unembedding. A tap on `resid`.
public final class LensTap: Tap {
    /// What both lenses read at one position.
    public typealias Body = (
        _ position: Int, _ readings: [LogitLens.Reading], _ tuned: [LogitLens.Reading]
    ) -> Void

    private let lens: LogitLens
    private let boundaries: Int
    private let width: Int
    private let tuned: TunedLens?
    /// The translator of each boundary, if it has one.
    private let translators: [Int?]
    /// The row of each boundary's translated state among the rows of a position; its plain row where it
    /// has no translator.
    private let tunedRows: [Int]
    private let layout: LogitLens.Layout
    private let memory: FloatBuffer
    /// The block's normed states of all boundaries, over `memory`.
    private let stacked: PackedRows
    private let translated: FloatBuffer
    private var tokens: [Int32] = []
    private let body: Body
    /// Receives the last boundary's logits of the next block's first positions, then is dropped.
    var finalLogits: FloatBuffer?

    /// - Parameters:
    ///   - boundaries: executed steps + 1.
    ///   - body: called for each position of a document with the readings of all boundaries.
    public convenience init(
        model: Transformer, boundaries: Int,
        _ body: @escaping (_ position: Int, _ readings: [LogitLens.Reading]) -> Void
    ) {
        self.init(
            model: model, boundaries: boundaries, tuned: nil,
            translators: Array(repeating: nil, count: boundaries)
        ) { position, readings, _ in body(position, readings) }
    }

    /// - Parameter body: called for each position of a document with the readings of all boundaries: of the
    ///   plain lens and, where one is given, of the tuned lens, whose last reading is the plain one.
    public convenience init(
        model: Transformer, plan: LayerPlan, tuned: TunedLens?, _ body: @escaping Body
    ) {
        let boundaries = plan.steps.count + 1
        self.init(
            model: model, boundaries: boundaries, tuned: tuned,
            translators: tuned?.translators(of: plan) ?? Array(repeating: nil, count: boundaries),
            body)
    }

    private init(
        model: Transformer, boundaries: Int, tuned: TunedLens?, translators: [Int?],
        _ body: @escaping Body
    ) {
        lens = LogitLens(model: model)
        self.boundaries = boundaries
        width = model.configuration.hiddenSize
        self.tuned = tuned
        self.translators = translators
        // The last row of a position is the output's, so the translated states stand before the others.
        let extra = translators.count { $0 != nil }
        var rows: [Int] = []
        var used = 0
        for (boundary, translator) in translators.enumerated() {
            rows.append(translator == nil ? extra + boundary : used)
            if translator != nil { used += 1 }
        }
        tunedRows = rows
        layout = LogitLens.Layout(boundaries: extra + boundaries)
        let arithmetic = model.unembedding.arithmetic
        memory = FloatBuffer(
            count: PackedRows.floats(
                rows: layout.rows(positions: Session.blockLength), width: width, arithmetic))
        stacked = PackedRows(memory.pointer, width: width, arithmetic)
        translated = FloatBuffer(count: extra > 0 ? Session.blockLength * width : 0)
        self.body = body
    }

    /// Starts a document; the token after each position is that position's target.
    public func begin(_ tokens: [Int32]) { self.tokens = tokens }

    public func wants(_ site: Site) -> Bool { site == .resid }

    /// - Throws: `ModelError.nonFiniteLogit` naming the boundary and the lens.
    public func observe(_ activation: Activation) throws(ModelError) {
        let rows = activation.positions.count
        let extra = layout.boundaries - boundaries
        store(activation.values, rows: rows, at: extra + activation.index)
        if let tuned, let translator = translators[activation.index] {
            tuned.apply(
                boundary: translator, activation.values, rows: rows, into: translated.pointer)
            store(translated.pointer, rows: rows, at: tunedRows[activation.index])
        }
        guard activation.index == boundaries - 1 else { return }
        let targets = activation.positions.map { position in
            position + 1 < tokens.count ? tokens[position + 1] : -1
        }
        try lens.read(
            stacked, layout, positions: rows, targets: targets, finalLogits: finalLogits,
            firstPosition: activation.positions.lowerBound, place: place
        ) { row, readings in
            body(
                activation.positions.lowerBound + row, Array(readings[extra...]),
                tuned == nil ? [] : tunedRows.map { readings[$0] })
        }
        finalLogits = nil
    }

    /// Names a row of a position.
    private func place(_ row: Int) -> String {
        let extra = layout.boundaries - boundaries
        if row >= extra { return "boundary \(row - extra)" }
        return "boundary \(tunedRows.firstIndex(of: row) ?? row) of the tuned lens"
    }

    /// Norms states [rows, d] into the row `place` of each position.
    private func store(_ states: UnsafePointer<Float>, rows: Int, at place: Int) {
        let norm = lens.model.finalNorm
        let chunk = 16
        let width = self.width
        nonisolated(unsafe) let states = states
        Parallel.forEach((rows + chunk - 1) / chunk) { index in
            ScratchPool.shared.withFloats(width) { normed in
                for row in index * chunk..<min(rows, (index + 1) * chunk) {
                    norm.apply(states + row * width, out: normed, width: width)
                    self.stacked.store(
                        normed, row: self.layout.row(position: row, boundary: place))
                }
            }
        }
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
