import CKernels
import Files
import Foundation
import Models
import Plans
import Tensors

/// Raw states [rows, d] of the texts of a batch.
typealias States = FloatBuffer

/// Passes of whole texts through single layers, and what the head says of the result.
///
/// A pass goes through all positions of a text before the next begins, so that the states at any
/// boundary can be kept and taken up by several windows. Each pass of a layer has keys and values of its
/// own. Not for use from several threads at once.
final class LayerPasses {
    let model: Transformer
    private let runner: BlockRunner
    private let plans: [LayerPlan]
    private var logits = FloatBuffer(count: 0)
    /// Rows of logits that exist at once: 64 MiB of them, at least 16 rows.
    private let rowsAtOnce: Int
    /// Layers that ran, each counted once for every row.
    private(set) var executions = 0
    /// Rows that went through the head.
    private(set) var headRows = 0

    var width: Int { model.configuration.hiddenSize }
    var layers: Int { model.configuration.layerCount }

    init(model: Transformer) throws(PlanError) {
        self.model = model
        runner = BlockRunner(model: model)
        var plans: [LayerPlan] = []
        for layer in 0..<model.configuration.layerCount {
            plans.append(try LayerPlan(layers: [layer]))
        }
        self.plans = plans
        rowsAtOnce = min(
            BlockRunner.blockLength, max(16, (1 << 24) / model.configuration.vocabularySize))
    }

    /// What the first layer receives.
    func embed(_ texts: [ScanText]) -> States {
        let states = States(count: texts.reduce(0) { $0 + $1.rows } * width)
        var row = 0
        for text in texts {
            model.embed(text.trunk[...], from: 0, into: states.pointer + row * width)
            row += text.trunk.count
            for branch in text.branches {
                model.embed(
                    branch[...], from: text.trunk.count, into: states.pointer + row * width)
                row += branch.count
            }
        }
        return states
    }

    /// The states behind `range` of the layers, from those before it.
    /// - Throws: `ModelError`, such as `.nonFinite`.
    func run(
        _ range: Range<Int>, _ texts: [ScanText], from start: States
    ) throws(ModelError) -> States {
        var states = start
        for layer in range { states = try run(layer, texts, from: states) }
        return states
    }

    private func run(
        _ layer: Int, _ texts: [ScanText], from start: States
    ) throws(ModelError) -> States {
        let out = States(uninitialized: start.count)
        var segments: [BlockRunner.Segment] = []
        var first = 0
        var row = 0
        func runBlock() throws(ModelError) {
            guard row > first else { return }
            try runner.run(segments, from: UnsafePointer(start.pointer) + first * width)
            (out.pointer + first * width).update(
                from: runner.states, count: (row - first) * width)
            segments = []
            first = row
        }
        for text in texts {
            let cache = try text.cache(layer) { () throws(ModelError) in
                try KeyValueCache(model: model, plan: plans[layer], capacity: text.length)
            }
            var trunk = text.trunk[...]
            let branchRows = text.rows - trunk.count
            // A text that no block holds runs in several; its branches stand in the last.
            while row - first + trunk.count + branchRows > runner.capacity {
                let room = runner.capacity - (row - first)
                if room == 0 || !segments.isEmpty {
                    try runBlock()
                    continue
                }
                let piece = trunk.prefix(room)
                guard !piece.isEmpty else { break }
                segments.append(.init(piece, cache: cache, textLength: text.length))
                row += piece.count
                trunk = trunk.dropFirst(piece.count)
                try runBlock()
            }
            let index = segments.count
            segments.append(.init(trunk, cache: cache, textLength: text.length))
            segments += text.branches.map { .branch($0, of: index) }
            row += trunk.count + branchRows
            if model.configuration.rotaryDependsOnLength { try runBlock() }
        }
        try runBlock()
        executions += row
        return out
    }

    /// log P of each text's requests, in nats, summed over the scored tokens, by text and request.
    /// - Parameter states: at the last boundary.
    /// - Throws: `ModelError.nonFiniteLogit`.
    func logProbabilities(
        _ texts: [ScanText], _ states: States
    ) throws(ModelError) -> [[Int: Double]] {
        var sums = [[Int: Double]](repeating: [:], count: texts.count)
        var wanted: [(row: Int, text: Int, targets: [ScanText.Target])] = []
        var firstRow = 0
        for (index, text) in texts.enumerated() {
            for target in text.targets {
                let row = firstRow + target.row
                if wanted.last?.row == row {
                    wanted[wanted.count - 1].targets.append(target)
                } else {
                    wanted.append((row, index, [target]))
                }
            }
            firstRow += text.rows
        }
        let vocabulary = model.configuration.vocabularySize
        for start in stride(from: 0, to: wanted.count, by: rowsAtOnce) {
            let chunk = wanted[start..<min(start + rowsAtOnce, wanted.count)]
            let logits = try self.logits(chunk.map { states.pointer + $0.row * width })
            var normalisers = [Double](repeating: 0, count: chunk.count)
            normalisers.withUnsafeMutableBufferPointer { found in
                nonisolated(unsafe) let found = found
                Parallel.forEach(chunk.count) { index in
                    found[index] = etd_log_sum_exp(
                        logits.pointer + index * vocabulary, vocabulary)
                }
            }
            for (index, place) in chunk.enumerated() {
                let row = logits.pointer + index * vocabulary
                for target in place.targets {
                    sums[place.text][target.request, default: 0] +=
                        Double(row[Int(target.token)]) - normalisers[index]
                }
            }
        }
        return sums
    }

    /// Logits [rows, vocabulary] of single states. The buffer is used again by the next call.
    private func logits(_ rows: [UnsafeMutablePointer<Float>]) throws(ModelError) -> FloatBuffer {
        headRows += rows.count
        let needed = rows.count * model.configuration.vocabularySize
        if logits.count < needed { logits = FloatBuffer(count: needed) }
        let logits = logits
        try ScratchPool.shared.withFloats(rows.count * width) { copies throws(ModelError) in
            for (index, row) in rows.enumerated() {
                (copies + index * width).update(from: row, count: width)
            }
            try model.logits(of: copies, rows: rows.count, into: logits.pointer)
        }
        return logits
    }

    /// ‖p - p'‖ of the model's predictions at each text's last position, from states at the last
    /// boundary.
    func outputDistances(
        _ texts: [ScanText], _ one: States, _ other: States
    ) throws(ModelError) -> [Double] {
        var distances: [Double] = []
        var end = 0
        let vocabulary = model.configuration.vocabularySize
        for text in texts {
            end += text.rows
            let place = (end - 1) * width
            let logits = try self.logits([one.pointer + place, other.pointer + place])
            let normalisers = (0..<2).map {
                etd_log_sum_exp(logits.pointer + $0 * vocabulary, vocabulary)
            }
            var squares = 0.0
            for token in 0..<vocabulary {
                let change =
                    exp(Double(logits.pointer[token]) - normalisers[0])
                    - exp(Double(logits.pointer[vocabulary + token]) - normalisers[1])
                squares += change * change
            }
            distances.append(squares.squareRoot())
        }
        return distances
    }
}
