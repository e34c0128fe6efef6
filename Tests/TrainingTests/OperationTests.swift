// Each operation's backward pass against central differences of a plain scalar version of it in f64. Sizes that
// fill whole tiles, speed and bf16 are not covered here.

import Foundation
import Models
import Tensors
import TestSupport
import Testing
import Training

/// Keeps f32 memory while a test runs: a buffer may go after the last use of it, its pointer's are none.
final class Keeper {
    private var all: [FloatBuffer] = []

    func buffer(_ values: [Float]) -> FloatBuffer {
        let buffer = FloatBuffer(count: values.count)
        _ = buffer.values.update(fromContentsOf: values)
        all.append(buffer)
        return buffer
    }
}

private func parameter(
    _ values: [Float], rows: Int = 1, kind: Parameter.Kind = .matrix
) -> Parameter {
    let parameter = Parameter(
        name: "test", kind: kind, rows: rows, columns: values.count / rows, isVector: rows == 1)
    _ = parameter.values.values.update(fromContentsOf: values)
    parameter.setTrained(true)
    return parameter
}

private func gradient(_ parameter: Parameter) -> [Float] {
    Array(parameter.gradient?.values ?? .init(start: nil, count: 0))
}

@Suite struct OperationTests {
    private let keeper = Keeper()

    private func buffer(_ values: [Float]) -> FloatBuffer { keeper.buffer(values) }

    private func zeros(_ count: Int) -> FloatBuffer {
        buffer(Array(repeating: 0, count: count))
    }

