import Foundation
import Tensors

/// Second moments of each block of documents, for the jackknife of ranks: of the text without a block.
///
/// Keeps each block's sums, in f32, in a file that has no name any more. f32 is enough for a standard error,
/// and halves the file.
package final class MomentBlocks {
    /// Where the sums of all blocks would take more, there is no jackknife of ranks.
    package static let mostBytes = 4 << 30

    /// Why there can be none.
    package struct Missing: Error {
        package var problem: String
    }

    private let boundaries: Int
    private let places: Int
    private let sums: UnsafeMutablePointer<Float>
    private let bytes: Int

    /// - Throws: `Missing` beyond `mostBytes`, or where the temporary file cannot be made.
    package init(boundaries: Int, width: Int) throws(Missing) {
        self.boundaries = boundaries
        places = (width + 1) * (width + 2) / 2
        bytes = JackknifeBlocks.count * boundaries * places * 4
        let size = "the sums of \(JackknifeBlocks.count) blocks take \(bytes >> 20) MiB"
        guard bytes <= Self.mostBytes else {
            throw Missing(problem: "\(size), more than \(Self.mostBytes >> 20)")
        }
        guard let file = tmpfile() else {
            throw Missing(problem: "\(size), and no temporary file can be made")
        }
        defer { fclose(file) }
        // All of it now: a disk that fills up later would end the process.
        guard posix_fallocate(fileno(file), 0, bytes) == 0,
            let base = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0),
            base != MAP_FAILED
        else { throw Missing(problem: "\(size), for which the temporary folder has no room") }
        sums = base.assumingMemoryBound(to: Float.self)
    }

    deinit { munmap(sums, bytes) }

    private func sums(_ block: Int, _ boundary: Int) -> UnsafeMutablePointer<Float> {
        sums + (block * boundaries + boundary) * places
    }

    /// Keeps the sums of a block that has ended.
    func save(_ block: Int, _ boundary: Int, _ moments: Moments) {
        moments.copySums(into: sums(block, boundary))
    }

    /// Of the whole text without one block after the other, [blocks][boundaries].
    /// - Parameter all: moments of the whole text at each boundary.
    func dimensions(_ all: [Moments?]) -> [[Spectrum.Dimensions?]] {
        let count = JackknifeBlocks.count
        var found = [Spectrum.Dimensions?](repeating: nil, count: count * boundaries)
        found.withUnsafeMutableBufferPointer { places in
            nonisolated(unsafe) let (places, all) = (places, all)
            Parallel.forEach(count * boundaries) { index in
                let (block, boundary) = (index / self.boundaries, index % self.boundaries)
                places[index] = all[boundary]?.dimensions(without: self.sums(block, boundary))
            }
        }
        return (0..<count).map { block in
            Array(found[block * boundaries..<(block + 1) * boundaries])
        }
    }
}
