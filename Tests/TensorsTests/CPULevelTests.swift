// Every instruction set that this machine has gives the bytes of the scalar build, but for products,
// softmax and the lens, which that one does not fuse: these are the same bytes at all levels that fuse,
// which shows only where the machine has two of them. A level is chosen for the thread of a test, so other
// suites may run meanwhile.

import CKernels
import Foundation
import Tensors
import TestSupport
import Testing

@Suite(.serialized) struct CPULevelTests {
    /// Runs `body` at each level up to the best and gives what it returned.
    private func atEachLevel<Result>(_ body: () -> Result) -> [Result] {
        let before = etd_cpu_level()
        defer { etd_cpu_set_level(before) }
        return (0...etd_cpu_best_level()).map { level in
            #expect(etd_cpu_set_level(level) == 0)
            #expect(etd_cpu_level() == level)
            return body()
        }
    }

    /// What fuses: AVX2 and AVX-512.
    private static let fusedLevels = (ETD_CPU_AVX2.rawValue...ETD_CPU_AVX512.rawValue).filter {
        $0 <= UInt32(etd_cpu_best_level())
    }
    private static let hasTwo: Comment = "this CPU has fewer than two levels that fuse"

    /// `scripts/test` runs these tests once more at each lower level, by ETD_CPU.
    @Test func theEnvironmentsLevelIsInUse() {
        let asked = ProcessInfo.processInfo.environment["ETD_CPU"] ?? ""
        let best = etd_cpu_level_name(etd_cpu_best_level()).map { String(cString: $0) }
        let level = etd_cpu_level_name(etd_cpu_level()).map { String(cString: $0) }
        #expect(level == (asked.isEmpty ? best : asked))
    }

    @Test func unknownLevelsChangeNothing() {
        let before = etd_cpu_level()
        for level in [-1, etd_cpu_best_level() + 1, 99] {
            #expect(etd_cpu_set_level(level) == -1)
            #expect(etd_cpu_level() == before)
        }
    }

