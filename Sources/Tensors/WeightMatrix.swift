import CKernels

/// A stored weight of shape [rows, columns], row-major, in its file's own encoding.
///
/// Rows are decoded to f32 when they are used, so a model takes the memory of its file. `rowOrder`
/// lets a format that stores rows in another order (GGUF's `llama` attention) or those of several
/// matrices by turns (GPT-NeoX's) be used in place.
public struct WeightMatrix: @unchecked Sendable {
    public let type: ElementType
    public let rows: Int
    public let columns: Int
    /// Row r of this matrix is stored row `rowOrder[r]`; nil when the order is the file's.
    public let rowOrder: [Int32]?
    private let base: UnsafeRawPointer
    /// Keeps the mapping alive that `base` points into.
    private let owner: AnyObject

    /// - Precondition: `bytes` holds `rows · columns` elements, and a row is a whole number of blocks.
    public init(
        type: ElementType, rows: Int, columns: Int, bytes: UnsafeRawBufferPointer,
        rowOrder: [Int32]? = nil, owner: AnyObject
    ) {
        precondition(columns % type.blockLength == 0, "a row must be a whole number of blocks")
        precondition(bytes.count >= rows * type.bytes(count: columns))
        precondition(rowOrder == nil || rowOrder?.count == rows)
        self.type = type
        self.rows = rows
        self.columns = columns
        self.rowOrder = rowOrder
        self.owner = owner
        base = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 64)!
    }

    /// The rows of `range`, in place.
    /// - Precondition: the order is the file's.
    public func rows(_ range: Range<Int>) -> WeightMatrix {
        precondition(rowOrder == nil && range.lowerBound >= 0 && range.upperBound <= rows)
        let stride = type.bytes(count: columns)
        return WeightMatrix(
            type: type, rows: range.count, columns: columns,
            bytes: UnsafeRawBufferPointer(
                start: base + range.lowerBound * stride, count: range.count * stride),
            owner: owner)
    }

    /// The rows `order`, in place and in that order, which need not be all.
    /// - Precondition: the order is the file's so far.
    public func rows(order: [Int32]) -> WeightMatrix {
        precondition(rowOrder == nil && order.allSatisfy { $0 >= 0 && $0 < rows })
        return WeightMatrix(
            type: type, rows: order.count, columns: columns,
            bytes: UnsafeRawBufferPointer(start: base, count: rows * type.bytes(count: columns)),
            rowOrder: order, owner: owner)
    }

    /// The stored bytes of one row.
    private func row(_ index: Int) -> UnsafeRawPointer {
        base + (rowOrder.map { Int($0[index]) } ?? index) * type.bytes(count: columns)
    }

    /// Decodes rows `range` into `out` [range.count, columns].
    public func decode(_ range: Range<Int>, into out: UnsafeMutablePointer<Float>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= rows)
        if rowOrder == nil {
            let status = etd_decode(
                type.rawValue, row(range.lowerBound), out, range.count * columns)
            precondition(status == 0, "no decoder for \(type)")
            return
        }
        for index in range {
            let target = out + (index - range.lowerBound) * columns
            let status = etd_decode(type.rawValue, row(index), target, columns)
            precondition(status == 0, "no decoder for \(type)")
        }
    }

    /// Gives `body` rows `range` as f32 [range.count, columns]: in place where they are stored so,
    /// decoded into borrowed memory otherwise.
    public func withRows<Result>(
        _ range: Range<Int>, _ body: (UnsafePointer<Float>) -> Result
    ) -> Result {
        let address = row(range.lowerBound)
        if type == .f32, rowOrder == nil, UInt(bitPattern: address) % 4 == 0 {
            return body(address.assumingMemoryBound(to: Float.self))
        }
        return ScratchPool.shared.withFloats(range.count * columns) { panel in
            decode(range, into: panel)
            return body(panel)
        }
    }

    /// Rows that are read together as they are stored.
    static var strip: Int { Int(ETD_DOT_STRIP) }

    /// Calls `body` for `strip` rows of `range` after another with where each is stored. The addresses may
    /// be written over.
    func forStrips(
        of range: Range<Int>,
        _ body: (_ rows: Range<Int>, _ addresses: UnsafeMutablePointer<UnsafeRawPointer?>) -> Void
    ) {
        precondition(range.lowerBound >= 0 && range.upperBound <= rows)
        withUnsafeTemporaryAllocation(of: UnsafeRawPointer?.self, capacity: Self.strip) {
            addresses in
            guard let start = addresses.baseAddress else { return }
            for first in stride(from: range.lowerBound, to: range.upperBound, by: Self.strip) {
                let strip = first..<min(range.upperBound, first + Self.strip)
                for (place, index) in strip.enumerated() { start[place] = row(index) }
                body(strip, start)
            }
        }
    }

    /// Rows `range` where they lie, if they are stored in bf16, in order and at an even address.
    func storedBF16(_ range: Range<Int>) -> UnsafeRawPointer? {
        let address = row(range.lowerBound)
        return type == .bf16 && rowOrder == nil && UInt(bitPattern: address) % 2 == 0
            ? address : nil
    }
}
