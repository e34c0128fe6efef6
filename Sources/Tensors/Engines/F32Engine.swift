import CKernels
import Foundation

/// Both sides in f32, by the project's own kernels. The contract is that of `Arithmetic.f32`.
struct F32Engine: ProductEngine, StreamingEngine {
    func leftFloats(rows: Int, width: Int) -> Int {
        let granule = PackedRows.rowGranule
        return (rows + granule - 1) / granule * granule * width
    }

    func storeLeft(
        _ values: UnsafePointer<Float>, row: Int, width: Int, in left: UnsafeMutablePointer<Float>
    ) {
        etd_pack_left(values, row, width, left)
    }

    func packLeft(
        turned values: UnsafePointer<Float>, count: Int, width: Int, stride: Int,
        in left: UnsafeMutablePointer<Float>
    ) {
        etd_pack_left_turned(values, width, stride, count, left)
    }

    func rightFloats(columns: Int, width: Int) -> Int {
        let granule = PackedColumns.columnGranule
        return (columns + granule - 1) / granule * granule * width
    }

    func packRight(
        _ weight: WeightMatrix, _ range: Range<Int>, column: Int,
        in right: UnsafeMutablePointer<Float>
    ) {
        let width = weight.columns
        weight.withRows(range) {
            etd_pack_right($0, range.count, width, width, right + column * width)
        }
    }

    func packRight(
        _ values: UnsafePointer<Float>, count: Int, width: Int, stride: Int,
        in right: UnsafeMutablePointer<Float>
    ) {
        etd_pack_right(values, count, stride, width, right)
    }

    func packRight(
        turned values: UnsafePointer<Float>, count: Int, width: Int, stride: Int,
        in right: UnsafeMutablePointer<Float>
    ) {
        etd_pack_right_turned(values, count, stride, width, right)
    }

    func panelRows(rows: Int, depth: Int) -> Int { panelRows(depth: depth, values: 1 << 16) }

    func multiply(_ tile: ProductTile) {
        let sides = Self.sides(tile)
        etd_product(
            sides.left, tile.rows.count, sides.right, tile.columns.count, tile.depth, tile.out,
            tile.stride)
    }

    func accumulate(_ tile: ProductTile) {
        let sides = Self.sides(tile)
        etd_product_add(
            sides.left, tile.rows.count, sides.right, tile.columns.count, tile.depth, tile.out,
            tile.stride)
    }

    /// Where the sides of a tile begin.
    private static func sides(
        _ tile: ProductTile
    ) -> (left: UnsafePointer<Float>, right: UnsafePointer<Float>) {
        precondition(
            tile.rows.lowerBound % PackedRows.rowGranule == 0
                && tile.columns.lowerBound % PackedColumns.columnGranule == 0)
        let right = tile.right + tile.columns.lowerBound * tile.depth * 4
        return (
            UnsafePointer(tile.left + tile.rows.lowerBound * tile.depth),
            right.assumingMemoryBound(to: Float.self)
        )
    }

    // MARK: Few rows

    var streaming: (any StreamingEngine)? { self }

    var streamedRows: Int { Int(ETD_DOT_ROWS) }

    func storeStreamed(
        _ values: UnsafePointer<Float>, row: Int, width: Int, in left: UnsafeMutablePointer<Float>
    ) {
        memcpy(left + row * width, values, width * 4)
    }

    func stream(
        _ left: UnsafeMutablePointer<Float>, rows: Int, _ weight: WeightMatrix, _ range: Range<Int>,
        into out: UnsafeMutablePointer<Float>, stride: Int
    ) {
        weight.forStrips(of: range) { strip, addresses in
            Self.dot(
                left, rows: rows, weight.type, addresses, count: strip.count,
                width: weight.columns, into: out + strip.lowerBound - range.lowerBound,
                stride: stride)
        }
    }

    /// out[rows, count] = left · wᵀ of stored rows that begin at `addresses`.
    static func dot(
        _ left: UnsafePointer<Float>, rows: Int, _ type: ElementType,
        _ addresses: UnsafePointer<UnsafeRawPointer?>, count: Int, width: Int,
        into out: UnsafeMutablePointer<Float>, stride: Int
    ) {
        let status = etd_dot_rows(
            type.rawValue, left, rows, width, addresses, count, type.bytes(count: width), width,
            out, stride)
        precondition(status == 0, "no decoder for \(type)")
    }
}
