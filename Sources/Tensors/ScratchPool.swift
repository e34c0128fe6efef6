import Synchronization

/// Buffers that parallel work borrows and gives back, so that hot loops neither allocate nor touch new
/// pages. Buffers are kept for the life of the process; there are about as many as threads.
public final class ScratchPool: Sendable {
    public static let shared = ScratchPool()

    private let free = Mutex<[FloatBuffer]>([])

    public init() {}

    /// Lends at least `count` floats, of unknown content, for the duration of `body`.
    public func withFloats<Result, Failure: Error>(
        _ count: Int, _ body: (UnsafeMutablePointer<Float>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let kept = free.withLock { buffers -> FloatBuffer? in
            // The smallest that fits; when none does, the largest makes room for a larger one.
            let fitting = buffers.indices.filter { buffers[$0].count >= count }
            if let best = fitting.min(by: { buffers[$0].count < buffers[$1].count }) {
                return buffers.remove(at: best)
            }
            if let largest = buffers.indices.max(by: { buffers[$0].count < buffers[$1].count }) {
                buffers.remove(at: largest)
            }
            return nil
        }
        let buffer = kept ?? FloatBuffer(count: count)
        defer { free.withLock { $0.append(buffer) } }
        return try body(buffer.pointer)
    }

    /// Lends at least `count` f64 values, of unknown content, for the duration of `body`.
    public func withDoubles<Result>(
        _ count: Int, _ body: (UnsafeMutablePointer<Double>) -> Result
    ) -> Result {
        withFloats(2 * count) { floats in
            floats.withMemoryRebound(to: Double.self, capacity: count, body)
        }
    }
}
