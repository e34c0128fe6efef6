import CKernels

/// The left side of matrix products in borrowed memory: rows of `width` values, laid out as the products of
/// its arithmetic read them.
public struct PackedRows: @unchecked Sendable {
    public let width: Int
    public let arithmetic: Arithmetic
    let memory: UnsafeMutablePointer<Float>
    private let engine: any ProductEngine

    /// Floats of memory that `rows` rows need.
    public static func floats(rows: Int, width: Int, _ arithmetic: Arithmetic) -> Int {
        arithmetic.engine.leftFloats(rows: rows, width: width)
    }

    /// A range of rows that is multiplied on its own starts at a multiple of this.
    public static var rowGranule: Int { Int(etd_left_strip()) }

    public init(
        _ memory: UnsafeMutablePointer<Float>, width: Int, _ arithmetic: Arithmetic
    ) {
        self.memory = memory
        self.width = width
        self.arithmetic = arithmetic
        engine = arithmetic.engine
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

    /// Rows that are the columns of `x` [width, count] of row stride `stride`, in memory that has to hold
    /// `floats(rows: count, …)` values.
    public init(
        turned x: UnsafePointer<Float>, count: Int, width: Int, stride: Int,
        _ arithmetic: Arithmetic, memory: UnsafeMutablePointer<Float>
    ) {
        self.init(memory, width: width, arithmetic)
        engine.packLeft(turned: x, count: count, width: width, stride: stride, in: memory)
    }

    /// Puts one row in its place. Rows may be stored in any order and from several threads.
    public func store(_ values: UnsafePointer<Float>, row: Int) {
        engine.storeLeft(values, row: row, width: width, in: memory)
    }
}

/// The right side of matrix products: consecutive rows of a weight, laid out as the products of an
/// arithmetic read them, in borrowed memory or, where the weight is stored so, in place.
public struct PackedColumns: @unchecked Sendable {
    let width: Int
    let arithmetic: Arithmetic
    public let count: Int
    let memory: UnsafeRawPointer
    private let engine: any ProductEngine

    /// A range of columns that is multiplied on its own starts at a multiple of this.
    public static var columnGranule: Int { Int(etd_right_strip()) }

    /// Floats of memory that `columns` rows of a weight need.
    public static func floats(columns: Int, width: Int, _ arithmetic: Arithmetic) -> Int {
        arithmetic.engine.rightFloats(columns: columns, width: width)
    }

    /// Reads rows `range` of `weight`.
    /// - Parameters:
    ///   - memory: room for `floats(columns: range.count, …)` values; it stays the caller's and has to
    ///     outlive this value.
    ///   - parallel: whether to spread the work over all threads.
    public init(
        _ weight: WeightMatrix, _ range: Range<Int>, _ arithmetic: Arithmetic,
        memory: UnsafeMutablePointer<Float>, parallel: Bool = false
    ) {
        let engine = arithmetic.engine
        self.engine = engine
        self.arithmetic = arithmetic
        width = weight.columns
        count = range.count
        if let stored = engine.rightInPlace(weight, range) {
            self.memory = stored
            return
        }
        self.memory = UnsafeRawPointer(memory)
        let chunk = engine.stripsAtATime(weight, range) * Self.columnGranule
        nonisolated(unsafe) let memory = memory
        func load(_ index: Int) {
            let first = index * chunk
            let start = range.lowerBound + first
            engine.packRight(
                weight, start..<min(range.upperBound, start + chunk), column: first, in: memory)
        }
        let chunks = (range.count + chunk - 1) / chunk
        if parallel {
            Parallel.forEach(chunks, load)
        } else {
            for index in 0..<chunks { load(index) }
        }
    }

    /// Columns from memory.
    /// - Parameters:
    ///   - values: [count, width] with `stride` floats from one row to the next.
    ///   - memory: as above.
    public init(
        _ values: UnsafePointer<Float>, count: Int, width: Int, stride: Int,
        _ arithmetic: Arithmetic = .f32, memory: UnsafeMutablePointer<Float>
    ) {
        self.init(memory, count: count, width: width, arithmetic)
        engine.packRight(values, count: count, width: width, stride: stride, in: memory)
    }

    /// Columns from memory that are given turned.
    /// - Parameters:
    ///   - values: [width, count] with `stride` floats from one row to the next; for bf16 by oneDNN,
    ///     `stride` is `count`.
    ///   - memory: as above.
    public init(
        turned values: UnsafePointer<Float>, count: Int, width: Int, stride: Int,
        _ arithmetic: Arithmetic = .f32, memory: UnsafeMutablePointer<Float>
    ) {
        self.init(memory, count: count, width: width, arithmetic)
        engine.packRight(turned: values, count: count, width: width, stride: stride, in: memory)
    }

    private init(
        _ memory: UnsafeMutablePointer<Float>, count: Int, width: Int, _ arithmetic: Arithmetic
    ) {
        self.memory = UnsafeRawPointer(memory)
        self.count = count
        self.width = width
        self.arithmetic = arithmetic
        engine = arithmetic.engine
    }

    /// out[rows, columns] = left · selfᵀ on the calling thread.
    /// - Parameters:
    ///   - rows: rows of `left`, from a multiple of its granule.
    ///   - columns: places in this value, from a multiple of the granule.
    public func multiply(
        _ left: PackedRows, rows: Range<Int>, columns: Range<Int>,
        into out: UnsafeMutablePointer<Float>, stride: Int
    ) {
        engine.multiply(tile(left, rows, columns, out, stride))
    }

    /// out[rows, columns] += left · selfᵀ on the calling thread; parameters as in `multiply`.
    public func accumulate(
        _ left: PackedRows, rows: Range<Int>, columns: Range<Int>,
        into out: UnsafeMutablePointer<Float>, stride: Int
    ) {
        engine.accumulate(tile(left, rows, columns, out, stride))
    }

    private func tile(
        _ left: PackedRows, _ rows: Range<Int>, _ columns: Range<Int>,
        _ out: UnsafeMutablePointer<Float>, _ stride: Int
    ) -> ProductTile {
        precondition(left.width == width && left.arithmetic == arithmetic)
        return ProductTile(
            left: left.memory, rows: rows, right: memory, columns: columns, depth: width, out: out,
            stride: stride)
    }
}
