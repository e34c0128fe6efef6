import Foundation

/// Owned f32 memory, aligned to a cache line. Holds no shape: each user says how it is laid out.
public final class FloatBuffer: @unchecked Sendable {
    public let count: Int
    public let pointer: UnsafeMutablePointer<Float>

    /// Zeroed memory for `count` values.
    public init(count: Int) {
        self.count = count
        let raw = UnsafeMutableRawPointer.allocate(byteCount: max(64, count * 4), alignment: 64)
        pointer = raw.bindMemory(to: Float.self, capacity: max(16, count))
        memset(raw, 0, max(64, count * 4))
    }

    /// Memory for `count` values of unknown content.
    public init(uninitialized count: Int) {
        self.count = count
        let raw = UnsafeMutableRawPointer.allocate(byteCount: max(64, count * 4), alignment: 64)
        pointer = raw.bindMemory(to: Float.self, capacity: max(16, count))
    }

    deinit { pointer.deallocate() }

    public subscript(index: Int) -> Float {
        get {
            precondition(index >= 0 && index < count)
            return pointer[index]
        }
        set {
            precondition(index >= 0 && index < count)
            pointer[index] = newValue
        }
    }

    public var values: UnsafeMutableBufferPointer<Float> {
        UnsafeMutableBufferPointer(start: pointer, count: count)
    }
}

extension FloatBuffer {
    /// This memory as an f32 weight [rows, columns].
    package func matrix(rows: Int, columns: Int) -> WeightMatrix {
        WeightMatrix(
            type: .f32, rows: rows, columns: columns,
            bytes: UnsafeRawBufferPointer(start: pointer, count: count * 4), owner: self)
    }
}
