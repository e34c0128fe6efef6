import Synchronization

/// f64 memory of a fit.
///
/// What a buffer leaves is kept for the next of the same size, until `freeKept`: fits of the same shape
/// follow one another, and to get a matrix from the system and give it back takes as long as a tenth of
/// a fit.
final class DoubleBuffer {
    private struct Kept: @unchecked Sendable {
        var bySize: [Int: [UnsafeMutablePointer<Double>]] = [:]
    }

    private static let kept = Mutex(Kept())

    let pointer: UnsafeMutablePointer<Double>
    let count: Int

    /// - Parameter zeroed: whether all values are 0; else they are unknown.
    init(_ count: Int, zeroed: Bool = true) {
        self.count = count
        let size = max(1, count)
        if let kept = Self.kept.withLock({ $0.bySize[size]?.popLast() }) {
            pointer = kept
            if zeroed { pointer.update(repeating: 0, count: size) }
        } else {
            pointer = .allocate(capacity: size)
            pointer.initialize(repeating: 0, count: size)
        }
    }

    convenience init(copying other: DoubleBuffer) {
        self.init(other.count, zeroed: false)
        pointer.update(from: other.pointer, count: other.count)
    }

    deinit {
        let (pointer, size) = (pointer, max(1, count))
        Self.kept.withLock { $0.bySize[size, default: []].append(pointer) }
    }

    /// Gives back what no buffer uses.
    static func freeKept() {
        let all = kept.withLock { kept in
            defer { kept.bySize = [:] }
            return kept.bySize.values.joined().map(\.self)
        }
        for pointer in all { pointer.deallocate() }
    }
}