    @Test(arguments: oddSizes, 0..<4)
    func rowKernelsGiveTheSameBytes(_ count: Int, _ start: Int) {
        var random = SeededRandom(UInt64(count * 4 + start))
        let x = random.normals(count, deviation: 4)
        let y = random.normals(count)
        let wide = random.floats(count, range: 120)
        let half = count / 2
        let results = atEachLevel { () -> [UInt32] in
            var bytes: [UInt32] = []
            func keep(_ kernel: (UnsafeMutablePointer<Float>, UnsafePointer<Float>) -> Void) {
                withOffset(x, start) { x in
                    withOffset(y, (start + 1) % 4) { y in kernel(x, y) }
                    bytes += bits(values(x, count))
                }
            }
            keep { etd_rms_norm($0, $1, 1, 1e-6, $0, count) }
            keep { x, _ in etd_rms_norm(x, nil, 0, 1e-5, x, count) }
            keep { etd_layer_norm($0, $1, $1, 1e-5, $0, count) }
            keep { x, _ in etd_layer_norm(x, nil, nil, 1e-5, x, count) }
            keep { x, _ in etd_clamp(x, 2.5, count) }
            keep { etd_add($0, $1, count) }
            keep { x, _ in etd_scale(x, 0.7, count) }
            keep { etd_silu_gate($0, $1, $0, count) }
            keep { etd_gelu_tanh_gate($0, $1, $0, count) }
            keep { etd_gelu_gate($0, $1, $0, count) }
            keep { x, _ in etd_silu(x, x, count) }
            keep { x, _ in etd_gelu_tanh(x, x, count) }
            keep { x, _ in etd_gelu(x, x, count) }
            keep { etd_rms_norm_weight_backward($1, 1e-6, $1, $0, count) }
            keep { etd_layer_norm_weight_backward($1, 1e-5, $1, $0, nil, count) }
            keep { etd_layer_norm_weight_backward($1, 1e-5, $1, nil, $0, count) }
            keep { etd_silu_backward($0, $1, $0, count) }
            keep { etd_gelu_tanh_backward($0, $1, $0, count) }
            keep { etd_gelu_backward($0, $1, $0, count) }
            var up = [Float](repeating: 0, count: count)
            keep { etd_silu_gate_backward($0, $1, $1, $0, &up, count) }
            keep { etd_gelu_tanh_gate_backward($0, $1, $1, $0, &up, count) }
            keep { etd_gelu_gate_backward($0, $1, $1, $0, &up, count) }
            bytes += bits(up)
            keep { x, _ in etd_scaled_exp(x, 0.3, 1, 2, count) }
            keep { etd_softmax_backward($1, $0, 0.2, 0.5, count) }
            keep { x, y in bytes.append(etd_dot(x, y, count).bitPattern) }
            keep { etd_rotate($0, $1, $1 + half, half) }
            keep { x, _ in etd_exp_row(wide, x, count) }
            keep { x, _ in bytes.append(UInt32(etd_all_finite(x, count))) }
            keep { x, _ in bytes.append(etd_max_abs(x, count).bitPattern) }
            return bytes
        }
        for level in results { #expect(level == results[0]) }
    }

    @Test(arguments: ElementType.allCases)
    func decodingGivesTheSameBits(_ type: ElementType) {
        var random = SeededRandom(UInt64(type.rawValue))
        for blocks in [1, 7, 16, 33, 64] {
            let count = blocks * type.blockLength
            let stored = (0..<type.bytes(count: count)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            let results = atEachLevel { () -> [UInt32] in
                var out = [Float](repeating: -1, count: count + 1)
                #expect(etd_decode(type.rawValue, stored, &out, count) == 0)
                #expect(out[count] == -1, "nothing is written behind the end")
                // Which NaN comes out of an operation is left to the instruction.
                return out.map { $0.isNaN ? 0x7FC0_0000 : $0.bitPattern }
            }
            for level in results { #expect(level == results[0], "\(blocks) blocks") }
        }
    }

    /// A value is one chain of multiply-adds over the depth, from 0 up: fused where a level fuses, as
    /// `addingProduct` is, else rounded twice a step. So the bytes are known at every level.
    @Test(arguments: ProductKernelTests.shapes)
    func productsAgree(_ shape: ProductKernelTests.Shape) {
        let (left, right) = ProductKernelTests.matrices(shape)
        let results = atEachLevel { ProductKernelTests.product(left, right, shape) }
        func chain(_ step: (Float, Float, Float) -> Float) -> [Float] {
            (0..<shape.rows * shape.columns).map { place in
                let (row, column) = (place / shape.columns, place % shape.columns)
                return (0..<shape.depth).reduce(0) {
                    step($0, left[row * shape.depth + $1], right[column * shape.depth + $1])
                }
            }
        }
        if results.count > 1 {
            let fused = bits(chain { $0.addingProduct($1, $2) })
            for level in results.dropFirst() { #expect(bits(level) == fused) }
        }
        #expect(bits(results[0]) == bits(chain { $0 + $1 * $2 }))
        for (value, scalar) in zip(results[results.count - 1], results[0]) {
            #expect((value - scalar).magnitude <= 2e-5 * Float(shape.depth).squareRoot())
        }
    }

    /// Levels that fuse give the same bytes.
    @Test(.enabled(if: fusedLevels.count > 1, hasTwo), arguments: oddSizes, 0..<4)
    func softmaxesHaveTheSameBytes(_ count: Int, _ start: Int) {
        let results = softmaxes(count, start)
        for level in results.dropFirst(2) { #expect(bits(level) == bits(results[1])) }
    }

    /// The scalar level rounds once more a step of the exponential.
    @Test(arguments: oddSizes, 0..<4) func softmaxesAgree(_ count: Int, _ start: Int) {
        let results = softmaxes(count, start)
        for level in results.dropFirst() {
            for (value, scalar) in zip(level, results[0]) {
                #expect((value - scalar).magnitude <= 3e-7 * scalar.magnitude)
            }
        }
    }

    private func softmaxes(_ count: Int, _ start: Int) -> [[Float]] {
        var random = SeededRandom(UInt64(count * 4 + start))
        let scores = random.normals(count, deviation: 4)
        return atEachLevel { () -> [Float] in
            var maximum: Float = -0.5
            var sum: Float = 1.25
            var weights: [Float] = []
            var correction: Float = 0
            withOffset(scores, start) { block in
                correction = etd_softmax_block(block, count, 0.3, &maximum, &sum)
                weights = values(block, count)
            }
            return weights + [maximum, sum, correction]
        }
    }

    @Test func eachLevelHasAName() {
        let names = (-1...3).map { etd_cpu_level_name(Int32($0)).map { String(cString: $0) } }
        #expect(names == [nil, "scalar", "avx2", "avx512", nil])
    }

    @Test(arguments: [1, 5, 16, 100, 1024, 2051])
    func sumsGiveTheSameBits(_ count: Int) {
        var random = SeededRandom(UInt64(count))
        let x = random.normals(count, deviation: 3)
        let y = random.normals(count)
        let results = atEachLevel { () -> [UInt64] in
            let p = etd_pair_products(x, y, count)
            return [p.hh, p.gg, p.hg, p.uu, p.uh, etd_log_sum_exp(x, count)].map(\.bitPattern)
        }
        for level in results { #expect(level == results[0]) }
    }

    /// What ranks is equal everywhere; the sums are where multiply and add are fused.
    @Test(arguments: LensPanelTests.Shape.allCases, [1, 17, 64, 300])
    func lensesAgree(_ shape: LensPanelTests.Shape, _ panel: Int) {
        let logits = LensPanelTests.logits(shape, rows: 3, vocabulary: 331)
        let results = atEachLevel { lensRows(logits, rows: 3, panel: panel, target: 7) }
        for level in results {
            for (row, (state, scalar)) in zip(level, results[0]).enumerated() {
                #expect(state.topIDs == scalar.topIDs && state.topValues == scalar.topValues)
                #expect(state.maximum == scalar.maximum)
                #expect(state.target_logit == scalar.target_logit)
                // Sums of 331 terms, each of a size of at most 1 or of the logits' spread.
                let spread = Double(state.maximum - logits[row * 331..<(row + 1) * 331].min()!)
                for (sum, other) in zip(state.sums, scalar.sums) {
                    #expect((sum - other).magnitude <= 1e-6 * max(1, spread) * scalar.sum)
                }
            }
        }
    }

    /// Levels that fuse give the same bytes.
    @Test(
        .enabled(if: fusedLevels.count > 1, hasTwo),
        arguments: LensPanelTests.Shape.allCases, [1, 17, 64, 300])
    func lensesHaveTheSameBytes(_ shape: LensPanelTests.Shape, _ panel: Int) {
        let logits = LensPanelTests.logits(shape, rows: 3, vocabulary: 331)
        let results = atEachLevel { lensRows(logits, rows: 3, panel: panel, target: 7) }
        for level in results.dropFirst(2) {
            #expect(level.flatMap(\.sums) == results[1].flatMap(\.sums))
        }
    }

    /// Special values take the same way through every build; which NaN comes out is not defined.
    @Test func specialValuesGiveTheSameBytes() {
        let inputs: [Float] = [
            0, -0.0, .leastNonzeroMagnitude, -.leastNormalMagnitude, 88.02, 88.03, -87.33654,
            -87.34,
            .infinity, -.infinity, .nan, .greatestFiniteMagnitude, -.greatestFiniteMagnitude,
        ]
        let up = [Float](repeating: 1.5, count: inputs.count)
        let results = atEachLevel { () -> [UInt32] in
            var out = [[Float]](
                repeating: [Float](repeating: 0, count: inputs.count), count: 4)
            etd_exp_row(inputs, &out[0], inputs.count)
            etd_silu_gate(inputs, up, &out[1], inputs.count)
            etd_gelu_tanh_gate(inputs, up, &out[2], inputs.count)
            etd_gelu_gate(inputs, up, &out[3], inputs.count)
            return out.joined().map { $0.isNaN ? 0x7FC0_0000 : $0.bitPattern }
        }
        for level in results { #expect(level == results[0]) }
    }
}

extension etd_lens_row_t {
    fileprivate var sums: [Double] { [sum, sum_shifted, sum_difference, final_difference] }
}
