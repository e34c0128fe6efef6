import Foundation
import Tensors

/// Second moments of each block of documents, for the jackknife of ranks: of the text without a block.
///
/// Keeps each block's sums, in f32, in a file that has no name any more. f32 is enough for a standard error,
/// and halves the file.
final class MomentBlocks {
    /// Where the sums of all blocks would take more, there is no jackknife of ranks.
    static let mostBytes = 4 << 30

    private let boundaries: Int
    private let documents: Int
    private let places: Int
    private let sums: UnsafeMutablePointer<Float>
    private let bytes: Int

    /// nil with fewer documents than blocks, beyond `mostBytes`, or where no file can be made.
    /// - Parameter documents: of the whole text.
    init?(boundaries: Int, width: Int, documents: Int) {
        places = (width + 1) * (width + 2) / 2
        bytes = JackknifeBlocks.count * boundaries * places * 4
        guard JackknifeBlocks.block(of: 0, documents: documents) != nil, bytes <= Self.mostBytes
        else { return nil }
        self.boundaries = boundaries
        self.documents = documents
        guard let file = tmpfile() else { return nil }
        defer { fclose(file) }
        guard ftruncate(fileno(file), bytes) == 0,
            let base = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0),
            base != MAP_FAILED
        else { return nil }
        sums = base.assumingMemoryBound(to: Float.self)
    }

    deinit { munmap(sums, bytes) }

    private func sums(_ block: Int, _ boundary: Int) -> UnsafeMutablePointer<Float> {
        sums + (block * boundaries + boundary) * places
    }

    func block(of document: Int) -> Int {
        JackknifeBlocks.block(of: document, documents: documents) ?? 0
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
