// Products against plain f64 loops, for each way a weight can be stored, and the same bytes whatever
// the number of threads.

import Foundation
import Synchronization
import Tensors
import TestSupport
import Testing

/// A weight [rows, columns] in some encoding, beside the values it stands for.
struct StoredWeight {
    let matrix: WeightMatrix
    /// [rows, columns] in the matrix's own row order.
    let values: [Double]

    private final class Bytes {
        let bytes: UnsafeRawBufferPointer

        init(_ contents: [UInt8], offset: Int) {
            let memory = UnsafeMutableRawBufferPointer.allocate(
                byteCount: contents.count + offset, alignment: 64)
            UnsafeMutableRawBufferPointer(rebasing: memory[offset...]).copyBytes(from: contents)
            whole = UnsafeRawBufferPointer(memory)
            bytes = UnsafeRawBufferPointer(rebasing: whole[offset...])
        }

        private let whole: UnsafeRawBufferPointer

        deinit { whole.deallocate() }
    }

    /// - Parameter offset: bytes between an aligned address and the first.
    init(
        _ type: ElementType, rows: Int, columns: Int, order: [Int32]? = nil, offset: Int = 0,
        seed: UInt64 = 1
    ) {
        var random = SeededRandom(seed &+ UInt64(rows * 7919 + columns))
        var contents: [UInt8] = []
        var stored: [Double] = []
        func append(_ value: some FixedWidthInteger) {
            withUnsafeBytes(of: value.littleEndian) { contents += $0 }
        }
        switch type {
        case .f32:
            for value in random.normals(rows * columns) {
                append(value.bitPattern)
                stored.append(Double(value))
            }
        case .bf16:
            for value in random.normals(rows * columns) {
                append(UInt16(value.bitPattern >> 16))
                stored.append(Double(Float(bitPattern: value.bitPattern & 0xFFFF_0000)))
            }
        case .q8_0:
            for _ in 0..<rows * columns / 32 {
                // An f16 scale between 2⁻⁷ and 2⁻⁶: 2⁻⁷ · (1 + m/1024).
                let mantissa = UInt16.random(in: 0..<1024, using: &random)
                append(UInt16(8 << 10) | mantissa)
                let scale = (1 + Double(mantissa) / 1024) / 128
                for _ in 0..<32 {
                    let quantum = Int8.random(in: -127...127, using: &random)
                    append(quantum)
                    stored.append(scale * Double(quantum))
                }
            }
        default: fatalError("no encoder for \(type) in this test")
        }
        let owner = Bytes(contents, offset: offset)
        matrix = WeightMatrix(
            type: type, rows: rows, columns: columns, bytes: owner.bytes, rowOrder: order,
            owner: owner)
        values =
            order.map { order in
                order.flatMap { stored[Int($0) * columns..<(Int($0) + 1) * columns] }
            } ?? stored
    }
}

/// x[T, K] · wᵀ (+ bias) in f64, and for each value the sum of the magnitudes it is made of.
private func naiveProduct(
    _ x: [Float], rows: Int, stride: Int, _ weight: StoredWeight, bias: [Float]?
) -> (values: [Double], magnitudes: [Double]) {
    let (n, k) = (weight.matrix.rows, weight.matrix.columns)
    var values: [Double] = []
    var magnitudes: [Double] = []
    for row in 0..<rows {
        for column in 0..<n {
            var sum = bias.map { Double($0[column]) } ?? 0
            var magnitude = sum.magnitude
            for index in 0..<k {
                let product = Double(x[row * stride + index]) * weight.values[column * k + index]
                sum += product
                magnitude += product.magnitude
            }
            values.append(sum)
            magnitudes.append(magnitude)
        }
    }
    return (values, magnitudes)
}

@Suite struct MatrixProductTests {
    struct Shape: Sendable, CustomTestStringConvertible {
        let rows, columns, depth: Int
        var testDescription: String { "[\(rows), \(depth)] · [\(columns), \(depth)]ᵀ" }
    }

    static let oddShapes = [
        Shape(rows: 1, columns: 1, depth: 1), Shape(rows: 1, columns: 131, depth: 7),
        Shape(rows: 3, columns: 64, depth: 33), Shape(rows: 17, columns: 65, depth: 100),
        Shape(rows: 5, columns: 515, depth: 19), Shape(rows: 2, columns: 4103, depth: 11),
    ]
    static let blockShapes = [
        Shape(rows: 1, columns: 3, depth: 32), Shape(rows: 7, columns: 131, depth: 96),
    ]

