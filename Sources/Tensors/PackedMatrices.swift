import CKernels
import COneDNN
import Foundation

/// The left side of matrix products in borrowed memory: rows of `width` values, laid out as the products
/// read them.
public struct PackedRows: @unchecked Sendable {
    public let width: Int
    public let arithmetic: Arithmetic
    let memory: UnsafeMutablePointer<Float>
    /// bf16 values from one row to the next.
    private let stride: Int

    /// Floats of memory that `rows` rows need.
    public static func floats(rows: Int, width: Int, _ arithmetic: Arithmetic) -> Int {
        if arithmetic == .bf16 { return (rows * stride(width) + 1) / 2 }
        return (rows + rowGranule - 1) / rowGranule * rowGranule * width
    }

    private static func stride(_ width: Int) -> Int {
        BF16Engine.current == .tile ? etd_left_stride_bf16(width) : width
    }

    /// A range of rows that is multiplied on its own starts at a multiple of this.
    public static var rowGranule: Int { Int(etd_left_strip()) }

    public init(
        _ memory: UnsafeMutablePointer<Float>, width: Int, _ arithmetic: Arithmetic
    ) {
        self.memory = memory
        self.width = width
        self.arithmetic = arithmetic
        stride = arithmetic == .bf16 ? Self.stride(width) : 0
    }

    /// f32 rows that are the columns of `x` [width, count], packed into `memory`, which has to hold
    /// `floats(rows: count, …)` values.
    public init(
        turned x: UnsafePointer<Float>, count: Int, width: Int, stride: Int,
        memory: UnsafeMutablePointer<Float>
    ) {
        self.init(memory, width: width, .f32)
        etd_pack_left_turned(x, width, stride, count, memory)
    }

    /// Puts one row in its place. Rows may be stored in any order and from several threads.
    public func store(_ values: UnsafePointer<Float>, row: Int) {
        switch arithmetic {
        case .f32:
            etd_pack_left(values, row, width, memory)
        case .bf16:
            let halves = halves(row)
            etd_round_bf16(values, halves, width)
            if width < stride { halves[width] = 0 }
        case .bf16Rounded:
            ScratchPool.shared.withFloats(width) { rounded in
                roundToBF16(values, into: rounded, count: width)
                etd_pack_left(rounded, row, width, memory)
            }
        }
    }

    /// Where a row begins, in bf16.
    func halves(_ row: Int) -> UnsafeMutablePointer<UInt16> {
        (UnsafeMutableRawPointer(memory) + row * stride * 2).assumingMemoryBound(to: UInt16.self)
    }
}

/// The right side of matrix products: consecutive rows of a weight, laid out as the products read them,
/// in borrowed memory or, for a weight stored in bf16 that oneDNN multiplies, in place.
public struct PackedColumns: @unchecked Sendable {
    let width: Int
    let arithmetic: Arithmetic
    public let count: Int
    let memory: UnsafeRawPointer
    /// nil in f32.
    private let engine: BF16Engine?

    /// A range of columns that is multiplied on its own starts at a multiple of this.
    public static var columnGranule: Int { Int(etd_right_strip()) }

    /// Floats of memory that `columns` rows of a weight need.
    public static func floats(columns: Int, width: Int, _ arithmetic: Arithmetic) -> Int {
        if arithmetic == .bf16 {
            let halves =
                BF16Engine.current == .tile
                ? etd_right_size_bf16(columns, width) : columns * width
            return (halves + 1) / 2
        }
        return (columns + columnGranule - 1) / columnGranule * columnGranule * width
    }

    init(memory: UnsafeRawPointer, count: Int, width: Int, _ arithmetic: Arithmetic) {
        self.memory = memory
        self.count = count
        self.width = width
        self.arithmetic = arithmetic
        engine = arithmetic == .bf16 ? BF16Engine.current : nil
    }

