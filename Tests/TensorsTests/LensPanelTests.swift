// The lens kernel, fed panel by panel, against a softmax in f64 over the whole vocabulary.

import CKernels
import Foundation
import TestSupport
import Testing

/// What the lens kernel's sums stand for, over one row of logits and the final state's.
private struct NaiveLens {
    let logSumExp, entropy, klToFinal, klFromFinal: Double
    let top: [Int32]

    init(_ row: ArraySlice<Float>, final: ArraySlice<Float>) {
        func logSoftmax(_ row: ArraySlice<Float>) -> (values: [Double], logSum: Double) {
            let z = row.map(Double.init)
            let highest = z.max()!
            let logSum = highest + log(z.reduce(0) { $0 + exp($1 - highest) })
            return (z.map { $0 - logSum }, logSum)
        }
        let (p, logSum) = logSoftmax(row)
        let (q, _) = logSoftmax(final)
        logSumExp = logSum
        entropy = -p.reduce(0) { $0 + exp($1) * $1 }
        klToFinal = zip(p, q).reduce(0) { $0 + exp($1.0) * ($1.0 - $1.1) }
        klFromFinal = zip(p, q).reduce(0) { $0 + exp($1.1) * ($1.1 - $1.0) }
        let values = Array(row)
        top = values.indices.sorted {
            (-values[$0], $0) < (-values[$1], $1)
        }.prefix(5).map(Int32.init)
    }
}

extension etd_lens_row_t {
    var logSumExp: Double { Double(maximum) + log(sum) }
    var entropy: Double { log(sum) - sum_shifted / sum }

    func klToFinal(_ final: etd_lens_row_t) -> Double {
        sum_difference / sum - logSumExp + final.logSumExp
    }

    func klFromFinal(_ final: etd_lens_row_t) -> Double {
        final_difference / final.sum + logSumExp - final.logSumExp
    }

    var topIDs: [Int32] { [top_id.0, top_id.1, top_id.2, top_id.3, top_id.4] }
    var topValues: [Float] {
        [top_value.0, top_value.1, top_value.2, top_value.3, top_value.4]
    }
}

/// Runs the kernel over `logits` [rows, vocabulary] in panels of `panel` ids.
func lensRows(
    _ logits: [Float], rows: Int, panel: Int, target: Int32
) -> [etd_lens_row_t] {
    let vocabulary = logits.count / rows
    // A panel lies as the product writes it: rows of its own width, with a gap between them.
    let stride = panel + 3
    var states = [etd_lens_row_t](repeating: etd_lens_row_t(), count: rows)
    for row in states.indices { etd_lens_row_begin(&states[row]) }
    var scratch = [Float](repeating: .nan, count: panel)
    for first in Swift.stride(from: 0, to: vocabulary, by: panel) {
        let count = min(panel, vocabulary - first)
        var tile = [Float](repeating: .nan, count: rows * stride)
        for row in 0..<rows {
            for index in 0..<count {
                tile[row * stride + index] = logits[row * vocabulary + first + index]
            }
        }
        etd_lens_panel(
            &states, tile, rows, stride, Int32(first), count, target, &scratch)
    }
    return states
}

@Suite struct LensPanelTests {
    enum Shape: String, CaseIterable, Sendable {
        case normal, wide, peaked, rising, falling, tied, flat, shifted
    }

    /// Logits [rows, vocabulary]; the rows near the end grow alike, as in a model.
    static func logits(_ shape: Shape, rows: Int, vocabulary: Int) -> [Float] {
        var random = SeededRandom(UInt64(vocabulary))
        let common = random.normals(vocabulary, deviation: 3)
        return (0..<rows).flatMap { row -> [Float] in
            let share = Float(row + 1) / Float(rows)
            let own = random.normals(vocabulary, deviation: 2)
            let mixed = zip(common, own).map { share * $0 + (1 - share) * $1 }
            return mixed.enumerated().map { index, value -> Float in
                switch shape {
                case .normal: value
                case .wide: value * 12
                case .peaked: index == (row * 37) % vocabulary ? 60 : value
                case .rising: value + 0.05 * Float(index)
                case .falling: value - 0.05 * Float(index)
                case .tied: value.rounded()
                case .flat: 0.25
                case .shifted: value + (row % 2 == 0 ? 900 : -900)
                }
            }
        }
    }

