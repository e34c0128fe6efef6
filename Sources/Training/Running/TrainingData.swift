import Corpus
import Files
import Foundation

/// Batches of windows, with which tokens are learned and which see each other. Its state is the mixture's.
public struct TrainingData {
    public private(set) var mixture: TokenMixture
    /// Of each token of the one stream a byte, 0 where it is not learned.
    private let mask: MappedFile?
    private let filter: RepetitionFilter?
    /// The id that ends a document, where documents do not see each other.
    private let separator: Int32?

    /// - Parameters:
    ///   - lossMask: a file of one byte for each token of the mixture's one stream.
    ///   - separator: nil where documents of a window see each other.
    /// - Throws: `TrainingError.file` for a mask that cannot be read or has another length.
    public init(
        _ mixture: TokenMixture, lossMask: String? = nil, filter: RepetitionFilter? = nil,
        separator: Int32? = nil
    ) throws(TrainingError) {
        self.mixture = mixture
        self.filter = filter
        self.separator = separator
        if let lossMask {
            do { mask = try MappedFile(path: lossMask) } catch { throw .file(error) }
            let tokens = mixture.sources[0].stream.count
            guard mask?.bytes.count == tokens else {
                throw .file(
                    .invalid(
                        path: lossMask,
                        problem:
                            "has \(mask?.bytes.count ?? 0) bytes; a loss mask has one for each "
                            + "token, and \(mixture.sources[0].stream.path) has \(tokens)"))
            }
        } else {
            mask = nil
        }
    }

    public mutating func restore(_ drawn: [Int]) { mixture.restore(drawn) }

    /// The next `sequences` windows.
    /// - Throws: `TrainingError.corpus` for an id beyond the vocabulary.
    public mutating func next(_ sequences: Int) throws(TrainingError) -> TrainingBatch {
        let length = mixture.length
        var tokens: [Int32] = []
        var learned: [Bool] = []
        var first: [Int32] = []
        tokens.reserveCapacity(sequences * length)
        for _ in 0..<sequences {
            let place = mixture.next()
            let ids: [Int32]
            do { ids = try mixture.tokens(place) } catch { throw .corpus(error) }
            tokens += ids
            if filter?.matches(ids) == true {
                learned += repeatElement(false, count: length)
            } else if let mask {
                learned += mask.bytes[place.start..<place.start + length].map { $0 != 0 }
            } else {
                learned += repeatElement(true, count: length)
            }
            guard let separator else { continue }
            var start: Int32 = 0
            for (position, id) in ids.enumerated() {
                first.append(start)
                if id == separator { start = Int32(position) + 1 }
            }
        }
        return TrainingBatch(
            tokens: tokens, length: length,
            learned: mask == nil && filter == nil ? nil : learned,
            firstVisible: separator == nil ? nil : first)
    }
}
