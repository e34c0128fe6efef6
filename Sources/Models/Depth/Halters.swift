import CKernels
import Foundation
import Tensors

/// The sum of a router's probabilities.
final class RouterHalter: Halter {
    private let router: Router
    private let bound: Double
    private var sums: [Double] = []

    init(_ router: Router, epsilon: Double) {
        self.router = router
        bound = 1 - epsilon
    }

    func begin(rows: Int) { sums = Array(repeating: 0, count: rows) }

    func halts(_ rows: PassRows) -> [Bool] {
        rows.rows.enumerated().map { index, row in
            let state = rows.after + index * rows.width
            var score = Double(router.bias)
            for column in 0..<rows.width {
                score += Double(router.weight[column]) * Double(state[column])
            }
            sums[row] += 1 / (1 + exp(-score))
            return sums[row] >= bound
        }
    }
}

/// ‖x_j - x_{j-1}‖ / ‖x_{j-1}‖ below a threshold.
final class ChangeHalter: Halter {
    private let threshold: Double

    init(threshold: Double) { self.threshold = threshold }

    func begin(rows: Int) {}

    func halts(_ rows: PassRows) -> [Bool] {
        rows.rows.indices.map { index in
            let products = etd_pair_products(
                rows.before + index * rows.width, rows.after + index * rows.width, rows.width)
            return products.uu < threshold * threshold * products.hh
        }
    }
}

/// What the logit lens says before and after a pass. Runs a head in each.
final class LensHalter: Halter {
    struct Reading {
        /// KL(p_j ‖ p_{j-1}), nats.
        var divergence: Double
        /// Whether the likeliest token is the same; the lower id wins a tie.
        var keepsTop: Bool
        /// p of the likeliest token less p of the next one, after the pass.
        var lead: Double
    }

    private let model: Transformer
    private let decide: (Reading) -> Bool
    /// Rows that are looked at together: 64 MiB of logits.
    private let rowsAtOnce: Int
    /// Logits before and after, [rows, 2, V].
    private var pairs = FloatBuffer(count: 0)
    private var fresh = FloatBuffer(count: 0)
    /// The rows whose logits after the last pass stand in `pairs`, in this order.
    private var held: [Int] = []

    init(_ model: Transformer, decide: @escaping (Reading) -> Bool) {
        self.model = model
        self.decide = decide
        rowsAtOnce = max(16, (1 << 23) / model.configuration.vocabularySize)
    }

    func begin(rows: Int) { held = [] }

    func halts(_ rows: PassRows) throws(ModelError) -> [Bool] {
        let vocabulary = model.configuration.vocabularySize
        let count = rows.rows.count
        let chunk = min(rowsAtOnce, count)
        if fresh.count < chunk * vocabulary {
            // Only where a block begins: rows only leave.
            fresh = FloatBuffer(count: chunk * vocabulary)
            pairs = FloatBuffer(count: chunk * 2 * vocabulary)
        }
        let keeps = count <= rowsAtOnce
        var halts: [Bool] = []
        for start in stride(from: 0, to: count, by: chunk) {
            let range = start..<min(start + chunk, count)
            if start == 0, keeps, !held.isEmpty {
                // The logits after the last pass are those before this one. Rows only leave, in order.
                var from = 0
                for (index, row) in rows.rows.enumerated() {
                    while held[from] != row { from += 1 }
                    let source = pairs.pointer + (from * 2 + 1) * vocabulary
                    (pairs.pointer + index * 2 * vocabulary).update(from: source, count: vocabulary)
                }
            } else {
                try head(rows.before + start * rows.width, rows, range, place: 0)
            }
            try head(rows.after + start * rows.width, rows, range, place: 1)
            halts += try readings(range, rows).map(decide)
        }
        held = keeps ? rows.rows : []
        return halts
    }

    /// Logits of `states` into `pairs`.
    private func head(
        _ states: UnsafePointer<Float>, _ rows: PassRows, _ range: Range<Int>, place: Int
    ) throws(ModelError) {
        let vocabulary = model.configuration.vocabularySize
        try model.logits(of: states, rows: range.count, into: fresh.pointer) {
            rows.positions[range.lowerBound + $0]
        }
        for index in 0..<range.count {
            (pairs.pointer + (index * 2 + place) * vocabulary).update(
                from: fresh.pointer + index * vocabulary, count: vocabulary)
        }
    }

    private func readings(
        _ range: Range<Int>, _ rows: PassRows
    ) throws(ModelError) -> [Reading] {
        let vocabulary = model.configuration.vocabularySize
        var found = [(Reading, bad: Int32)](
            repeating: (Reading(divergence: 0, keepsTop: false, lead: 0), -1), count: range.count)
        found.withUnsafeMutableBufferPointer { found in
            nonisolated(unsafe) let found = found
            let pairs = pairs
            Parallel.forEach(range.count) { index in
                found[index] = Self.reading(pairs.pointer + index * 2 * vocabulary, vocabulary)
            }
        }
        if let index = found.firstIndex(where: { $0.bad >= 0 }) {
            throw .nonFiniteLogit(
                id: Int(found[index].bad), place: "the lens after pass \(rows.pass)",
                position: rows.positions[range.lowerBound + index])
        }
        return found.map(\.0)
    }

    /// - Parameter logits: [2, V], before and after.
    private static func reading(
        _ logits: UnsafePointer<Float>, _ vocabulary: Int
    ) -> (Reading, bad: Int32) {
        withUnsafeTemporaryAllocation(of: etd_lens_row_t.self, capacity: 2) { states in
            guard let base = states.baseAddress else {
                return (.init(divergence: 0, keepsTop: false, lead: 0), 0)
            }
            for row in 0..<2 { etd_lens_row_begin(base + row) }
            ScratchPool.shared.withFloats(vocabulary) { scratch in
                etd_lens_panel(base, logits, 2, vocabulary, 0, vocabulary, -1, scratch)
            }
            let (before, after) = (base[0], base[1])
            func logSum(_ row: etd_lens_row_t) -> Double { Double(row.maximum) + log(row.sum) }
            // Σ q·(z_q - z_p) - log Z_q + log Z_p with q the distribution after the pass.
            let divergence =
                before.final_difference / after.sum - logSum(after) + logSum(before)
            let first = exp(Double(after.top_value.0) - logSum(after))
            let second = exp(Double(after.top_value.1) - logSum(after))
            let reading = Reading(
                divergence: max(0, divergence), keepsTop: before.top_id.0 == after.top_id.0,
                lead: first - second)
            return (reading, max(before.non_finite_id, after.non_finite_id))
        }
    }
}