    /// Reads rows `range` of `weight`.
    /// - Parameters:
    ///   - memory: room for `floats(columns: range.count, …)` values; it stays the caller's and has to
    ///     outlive this value.
    ///   - parallel: whether to spread the work over all threads.
    public init(
        _ weight: WeightMatrix, _ range: Range<Int>, memory: UnsafeMutablePointer<Float>,
        parallel: Bool = false
    ) {
        let (width, arithmetic) = (weight.columns, weight.arithmetic)
        nonisolated(unsafe) let stored =
            arithmetic == .bf16 ? weight.storedBF16(range) : nil
        let engine = arithmetic == .bf16 ? BF16Engine.current : nil
        if let stored, engine == .oneDNN {
            self.init(memory: stored, count: range.count, width: width, arithmetic)
            return
        }
        self.init(memory: UnsafeRawPointer(memory), count: range.count, width: width, arithmetic)
        let granule = Self.columnGranule
        // Several strips where they are read as stored, since one is fetched while another is packed;
        // else so few rows that what is decoded is still in the first-level cache when it is packed.
        let strips = stored != nil ? 8 : max(1, 4096 / max(1, width * granule))
        let chunk = strips * granule
        nonisolated(unsafe) let memory = memory
        func load(_ index: Int) {
            let first = index * chunk
            let rows =
                range.lowerBound + first..<min(range.upperBound, range.lowerBound + first + chunk)
            if let stored {
                let source = stored + first * width * 2
                etd_pack_right_bf16(
                    source.assumingMemoryBound(to: UInt16.self), rows.count, width, width,
                    Self.tile(memory, column: first, width: width))
                return
            }
            weight.withRows(rows) { values in
                let count = rows.count * width
                switch (arithmetic, engine) {
                case (.bf16, .tile):
                    withUnsafeTemporaryAllocation(of: UInt16.self, capacity: count) { halves in
                        let start = halves.baseAddress!
                        etd_round_bf16(values, start, count)
                        etd_pack_right_bf16(
                            start, rows.count, width, width,
                            Self.tile(memory, column: first, width: width))
                    }
                case (.bf16, _):
                    let halves = UnsafeMutableRawPointer(memory) + first * width * 2
                    etd_round_bf16(values, halves.assumingMemoryBound(to: UInt16.self), count)
                case (.f32, _):
                    etd_pack_right(values, rows.count, width, width, memory + first * width)
                case (.bf16Rounded, _):
                    withRounded(values, rows: rows.count, width: width, stride: width) {
                        etd_pack_right($0, rows.count, width, width, memory + first * width)
                    }
                }
            }
        }
        let chunks = (range.count + chunk - 1) / chunk
        if parallel {
            Parallel.forEach(chunks, load)
        } else {
            for index in 0..<chunks { load(index) }
        }
    }

    /// Where a strip of a right side for the bf16 tile begins.
    private static func tile(
        _ memory: UnsafeMutablePointer<Float>, column: Int, width: Int
    ) -> UnsafeMutablePointer<UInt16> {
        (UnsafeMutableRawPointer(memory) + 2 * etd_right_size_bf16(column, width))
            .assumingMemoryBound(to: UInt16.self)
    }

    /// Columns from memory.
    /// - Parameters:
    ///   - values: [count, width] with `stride` floats from one row to the next.
    ///   - arithmetic: such as `ofActivations` gives: bf16 only on the project's own tile.
    ///   - memory: as above.
    public init(
        _ values: UnsafePointer<Float>, count: Int, width: Int, stride: Int,
        _ arithmetic: Arithmetic = .f32, memory: UnsafeMutablePointer<Float>
    ) {
        self.init(memory: UnsafeRawPointer(memory), count: count, width: width, arithmetic)
        switch (arithmetic, engine) {
        case (.bf16, _):
            precondition(engine == .tile)
            let floats = (count * width + 1) / 2
            ScratchPool.shared.withFloats(floats) { scratch in
                scratch.withMemoryRebound(to: UInt16.self, capacity: 2 * floats) { halves in
                    for row in 0..<count {
                        etd_round_bf16(values + row * stride, halves + row * width, width)
                    }
                    etd_pack_right_bf16(
                        halves, count, width, width, Self.tile(memory, column: 0, width: width))
                }
            }
        case (.f32, _): etd_pack_right(values, count, stride, width, memory)
        case (.bf16Rounded, _):
            withRounded(values, rows: count, width: width, stride: stride) {
                etd_pack_right($0, count, width, width, memory)
            }
        }
    }

    /// Columns from memory that are given turned.
    /// - Parameters:
    ///   - values: [width, count] with `stride` floats from one row to the next.
    ///   - memory: as above.
    public init(
        turned values: UnsafePointer<Float>, count: Int, width: Int, stride: Int,
        _ arithmetic: Arithmetic = .f32, memory: UnsafeMutablePointer<Float>
    ) {
        self.init(memory: UnsafeRawPointer(memory), count: count, width: width, arithmetic)
        memory.withMemoryRebound(to: UInt16.self, capacity: 1) { halves in
            switch (arithmetic, engine) {
            case (.bf16, .tile): etd_pack_right_turned_bf16(values, count, stride, width, halves)
            case (.bf16, _):
                precondition(stride == count)
                etd_turn_bf16(values, width, count, halves)
            case (.f32, _): etd_pack_right_turned(values, count, stride, width, memory)
            case (.bf16Rounded, _):
                withRounded(values, rows: width, width: count, stride: stride) {
                    etd_pack_right_turned($0, count, count, width, memory)
                }
            }
        }
    }

