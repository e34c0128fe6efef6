// Compares the kernels between the matrix products with plain f64 arithmetic written here, at sizes
// that end within a vector and at starts that are not aligned. The lens kernel has a file of its own;
// that all CPU levels agree is CPULevelTests.swift's.

import CKernels
import Foundation
import TestSupport
import Testing

/// Sizes around the 8 and 16 lanes of the kernels, and two that take many vectors.
let oddSizes = [1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 100, 257, 1023]

/// Values that start `offset` floats behind an aligned address, so that they end at no border either.
func withOffset<Result>(
    _ values: [Float], _ offset: Int, _ body: (UnsafeMutablePointer<Float>) throws -> Result
) rethrows -> Result {
    var padded = [Float](repeating: .nan, count: offset) + values + [.nan]
    return try padded.withUnsafeMutableBufferPointer { try body($0.baseAddress! + offset) }
}

func values(_ pointer: UnsafePointer<Float>, _ count: Int) -> [Float] {
    Array(UnsafeBufferPointer(start: pointer, count: count))
}

@Suite struct KernelTests {
    // MARK: exp

    /// The distance of `value` from the true exponential, in units of the last place of f32.
    private func errorInULPs(_ value: Float, of x: Float) -> Double {
        let exact = exp(Double(x))
        return (Double(value) - exact).magnitude / Double(Float(exact).ulp)
    }

    private func exponentials(_ x: [Float]) -> [Float] {
        var out = [Float](repeating: .nan, count: x.count)
        etd_exp_row(x, &out, x.count)
        return out
    }

    @Test func expIsCloseOverItsWholeRange() {
        // Every 4099th f32 of either sign between the smallest denormal and the ends of the range.
        let positive = stride(from: UInt32(1), through: Float(88.02).bitPattern, by: 4099)
            .map(Float.init(bitPattern:))
        let negative = stride(from: UInt32(1), through: Float(87.33654).bitPattern, by: 4099)
            .map { -Float(bitPattern: $0) }
        for inputs in [positive, negative] {
            let results = exponentials(inputs)
            let worst = zip(results, inputs).map { errorInULPs($0, of: $1) }.max() ?? .infinity
            #expect(worst <= 1.25)
        }
    }

    @Test func expAtTheEndsOfTheRange() {
        let infinity = Float.infinity
        let inputs: [Float] = [
            0, -0.0, .leastNonzeroMagnitude, -.leastNonzeroMagnitude, 88.03, 1e30, infinity,
            -87.34, -104, -1e30, -infinity, .nan,
        ]
        let results = exponentials(inputs)
        #expect(results[..<4] == [1, 1, 1, 1])
        let top = exponentials([88.02])[0]
        #expect(results[4..<7] == [top, top, top])
        #expect(results[7..<11] == [0, 0, 0, 0])
        #expect(results[11].isNaN)
    }

    // MARK: Norm, sums, products

