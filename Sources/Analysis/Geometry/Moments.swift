import CKernels
import Foundation
import Synchronization
import Tensors

/// Count, sum, second moment and norms of rows of one width, of which only sums are kept.
///
/// Merging is exact: rows are taken in blocks, what a block adds is computed in f64 and rounded once, and
/// adds up in fixed point (`etd_exact_add`). So the same blocks give the same bytes in every order, on
/// every number of threads, in one process or in many that merge their sums. A block of rows is the unit:
/// callers cut documents by position alone.
///
/// Sums reach 2^66 (7·10^19) in steps of 2^-48 (4·10^-15). What would lie beyond is reported, never kept.
public final class Moments: @unchecked Sendable {
    /// d.
    public let width: Int
    /// n, the rows taken in.
    public private(set) var count = 0
    /// The shortest and the longest row; nil without rows.
    public private(set) var normRange: ClosedRange<Double>?
    /// [(d + 1)(d + 2)/2], the lower triangle, row by row, of Σ z·zᵀ with z = (x, 1): its last row holds
    /// the sums and the count.
    private let products: ExactSums
    /// Σ‖x‖ and Σ‖x‖².
    private let norms = ExactSums(count: 2)

    /// Columns of a tile of the product.
    private static let tileColumns = 128

    public init(width: Int) {
        self.width = width
        products = ExactSums(count: (width + 1) * (width + 2) / 2)
    }

    /// Bytes that the sums of one matrix take.
    public static func bytes(width: Int) -> Int { (width + 1) * (width + 2) / 2 * 16 }

    /// Takes in a block of rows [rows, d].
    /// - Returns: false where a value is NaN or a sum leaves its range; the sums are then worthless.
    public func add(_ values: UnsafePointer<Float>, rows: Int) -> Bool {
        guard rows > 0 else { return true }
        let width = self.width
        let stride = width + 1
        let good = Atomic<Bool>(true)
        nonisolated(unsafe) let values = values
        return ScratchPool.shared.withDoubles(rows * (stride + 1)) { wide in
            nonisolated(unsafe) let wide = wide
            nonisolated(unsafe) let squares = wide + rows * stride
            let chunk = 16
            Parallel.forEach((rows + chunk - 1) / chunk) { index in
                for row in index * chunk..<min(rows, (index + 1) * chunk) {
                    etd_widen(values + row * width, wide + row * stride, width)
                    wide[row * stride + width] = 1
                    squares[row] = etd_sum_squares(values + row * width, width)
                }
            }
            let tiles = (stride + Self.tileColumns - 1) / Self.tileColumns
            Parallel.forEach(tiles * (tiles + 1) / 2) { index in
                if !self.addTile(index, wide, rows: rows) {
                    good.store(false, ordering: .relaxed)
                }
            }
            var total = [0.0, 0.0]
            for row in 0..<rows {
                let norm = squares[row].squareRoot()
                guard norm.isFinite else { return false }
                total[0] += norm
                total[1] += squares[row]
                let range = normRange ?? norm...norm
                normRange = min(range.lowerBound, norm)...max(range.upperBound, norm)
            }
            let added = norms.add(total, at: 0, count: 2)
            count += rows
            products.endAddition()
            norms.endAddition()
            return added && good.load(ordering: .relaxed) && !products.hasOverflown
                && !norms.hasOverflown
        }
    }

    /// One tile of the product of a block with itself; tiles count row by row through the triangle.
    private func addTile(_ index: Int, _ wide: UnsafePointer<Double>, rows: Int) -> Bool {
        var tileRow = 0
        while (tileRow + 1) * (tileRow + 2) / 2 <= index { tileRow += 1 }
        let tileColumn = index - tileRow * (tileRow + 1) / 2
        let stride = width + 1
        let side = Self.tileColumns
        let first = (row: tileRow * side, column: tileColumn * side)
        let height = min(side, stride - first.row)
        let breadth = min(side, stride - first.column)
        return ScratchPool.shared.withDoubles(side * side) { product in
            if tileRow == tileColumn {
                DoubleMatrix.columnGram(
                    wide + first.row, rows: rows, columns: height, stride: stride, into: product,
                    outStride: side)
            } else {
                DoubleMatrix.columnProduct(
                    wide + first.row, columns: height, wide + first.column, columns: breadth,
                    rows: rows, stride: stride, into: product, outStride: side)
            }
            var good = true
            for row in 0..<height {
                let count = tileRow == tileColumn ? row + 1 : breadth
                let place = Self.place(first.row + row, first.column)
                good = products.add(product + row * side, at: place, count: count) && good
            }
            return good
        }
    }

