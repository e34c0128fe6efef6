import Foundation
import Tensors

/// Second moments without one block of documents after the other, for the jackknife of ranks.
///
/// Keeps the running sums at each block's end, in f32, in a file that has no name any more: a block's own
/// are the difference of two of them. f32 is enough for a standard error, and halves the file.
final class MomentBlocks {
    /// Where the sums of all blocks would take more, there is no jackknife of ranks.
    static let mostBytes = 4 << 30

    private let boundaries: Int
    private let documents: Int
    private let places: Int
    private let sums: UnsafeMutablePointer<Float>
    private let bytes: Int
    /// The block that runs.
    private(set) var block: Int?

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

    /// A document begins: the blocks before its own have ended.
    /// - Parameter moments: of all documents so far at a boundary.
    func begin(document: Int, moments: (Int) -> Moments?) {
        let next = JackknifeBlocks.block(of: document, documents: documents)
        if let next, let block, next > block {
            for ended in block..<next { save(ended, moments) }
        }
        block = next
    }

    private func save(_ block: Int, _ moments: (Int) -> Moments?) {
        for boundary in 0..<boundaries { moments(boundary)?.copySums(into: sums(block, boundary)) }
    }

    /// [blocks][boundaries]. Ends the last block.
    func dimensions(_ moments: (Int) -> Moments?) -> [[Spectrum.Dimensions?]] {
        if let block {
            for ended in block..<JackknifeBlocks.count { save(ended, moments) }
            self.block = nil
        }
        let all = (0..<boundaries).map(moments)
        let count = JackknifeBlocks.count
        var found = [Spectrum.Dimensions?](repeating: nil, count: count * boundaries)
        found.withUnsafeMutableBufferPointer { places in
            nonisolated(unsafe) let (places, all) = (places, all)
            Parallel.forEach(count * boundaries) { index in
                let (block, boundary) = (index / self.boundaries, index % self.boundaries)
                let before = block > 0 ? self.sums(block - 1, boundary) : nil
                places[index] = all[boundary]?.dimensions(
                    without: self.sums(block, boundary), less: before)
            }
        }
        return (0..<count).map { block in
            Array(found[block * boundaries..<(block + 1) * boundaries])
        }
    }
}
