import CKernels
import Foundation
import Tensors

/// Row-wise work over all threads, cut by shape alone.
enum Rows {
    static let chunk = 16

    static func forEach(_ rows: Int, _ body: (Int) -> Void) {
        Parallel.forEach((rows + chunk - 1) / chunk) { index in
            for row in index * chunk..<min(rows, (index + 1) * chunk) { body(row) }
        }
    }

    /// out[width] += Σ over rows of what `body` adds to the sums it is given. Rows are summed in groups of
    /// 64 in order and the groups in order, for any number of threads.
    static func sum(
        _ rows: Int, width: Int, into out: UnsafeMutablePointer<Float>,
        _ body: (_ row: Int, _ sums: UnsafeMutablePointer<Float>) -> Void
    ) {
        let group = 64
        let groups = (rows + group - 1) / group
        ScratchPool.shared.withFloats(groups * width) { parts in
            nonisolated(unsafe) let parts = parts
            Parallel.forEach(groups) { index in
                let sums = parts + index * width
                memset(sums, 0, width * 4)
                for row in index * group..<min(rows, (index + 1) * group) { body(row, sums) }
            }
            for index in 0..<groups { etd_add(out, parts + index * width, width) }
        }
    }

    /// x += y over `count` values.
    static func add(_ x: UnsafeMutablePointer<Float>, _ y: UnsafePointer<Float>, _ count: Int) {
        pieces(count) { start, length in etd_add(x + start, y + start, length) }
    }

    static func copy(_ x: UnsafePointer<Float>, to y: UnsafeMutablePointer<Float>, _ count: Int) {
        pieces(count) { start, length in memcpy(y + start, x + start, length * 4) }
    }

    /// Pieces of a long run of values, over all threads.
    static func pieces(_ count: Int, _ body: (_ start: Int, _ length: Int) -> Void) {
        let size = 1 << 15
        Parallel.forEach((count + size - 1) / size) { index in
            body(index * size, min(size, count - index * size))
        }
    }
}