    private func check(
        _ shape: Shape, _ weight: StoredWeight, bias: [Float]?, gap: Int = 0
    ) {
        var random = SeededRandom(3)
        let stride = shape.depth + gap
        let x = random.normals(shape.rows * stride)
        var out = [Float](repeating: .nan, count: shape.rows * shape.columns)
        out.withUnsafeMutableBufferPointer { out in
            MatrixProduct.multiply(
                x, rows: shape.rows, rowStride: gap == 0 ? nil : stride, in: .f32,
                into: [.init(weight.matrix, bias: bias, out: out.baseAddress!)])
        }
        let (expected, magnitudes) = naiveProduct(
            x, rows: shape.rows, stride: stride, weight, bias: bias)
        for index in out.indices {
            let difference = (Double(out[index]) - expected[index]).magnitude
            #expect(difference <= 1e-6 * magnitudes[index], "value \(index)")
        }
    }

    @Test(arguments: [ElementType.f32, .bf16], oddShapes)
    func plainWeights(_ type: ElementType, _ shape: Shape) {
        var random = SeededRandom(5)
        let bias = random.normals(shape.columns)
        let order = (0..<Int32(shape.columns)).shuffled(using: &random)
        let plain = StoredWeight(type, rows: shape.columns, columns: shape.depth)
        check(shape, plain, bias: nil)
        check(shape, plain, bias: bias, gap: 5)
        check(
            shape,
            StoredWeight(type, rows: shape.columns, columns: shape.depth, order: order, offset: 1),
            bias: bias)
    }

    @Test(arguments: blockShapes)
    func blockWeights(_ shape: Shape) {
        var random = SeededRandom(6)
        let bias = random.normals(shape.columns)
        let order = (0..<Int32(shape.columns)).shuffled(using: &random)
        for order in [nil, order] {
            let weight = StoredWeight(
                .q8_0, rows: shape.columns, columns: shape.depth, order: order, offset: 3)
            check(shape, weight, bias: nil)
            check(shape, weight, bias: bias, gap: 1)
        }
    }

    @Test func tilesKeepToTheirPlaces() {
        // Tiles within wider arrays: what lies around them stays.
        let (m, n, k) = (3, 5, 7)
        var random = SeededRandom(8)
        let a = random.normals(m * (k + 2))
        let b = random.normals(n * (k + 1))
        let c = random.normals(k * (n + 4))
        var out = [Float](repeating: 42, count: m * (n + 3))
        MatrixProduct.tile(
            a, rows: m, stride: k + 2, b, columns: n, depth: k, bStride: k + 1, into: &out,
            outStride: n + 3)
        var sum = out
        MatrixProduct.accumulateTile(
            a, rows: m, stride: k + 2, c, columns: n, depth: k, bStride: n + 4, into: &sum,
            outStride: n + 3)
        for row in 0..<m {
            for column in 0..<n + 3 {
                let place = row * (n + 3) + column
                guard column < n else {
                    #expect(out[place] == 42 && sum[place] == 42)
                    continue
                }
                var product = 0.0
                var added = 0.0
                for index in 0..<k {
                    let x = Double(a[row * (k + 2) + index])
                    product += x * Double(b[column * (k + 1) + index])
                    added += x * Double(c[index * (n + 4) + column])
                }
                #expect((Double(out[place]) - product).magnitude < 1e-5)
                #expect((Double(sum[place]) - product - added).magnitude < 1e-5)
            }
        }
    }

    @Test func f32RowsAreUsedInPlaceWhereTheyCanBe() {
        let aligned = StoredWeight(.f32, rows: 9, columns: 5)
        let unaligned = StoredWeight(.f32, rows: 9, columns: 5, offset: 2)
        let turned = StoredWeight(.f32, rows: 9, columns: 5, order: (0..<9).reversed())
        func address(_ weight: StoredWeight, _ row: Int) -> UInt {
            weight.matrix.withRows(row..<row + 1) { UInt(bitPattern: $0) }
        }
        #expect(address(aligned, 4) == address(aligned, 0) + 4 * 5 * 4)
        for weight in [aligned, unaligned, turned] {
            let rows = weight.matrix.withRows(3..<7) { pointer in (0..<20).map { pointer[$0] } }
            #expect(rows.map(Double.init) == Array(weight.values[15..<35]))
        }
    }
}