    @Test(arguments: [(false, Float(0)), (false, 1), (true, 0)])
    func norms(_ isLayerNorm: Bool, _ offset: Float) {
        var random = SeededRandom(1)
        let (rows, width) = (5, 19)
        let x = random.normals(rows * width, deviation: 2)
        let weight = random.normals(width)
        let bias = random.normals(width)
        let g = random.normals(rows * width)
        let expected = FiniteDifferences { inputs in
            (0..<rows).flatMap { row -> [Double] in
                var x = Array(inputs[0][row * width..<(row + 1) * width])
                if isLayerNorm {
                    let mean = x.reduce(0, +) / Double(width)
                    x = x.map { $0 - mean }
                }
                let factor = 1 / (x.reduce(0) { $0 + $1 * $1 } / Double(width) + 1e-5).squareRoot()
                return (0..<width).map {
                    x[$0] * factor * (inputs[1][$0] + Double(offset))
                        + (isLayerNorm ? inputs[2][$0] : 0)
                }
            }
        }.gradients([x, weight, bias], weights: g)
        let (w, b) = (parameter(weight), parameter(bias))
        let norm = TrainableNorm(
            isLayerNorm: isLayerNorm, weight: w, bias: isLayerNorm ? b : nil, offset: offset,
            epsilon: 1e-5)
        let dx = buffer(Array(repeating: 1, count: x.count))
        norm.backward(
            buffer(x).pointer, gradient: buffer(g).pointer, rows: rows, width: width, adds: true,
            into: dx.pointer)
        #expect(relativeDifference(dx.values.map { $0 - 1 }, expected[0]) < 1e-5)
        #expect(relativeDifference(gradient(w), expected[1]) < 1e-5)
        if isLayerNorm { #expect(relativeDifference(gradient(b), expected[2]) < 1e-5) }
    }

    @Test func linearWithAdapter() {
        var random = SeededRandom(2)
        let (rows, inputs, outputs, rank) = (7, 9, 11, 3)
        let scale: Float = 0.7
        let x = random.normals(rows * inputs)
        let values = [
            x, random.normals(outputs * inputs), random.normals(outputs),
            random.normals(rank * inputs), random.normals(outputs * rank),
        ]
        let g = random.normals(rows * outputs)
        func plain(_ values: [[Double]]) -> [Double] {
            (0..<rows).flatMap { row in
                (0..<outputs).map { out -> Double in
                    var sum = values[2][out]
                    for k in 0..<inputs {
                        var weight = values[1][out * inputs + k]
                        for r in 0..<rank {
                            weight +=
                                Double(scale) * values[4][out * rank + r]
                                * values[3][r * inputs + k]
                        }
                        sum += values[0][row * inputs + k] * weight
                    }
                    return sum
                }
            }
        }
        let expected = FiniteDifferences(function: plain).gradients(values, weights: g)
        let parameters = [
            parameter(values[1], rows: outputs), parameter(values[2]),
            parameter(values[3], rows: rank), parameter(values[4], rows: outputs),
        ]
        let linear = Linear(
            weight: parameters[0], bias: parameters[1],
            adapter: Adapter(down: parameters[2], up: parameters[3], scale: scale))
        let input = buffer(x)
        let out = zeros(rows * outputs)
        LinearGradients.forward(input.pointer, rows: rows, into: [(linear, out.pointer)], in: .f32)
        let forward = plain(values.map { $0.map(Double.init) })
        #expect(relativeDifference(Array(out.values), forward) < 1e-5)
        let dx = zeros(x.count)
        linear.backward(
            input.pointer, gradient: buffer(g).pointer, rows: rows, adds: false, into: dx.pointer,
            in: .f32)
        #expect(relativeDifference(Array(dx.values), expected[0]) < 1e-5)
        for (index, parameter) in parameters.enumerated() {
            #expect(relativeDifference(gradient(parameter), expected[index + 1]) < 1e-5)
        }
    }

    /// Tiles of every side meet edges, and the depth takes several blocks.
    @Test(arguments: [Arithmetic.f32, .bf16Rounded, .bf16])
    func largeProducts(_ arithmetic: Arithmetic) {
        guard arithmetic.isAvailable else { return }
        var random = SeededRandom(3)
        let (rows, inputs, outputs) = (601, 301, 1031)
        let x = buffer(random.normals(rows * inputs))
        let w = parameter(random.normals(outputs * inputs), rows: outputs)
        let g = buffer(random.normals(rows * outputs))
        let dx = buffer(Array(repeating: 1, count: rows * inputs))
        Linear(weight: w, bias: nil).backward(
            x.pointer, gradient: g.pointer, rows: rows, adds: true, into: dx.pointer,
            in: arithmetic)
        let tolerance = arithmetic == .f32 ? 2e-5 : 2e-2
        for _ in 0..<200 {
            let (row, column) = (random.below(rows), random.below(inputs))
            let sum = (0..<outputs).reduce(1.0) {
                $0 + Double(g[row * outputs + $1]) * Double(w.values[$1 * inputs + column])
            }
            let difference = (Double(dx[row * inputs + column]) - sum).magnitude
            #expect(difference < tolerance * 32)
            let out = random.below(outputs)
            let other = (0..<rows).reduce(0.0) {
                $0 + Double(g[$1 * outputs + out]) * Double(x[$1 * inputs + column])
            }
            let actual = Double(w.gradient?[out * inputs + column] ?? .nan)
            #expect((actual - other).magnitude < tolerance * 25)
        }
    }

    @Test(arguments: [nil, 4] as [Int?], [false, true])
    func attention(_ window: Int?, _ documents: Bool) {
        var random = SeededRandom(4)
        let (sequences, length, heads, groups, width) = (2, 9, 4, 2, 3)
        let rows = sequences * length
        let scale: Float = 0.6
        let first: [Int32] = (0..<rows).map { $0 % length < 5 ? 0 : 5 }
        let values = [heads, groups, groups].map { random.normals(rows * $0 * width) }
        let g = random.normals(rows * heads * width)
        func plain(_ values: [[Double]]) -> [Double] {
            var out = [Double](repeating: 0, count: rows * heads * width)
            for row in 0..<rows {
                let (sequence, position) = row.quotientAndRemainder(dividingBy: length)
                var low = max(0, position - (window ?? length) + 1)
                if documents { low = max(low, Int(first[row])) }
                for head in 0..<heads {
                    let group = head / (heads / groups)
                    let scores = (low...position).map { key -> Double in
                        (0..<width).reduce(0) {
                            $0 + values[0][(row * heads + head) * width + $1]
                                * values[1][
                                    ((sequence * length + key) * groups + group) * width + $1]
                        } * Double(scale)
                    }
                    let weights = scores.map { exp($0) }
                    let sum = weights.reduce(0, +)
                    for (key, weight) in zip(low...position, weights) {
                        for d in 0..<width {
                            let place = ((sequence * length + key) * groups + group) * width + d
                            out[(row * heads + head) * width + d] += weight / sum * values[2][place]
                        }
                    }
                }
            }
            return out
        }
        let expected = FiniteDifferences(function: plain).gradients(values, weights: g)
        let attention = TrainingAttention(
            sequences: sequences, length: length, heads: heads, keyValueHeads: groups,
            width: width, window: window, scale: scale, firstVisible: documents ? first : nil)
        let (q, k, v) = (buffer(values[0]), buffer(values[1]), buffer(values[2]))
        let mixed = zeros(g.count)
        let sums = zeros(rows * heads)
        attention.forward(
            query: q.pointer, key: k.pointer, value: v.pointer, mixed: mixed.pointer,
            logSums: sums.pointer)
        let forward = plain(values.map { $0.map(Double.init) })
        #expect(relativeDifference(Array(mixed.values), forward) < 1e-5)
        let gradients = values.map { zeros($0.count) }
        attention.backward(
            .init(
                query: q.pointer, key: k.pointer, value: v.pointer, mixed: mixed.pointer,
                logSums: sums.pointer), gradient: buffer(g).pointer, query: gradients[0].pointer,
            key: gradients[1].pointer, value: gradients[2].pointer)
        for (index, gradient) in gradients.enumerated() {
            #expect(relativeDifference(Array(gradient.values), expected[index]) < 1e-5)
        }
    }

    @Test func rotary() {
        var random = SeededRandom(5)
        let (rows, length, heads, width) = (8, 4, 2, 10)
        let parameters = RotaryParameters(base: 100, dimension: 6, attentionFactor: 1.3)
        let x = random.normals(rows * heads * width)
        let g = random.normals(x.count)
        let expected = FiniteDifferences { inputs in
            var out = inputs[0]
            for row in 0..<rows {
                for head in 0..<heads {
                    for pair in 0..<3 {
                        let angle =
                            Double(row % length) * pow(100, -2 * Double(pair) / 6)
                        let low = (row * heads + head) * width + pair
                        let (a, b) = (inputs[0][low], inputs[0][low + 3])
                        out[low] = 1.3 * (a * cos(angle) - b * sin(angle))
                        out[low + 3] = 1.3 * (b * cos(angle) + a * sin(angle))
                    }
                }
            }
            return out
        }.gradients([x], weights: g)
        let dx = buffer(g)
        TrainingRotary(parameters, length: length).apply(
            dx.pointer, rows: rows, length: length, heads: heads, width: width, back: true)
        #expect(relativeDifference(Array(dx.values), expected[0]) < 1e-5)
    }

    @Test(arguments: [ModelConfiguration.Activation.silu, .gelu, .geluTanh], [false, true])
    func activations(_ activation: ModelConfiguration.Activation, _ gated: Bool) {
        var random = SeededRandom(6)
        let gate = random.normals(37, deviation: 3)
        let up = random.normals(37, deviation: 3)
        let g = random.normals(37)
        func value(_ x: Double) -> Double {
            switch activation {
            case .silu: x / (1 + exp(-x))
            case .gelu: x * 0.5 * erfc(-x / 2.0.squareRoot())
            case .geluTanh:
                0.5 * x * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
            }
        }
        let expected = FiniteDifferences { inputs in
            zip(inputs[0], inputs[1]).map { gated ? value($0) * $1 : value($1) }
        }.gradients([gate, up], weights: g)
        let (dGate, dUp) = (zeros(37), buffer(g))
        activation.backward(
            gate: gated ? buffer(gate).pointer : nil, up: buffer(up).pointer,
            gradient: dUp.pointer, dGate: gated ? dGate.pointer : nil, dUp: dUp.pointer, count: 37)
        if gated { #expect(relativeDifference(Array(dGate.values), expected[0]) < 1e-5) }
        #expect(relativeDifference(Array(dUp.values), expected[1]) < 1e-5)
    }

    @Test(arguments: [Float(0), 0.02])
    func head(_ zLoss: Float) {
        var random = SeededRandom(7)
        let (rows, vocabulary, width) = (5, 40, 6)
        let x = random.normals(rows * width)
        let w = random.normals(vocabulary * width)
        let targets: [Int32] = [3, 39, -1, 0, 17]
        let weight: Float = 0.25
        func loss(_ inputs: [[Double]]) -> (mean: Double, crossEntropy: Double, squares: Double) {
            var (sum, squares) = (0.0, 0.0)
            for row in 0..<rows where targets[row] >= 0 {
                let logits = (0..<vocabulary).map { id in
                    (0..<width).reduce(0) {
                        $0 + inputs[0][row * width + $1] * inputs[1][id * width + $1]
                    }
                }
                let total = log(logits.reduce(0) { $0 + exp($1) })
                sum += total - logits[Int(targets[row])]
                squares += total * total
            }
            return (Double(weight) * (sum + Double(zLoss) * squares), sum, squares)
        }
        let expected = FiniteDifferences { [loss($0).mean] }.gradients([x, w], weights: [1])
        let unembedding = parameter(w, rows: vocabulary)
        let dx = zeros(x.count)
        let sums = HeadLoss(unembedding: unembedding, zLoss: zLoss).run(
            buffer(x).pointer, rows: rows, targets: targets, weight: weight, dNormed: dx.pointer)
        let plain = loss([x.map(Double.init), w.map(Double.init)])
        #expect(abs(sums.crossEntropy - plain.crossEntropy) < 1e-5 * plain.crossEntropy)
        #expect(abs(sums.squares - plain.squares) < 1e-5 * plain.squares)
        #expect(sums.count == 4 && sums.nonFiniteRow == nil)
        #expect(relativeDifference(Array(dx.values), expected[0]) < 1e-5)
        #expect(relativeDifference(gradient(unembedding), expected[1]) < 1e-5)
    }

    @Test func embeddings() {
        var random = SeededRandom(8)
        let (vocabulary, length, width) = (6, 4, 70)
        let ids: [Int32] = [2, 2, 5, 0, 1, 2, 3, 3]
        let values = [random.normals(vocabulary * width), random.normals(length * width)]
        let g = random.normals(ids.count * width)
        let expected = FiniteDifferences { inputs in
            ids.enumerated().flatMap { row, id in
                (0..<width).map {
                    3 * inputs[0][Int(id) * width + $0] + inputs[1][row % length * width + $0]
                }
            }
        }.gradients(values, weights: g)
        let tokens = parameter(values[0], rows: vocabulary)
        let positions = parameter(values[1], rows: length)
        TrainingEmbedding(tokens: tokens, positions: positions, scale: 3).backward(
            ids, length: length, gradient: buffer(g).pointer)
        #expect(relativeDifference(gradient(tokens), expected[0]) < 1e-5)
        #expect(relativeDifference(gradient(positions), expected[1]) < 1e-5)
    }
}

extension SeededRandom {
    mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }
}
