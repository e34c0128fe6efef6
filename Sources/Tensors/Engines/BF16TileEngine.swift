import CKernels

/// bf16 by the project's own tile, for CPUs with AVX512-BF16 (`etd_multiplies_bf16`). The contract is that
/// of `Arithmetic.bf16` there: each value is one chain over pairs of the depth.
struct BF16TileEngine: ProductEngine, StreamingEngine {
    func leftFloats(rows: Int, width: Int) -> Int {
        (rows * etd_left_stride_bf16(width) + 1) / 2
    }

    func storeLeft(
        _ values: UnsafePointer<Float>, row: Int, width: Int, in left: UnsafeMutablePointer<Float>
    ) {
        let halves = Self.row(row, of: left, width: width)
        etd_round_bf16(values, halves, width)
        if width < etd_left_stride_bf16(width) { halves[width] = 0 }
    }

    func rightFloats(columns: Int, width: Int) -> Int {
        (etd_right_size_bf16(columns, width) + 1) / 2
    }

    /// Several strips where they are read as stored, since one is fetched while another is packed.
    func stripsAtATime(_ weight: WeightMatrix, _ range: Range<Int>) -> Int {
        weight.storedBF16(range) != nil
            ? 8 : max(1, 4096 / max(1, weight.columns * PackedColumns.columnGranule))
    }

    func packRight(
        _ weight: WeightMatrix, _ range: Range<Int>, column: Int,
        in right: UnsafeMutablePointer<Float>
    ) {
        let width = weight.columns
        let target = Self.column(column, of: right, width: width)
        if let stored = weight.storedBF16(range) {
            etd_pack_right_bf16(
                stored.assumingMemoryBound(to: UInt16.self), range.count, width, width, target)
            return
        }
        weight.withRows(range) { values in
            let count = range.count * width
            withUnsafeTemporaryAllocation(of: UInt16.self, capacity: count) { halves in
                let start = halves.baseAddress!
                etd_round_bf16(values, start, count)
                etd_pack_right_bf16(start, range.count, width, width, target)
            }
        }
    }

    func packRight(
        _ values: UnsafePointer<Float>, count: Int, width: Int, stride: Int,
        in right: UnsafeMutablePointer<Float>
    ) {
        Self.withHalves(values, rows: count, width: width, stride: stride) {
            etd_pack_right_bf16(
                $0, count, width, width, Self.column(0, of: right, width: width))
        }
    }

    func packRight(
        turned values: UnsafePointer<Float>, count: Int, width: Int, stride: Int,
        in right: UnsafeMutablePointer<Float>
    ) {
        etd_pack_right_turned_bf16(
            values, count, stride, width, Self.column(0, of: right, width: width))
    }

    func panelRows(rows: Int, depth: Int) -> Int { panelRows(depth: depth, values: 1 << 18) }

    func multiply(_ tile: ProductTile) { product(tile, adds: false) }

    func accumulate(_ tile: ProductTile) { product(tile, adds: true) }

    private func product(_ tile: ProductTile, adds: Bool) {
        precondition(tile.columns.lowerBound % etd_right_strip_bf16() == 0)
        let right = tile.right + 2 * etd_right_size_bf16(tile.columns.lowerBound, tile.depth)
        etd_product_bf16(
            Self.row(tile.rows.lowerBound, of: tile.left, width: tile.depth), tile.rows.count,
            right.assumingMemoryBound(to: UInt16.self), tile.columns.count, tile.depth, tile.out,
            tile.stride, adds ? 1 : 0)
    }

    // MARK: Few rows

    var streaming: (any StreamingEngine)? { self }

    var streamedRows: Int { Int(ETD_DOT_ROWS_BF16) }

    /// The left side is in rows already.
    func storeStreamed(
        _ values: UnsafePointer<Float>, row: Int, width: Int, in left: UnsafeMutablePointer<Float>
    ) {
        storeLeft(values, row: row, width: width, in: left)
    }

    func stream(
        _ left: UnsafeMutablePointer<Float>, rows: Int, _ weight: WeightMatrix, _ range: Range<Int>,
        into out: UnsafeMutablePointer<Float>, stride: Int
    ) {
        let width = weight.columns
        let left = Self.row(0, of: left, width: width)
        weight.forStrips(of: range) { strip, addresses in
            let target = out + strip.lowerBound - range.lowerBound
            if weight.type == .bf16 {
                etd_dot_rows_bf16(left, rows, addresses, strip.count, width, target, stride)
                return
            }
            weight.withRows(strip) { values in
                Self.withHalves(values, rows: strip.count, width: width, stride: width) {
                    // The strip's own places in memory instead of the weight's.
                    for row in 0..<strip.count {
                        addresses[row] = UnsafeRawPointer($0 + row * width)
                    }
                    etd_dot_rows_bf16(left, rows, addresses, strip.count, width, target, stride)
                }
            }
        }
    }

    // MARK: Places

    /// Where a row of a left side begins.
    private static func row(
        _ row: Int, of left: UnsafeMutablePointer<Float>, width: Int
    ) -> UnsafeMutablePointer<UInt16> {
        (UnsafeMutableRawPointer(left) + 2 * row * etd_left_stride_bf16(width))
            .assumingMemoryBound(to: UInt16.self)
    }

    /// Where a strip of a right side begins.
    private static func column(
        _ column: Int, of right: UnsafeMutablePointer<Float>, width: Int
    ) -> UnsafeMutablePointer<UInt16> {
        (UnsafeMutableRawPointer(right) + 2 * etd_right_size_bf16(column, width))
            .assumingMemoryBound(to: UInt16.self)
    }

    /// Gives `body` rows of f32 values as bf16, close together.
    private static func withHalves(
        _ values: UnsafePointer<Float>, rows: Int, width: Int, stride: Int,
        _ body: (UnsafePointer<UInt16>) -> Void
    ) {
        let floats = (rows * width + 1) / 2
        ScratchPool.shared.withFloats(floats) { scratch in
            scratch.withMemoryRebound(to: UInt16.self, capacity: 2 * floats) { halves in
                for row in 0..<rows {
                    etd_round_bf16(values + row * stride, halves + row * width, width)
                }
                body(halves)
            }
        }
    }
}