    @Test(arguments: Shape.allCases, [1, 2, 15, 16, 17, 64, 100, 299, 300])
    func panelsAddUpToTheWholeVocabulary(_ shape: Shape, _ panel: Int) {
        for vocabulary in [6, 131, 997] {
            let rows = 4
            let logits = Self.logits(shape, rows: rows, vocabulary: vocabulary)
            let target = Int32(vocabulary * 2 / 3)
            let states = lensRows(logits, rows: rows, panel: panel, target: target)
            let final = logits[(rows - 1) * vocabulary..<rows * vocabulary]
            for row in 0..<rows {
                let line = logits[row * vocabulary..<(row + 1) * vocabulary]
                let naive = NaiveLens(line, final: final)
                let state = states[row]
                // Weights are f32 (about 1 ulp) and meet differences as large as the logits' spread.
                let spread = zip(line, final).map { Double(abs($0 - $1)) }.max()!
                let widest = Double(line.max()! - line.min()!)
                #expect((state.logSumExp - naive.logSumExp).magnitude < 1e-6)
                #expect((state.entropy - naive.entropy).magnitude < 1e-6 * (1 + widest))
                let allowed = 1e-6 * (1 + spread)
                #expect((state.klToFinal(states[rows - 1]) - naive.klToFinal).magnitude < allowed)
                #expect(
                    (state.klFromFinal(states[rows - 1]) - naive.klFromFinal).magnitude < allowed)
                #expect(state.topIDs == naive.top)
                #expect(state.topValues == naive.top.map { line[line.startIndex + Int($0)] })
                #expect(state.target_logit == line[line.startIndex + Int(target)])
            }
        }
    }

    @Test func everyPanelLengthGivesTheSameRanksAndNearlyTheSameSums() {
        let (rows, vocabulary) = (2, 331)
        let logits = Self.logits(.tied, rows: rows, vocabulary: vocabulary)
        let whole = lensRows(logits, rows: rows, panel: vocabulary, target: 0)
        for panel in 1...300 {
            let states = lensRows(logits, rows: rows, panel: panel, target: 0)
            for row in 0..<rows {
                #expect(states[row].topIDs == whole[row].topIDs)
                #expect(states[row].maximum == whole[row].maximum)
                #expect(abs(states[row].logSumExp - whole[row].logSumExp) < 1e-6)
                #expect(abs(states[row].entropy - whole[row].entropy) < 1e-5)
            }
        }
    }

    @Test func aVocabularyBelowFiveLeavesPlacesEmpty() {
        let states = lensRows([1, 3, 3, 2, 0, 5], rows: 2, panel: 2, target: -1)
        #expect(states[0].topIDs == [1, 2, 0, -1, -1])
        #expect(states[1].topIDs == [2, 0, 1, -1, -1])
        #expect(states[0].topValues[3] == -.infinity)
        #expect(states[0].target_logit.isNaN)
    }

    /// Row 1 of 3 has one such logit, or the final row has. A logit that is a number is beyond the range in
    /// which it differs from the final row's: the row that is read is named then.
    @Test(
        arguments: [Float.nan, .infinity, -.infinity, .greatestFiniteMagnitude],
        [0, 15, 16, 63, 64, 330])
    func whatIsNotFiniteIsNamed(_ value: Float, _ id: Int) {
        for row in [1, 2] {
            var logits = Self.logits(.wide, rows: 3, vocabulary: 331)
            let clean = lensRows(logits, rows: 3, panel: 64, target: 7)
            #expect(clean.map(\.non_finite_id) == [-1, -1, -1])
            logits[row * 331 + id] = value
            if value.isFinite { logits[(row == 1 ? 2 : 1) * 331 + id] = -value }
            let states = lensRows(logits, rows: 3, panel: 64, target: 7)
            for (place, state) in states.enumerated() {
                let isDamaged = place == (value.isFinite ? 1 : row)
                #expect(state.non_finite_id == (isDamaged ? Int32(id) : -1), "row \(place)")
            }
        }
    }

    @Test func theFirstThatIsNotFiniteStays() {
        var logits = Self.logits(.normal, rows: 2, vocabulary: 200)
        for id in [199, 31, 77, 32] { logits[id] = id % 2 == 0 ? .nan : -.infinity }
        for panel in [1, 16, 64, 200] {
            let states = lensRows(logits, rows: 2, panel: panel, target: 0)
            #expect(states.map(\.non_finite_id) == [31, -1])
        }
    }

    @Test func theFinalRowHasNoDistanceToItself() {
        let states = lensRows(
            Self.logits(.wide, rows: 1, vocabulary: 503), rows: 1, panel: 64, target: 502)
        #expect(states[0].sum_difference == 0)
        #expect(states[0].final_difference == 0)
    }
}
