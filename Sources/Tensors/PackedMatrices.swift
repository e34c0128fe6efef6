import CKernels
import COneDNN
import Foundation

/// The left side of matrix products in borrowed memory: rows of `width` values, laid out as the products
/// read them.
public struct PackedRows: @unchecked Sendable {
    public let width: Int
    public let arithmetic: Arithmetic
    let memory: UnsafeMutablePointer<Float>

    /// Floats of memory that `rows` rows need.
    public static func floats(rows: Int, width: Int, _ arithmetic: Arithmetic) -> Int {
        if arithmetic == .bf16 { return (rows * width + 1) / 2 }
        return (rows + rowGranule - 1) / rowGranule * rowGranule * width
    }

    /// A range of rows that is multiplied on its own starts at a multiple of this.
    public static var rowGranule: Int { Int(etd_left_strip()) }

    public init(
        _ memory: UnsafeMutablePointer<Float>, width: Int, _ arithmetic: Arithmetic
    ) {
        self.memory = memory
        self.width = width
        self.arithmetic = arithmetic
    }

    /// Puts one row in its place. Rows may be stored in any order and from several threads.
    public func store(_ values: UnsafePointer<Float>, row: Int) {
        switch arithmetic {
        case .f32:
            etd_pack_left(values, row, width, memory)
        case .bf16:
            let halves = UnsafeMutableRawPointer(memory) + row * width * 2
            etd_round_bf16(values, halves.assumingMemoryBound(to: UInt16.self), width)
        case .bf16Rounded:
            ScratchPool.shared.withFloats(width) { rounded in
                roundToBF16(values, into: rounded, count: width)
                etd_pack_left(rounded, row, width, memory)
            }
        }
    }
}

/// The right side of matrix products: consecutive rows of a weight, laid out as the products read them,
/// in borrowed memory or, for a weight stored in bf16, in place.
public struct PackedColumns: @unchecked Sendable {
    let width: Int
    let arithmetic: Arithmetic
    public let count: Int
    let memory: UnsafeRawPointer

    /// A range of columns that is multiplied on its own starts at a multiple of this.
    public static var columnGranule: Int { Int(etd_right_strip()) }

    /// Floats of memory that `columns` rows of a weight need.
    public static func floats(columns: Int, width: Int, _ arithmetic: Arithmetic) -> Int {
        if arithmetic == .bf16 { return (columns * width + 1) / 2 }
        return (columns + columnGranule - 1) / columnGranule * columnGranule * width
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
        width = weight.columns
        arithmetic = weight.arithmetic
        count = range.count
        if arithmetic == .bf16, let stored = weight.storedBF16(range) {
            self.memory = stored
            return
        }
        self.memory = UnsafeRawPointer(memory)
        let granule = Self.columnGranule
        // Small enough that what is decoded is still in the first-level cache when it is packed.
        let chunk = max(1, 4096 / max(1, width * granule)) * granule
        let (width, arithmetic) = (width, arithmetic)
        nonisolated(unsafe) let memory = memory
        func load(_ index: Int) {
            let first = index * chunk
            let rows =
                range.lowerBound + first..<min(range.upperBound, range.lowerBound + first + chunk)
            weight.withRows(rows) { values in
                let count = rows.count * width
                switch arithmetic {
                case .f32:
                    etd_pack_right(values, rows.count, width, width, memory + first * width)
                case .bf16:
                    let halves = UnsafeMutableRawPointer(memory) + first * width * 2
                    etd_round_bf16(values, halves.assumingMemoryBound(to: UInt16.self), count)
                case .bf16Rounded:
                    ScratchPool.shared.withFloats(count) { rounded in
                        roundToBF16(values, into: rounded, count: count)
                        etd_pack_right(rounded, rows.count, width, width, memory + first * width)
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

    init(memory: UnsafeRawPointer, count: Int, width: Int, _ arithmetic: Arithmetic) {
        self.memory = memory
        self.count = count
        self.width = width
        self.arithmetic = arithmetic
    }

    /// f32 columns from memory.
    /// - Parameters:
    ///   - values: [count, width] with `stride` floats from one row to the next or, `turned`,
    ///     [width, count].
    ///   - memory: as above.
    public init(
        _ values: UnsafePointer<Float>, count: Int, width: Int, stride: Int, turned: Bool = false,
        memory: UnsafeMutablePointer<Float>
    ) {
        self.width = width
        self.count = count
        arithmetic = .f32
        self.memory = UnsafeRawPointer(memory)
        if turned {
            etd_pack_right_turned(values, count, stride, width, memory)
        } else {
            etd_pack_right(values, count, stride, width, memory)
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
        precondition(left.width == width && left.arithmetic == arithmetic)
        let leftOffset = rows.lowerBound * width * arithmetic.bytes
        let rightOffset = columns.lowerBound * width * arithmetic.bytes
        let leftStart = UnsafeRawPointer(left.memory) + leftOffset
        if arithmetic == .bf16 {
            let status = etd_onednn_multiply(
                Int32(ETD_ONEDNN_BF16.rawValue), leftStart, rows.count, width,
                memory + rightOffset, columns.count, width, width, out, stride)
            precondition(status == 0, "oneDNN refused a bf16 product (status \(status))")
            return
        }
        precondition(
            rows.lowerBound % PackedRows.rowGranule == 0
                && columns.lowerBound % Self.columnGranule == 0)
        etd_product(
            leftStart.assumingMemoryBound(to: Float.self), rows.count,
            (memory + rightOffset).assumingMemoryBound(to: Float.self), columns.count, width, out,
            stride)
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
