import CKernels
import Files
import Tensors

/// One weight of a checkpoint, as its file holds it: not copied, not decoded.
public struct StoredTensor: @unchecked Sendable {
    public let name: String
    public let type: ElementType
    /// Row-major, outermost first, as PyTorch has it; a GGUF's reversed dimensions are turned round.
    /// Empty for a scalar.
    public let shape: [Int]
    /// The encoded elements inside the mapped file, at any alignment. Valid while this value, a copy
    /// of it or its checkpoint lives.
    public let bytes: UnsafeRawBufferPointer
    // Keeps `bytes` mapped. The mapping is read-only, so sharing it between threads is safe.
    private let file: MappedFile

    init(
        name: String, type: ElementType, shape: [Int], bytes: UnsafeRawBufferPointer,
        file: MappedFile
    ) {
        self.name = name
        self.type = type
        self.shape = shape
        self.bytes = bytes
        self.file = file
    }

    /// Number of elements, the product of `shape`.
    public var count: Int { shape.reduce(1, *) }
}

extension StoredTensor {
    /// Decodes the elements in `range`, counted row-major over the whole tensor, to f32.
    ///
    /// Exact for every type but f64, which rounds to nearest even; block types are decoded as the
    /// Python package `gguf` does, bit for bit.
    /// - Precondition: `range` lies within 0..<`count`, begins and ends at a block border of `type`,
    ///   and has the length of `out`.
    public func decode(_ range: Range<Int>, into out: UnsafeMutableBufferPointer<Float>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        precondition(range.count == out.count && range.lowerBound % type.blockLength == 0)
        guard let source = bytes.baseAddress, let target = out.baseAddress, !range.isEmpty else {
            return
        }
        let start = type.bytes(count: range.lowerBound)
        let status = etd_decode(type.rawValue, source + start, target, range.count)
        precondition(status == 0, "a range that ends within a block of \(type)")
    }

    /// All elements as f32, row-major.
    public func decoded() -> [Float] {
        [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
            decode(0..<count, into: UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
            initialized = count
        }
    }

    /// The row-major position of the first element that is NaN or infinite once decoded to f32 (an
    /// f64 beyond f32's range counts); nil if all are finite. Reads the tensor in small pieces.
    public func firstNonFinite() -> Int? {
        // A whole number of every type's blocks, small enough to stay in the first-level cache.
        let step = 4096
        return withUnsafeTemporaryAllocation(of: Float.self, capacity: step) { buffer in
            for start in stride(from: 0, to: count, by: step) {
                let length = min(step, count - start)
                let piece = UnsafeMutableBufferPointer(rebasing: buffer[..<length])
                decode(start..<start + length, into: piece)
                // Zero times a number is zero unless the number is NaN or infinite.
                var sum: Float = 0
                for value in piece { sum += value * 0 }
                if sum == 0 { continue }
                if let offset = piece.firstIndex(where: { !$0.isFinite }) { return start + offset }
            }
            return nil
        }
    }
}

/// One entry of a weight file before it is known whether its type can be decoded.
struct StoredEntry {
    let name: String
    /// The type as the format spells it.
    let typeName: String
    /// Nil for a type that no weight is read from, such as I64.
    let type: ElementType?
    let shape: [Int]
    let bytes: UnsafeRawBufferPointer
}
