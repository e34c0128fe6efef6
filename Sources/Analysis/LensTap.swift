import Corpus
import Foundation
import Models
import Plans
import Records
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
        let arithmetic = model.arithmetic
        memory = FloatBuffer(
            count: PackedRows.floats(
                rows: layout.rows(positions: BlockRunner.blockLength), width: width, arithmetic))
        stacked = PackedRows(memory.pointer, width: width, arithmetic)
        translated = FloatBuffer(count: extra > 0 ? BlockRunner.blockLength * width : 0)
        self.body = body
    }

    /// The token after each position is that position's target.
    public func begin(_ document: Document, index: Int) { tokens = document.tokens }

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

/// Means of the lens over documents, per boundary, and their twins without attention sinks.
struct LensMeans {
    private let boundaries: Int
    /// Of each of `Metric.lens` in turn, for each boundary.
    private var values: PositionValues
    /// [boundaries][metrics], in the order of `Metric.lens`.
    private var means: [[DocumentMean]]
    private var twins: [[DocumentMean]]

    /// - Parameter longest: tokens of the longest document.
    init(boundaries: Int, longest: Int) {
        self.boundaries = boundaries
        values = PositionValues(series: Metric.lens.count * boundaries, room: longest)
        means = Array(
            repeating: Array(repeating: DocumentMean(), count: Metric.lens.count),
            count: boundaries)
        twins = means
    }

    mutating func take(_ position: Int, _ readings: [LogitLens.Reading]) {
        let final = readings[boundaries - 1]
        for (boundary, reading) in readings.enumerated() {
            let shared = reading.topIDs.count { final.topIDs.contains($0) }
            let row: [Double?] = [
                reading.entropy, reading.klToFinal, reading.klFromFinal,
                reading.topIDs.first == final.topIDs.first ? 1 : 0,
                Double(shared) / Double(max(1, final.topIDs.count)), reading.crossEntropy,
            ]
            for (metric, value) in row.enumerated() {
                values[metric * boundaries + boundary, position] = value
            }
        }
    }

    /// - Parameter sinks: for each position of the document whether the twins leave it out.
    mutating func end(_ document: Document, sinks: [Bool]) {
        let positions = document.addedTokens..<document.tokens.count
        for metric in Metric.lens.indices {
            for boundary in 0..<boundaries {
                let series = metric * boundaries + boundary
                let all = values.sum(series, positions)
                means[boundary][metric].add(sum: all.sum, count: all.count)
                let rest = values.sum(series, positions, without: sinks)
                twins[boundary][metric].add(sum: rest.sum, count: rest.count)
            }
        }
    }

    func estimates(boundary: Int) -> [String: Estimate] {
        var estimates: [String: Estimate] = [:]
        for (index, metric) in Metric.lens.enumerated() {
            estimates[metric.name] = means[boundary][index].estimate
            estimates[metric.withoutSinks.name] = twins[boundary][index].estimate
        }
        return estimates
    }
}