/// The number of threads is one for the process, so what sets it stands in one serial suite. Other
/// suites hold for every number and may run meanwhile.
@Suite(.serialized) struct ThreadCountTests {
    private func withThreads<Result>(_ count: Int, _ body: () -> Result) -> Result {
        let before = Parallel.threads
        defer { Parallel.threads = before }
        Parallel.threads = count
        return body()
    }

    @Test(arguments: [ElementType.f32, .bf16, .q8_0])
    func productsAreTheSameBytesForEveryNumberOfThreads(_ type: ElementType) {
        let (rows, columns, depth) = (37, 1_003, 96)
        var random = SeededRandom(9)
        let x = random.normals(rows * depth)
        let bias = random.normals(columns)
        let order = (0..<Int32(columns)).shuffled(using: &random)
        for order in [nil, order] {
            let weight = StoredWeight(type, rows: columns, columns: depth, order: order)
            let results = [1, 2, 3, 8].map { threads in
                withThreads(threads) { () -> [Float] in
                    var out = [Float](repeating: .nan, count: rows * columns)
                    out.withUnsafeMutableBufferPointer { out in
                        MatrixProduct.multiply(
                            x, rows: rows, in: .f32,
                            into: [.init(weight.matrix, bias: bias, out: out.baseAddress!)])
                    }
                    return out
                }
            }
            for result in results { #expect(bits(result) == bits(results[0])) }
        }
    }

    /// Weights that share a left side have the bytes that each has alone.
    @Test(arguments: Arithmetic.allCases)
    func productsInOneGoAreThoseOfEach(_ arithmetic: Arithmetic) {
        guard arithmetic.isAvailable else { return }
        let (rows, depth) = (21, 96)
        var random = SeededRandom(12)
        let x = random.normals(rows * depth)
        let weights = [300, 7, 96].map {
            StoredWeight(.f32, rows: $0, columns: depth)
        }
        let biases = [nil, random.normals(7), random.normals(96)]
        let outs = weights.map { FloatBuffer(count: rows * $0.matrix.rows) }
        func target(_ index: Int) -> MatrixProduct.Target {
            .init(weights[index].matrix, bias: biases[index], out: outs[index].pointer)
        }
        MatrixProduct.multiply(x, rows: rows, in: arithmetic, into: (0..<3).map(target))
        for index in 0..<3 {
            let together = bits(Array(outs[index].values))
            for place in 0..<outs[index].count { outs[index][place] = .nan }
            MatrixProduct.multiply(x, rows: rows, in: arithmetic, into: [target(index)])
            #expect(bits(Array(outs[index].values)) == together)
        }
    }

    @Test(arguments: [1, 2, 3, 8])
    func forEachVisitsEachIndexOnce(_ threads: Int) {
        withThreads(threads) {
            for count in [0, 1, 2, 7, 8, 9, 5_000] {
                let visits = Visits(count)
                Parallel.forEach(count) { visits.mark($0) }
                #expect(visits.counts == [Int](repeating: 1, count: count))
            }
        }
    }

    @Test func workWithinWorkIsDoneToo() {
        withThreads(4) {
            let visits = Visits(12 * 9)
            Parallel.forEach(12) { outer in
                Parallel.forEach(9) { inner in visits.mark(outer * 9 + inner) }
            }
            #expect(visits.counts.allSatisfy { $0 == 1 })
        }
    }

    @Test func severalThreadsReallyWorkAtOnce() {
        // Two items that each wait for the other end only if two threads run them.
        withThreads(2) {
            let arrived = Atomic<Int>(0)
            let met = Atomic<Int>(0)
            Parallel.forEach(2) { _ in
                arrived.wrappingAdd(1, ordering: .acquiringAndReleasing)
                let deadline = Date().addingTimeInterval(120)
                while arrived.load(ordering: .acquiring) < 2, Date() < deadline { usleep(100) }
                if arrived.load(ordering: .acquiring) == 2 {
                    met.wrappingAdd(1, ordering: .relaxed)
                }
            }
            #expect(met.load(ordering: .relaxed) == 2)
        }
    }

    @Test func thereIsAlwaysOneThread() {
        #expect(Parallel.threads >= 1)
        withThreads(-3) { #expect(Parallel.threads == 1) }
    }
}

/// How often each index was visited, from any thread.
private final class Visits: Sendable {
    private let table: Mutex<[Int]>

    init(_ count: Int) { table = Mutex([Int](repeating: 0, count: count)) }

    func mark(_ index: Int) { table.withLock { $0[index] += 1 } }

    var counts: [Int] { table.withLock { $0 } }
}