    @Test(arguments: oddSizes)
    func rmsNorm(_ d: Int) {
        var random = SeededRandom(UInt64(d))
        let x = random.normals(d, deviation: 3)
        let weight = random.normals(d)
        for (weights, offset, epsilon) in [
            (weight, Float(0), Float(1e-5)), (weight, 1, 1e-6), (nil, 0, 0.25),
        ] {
            let meanSquare = x.reduce(0) { $0 + Double($1) * Double($1) } / Double(d)
            let factor = 1 / (meanSquare + Double(epsilon)).squareRoot()
            for start in 0..<4 {
                let (apart, inPlace) = withOffset(x, start) { x in
                    withOffset([Float](repeating: 0, count: d), start) { out in
                        etd_rms_norm(x, weights, offset, epsilon, out, d)
                        etd_rms_norm(x, weights, offset, epsilon, x, d)
                        return (values(out, d), values(x, d))
                    }
                }
                #expect(bits(apart) == bits(inPlace))
                for index in 0..<d {
                    let scale = weights.map { Double($0[index] + offset) } ?? 1
                    let expected = Double(x[index]) * factor * scale
                    #expect(
                        (Double(apart[index]) - expected).magnitude <= 5e-7 * expected.magnitude)
                }
            }
        }
    }

    @Test(arguments: oddSizes)
    func layerNorm(_ d: Int) {
        var random = SeededRandom(UInt64(d) + 20)
        // A mean far from zero: the squares must be taken about it.
        let x = random.normals(d, deviation: 3).map { $0 + 40 }
        let weight = random.normals(d)
        let bias = random.normals(d)
        for (weights, biases, epsilon) in [
            (weight, bias, Float(1e-5)), (weight, nil, 1e-6), (nil, bias, 0.25), (nil, nil, 1e-5),
        ] {
            let mean = x.reduce(0) { $0 + Double($1) } / Double(d)
            let variance = x.reduce(0) { $0 + pow(Double($1) - mean, 2) } / Double(d)
            let factor = 1 / (variance + Double(epsilon)).squareRoot()
            for start in 0..<4 {
                let (apart, inPlace) = withOffset(x, start) { x in
                    withOffset([Float](repeating: 0, count: d), start) { out in
                        etd_layer_norm(x, weights, biases, epsilon, out, d)
                        etd_layer_norm(x, weights, biases, epsilon, x, d)
                        return (values(out, d), values(x, d))
                    }
                }
                #expect(bits(apart) == bits(inPlace))
                for index in 0..<d {
                    let scale = weights.map { Double($0[index]) } ?? 1
                    let shift = biases.map { Double($0[index]) } ?? 0
                    let expected = (Double(x[index]) - mean) * factor * scale + shift
                    // The mean is rounded to f32: 40 · 2⁻²³ of a deviation.
                    let allowed = 1e-5 * factor * scale.magnitude + 1e-6 * expected.magnitude
                    #expect((Double(apart[index]) - expected).magnitude <= allowed)
                }
            }
        }
    }

    @Test func clampKeepsWithinTheLimit() {
        let inputs: [Float] = [0, -0.0, 1.5, -1.5, 1.4999999, 2, -2, .infinity, -.infinity, 1e-30]
        let clamped = withOffset(inputs, 1) { x in
            etd_clamp(x, 1.5, inputs.count)
            return values(x, inputs.count)
        }
        let expected: [Float] = [0, -0.0, 1.5, -1.5, 1.4999999, 1.5, -1.5, 1.5, -1.5, 1e-30]
        #expect(bits(clamped) == bits(expected))
        var undefined: [Float] = [.nan]
        etd_clamp(&undefined, 1, 1)
        #expect(undefined[0].isNaN)
    }

    @Test(arguments: oddSizes)
    func addAndScale(_ count: Int) {
        var random = SeededRandom(UInt64(count) + 50)
        let x = random.floats(count, range: 10)
        let y = random.floats(count, range: 10)
        let (sum, scaled) = withOffset(x, 1) { x in
            withOffset(y, 3) { y in
                etd_add(x, y, count)
                etd_scale(y, -0.3, count)
                return (values(x, count), values(y, count))
            }
        }
        // One rounding each: the exact f64 result rounded to f32 is the only right answer.
        #expect(sum == zip(x, y).map { Float(Double($0) + Double($1)) })
        #expect(scaled == y.map { Float(Double($0) * Double(Float(-0.3))) })
    }

    @Test(arguments: oddSizes)
    func pairProducts(_ d: Int) {
        var random = SeededRandom(UInt64(d) + 100)
        let h = random.normals(d, deviation: 100)
        let g = random.normals(d)
        let got = withOffset(h, 1) { h in withOffset(g, 2) { etd_pair_products(h, $0, d) } }
        var hh = 0.0
        var gg = 0.0
        var hg = 0.0
        var uu = 0.0
        var uh = 0.0
        for (a, b) in zip(h.map(Double.init), g.map(Double.init)) {
            hh += a * a
            gg += b * b
            hg += a * b
            uu += (b - a) * (b - a)
            uh += (b - a) * a
        }
        for (value, expected, scale) in [
            (got.hh, hh, hh), (got.gg, gg, gg), (got.hg, hg, (hh * gg).squareRoot()),
            (got.uu, uu, uu), (got.uh, uh, (uu * hh).squareRoot()),
        ] {
            #expect((value - expected).magnitude <= 1e-13 * scale)
        }
    }

    @Test(arguments: [1, 3, 16, 1000, 1024, 1025, 5003])
    func logSumExp(_ count: Int) {
        var random = SeededRandom(UInt64(count) + 150)
        for (deviation, shift) in [(1.0, Float(0)), (30, 0), (2, 9000), (2, -9000), (0, 5)] {
            let row = random.normals(count, deviation: deviation).map { $0 + shift }
            let highest = Double(row.max()!)
            let expected = highest + log(row.reduce(0) { $0 + exp(Double($1) - highest) })
            let got = withOffset(row, 1) { etd_log_sum_exp($0, count) }
            #expect((got - expected).magnitude <= 1e-6)
        }
    }

    @Test(arguments: [1, 3, 16, 511, 512, 513, 5003])
    func argmaxIsTheFirstOfTheGreatest(_ count: Int) {
        var random = SeededRandom(UInt64(count) + 160)
        for _ in 0..<20 {
            // Few values, so that the greatest comes more than once.
            let row = (0..<count).map { _ in Float(Int.random(in: -3...3, using: &random)) }
            let got = withOffset(row, 1) { etd_argmax($0, count) }
            #expect(got == row.firstIndex(of: row.max()!)!)
        }
        let hopeless = [Float](repeating: -.infinity, count: count)
        #expect(withOffset(hopeless, 1) { etd_argmax($0, count) } == 0)
    }

    @Test func allFiniteSeesEveryPlace() {
        for count in [0] + oddSizes {
            var row = [Float](repeating: .greatestFiniteMagnitude, count: count)
            for index in row.indices where index % 2 == 1 { row[index] *= -1 }
            #expect(withOffset(row, 1) { etd_all_finite($0, count) } == 1)
            for index in row.indices {
                for bad in [Float.infinity, -.infinity, .nan] {
                    var damaged = row
                    damaged[index] = bad
                    #expect(
                        withOffset(damaged, 3) { etd_all_finite($0, count) } == 0,
                        "\(bad) at \(index) of \(count)")
                }
            }
        }
        // Two infinities of opposite sign do not cancel.
        #expect(etd_all_finite([.infinity, -.infinity], 2) == 0)
    }

    // MARK: Gates and rotation

    /// `error` is the allowed relative error at an input.
    private func checkGate(
        _ gate: (UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int)
            -> Void,
        _ reference: (Double) -> Double, error: (Double) -> Double
    ) {
        var random = SeededRandom(7)
        for count in oddSizes {
            let inputs =
                random.floats(count, range: count % 2 == 0 ? 3 : 20)
                + [0, -0.0, 60, -60, 500, -500, 1e6, -1e6]
            let up = random.floats(inputs.count, range: 2)
            let n = inputs.count
            let (apart, inPlace) = withOffset(inputs, 1) { x in
                withOffset(up, 2) { up in
                    withOffset([Float](repeating: 0, count: n), 3) { out in
                        gate(x, up, out, n)
                        gate(x, up, x, n)
                        return (values(out, n), values(x, n))
                    }
                }
            }
            #expect(bits(apart) == bits(inPlace))
            for index in 0..<n {
                let x = Double(inputs[index])
                let expected = reference(x) * Double(up[index])
                // The exponential stops at 88.02, where what is left of x is below 1e-38 |x|.
                let allowed = error(x) * expected.magnitude + 1e-37 * x.magnitude
                let difference = (Double(apart[index]) - expected).magnitude
                #expect(difference <= allowed, "at \(x): \(apart[index]), not \(expected)")
            }
        }
    }

    @Test func siluGate() {
        checkGate(
            { etd_silu_gate($0, $1, $2, $3) }, { $0 / (1 + exp(-$0)) }, error: { _ in 4e-7 })
    }

    @Test func geluTanhGate() {
        // 0.5 x (1 + tanh y), written so that it keeps its digits far to the left.
        func y(_ x: Double) -> Double { (2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x) }
        checkGate(
            { etd_gelu_tanh_gate($0, $1, $2, $3) }, { $0 / (1 + exp(-2 * y($0))) },
            // y is rounded to f32 before the exponential, which turns its error into a relative one.
            error: { 4e-7 * (1 + (2 * y($0)).magnitude) })
        #expect((0.5 * 1.7 * (1 + tanh(y(1.7))) - 1.7 / (1 + exp(-2 * y(1.7)))).magnitude < 1e-15)
    }

    /// x·Φ(x) by the C library's erfc in f64; t² is rounded to f32 before the exponential.
    private func exactGELU(_ x: Double) -> Double { 0.5 * x * erfc(-x / 2.0.squareRoot()) }
    private func errorOfGELU(_ x: Double) -> Double { 5e-7 * (1 + min(x * x, 1e3)) }

    @Test func geluGate() {
        checkGate({ etd_gelu_gate($0, $1, $2, $3) }, exactGELU, error: errorOfGELU)
    }

    @Test func geluIsCloseOnBothSidesOfItsPieces() {
        let inputs = stride(from: Float(-9), through: 9, by: 0.0007).map { $0 }
        var out = [Float](repeating: 0, count: inputs.count)
        etd_gelu(inputs, &out, inputs.count)
        for (x, value) in zip(inputs.map(Double.init), out) {
            let expected = exactGELU(x)
            #expect((Double(value) - expected).magnitude <= errorOfGELU(x) * expected.magnitude)
        }
    }

    @Test(arguments: oddSizes)
    func activationsAreGatesOfOnes(_ count: Int) {
        var random = SeededRandom(UInt64(count) + 60)
        let x = random.floats(count, range: 6)
        let ones = [Float](repeating: 1, count: count)
        func both(
            _ plain: (UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int) -> Void,
            _ gate: (
                UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int
            ) -> Void
        ) -> (apart: [UInt32], inPlace: [UInt32], gated: [UInt32]) {
            withOffset(x, 1) { x in
                var apart = [Float](repeating: 0, count: count)
                var gated = apart
                plain(x, &apart, count)
                gate(x, ones, &gated, count)
                plain(x, x, count)
                return (bits(apart), bits(values(x, count)), bits(gated))
            }
        }
        for result in [
            both({ etd_silu($0, $1, $2) }, { etd_silu_gate($0, $1, $2, $3) }),
            both({ etd_gelu_tanh($0, $1, $2) }, { etd_gelu_tanh_gate($0, $1, $2, $3) }),
            both({ etd_gelu($0, $1, $2) }, { etd_gelu_gate($0, $1, $2, $3) }),
        ] {
            #expect(result.apart == result.inPlace)
            #expect(result.apart == result.gated)
        }
    }

    @Test(arguments: [1, 3, 8, 16, 17, 64, 127])
    func rotationTurnsHalfSplitPairs(_ half: Int) {
        var random = SeededRandom(UInt64(half) + 200)
        let x = random.normals(2 * half)
        let angles = random.floats(half, range: 3)
        let cosine = angles.map { Float(cos(Double($0))) }
        let sine = angles.map { Float(sin(Double($0))) }
        let turned = withOffset(x, 1) { x in
            etd_rotate(x, cosine, sine, half)
            return values(x, 2 * half)
        }
        for index in 0..<half {
            let (a, b) = (Double(x[index]), Double(x[index + half]))
            let (c, s) = (Double(cosine[index]), Double(sine[index]))
            let allowed = 2e-7 * (a.magnitude + b.magnitude)
            #expect((Double(turned[index]) - (a * c - b * s)).magnitude <= allowed)
            #expect((Double(turned[index + half]) - (b * c + a * s)).magnitude <= allowed)
        }
    }

    // MARK: Blocked softmax

    struct Blocks: Sendable, CustomTestStringConvertible {
        let lengths: [Int]
        let scale: Float
        let spread: Double
        /// Added per position: scores that climb make each block raise the maximum.
        let slope: Float
        var testDescription: String { "\(lengths), scale \(scale), spread \(spread), \(slope)" }
    }

    @Test(arguments: [
        Blocks(lengths: [1], scale: 1, spread: 1, slope: 0),
        Blocks(lengths: [256, 256, 17], scale: 0.125, spread: 20, slope: 0),
        Blocks(lengths: [1, 3, 15, 33], scale: 0.3, spread: 3, slope: 0.5),
        Blocks(lengths: [40, 1, 40], scale: 1, spread: 1, slope: -2),
        Blocks(lengths: [5, 100], scale: 1, spread: 3000, slope: 30),
    ])
    func blockedSoftmaxIsSoftmax(_ blocks: Blocks) {
        var random = SeededRandom(11)
        let count = blocks.lengths.reduce(0, +)
        let scores = random.normals(count, deviation: blocks.spread).enumerated().map {
            $0.element + blocks.slope * Float($0.offset)
        }
        var maximum = -Float.infinity
        var sum: Float = 0
        var weights: [Double] = []
        var start = 0
        for length in blocks.lengths {
            withOffset(Array(scores[start..<start + length]), 1) { block in
                let correction = etd_softmax_block(block, length, blocks.scale, &maximum, &sum)
                weights = weights.map { $0 * Double(correction) }
                weights += values(block, length).map(Double.init)
            }
            start += length
            #expect(maximum == scores[..<start].map { $0 * blocks.scale }.max())
        }
        let scaled = scores.map { Double($0) * Double(blocks.scale) }
        let highest = scaled.max()!
        let exact = scaled.map { exp($0 - highest) }
        let total = exact.reduce(0, +)
        // A score is rounded to f32 after scaling, which costs |score| · 2⁻²⁴ of its weight.
        let allowed = 1e-6 + 1.2e-7 * scaled.map(\.magnitude).max()!
        for (weight, expected) in zip(weights, exact) {
            #expect((weight / Double(sum) - expected / total).magnitude <= allowed)
        }
        #expect((weights.reduce(0, +) / Double(sum) - 1).magnitude <= 1e-6)
    }
}