    /// Where element (row, column ≤ row) of a lower triangle stands.
    private static func place(_ row: Int, _ column: Int) -> Int { row * (row + 1) / 2 + column }

    /// Whether every sum is within its range. `add` finds out late, though before anything wraps.
    public var isInRange: Bool {
        products.carry()
        norms.carry()
        return !products.hasOverflown && !norms.hasOverflown
    }

    /// Takes in what another one has seen.
    /// - Returns: false where a sum leaves its range.
    public func merge(_ other: Moments) -> Bool {
        precondition(other.width == width)
        count += other.count
        if let range = other.normRange {
            let own = normRange ?? range
            normRange =
                min(own.lowerBound, range.lowerBound)...max(own.upperBound, range.upperBound)
        }
        let merged = products.merge(other.products)
        return norms.merge(other.norms) && merged
    }

    // MARK: Results

    /// Mean of the rows [d]; nil without rows.
    public var mean: [Double]? {
        guard count > 0 else { return nil }
        return (0..<width).map { sum($0) / Double(count) }
    }

    private func sum(_ column: Int) -> Double { products.value(Self.place(width, column)) }

    /// Mean of ‖x‖; nil without rows.
    public var meanNorm: Double? { count > 0 ? norms.value(0) / Double(count) : nil }

    /// Σ‖x‖².
    public var sumOfSquares: Double { norms.value(1) }

    /// The lower triangle of the covariance (Σxxᵀ - n·mean·meanᵀ)/(n - 1), row-major in a [d, d] matrix
    /// whose upper triangle is left as it is.
    /// - Returns: false with fewer than two rows, writing nothing.
    public func covariance(into out: UnsafeMutablePointer<Double>) -> Bool {
        guard count > 1, let mean else { return false }
        for row in 0..<width {
            let scale = mean[row]
            let place = Self.place(row, 0)
            for column in 0...row {
                // n·mean·meanᵀ = sum·meanᵀ, without a rounding of its own.
                out[row * width + column] =
                    (products.value(place + column) - sum(column) * scale) / Double(count - 1)
            }
        }
        return true
    }

    /// Effective rank and participation ratio of the covariance; nil with fewer than two rows or where
    /// all rows are equal.
    public func dimensions() -> Spectrum.Dimensions? {
        ScratchPool.shared.withDoubles(width * width) { matrix in
            guard covariance(into: matrix),
                let values = DoubleMatrix.eigenvalues(overwriting: matrix, order: width)
            else { return nil }
            return Spectrum.dimensions(values)
        }
    }

    /// The sums rounded to f32, [(d + 1)(d + 2)/2].
    func copySums(into out: UnsafeMutablePointer<Float>) {
        for place in 0..<(width + 1) * (width + 2) / 2 { out[place] = Float(products.value(place)) }
    }

    /// Effective rank and participation ratio of the rows that are not in a block.
    /// - Parameter block: the block's sums, as `copySums` gives them.
    func dimensions(without block: UnsafePointer<Float>) -> Spectrum.Dimensions? {
        func rest(_ place: Int) -> Double { products.value(place) - Double(block[place]) }
        let row = Self.place(width, 0)
        let count = rest(row + width).rounded()
        guard count > 1 else { return nil }
        return ScratchPool.shared.withDoubles(width * width) { matrix in
            for i in 0..<width {
                let mean = rest(row + i) / count
                for j in 0...i {
                    matrix[i * width + j] =
                        (rest(Self.place(i, j)) - rest(row + j) * mean) / (count - 1)
                }
            }
            return DoubleMatrix.eigenvalues(overwriting: matrix, order: width)
                .flatMap(Spectrum.dimensions)
        }
    }

    // MARK: The state as words

    /// All that `init(width:words:)` needs to go on, in the one form that equal states have.
    public struct Words: Sendable, Equatable {
        public var count: Int64
        /// Shortest and longest row; NaN without rows.
        public var normRange: [Double]
        /// [(d + 1)(d + 2)/2] each: Σ z·zᵀ with z = (x, 1).
        public var productsHigh, productsLow: [Int64]
        /// Σ‖x‖ and Σ‖x‖².
        public var normsHigh, normsLow: [Int64]

