import CKernels

extension PackedColumns {
    /// out[rows, columns] += left · selfᵀ on the calling thread; parameters as in `multiply`.
    public func accumulate(
        _ left: PackedRows, rows: Range<Int>, columns: Range<Int>,
        into out: UnsafeMutablePointer<Float>, stride: Int
    ) {
        precondition(left.width == width && left.arithmetic == arithmetic)
        if arithmetic == .bf16 {
            ScratchPool.shared.withFloats(rows.count * columns.count) { product in
                multiply(
                    left, rows: rows, columns: columns, into: product, stride: columns.count)
                for row in 0..<rows.count {
                    etd_add(out + row * stride, product + row * columns.count, columns.count)
                }
            }
            return
        }
        precondition(
            rows.lowerBound % PackedRows.rowGranule == 0
                && columns.lowerBound % Self.columnGranule == 0)
        let right = memory + columns.lowerBound * width * 4
        etd_product_add(
            left.memory + rows.lowerBound * width, rows.count,
            right.assumingMemoryBound(to: Float.self), columns.count, width, out, stride)
    }
}

extension PackedRows {
    /// f32 rows that are the columns of `x` [width, count], packed into `memory`, which has to hold
    /// `floats(rows: count, …)` values.
    public init(
        turned x: UnsafePointer<Float>, count: Int, width: Int, stride: Int,
        memory: UnsafeMutablePointer<Float>
    ) {
        self.init(memory, width: width, .f32)
        etd_pack_left_turned(x, width, stride, count, memory)
    }
}

extension PackedColumns {
    /// f32 columns that are packed already.
    public init(packed memory: UnsafePointer<Float>, count: Int, width: Int) {
        self.init(memory: UnsafeRawPointer(memory), count: count, width: width, .f32)
    }
}
