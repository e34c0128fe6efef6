import CKernels
import COneDNN

/// bf16 by oneDNN: for AMX, and for AVX512-BF16 where the level of the kernels is held below AVX-512. The
/// contract is that of `Arithmetic.bf16` there. Both sides are plain rows of bf16, and a weight that is stored
/// so is used in place.
struct OneDNNEngine: ProductEngine {
    func leftFloats(rows: Int, width: Int) -> Int { (rows * width + 1) / 2 }

    func storeLeft(
        _ values: UnsafePointer<Float>, row: Int, width: Int, in left: UnsafeMutablePointer<Float>
    ) {
        etd_round_bf16(values, Self.row(row, of: left, width: width), width)
    }

    func rightFloats(columns: Int, width: Int) -> Int { (columns * width + 1) / 2 }

    func rightInPlace(_ weight: WeightMatrix, _ range: Range<Int>) -> UnsafeRawPointer? {
        weight.storedBF16(range)
    }

    func packRight(
        _ weight: WeightMatrix, _ range: Range<Int>, column: Int,
        in right: UnsafeMutablePointer<Float>
    ) {
        let width = weight.columns
        weight.withRows(range) {
            etd_round_bf16(
                $0, Self.row(column, of: right, width: width), range.count * width)
        }
    }

    func packRight(
        _ values: UnsafePointer<Float>, count: Int, width: Int, stride: Int,
        in right: UnsafeMutablePointer<Float>
    ) {
        for row in 0..<count {
            etd_round_bf16(values + row * stride, Self.row(row, of: right, width: width), width)
        }
    }

    /// - Precondition: `stride` is `count`.
    func packRight(
        turned values: UnsafePointer<Float>, count: Int, width: Int, stride: Int,
        in right: UnsafeMutablePointer<Float>
    ) {
        precondition(stride == count)
        etd_turn_bf16(values, width, count, Self.row(0, of: right, width: width))
    }

    /// oneDNN lays the rows out anew in every call, so an item is large; an even number of items, since
    /// they are few.
    func panelRows(rows: Int, depth: Int) -> Int {
        let granule = PackedColumns.columnGranule
        let pairs = (rows + 255) / 256
        return max(granule, (rows / (2 * max(1, pairs)) + granule - 1) / granule * granule)
    }

    func multiply(_ tile: ProductTile) {
        let width = tile.depth
        let status = etd_onednn_multiply(
            Int32(ETD_ONEDNN_BF16.rawValue),
            Self.row(tile.rows.lowerBound, of: tile.left, width: width), tile.rows.count, width,
            tile.right + tile.columns.lowerBound * width * 2, tile.columns.count, width, width,
            tile.out, tile.stride)
        precondition(status == 0, "oneDNN refused a bf16 product (status \(status))")
    }

    func accumulate(_ tile: ProductTile) {
        let (rows, columns) = (tile.rows.count, tile.columns.count)
        ScratchPool.shared.withFloats(rows * columns) { product in
            multiply(
                ProductTile(
                    left: tile.left, rows: tile.rows, right: tile.right, columns: tile.columns,
                    depth: tile.depth, out: product, stride: columns))
            for row in 0..<rows {
                etd_add(tile.out + row * tile.stride, product + row * columns, columns)
            }
        }
    }

    /// Where a row of either side begins.
    private static func row(
        _ row: Int, of side: UnsafeMutablePointer<Float>, width: Int
    ) -> UnsafeMutablePointer<UInt16> {
        (UnsafeMutableRawPointer(side) + 2 * row * width).assumingMemoryBound(to: UInt16.self)
    }
}
