// Kernels of training against plain f64 formulas and, level by level, against the scalar build.

import CKernels
import Foundation
import Tensors
import TestSupport
import Testing

@Suite(.serialized) struct TrainingKernelTests {
    private func atEachLevel<Result>(_ body: () -> Result) -> [Result] {
        let before = etd_cpu_level()
        defer { etd_cpu_set_level(before) }
        return (0...etd_cpu_best_level()).map { level in
            #expect(etd_cpu_set_level(level) == 0)
            return body()
        }
    }

    /// Σ g·norm(x) in f64, of which a backward pass is the slope in x.
    private func weighted(
        _ x: [Double], _ g: [Float], _ weight: [Float]?, offset: Float, epsilon: Float,
        centred: Bool
    ) -> Double {
        let count = Double(x.count)
        let mean = centred ? x.reduce(0, +) / count : 0
        let squares = x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count
        let factor = 1 / (squares + Double(epsilon)).squareRoot()
        return x.indices.reduce(0) { sum, index in
            let w = weight.map { Double($0[index]) + Double(offset) } ?? 1
            return sum + Double(g[index]) * (x[index] - mean) * factor * w
        }
    }

    @Test(arguments: [1, 5, 16, 24, 37, 576], [false, true])
    func backwardPassesOfNormsAreSlopes(_ count: Int, _ hasWeight: Bool) {
        var random = SeededRandom(UInt64(count))
        let x = random.normals(count, deviation: 3)
        let g = random.normals(count)
        let weight = hasWeight ? random.normals(count) : nil
        for (centred, offset) in [(false, Float(0)), (false, 1), (true, 0)] {
            let epsilon: Float = 1e-3
            let results = atEachLevel { () -> [Float] in
                var out = [Float](repeating: .nan, count: count)
                if centred {
                    etd_layer_norm_backward(x, weight, epsilon, g, &out, count)
                } else {
                    etd_rms_norm_backward(x, weight, offset, epsilon, g, &out, count)
                }
                // In place of the gradient: the same.
                var own = g
                own.withUnsafeMutableBufferPointer { own in
                    let start = own.baseAddress!
                    if centred {
                        etd_layer_norm_backward(x, weight, epsilon, start, start, count)
                    } else {
                        etd_rms_norm_backward(x, weight, offset, epsilon, start, start, count)
                    }
                }
                #expect(bits(own) == bits(out))
                return out
            }
            for result in results { #expect(bits(result) == bits(results[0])) }
            let wide = x.map(Double.init)
            let slopes = (0..<count).map { index -> Double in
                func at(_ step: Double) -> Double {
                    var moved = wide
                    moved[index] += step
                    return weighted(
                        moved, g, weight, offset: offset, epsilon: epsilon, centred: centred)
                }
                return (at(1e-4) - at(-1e-4)) / 2e-4
            }
            #expect(largestDifference(results[0], slopes) < 2e-5, "centred \(centred), \(offset)")
        }
    }

    @Test func stepsOfAdamWAreTheFormula() {
        var random = SeededRandom(4)
        let count = 53
        let (theta, g) = (random.normals(count), random.normals(count))
        let (mean, square) = (random.normals(count), random.normals(count).map { $0 * $0 })
        let step = etd_adamw_t(
            rate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-6, decay: 0.2, correction1: 0.271,
            correction2: 0.0297)
        let results = atEachLevel { () -> [Float] in
            var (t, m, s) = (theta, mean, square)
            etd_adamw(&t, &m, &s, g, step, count)
            return t + m + s
        }
        for result in results { #expect(bits(result) == bits(results[0])) }
        var expected = [[Double]](repeating: [], count: 3)
        for i in 0..<count {
            let m = 0.9 * Double(mean[i]) + 0.1 * Double(g[i])
            let s = 0.99 * Double(square[i]) + 0.01 * Double(g[i]) * Double(g[i])
            expected[1].append(m)
            expected[2].append(s)
            expected[0].append(
                Double(theta[i]) * (1 - 0.01 * 0.2) - 0.01 * (m / 0.271)
                    / ((s / 0.0297).squareRoot() + 1e-6))
        }
        #expect(largestDifference(results[0], expected.flatMap(\.self)) < 1e-6)
    }

    @Test(arguments: [(1, 1, 1), (13, 31, 7), (14, 32, 40), (30, 70, 333), (61, 24, 9)])
    func accumulatingProductsAddToWhatIsThere(_ rows: Int, _ columns: Int, _ depth: Int) {
        var random = SeededRandom(UInt64(rows * columns))
        // Both sides turned: left [depth, rows], right [depth, columns].
        let left = random.normals(depth * rows)
        let right = random.normals(depth * columns)
        let before = random.normals(rows * columns)
        let expected = (0..<rows * columns).map { place in
            (0..<depth).reduce(Double(before[place])) {
                $0 + Double(left[$1 * rows + place / columns])
                    * Double(right[$1 * columns + place % columns])
            }
        }
        let results = atEachLevel { () -> [Float] in
            let leftMemory = FloatBuffer(
                count: PackedRows.floats(rows: rows, width: depth, .f32))
            let rightMemory = FloatBuffer(
                count: PackedColumns.floats(columns: columns, width: depth, .f32))
            let packedLeft = PackedRows(
                turned: left, count: rows, width: depth, stride: rows, memory: leftMemory.pointer)
            let packedRight = PackedColumns(
                turned: right, count: columns, width: depth, stride: columns,
                memory: rightMemory.pointer)
            var out = before
            packedRight.accumulate(
                packedLeft, rows: 0..<rows, columns: 0..<columns, into: &out, stride: columns)
            return out
        }
        for result in results { #expect(largestDifference(result, expected) < 1e-4) }
        for result in results.dropFirst(2) { #expect(bits(result) == bits(results[1])) }
    }

    @Test(arguments: [(1, 1), (5, 33), (64, 32), (40, 100)])
    func turningRoundsEachValue(_ rows: Int, _ columns: Int) {
        var random = SeededRandom(UInt64(rows))
        let values = random.normals(rows * columns, deviation: 100)
        var rounded = [UInt16](repeating: 0, count: rows * columns)
        etd_round_bf16(values, &rounded, rows * columns)
        for result in atEachLevel({ () -> [UInt16] in
            var out = [UInt16](repeating: 0, count: rows * columns)
            etd_turn_bf16(values, rows, columns, &out)
            return out
        }) {
            #expect(
                (0..<rows * columns).allSatisfy { place in
                    result[place % columns * rows + place / columns] == rounded[place]
                })
        }
    }
}
