import Files
import Tensors

/// Windows of several token streams, drawn by weight, in an order that depends on the seed and on how many
/// were drawn before, and on nothing else: not on how a step is cut, and a training that goes on gets what it
/// would have got.
///
/// A stream is cut into consecutive windows of `length` tokens; a shorter remainder is left out. When all
/// windows of a stream are drawn, it begins anew, in another order where it is shuffled.
public struct TokenMixture {
    public struct Source {
        public var stream: TokenStream
        /// Of how often it is drawn, relative to the others'.
        public var weight: Double

        public init(stream: TokenStream, weight: Double = 1) {
            self.stream = stream
            self.weight = weight
        }
    }

    /// One window: which source it is of and where its first token is there.
    public struct Place: Sendable, Equatable {
        public var source: Int
        public var start: Int

        public init(source: Int, start: Int) {
            self.source = source
            self.start = start
        }
    }

    public let sources: [Source]
    public let length: Int
    private let shuffles: Bool
    private let seed: UInt64
    private let total: Double
    /// Windows drawn of each source: all the state there is.
    public private(set) var drawn: [Int]
    private var orders: [(epoch: Int, order: [Int32])?]

    /// - Throws: `CorpusError.mixture` without sources, or with weights that are negative, no numbers or sum
    ///   to 0; `.tooShort` for a stream without a whole window.
    public init(
        _ sources: [Source], length: Int, shuffles: Bool, seed: UInt64
    ) throws(CorpusError) {
        guard !sources.isEmpty else { throw .mixture(problem: "it names no file") }
        guard sources.allSatisfy({ $0.weight >= 0 && $0.weight.isFinite }) else {
            throw .mixture(problem: "a weight is below 0 or no number")
        }
        total = sources.reduce(0) { $0 + $1.weight }
        guard total > 0 else {
            throw .mixture(problem: "the weights sum to 0, so that nothing is ever drawn")
        }
        for source in sources where source.stream.count < length {
            throw .tooShort(path: source.stream.path, tokens: source.stream.count, window: length)
        }
        self.sources = sources
        self.length = length
        self.shuffles = shuffles
        self.seed = seed
        drawn = Array(repeating: 0, count: sources.count)
        orders = Array(repeating: nil, count: sources.count)
    }

    /// Goes on where `drawn` says.
    public mutating func restore(_ drawn: [Int]) {
        precondition(drawn.count == sources.count)
        self.drawn = drawn
    }

    /// The next window.
    public mutating func next() -> Place {
        let source = choose(number: drawn.reduce(0, +))
        let windows = sources[source].stream.count / length
        let (epoch, place) = drawn[source].quotientAndRemainder(dividingBy: windows)
        drawn[source] += 1
        guard shuffles else { return Place(source: source, start: place * length) }
        if orders[source]?.epoch != epoch {
            var random = SplitMix64(
                seed: seed, stream: (UInt64(source) << 40 | UInt64(epoch) << 1 | 1) &+ 1)
            var order = (0..<Int32(windows)).map { $0 }
            order.shuffle(using: &random)
            orders[source] = (epoch, order)
        }
        return Place(source: source, start: Int(orders[source]?.order[place] ?? 0) * length)
    }

    private func choose(number: Int) -> Int {
        guard sources.count > 1 else { return 0 }
        var random = SplitMix64(seed: seed, stream: UInt64(number) << 1 &+ 1)
        var left = Double(random.next() >> 11) * 0x1p-53 * total
        for (index, source) in sources.enumerated() where source.weight > 0 {
            if left < source.weight { return index }
            left -= source.weight
        }
        return sources.lastIndex { $0.weight > 0 } ?? 0
    }

    /// The ids of a window.
    /// - Throws: `CorpusError.tokenOutOfRange`.
    public func tokens(_ place: Place) throws(CorpusError) -> [Int32] {
        try sources[place.source].stream.ids(place.start..<place.start + length)
    }
}

/// OLMo's filter: text that repeats itself gets no loss.
public struct RepetitionFilter: Sendable, Equatable {
    public var maximumPeriod: Int
    public var minimumCount: Int

    public init(maximumPeriod: Int = 13, minimumCount: Int = 32) {
        self.maximumPeriod = maximumPeriod
        self.minimumCount = minimumCount
    }

    /// Whether `ids` holds an n-gram of a length from 1 to `maximumPeriod` that stands `minimumCount` times
    /// in a row or more often.
    public func matches(_ ids: [Int32]) -> Bool {
        for period in stride(from: 1, through: min(maximumPeriod, ids.count / 2), by: 1) {
            let needed = period * (minimumCount - 1)
            var run = 0
            for index in period..<ids.count {
                run = ids[index] == ids[index - period] ? run + 1 : 0
                if run >= needed { return true }
            }
        }
        return false
    }
}