        public init(
            count: Int64, normRange: [Double], productsHigh: [Int64], productsLow: [Int64],
            normsHigh: [Int64], normsLow: [Int64]
        ) {
            self.count = count
            self.normRange = normRange
            self.productsHigh = productsHigh
            self.productsLow = productsLow
            self.normsHigh = normsHigh
            self.normsLow = normsLow
        }

        public static func == (a: Words, b: Words) -> Bool {
            a.count == b.count && a.normRange.map(\.bitPattern) == b.normRange.map(\.bitPattern)
                && a.productsHigh == b.productsHigh && a.productsLow == b.productsLow
                && a.normsHigh == b.normsHigh && a.normsLow == b.normsLow
        }
    }

    public var words: Words {
        let products = self.products.words
        let norms = self.norms.words
        return Words(
            count: Int64(count),
            normRange: normRange.map { [$0.lowerBound, $0.upperBound] } ?? [.nan, .nan],
            productsHigh: products.high, productsLow: products.low, normsHigh: norms.high,
            normsLow: norms.low)
    }

    /// - Returns: nil where the words are no state of this width: lengths, signs, or words that are not
    ///   carried.
    public init?(width: Int, words: Words) {
        self.width = width
        let places = (width + 1) * (width + 2) / 2
        guard width > 0, words.count >= 0, words.productsHigh.count == places,
            words.productsLow.count == places, words.normsHigh.count == 2,
            words.normsLow.count == 2, words.normRange.count == 2
        else { return nil }
        let range = words.normRange
        if words.count > 0 {
            guard range[0] >= 0, range[1] >= range[0], range[1].isFinite else { return nil }
            normRange = range[0]...range[1]
        }
        count = Int(words.count)
        products = ExactSums(count: places)
        guard products.load(high: words.productsHigh, low: words.productsLow),
            norms.load(high: words.normsHigh, low: words.normsLow),
            // The last place counts the rows.
            products.value(places - 1) == Double(count)
        else { return nil }
    }
}

/// Fixed-point sums, whose bytes do not depend on the order of additions. Additions to different places
/// may come from different threads; everything else from one.
private final class ExactSums: @unchecked Sendable {
    let count: Int
    private let high: UnsafeMutablePointer<Int64>
    private let low: UnsafeMutablePointer<Int64>
    /// Calls of `endAddition` since carries were brought in.
    private var additions = 0
    /// Whether a sum was found outside its range when carries were last brought in.
    private(set) var hasOverflown = false

    init(count: Int) {
        self.count = count
        high = .allocate(capacity: count)
        low = .allocate(capacity: count)
        high.initialize(repeating: 0, count: count)
        low.initialize(repeating: 0, count: count)
    }

    deinit {
        high.deallocate()
        low.deallocate()
    }

    /// Adds to a place at most once between two calls of `endAddition`.
    func add(_ values: UnsafePointer<Double>, at place: Int, count: Int) -> Bool {
        etd_exact_add(values, high + place, low + place, count) != 0
    }

    func endAddition() {
        additions += 1
        if additions >= ETD_EXACT_ADDITIONS { carry() }
    }

    func carry() {
        guard additions > 0 else { return }
        additions = 0
        if etd_exact_carry(high, low, count) == 0 { hasOverflown = true }
    }

    func merge(_ other: ExactSums) -> Bool {
        precondition(other.count == count)
        carry()
        other.carry()
        if etd_exact_merge(high, low, other.high, other.low, count) == 0 { hasOverflown = true }
        return !hasOverflown && !other.hasOverflown
    }

    /// Rounded to f64 (twice at most).
    func value(_ place: Int) -> Double {
        let unit = Double(
            sign: .plus, exponent: Int(ETD_EXACT_RADIX - ETD_EXACT_FRACTION), significand: 1)
        let part = Double(sign: .plus, exponent: -Int(ETD_EXACT_FRACTION), significand: 1)
        return Double(high[place]) * unit + Double(low[place]) * part
    }

    var words: (high: [Int64], low: [Int64]) {
        carry()
        return (
            Array(UnsafeBufferPointer(start: high, count: count)),
            Array(UnsafeBufferPointer(start: low, count: count))
        )
    }

    func load(high newHigh: [Int64], low newLow: [Int64]) -> Bool {
        guard newHigh.count == count, newLow.count == count else { return false }
        for place in 0..<count {
            guard newLow[place] >= 0, newLow[place] >> ETD_EXACT_RADIX == 0,
                newHigh[place].magnitude < 1 << 62
            else { return false }
            high[place] = newHigh[place]
            low[place] = newLow[place]
        }
        return true
    }
}
