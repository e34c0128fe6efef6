import CKernels
import Corpus
import Foundation
import Models
import Plans
import Records
import Tensors

/// How each layer moves the residual stream: angular distance (last token and all tokens), block
/// influence, contribution and its cosine. A tap on `resid`.
///
/// Dot products and cosines in f64; cosines are clamped to [-1, 1] before arccos. A position whose state
/// or contribution has length zero has no angle and is left out of that mean. Each mean over positions has
/// a twin without attention sinks.
final class LayerGeometry: Tap {
    private let layers: Int
    private let width: Int
    /// The block at the boundary before the current one: [rows, d].
    private let previous: FloatBuffer
    private let products: UnsafeMutablePointer<etd_pair_products_t>
    private var document = Document(tokens: [])
    /// Of each of `Series` in turn, for each layer.
    private var values: PositionValues
    private var means: [Means]
    private var twins: [Means]
    /// d(l) at the last token of each document: [D][L]. The selector resamples it.
    private(set) var lastDistances: [[Double]] = []

    private enum Series: Int, CaseIterable {
        case distance, cosine, contribution, contributionCosine
    }

    private struct Means {
        var last = DocumentMean()
        var distance = DocumentMean()
        var influence = DocumentMean()
        var contribution = DocumentMean()
        var contributionCosine = DocumentMean()
    }

    /// - Parameter longest: tokens of the longest document.
    init(layers: Int, width: Int, longest: Int) {
        self.layers = layers
        self.width = width
        previous = FloatBuffer(count: BlockRunner.blockLength * width)
        products = .allocate(capacity: BlockRunner.blockLength)
        values = PositionValues(series: Series.allCases.count * layers, room: longest)
        means = Array(repeating: Means(), count: layers)
        twins = means
    }

    deinit { products.deallocate() }

    func wants(_ site: Site) -> Bool { site == .resid }

    func begin(_ document: Document, index: Int) { self.document = document }

    func observe(_ activation: Activation) {
        let rows = activation.positions.count
        if activation.index > 0 {
            let previous = self.previous.pointer
            nonisolated(unsafe) let products = self.products
            let width = self.width
            let chunk = 16
            Parallel.forEach((rows + chunk - 1) / chunk) { index in
                for row in index * chunk..<min(rows, (index + 1) * chunk) {
                    products[row] = etd_pair_products(
                        previous + row * width, activation.values + row * width, width)
                }
            }
            for row in 0..<rows {
                take(products[row], activation.index - 1, activation.positions.lowerBound + row)
            }
        }
        memcpy(previous.pointer, activation.values, rows * width * 4)
    }

    private func take(_ p: etd_pair_products_t, _ layer: Int, _ position: Int) {
        func set(_ series: Series, _ value: Double?) {
            values[series.rawValue * layers + layer, position] = value
        }
        var cosine: Double?
        if p.hh > 0, p.gg > 0 {
            cosine = (p.hg / (p.hh.squareRoot() * p.gg.squareRoot())).clampedOrNaN(to: -1...1)
        }
        set(.cosine, cosine)
        set(.distance, cosine.map { acos($0) / .pi })
        set(.contribution, p.hh > 0 ? (p.uu / p.hh).squareRoot() : nil)
        var contributionCosine: Double?
        if p.hh > 0, p.uu > 0 {
            let cosine = p.uh / (p.hh.squareRoot() * p.uu.squareRoot())
            contributionCosine = cosine.clampedOrNaN(to: -1...1)
        }
        set(.contributionCosine, contributionCosine)
    }

    /// - Parameter sinks: for each position of the document whether the twins leave it out.
    func end(sinks: [Bool]) {
        let positions = document.addedTokens..<document.tokens.count
        var lasts: [Double] = []
        for layer in 0..<layers {
            if let last = positions.last, let value = values[layer, last] {
                means[layer].last.add(sum: value, count: 1)
                lasts.append(value)
            }
            add(positions, without: nil, of: layer, to: &means[layer])
            add(positions, without: sinks, of: layer, to: &twins[layer])
        }
        if lasts.count == layers { lastDistances.append(lasts) }
    }

    private func add(
        _ positions: Range<Int>, without sinks: [Bool]?, of layer: Int, to means: inout Means
    ) {
        func sum(_ series: Series) -> (sum: Double, count: Double) {
            values.sum(series.rawValue * layers + layer, positions, without: sinks)
        }
        let (distance, cosine) = (sum(.distance), sum(.cosine))
        means.distance.add(sum: distance.sum, count: distance.count)
        means.influence.add(sum: cosine.count - cosine.sum, count: cosine.count)
        let (contribution, direction) = (sum(.contribution), sum(.contributionCosine))
        means.contribution.add(sum: contribution.sum, count: contribution.count)
        means.contributionCosine.add(sum: direction.sum, count: direction.count)
    }

    func estimates(layer: Int, passes: Set<ProbePass>) -> [String: Estimate] {
        let (mean, twin) = (means[layer], twins[layer])
        var estimates: [String: Estimate] = [:]
        func add(_ metric: Metric, _ value: KeyPath<Means, DocumentMean>) {
            estimates[metric.name] = mean[keyPath: value].estimate
            estimates[metric.withoutSinks.name] = twin[keyPath: value].estimate
        }
        if passes.contains(.angular) {
            estimates[Metric.angularDistanceLast.name] = mean.last.estimate
            add(.angularDistance, \.distance)
        }
        if passes.contains(.influence) { add(.blockInfluence, \.influence) }
        if passes.contains(.contribution) {
            add(.contribution, \.contribution)
            add(.contributionCosine, \.contributionCosine)
        }
        return estimates
    }
}
