import Checkpoints
import Foundation
import Tensors

/// A stored matrix [in, out] turned round to [out, in].
///
/// The one place where weights are copied: products take rows of [out, in], and GPT-2's files hold the
/// other form. The copy has the file's element type, so it takes as much memory as the file's part does.
final class TransposedWeight: @unchecked Sendable {
    private let memory: UnsafeMutableRawBufferPointer
    private let type: ElementType
    private let rows: Int
    private let columns: Int

    /// - Precondition: `tensor` has two dimensions and a type without blocks.
    init(_ tensor: StoredTensor) {
        precondition(tensor.shape.count == 2 && tensor.type.blockLength == 1)
        let (height, width, size) = (tensor.shape[0], tensor.shape[1], tensor.type.blockBytes)
        type = tensor.type
        rows = width
        columns = height
        memory = .allocate(byteCount: max(1, height * width * size), alignment: 64)
        switch size {
        case 2: Self.transpose(tensor.bytes, memory, height, width, UInt16.self)
        case 4: Self.transpose(tensor.bytes, memory, height, width, UInt32.self)
        default: Self.transpose(tensor.bytes, memory, height, width, UInt64.self)
        }
    }

    deinit { memory.deallocate() }

    var matrix: WeightMatrix {
        WeightMatrix(
            type: type, rows: rows, columns: columns, bytes: UnsafeRawBufferPointer(memory),
            owner: self)
    }

    /// In squares that fit a cache, spread over the threads.
    private static func transpose<Element: BitwiseCopyable>(
        _ source: UnsafeRawBufferPointer, _ target: UnsafeMutableRawBufferPointer, _ height: Int,
        _ width: Int, _: Element.Type
    ) {
        let side = 64
        let size = MemoryLayout<Element>.size
        nonisolated(unsafe) let target = target
        Parallel.forEach((width + side - 1) / side) { strip in
            let rows = strip * side..<min(width, (strip + 1) * side)
            for start in stride(from: 0, to: height, by: side) {
                for row in rows {
                    for column in start..<min(height, start + side) {
                        let value = source.loadUnaligned(
                            fromByteOffset: (column * width + row) * size, as: Element.self)
                        target.storeBytes(
                            of: value, toByteOffset: (row * height + column) * size,
                            as: Element.self)
                    }
                }
            }
        }
    }
}
