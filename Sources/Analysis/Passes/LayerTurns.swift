import CKernels
import Corpus
import Foundation
import Models
import Plans
import Records
import Tensors

/// How each layer moves the residual stream at each position of a document: angle, cosine, contribution
/// and its cosine. A tap on `resid` that several passes read at the document's end.
///
/// Dot products and cosines in f64; cosines are clamped to [-1, 1] before arccos. A position whose state
/// or contribution has length zero has no angle and is left out of that mean.
final class LayerTurns: Tap {
    enum Series: Int, CaseIterable {
        case distance, cosine, contribution, contributionCosine
    }

    private let layers: Int
    private let width: Int
    /// The block at the boundary before the current one: [rows, d].
    private let previous: FloatBuffer
    private let products: UnsafeMutablePointer<etd_pair_products_t>
    /// Of each of `Series` in turn, for each layer.
    private var values: PositionValues

    /// - Parameter longest: tokens of the longest document.
    init(layers: Int, width: Int, longest: Int) {
        self.layers = layers
        self.width = width
        previous = FloatBuffer(count: BlockRunner.blockLength * width)
        products = .allocate(capacity: BlockRunner.blockLength)
        values = PositionValues(series: Series.allCases.count * layers, room: longest)
    }

    deinit { products.deallocate() }

    func wants(_ site: Site) -> Bool { site == .resid }

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

    /// nil where undefined.
    func value(_ series: Series, layer: Int, position: Int) -> Double? {
        values[series.rawValue * layers + layer, position]
    }

    /// Over the document's positions without added tokens and those left out.
    func sum(
        _ series: Series, layer: Int, _ document: Document, without leftOut: [Bool]?
    ) -> (sum: Double, count: Double) {
        values.sum(
            series.rawValue * layers + layer, document.addedTokens..<document.tokens.count,
            without: leftOut)
    }
}
