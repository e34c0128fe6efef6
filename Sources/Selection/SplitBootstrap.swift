import Plans
import Records
import Tensors

extension Split {
    /// Whether both think blocks begin, and end, within one layer of each other.
    func isNear(_ other: Split) -> Bool {
        abs(encoder - other.encoder) <= 1 && abs(encoder + think - other.encoder - other.think) <= 1
    }
}

/// How stable a split is over documents: Kneedle's answer on means over documents drawn with
/// replacement. The same seed gives the same draws on every machine.
public struct SplitBootstrap: Sendable, Equatable {
    public var resamples: Int
    public var seed: UInt64
    public var kneedle: Kneedle

    public init(resamples: Int, seed: UInt64, kneedle: Kneedle) {
        self.resamples = resamples
        self.seed = seed
        self.kneedle = kneedle
    }

    /// How often each split came out.
    public struct Distribution: Sendable, Equatable {
        public struct Entry: Sendable, Equatable {
            /// nil: encoder and decoder left no layer between them, or the curve was flat.
            public var split: Split?
            public var count: Int
        }

        public var resamples: Int
        public var documents: Int
        /// Most frequent first; of equals the one that came out first.
        public var entries: [Entry]

        /// The share of resamples with this very split. 0…1
        public func share(of split: Split?) -> Double {
            Double(entries.first { $0.split == split }?.count ?? 0) / Double(resamples)
        }

        /// The share of resamples whose think block begins and ends within one layer of this split's: the
        /// confidence of a split file. 0…1
        public func share(near split: Split) -> Double {
            let near = entries.filter { $0.split?.isNear(split) == true }
            return Double(near.reduce(0) { $0 + $1.count }) / Double(resamples)
        }
    }

    /// - Parameter documents: one row of distances per document; rows of equal length, all finite.
    ///   [D][L]
    /// - Returns: nil with fewer than two documents or no resamples: nothing can vary.
    public func run(documents: [[Double]]) -> Distribution? {
        guard documents.count >= 2, resamples > 0 else { return nil }
        let layers = documents[0].count
        let rows = documents.flatMap { $0 }
        var random = SplitMix64(seed: seed)
        var order: [Split?] = []
        var counts: [Split?: Int] = [:]
        var mean = [Double](repeating: 0, count: layers)
        for _ in 0..<resamples {
            for layer in 0..<layers { mean[layer] = 0 }
            for _ in documents {
                let row = random.below(documents.count) * layers
                for layer in 0..<layers { mean[layer] += rows[row + layer] }
            }
            for layer in 0..<layers { mean[layer] /= Double(documents.count) }
            let split = AngularSplit(distances: mean, kneedle: kneedle).split
            if counts[split] == nil { order.append(split) }
            counts[split, default: 0] += 1
        }
        let entries = order.map { Distribution.Entry(split: $0, count: counts[$0] ?? 0) }
        return Distribution(
            resamples: resamples, documents: documents.count,
            entries: entries.sorted { $0.count > $1.count })
    }
}
