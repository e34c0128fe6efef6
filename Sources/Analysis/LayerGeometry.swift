import CKernels
import Corpus
import Foundation
import Models
import Records
import Tensors

/// How each layer moves the residual stream: angular distance (last token and all tokens), block
/// influence, contribution and its cosine. A tap on `resid`.
///
/// Dot products and cosines in f64; cosines are clamped to [-1, 1] before arccos. A position whose state
/// or contribution has length zero has no angle and is left out of that mean.
final class LayerGeometry: Tap {
    private let layers: Int
    private let width: Int
    /// The block at the boundary before the current one: [rows, d].
    private let previous: FloatBuffer
    private let products: UnsafeMutablePointer<etd_pair_products_t>
    private var document = Document(tokens: [])
    private var sums: [Sums]
    private var means: [Means]
    /// d(l) at the last token of each document: [D][L]. The selector resamples it.
    private(set) var lastDistances: [[Double]] = []

    private struct Sums {
        var distance = 0.0
        var cosine = 0.0
        var angles = 0.0
        var contribution = 0.0
        var contributions = 0.0
        var contributionCosine = 0.0
        var contributionCosines = 0.0
        var last: Double?
    }

    private struct Means {
        var last = DocumentMean()
        var distance = DocumentMean()
        var influence = DocumentMean()
        var contribution = DocumentMean()
        var contributionCosine = DocumentMean()
    }

    init(layers: Int, width: Int) {
        self.layers = layers
        self.width = width
        previous = FloatBuffer(count: Session.blockLength * width)
        products = .allocate(capacity: Session.blockLength)
        sums = Array(repeating: Sums(), count: layers)
        means = Array(repeating: Means(), count: layers)
    }

    deinit { products.deallocate() }

    func wants(_ site: Site) -> Bool { site == .resid }

    func begin(_ document: Document) {
        self.document = document
        sums = Array(repeating: Sums(), count: layers)
    }

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
        guard position >= document.addedTokens else { return }
        let isLast = position == document.tokens.count - 1
        if p.hh > 0, p.gg > 0 {
            let cosine = (p.hg / (p.hh.squareRoot() * p.gg.squareRoot()))
                .clampedOrNaN(to: -1...1)
            let distance = acos(cosine) / .pi
            sums[layer].distance += distance
            sums[layer].cosine += cosine
            sums[layer].angles += 1
            if isLast { sums[layer].last = distance }
        }
        if p.hh > 0 {
            sums[layer].contribution += (p.uu / p.hh).squareRoot()
            sums[layer].contributions += 1
        }
        if p.hh > 0, p.uu > 0 {
            let cosine = p.uh / (p.hh.squareRoot() * p.uu.squareRoot())
            sums[layer].contributionCosine += cosine.clampedOrNaN(to: -1...1)
            sums[layer].contributionCosines += 1
        }
    }

    func end() {
        for (layer, sum) in sums.enumerated() {
            if let last = sum.last { means[layer].last.add(sum: last, count: 1) }
            means[layer].distance.add(sum: sum.distance, count: sum.angles)
            means[layer].influence.add(sum: sum.angles - sum.cosine, count: sum.angles)
            means[layer].contribution.add(sum: sum.contribution, count: sum.contributions)
            means[layer].contributionCosine.add(
                sum: sum.contributionCosine, count: sum.contributionCosines)
        }
        let last = sums.compactMap(\.last)
        if last.count == layers { lastDistances.append(last) }
    }

    func estimates(layer: Int, passes: Set<ProbePass>) -> [String: Estimate] {
        let mean = means[layer]
        var estimates: [String: Estimate] = [:]
        if passes.contains(.angular) {
            estimates[Metric.angularDistanceLast.name] = mean.last.estimate
            estimates[Metric.angularDistance.name] = mean.distance.estimate
        }
        if passes.contains(.influence) {
            estimates[Metric.blockInfluence.name] = mean.influence.estimate
        }
        if passes.contains(.contribution) {
            estimates[Metric.contribution.name] = mean.contribution.estimate
            estimates[Metric.contributionCosine.name] = mean.contributionCosine.estimate
        }
        return estimates
    }
}
