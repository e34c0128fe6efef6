import CKernels

/// Both sides rounded to bfloat16, laid out and multiplied as `F32Engine` does. The contract is that of
/// `Arithmetic.bf16Rounded`.
struct RoundedEngine: ProductEngine, StreamingEngine {
    private let plain = F32Engine()

    func leftFloats(rows: Int, width: Int) -> Int { plain.leftFloats(rows: rows, width: width) }

    func storeLeft(
        _ values: UnsafePointer<Float>, row: Int, width: Int, in left: UnsafeMutablePointer<Float>
    ) {
        ScratchPool.shared.withFloats(width) { rounded in
            Self.round(values, into: rounded, count: width)
            plain.storeLeft(rounded, row: row, width: width, in: left)
        }
    }

    func rightFloats(columns: Int, width: Int) -> Int {
        plain.rightFloats(columns: columns, width: width)
    }

    func packRight(
        _ weight: WeightMatrix, _ range: Range<Int>, column: Int,
        in right: UnsafeMutablePointer<Float>
    ) {
        let width = weight.columns
        weight.withRows(range) {
            packRight(
                $0, count: range.count, width: width, stride: width, in: right + column * width)
        }
    }

    func packRight(
        _ values: UnsafePointer<Float>, count: Int, width: Int, stride: Int,
        in right: UnsafeMutablePointer<Float>
    ) {
        Self.withRounded(values, rows: count, width: width, stride: stride) {
            plain.packRight($0, count: count, width: width, stride: width, in: right)
        }
    }

    func packRight(
        turned values: UnsafePointer<Float>, count: Int, width: Int, stride: Int,
        in right: UnsafeMutablePointer<Float>
    ) {
        Self.withRounded(values, rows: width, width: count, stride: stride) {
            plain.packRight(turned: $0, count: count, width: width, stride: count, in: right)
        }
    }

    func panelRows(rows: Int, depth: Int) -> Int { plain.panelRows(rows: rows, depth: depth) }

    func multiply(_ tile: ProductTile) { plain.multiply(tile) }

    func accumulate(_ tile: ProductTile) { plain.accumulate(tile) }

    // MARK: Few rows

    var streaming: (any StreamingEngine)? { self }

    var streamedRows: Int { plain.streamedRows }

    func storeStreamed(
        _ values: UnsafePointer<Float>, row: Int, width: Int, in left: UnsafeMutablePointer<Float>
    ) {
        Self.round(values, into: left + row * width, count: width)
    }

    func stream(
        _ left: UnsafeMutablePointer<Float>, rows: Int, _ weight: WeightMatrix, _ range: Range<Int>,
        into out: UnsafeMutablePointer<Float>, stride: Int
    ) {
        let width = weight.columns
        weight.forStrips(of: range) { strip, addresses in
            weight.withRows(strip) { values in
                Self.withRounded(values, rows: strip.count, width: width, stride: width) {
                    // The strip's own places in memory instead of the weight's.
                    for row in 0..<strip.count {
                        addresses[row] = UnsafeRawPointer($0 + row * width)
                    }
                    F32Engine.dot(
                        left, rows: rows, .f32, addresses, count: strip.count, width: width,
                        into: out + strip.lowerBound - range.lowerBound, stride: stride)
                }
            }
        }
    }

    // MARK: Rounding

    /// f32 values rounded to the nearest bfloat16.
    private static func round(
        _ values: UnsafePointer<Float>, into out: UnsafeMutablePointer<Float>, count: Int
    ) {
        withUnsafeTemporaryAllocation(of: UInt16.self, capacity: count) { halves in
            let start = halves.baseAddress!
            etd_round_bf16(values, start, count)
            for index in 0..<count { out[index] = Float(bitPattern: UInt32(start[index]) << 16) }
        }
    }

    /// Gives `body` a copy of rows of f32 values, rounded to bfloat16 and close together.
    private static func withRounded(
        _ values: UnsafePointer<Float>, rows: Int, width: Int, stride: Int,
        _ body: (UnsafePointer<Float>) -> Void
    ) {
        ScratchPool.shared.withFloats(rows * width) { rounded in
            for row in 0..<rows {
                round(values + row * stride, into: rounded + row * width, count: width)
            }
            body(rounded)
        }
    }
}
