/// One way to multiply a left side of rows by a right side of columns: how it lays the two out in memory,
/// and what it does with them there. Knows tiles, not threads; `PackedRows`, `PackedColumns` and
/// `MatrixProduct` hold the memory and cut the work.
///
/// Sides are measured in floats whatever they hold. T rows, N columns (rows of a weight), K depth.
/// A new engine is one file here and a line in `Arithmetic.engine`.
protocol ProductEngine: Sendable {
    // MARK: The left side

    /// Floats of memory for a left side [rows, width].
    func leftFloats(rows: Int, width: Int) -> Int

    /// Puts row `row` in its place in `left`. Rows may come in any order and from several threads.
    func storeLeft(
        _ values: UnsafePointer<Float>, row: Int, width: Int, in left: UnsafeMutablePointer<Float>)

    /// Puts `count` rows in their places, from row 0 on, that lie in memory as the columns of
    /// `values` [width, count] of row stride `stride`.
    func packLeft(
        turned values: UnsafePointer<Float>, count: Int, width: Int, stride: Int,
        in left: UnsafeMutablePointer<Float>)

    // MARK: The right side

    /// Floats of memory for a right side of `columns` columns of `width` values.
    func rightFloats(columns: Int, width: Int) -> Int

    /// Where rows `range` of `weight` already lie as this engine reads them; nil if they have to be packed.
    func rightInPlace(_ weight: WeightMatrix, _ range: Range<Int>) -> UnsafeRawPointer?

    /// Strips of `PackedColumns.columnGranule` rows of the weight to be packed at a time.
    func stripsAtATime(_ weight: WeightMatrix, _ range: Range<Int>) -> Int

    /// Packs rows `range` of `weight` as the columns from `column` on, a multiple of the granule.
    func packRight(
        _ weight: WeightMatrix, _ range: Range<Int>, column: Int,
        in right: UnsafeMutablePointer<Float>)

    /// Packs `count` columns that lie in memory as rows [count, width] of row stride `stride`.
    func packRight(
        _ values: UnsafePointer<Float>, count: Int, width: Int, stride: Int,
        in right: UnsafeMutablePointer<Float>)

    /// Packs `count` columns that lie in memory as columns [width, count] of row stride `stride`.
    func packRight(
        turned values: UnsafePointer<Float>, count: Int, width: Int, stride: Int,
        in right: UnsafeMutablePointer<Float>)

    // MARK: Products

    /// How many rows of a weight [rows, depth] one item of work takes: a function of the shape alone.
    func panelRows(rows: Int, depth: Int) -> Int

    /// out = left · right, on the calling thread.
    func multiply(_ tile: ProductTile)

    /// out += left · right, on the calling thread.
    func accumulate(_ tile: ProductTile)

    /// Products of few rows that read a weight as it is stored; nil where there are none.
    var streaming: (any StreamingEngine)? { get }
}

/// Products of few rows, for which laying a weight out costs more than the product: the weight is read once,
/// as it is stored, and nothing is packed. An engine for quantised weights has its own `stream` and need
/// not decode them.
protocol StreamingEngine: Sendable {
    /// The most rows of such a product.
    var streamedRows: Int { get }

    /// Puts row `row` of the left side in its place, in memory of the engine's `leftFloats`.
    func storeStreamed(
        _ values: UnsafePointer<Float>, row: Int, width: Int, in left: UnsafeMutablePointer<Float>)

    /// out[rows, range] = left · wᵀ of the rows `range` of `weight`, with the bytes of the engine's
    /// `multiply`, on the calling thread. `out` has the row stride `stride`.
    func stream(
        _ left: UnsafeMutablePointer<Float>, rows: Int, _ weight: WeightMatrix, _ range: Range<Int>,
        into out: UnsafeMutablePointer<Float>, stride: Int)
}

/// A part of a product: which rows and columns of two laid out sides, and where it goes.
struct ProductTile {
    let left: UnsafeMutablePointer<Float>
    /// From a multiple of `PackedRows.rowGranule`.
    let rows: Range<Int>
    let right: UnsafeRawPointer
    /// From a multiple of `PackedColumns.columnGranule`.
    let columns: Range<Int>
    let depth: Int
    /// [rows.count, columns.count] of row stride `stride`.
    let out: UnsafeMutablePointer<Float>
    let stride: Int
}

extension ProductEngine {
    /// Row by row, in squares that the first-level cache holds.
    func packLeft(
        turned values: UnsafePointer<Float>, count: Int, width: Int, stride: Int,
        in left: UnsafeMutablePointer<Float>
    ) {
        let side = 16
        ScratchPool.shared.withFloats(side * width) { rows in
            for first in Swift.stride(from: 0, to: count, by: side) {
                let members = min(side, count - first)
                for place in 0..<width {
                    let source = values + place * stride + first
                    for row in 0..<members { rows[row * width + place] = source[row] }
                }
                for row in 0..<members {
                    storeLeft(rows + row * width, row: first + row, width: width, in: left)
                }
            }
        }
    }

    var streaming: (any StreamingEngine)? { nil }

    func rightInPlace(_ weight: WeightMatrix, _ range: Range<Int>) -> UnsafeRawPointer? { nil }

    /// So few that what is decoded is still in the first-level cache when it is packed.
    func stripsAtATime(_ weight: WeightMatrix, _ range: Range<Int>) -> Int {
        max(1, 4096 / max(1, weight.columns * PackedColumns.columnGranule))
    }

    /// Rows of a panel of at most `values` values, which stay in the second-level cache.
    func panelRows(depth: Int, values: Int) -> Int {
        let granule = PackedColumns.columnGranule
        return max(granule, min(96, values / max(1, depth)) / granule * granule)
    }
}