    /// out[rows, columns] = left · selfᵀ on the calling thread.
    /// - Parameters:
    ///   - rows: rows of `left`, from a multiple of its granule.
    ///   - columns: places in this value, from a multiple of the granule.
    public func multiply(
        _ left: PackedRows, rows: Range<Int>, columns: Range<Int>,
        into out: UnsafeMutablePointer<Float>, stride: Int
    ) {
        switch engine {
        case .tile: tileProduct(left, rows, columns, into: out, stride, adds: false)
        case .oneDNN:
            precondition(left.width == width && left.arithmetic == arithmetic)
            let status = etd_onednn_multiply(
                Int32(ETD_ONEDNN_BF16.rawValue), left.halves(rows.lowerBound), rows.count, width,
                memory + columns.lowerBound * width * 2, columns.count, width, width, out, stride)
            precondition(status == 0, "oneDNN refused a bf16 product (status \(status))")
        case nil:
            let sides = sides(left, rows, columns)
            etd_product(sides.left, rows.count, sides.right, columns.count, width, out, stride)
        }
    }

    /// out[rows, columns] += left · selfᵀ on the calling thread; parameters as in `multiply`.
    public func accumulate(
        _ left: PackedRows, rows: Range<Int>, columns: Range<Int>,
        into out: UnsafeMutablePointer<Float>, stride: Int
    ) {
        switch engine {
        case .tile: tileProduct(left, rows, columns, into: out, stride, adds: true)
        case .oneDNN:
            ScratchPool.shared.withFloats(rows.count * columns.count) { product in
                multiply(
                    left, rows: rows, columns: columns, into: product, stride: columns.count)
                for row in 0..<rows.count {
                    etd_add(out + row * stride, product + row * columns.count, columns.count)
                }
            }
        case nil:
            let sides = sides(left, rows, columns)
            etd_product_add(sides.left, rows.count, sides.right, columns.count, width, out, stride)
        }
    }

    /// Where the sides of an f32 product begin.
    private func sides(
        _ left: PackedRows, _ rows: Range<Int>, _ columns: Range<Int>
    ) -> (left: UnsafePointer<Float>, right: UnsafePointer<Float>) {
        precondition(left.width == width && left.arithmetic == arithmetic)
        precondition(
            rows.lowerBound % PackedRows.rowGranule == 0
                && columns.lowerBound % Self.columnGranule == 0)
        return (
            UnsafePointer(left.memory + rows.lowerBound * width),
            (memory + columns.lowerBound * width * 4).assumingMemoryBound(to: Float.self)
        )
    }

    private func tileProduct(
        _ left: PackedRows, _ rows: Range<Int>, _ columns: Range<Int>,
        into out: UnsafeMutablePointer<Float>, _ stride: Int, adds: Bool
    ) {
        precondition(left.width == width && left.arithmetic == arithmetic)
        precondition(columns.lowerBound % etd_right_strip_bf16() == 0)
        let right = memory + 2 * etd_right_size_bf16(columns.lowerBound, width)
        etd_product_bf16(
            left.halves(rows.lowerBound), rows.count, right.assumingMemoryBound(to: UInt16.self),
            columns.count, width, out, stride, adds ? 1 : 0)
    }
}

/// f32 values rounded to the nearest bfloat16.
private func roundToBF16(
    _ values: UnsafePointer<Float>, into out: UnsafeMutablePointer<Float>, count: Int
) {
    withUnsafeTemporaryAllocation(of: UInt16.self, capacity: count) { halves in
        let start = halves.baseAddress!
        etd_round_bf16(values, start, count)
        for index in 0..<count { out[index] = Float(bitPattern: UInt32(start[index]) << 16) }
    }
}

/// Gives `body` a copy of rows of f32 values, rounded to bfloat16 and close together.
private func withRounded(
    _ values: UnsafePointer<Float>, rows: Int, width: Int, stride: Int,
    _ body: (UnsafePointer<Float>) -> Void
) {
    ScratchPool.shared.withFloats(rows * width) { rounded in
        for row in 0..<rows {
            roundToBF16(values + row * stride, into: rounded + row * width, count: width)
        }
        body(rounded)
    }
}
