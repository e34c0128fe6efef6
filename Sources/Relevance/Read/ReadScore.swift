import Foundation
import Probing
import Statistics
import Tensors

/// Boundary by boundary, what cross-fitted probes of one task's labels and foils lose, in bits.
public struct ReadTask: Sendable {
    public var name: String
    public var classes: Int
    /// [boundaries][items]
    public var labelBits: [[Double]]
    public var foilBits: [[Double]]
    /// The mean of the foil's bits less the label's with labels and foils swapped: [boundaries][swaps].
    public var swapped: [[Double]]
    /// The mean of the foil's bits less the label's where no wording of the fitted items is read; by boundary.
    public var byTemplate: [Double]

    public init(
        name: String, classes: Int, labelBits: [[Double]], foilBits: [[Double]],
        swapped: [[Double]], byTemplate: [Double]
    ) {
        self.name = name
        self.classes = classes
        self.labelBits = labelBits
        self.foilBits = foilBits
        self.swapped = swapped
        self.byTemplate = byTemplate
    }

    public static let folds = 5
    public static let swaps = 199

    /// Fits the probes of every boundary.
    /// - Parameters:
    ///   - features: the states that are read, a row for each item.
    ///   - templates: the wording of each item.
    /// - Returns: nil where states are not finite.
    public static func fit(
        name: String, features: FeatureStore, classes: Int, labels: [Int], foils: [Int],
        templates: [Int], swaps: Int = Self.swaps, seed: UInt64
    ) -> ReadTask? {
        let pairs = PairedLabels(labels: labels, foils: foils, swaps: swaps, seed: seed)
        let plain = PairedLabels(labels: labels, foils: foils, swaps: [])
        // Dealt out after a shuffle, so that folds have as many items as any other.
        var random = SplitMix64(seed: seed, stream: 1)
        var order = Array(labels.indices)
        for last in stride(from: order.count - 1, to: 0, by: -1) {
            order.swapAt(last, random.below(last + 1))
        }
        var folds = [Int](repeating: 0, count: labels.count)
        for (place, row) in order.enumerated() { folds[row] = place % Self.folds }
        let wordings = Dictionary(
            uniqueKeysWithValues: Set(templates).sorted().enumerated().map { ($1, $0) })
        let byTemplate = templates.map { wordings[$0] ?? 0 }

        var fits = [(CrossFit.Result, Double)?](repeating: nil, count: features.boundaries)
        fits.withUnsafeMutableBufferPointer { fits in
            nonisolated(unsafe) let fits = fits
            Parallel.forEach(features.boundaries) { boundary in
                func fit(_ folds: [Int], _ pairs: PairedLabels) -> CrossFit.Result? {
                    CrossFit(
                        features: UnsafePointer(features.boundary(boundary)),
                        width: features.width, classes: classes, folds: folds
                    ).run(pairs)
                }
                guard let main = fit(folds, pairs) else { return }
                let other = wordings.count > 1 ? fit(byTemplate, plain)?.advantage : nil
                fits[boundary] = (main, other ?? .nan)
            }
        }
        CrossFit.freeMemory()
        let found = fits.compactMap(\.self)
        guard found.count == features.boundaries else { return nil }
        return ReadTask(
            name: name, classes: classes, labelBits: found.map(\.0.labelBits),
            foilBits: found.map(\.0.foilBits), swapped: found.map(\.0.swapped),
            byTemplate: found.map(\.1))
    }

    /// ρ(b): the mean of the foil's bits less the label's.
    var advantage: [Double] {
        zip(foilBits, labelBits).map { foils, labels in
            zip(foils, labels).reduce(0) { $0 + $1.0 - $1.1 } / Double(max(1, labels.count))
        }
    }

    /// V(b) = log2 K - mean bits of the label: what the state says of the answer at all.
    public var value: [Double] {
        labelBits.map { log2(Double(classes)) - $0.reduce(0, +) / Double(max(1, $0.count)) }
    }
}

/// READ: what becomes readable, layer by layer, in bits (docs/relevance.md).
///
/// READ(l) is the mean over tasks of ρ_t(l + 1) - ρ_t(l), with ρ_t(b) the mean over items of the loss of the
/// foil less the loss of the label at boundary b. The null is that nothing tells label and foil apart: both
/// are swapped at random per item, the same way at all boundaries. A layer's p is the share of swaps whose
/// greatest studentised READ at any layer is at least this one's (Westfall and Young 1993), so that it holds
/// for all layers together.
public struct ReadScore: Sendable, Equatable {
    public var read: [Double]
    /// The standard deviation under swaps: it holds what fitting adds, which the spread over items does not.
    public var errors: [Double]
    /// A 95 % band for all layers together.
    public var low: [Double]
    public var high: [Double]
    public var pValues: [Double]
    /// V(l + 1) - V(l), the mean over tasks: what retrieval alone gives.
    public var value: [Double]
    /// The same as `read` where no wording of the fitted items is read.
    public var byTemplate: [Double]
    /// Least READ that is found at 80 % of such layers, over all layers together; the median layer's.
    public var detectable: Double

    /// - Returns: nil without a task.
    public init?(_ tasks: [ReadTask]) {
        guard let first = tasks.first else { return nil }
        let layers = first.labelBits.count - 1
        let swaps = tasks.map { $0.swapped.first?.count ?? 0 }.min() ?? 0
        func mean(_ values: (ReadTask) -> [Double]) -> [Double] {
            let all = tasks.map(values)
            return (0..<layers).map { layer in
                all.reduce(0) { $0 + $1[layer + 1] - $1[layer] } / Double(all.count)
            }
        }
        let read = mean(\.advantage)
        self.read = read
        value = mean(\.value)
        byTemplate = mean(\.byTemplate)
        let null = (0..<swaps).map { swap in mean { task in task.swapped.map { $0[swap] } } }
        let errors = (0..<layers).map { layer in
            let squares = null.reduce(0) { $0 + $1[layer] * $1[layer] }
            return (squares / Double(max(1, swaps))).squareRoot()
        }
        self.errors = errors
        func greatest(_ values: [Double]) -> Double {
            values.indices.reduce(-.infinity) { most, layer in
                errors[layer] > 0 ? max(most, values[layer] / errors[layer]) : most
            }
        }
        let maxima = null.map(greatest).sorted()
        pValues = (0..<layers).map { layer in
            guard errors[layer] > 0 else { return 1 }
            let own = read[layer] / errors[layer]
            return Double(1 + maxima.count { $0 >= own }) / Double(1 + swaps)
        }
        let spread = MeanBand.quantile(
            null.map { row in
                row.indices.reduce(0) { most, layer in
                    errors[layer] > 0 ? max(most, abs(row[layer]) / errors[layer]) : most
                }
            }.sorted(), 0.95)
        low = zip(read, errors).map { $0 - spread * $1 }
        high = zip(read, errors).map { $0 + spread * $1 }
        let critical = MeanBand.quantile(maxima, 0.95)
        // 0.842: the standard normal's 80 % quantile.
        detectable = (critical + 0.8416212335729143) * (errors.sorted()[layers / 2])
    }
}
