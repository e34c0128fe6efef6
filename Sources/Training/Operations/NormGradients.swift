import CKernels
import Tensors

/// A norm whose weight and bias may be trained: RMSNorm x / √(mean x² + ε) · (weight + offset), or LayerNorm
/// (x - mean) / √(variance + ε) · weight + bias.
package struct TrainableNorm {
    let isLayerNorm: Bool
    let weight: Parameter?
    let bias: Parameter?
    let offset: Float
    let epsilon: Float

    package init(
        isLayerNorm: Bool, weight: Parameter?, bias: Parameter?, offset: Float, epsilon: Float
    ) {
        self.isLayerNorm = isLayerNorm
        self.weight = weight
        self.bias = bias
        self.offset = offset
        self.epsilon = epsilon
    }

    /// One row of `width` values; `out` may be `x`.
    func apply(_ x: UnsafePointer<Float>, out: UnsafeMutablePointer<Float>, width: Int) {
        if isLayerNorm {
            etd_layer_norm(
                x, weight?.values.pointer, bias?.values.pointer, epsilon, out, width)
        } else {
            etd_rms_norm(x, weight?.values.pointer, offset, epsilon, out, width)
        }
    }

    /// `rows` rows that stand close together; `out` may be `x`.
    package func apply(
        _ x: UnsafePointer<Float>, rows: Int, width: Int, out: UnsafeMutablePointer<Float>
    ) {
        Rows.forEach(rows) { apply(x + $0 * width, out: out + $0 * width, width: width) }
    }

    /// dx [rows, width] = gradient in x, or += where `adds`, from the gradient g of the norm's output;
    /// gradients of weight and bias are added to theirs. `dx` may be `g` where it is replaced.
    package func backward(
        _ x: UnsafePointer<Float>, gradient g: UnsafePointer<Float>, rows: Int, width: Int,
        adds: Bool, into dx: UnsafeMutablePointer<Float>
    ) {
        weightGradients(x, g, rows, width)
        Parallel.forEach((rows + Rows.chunk - 1) / Rows.chunk) { index in
            ScratchPool.shared.withFloats(width) { scratch in
                for row in index * Rows.chunk..<min(rows, (index + 1) * Rows.chunk) {
                    let place = row * width
                    let target = adds ? scratch : dx + place
                    if isLayerNorm {
                        etd_layer_norm_backward(
                            x + place, weight?.values.pointer, epsilon, g + place, target, width)
                    } else {
                        etd_rms_norm_backward(
                            x + place, weight?.values.pointer, offset, epsilon, g + place, target,
                            width)
                    }
                    if adds { etd_add(dx + place, scratch, width) }
                }
            }
        }
    }

    private func weightGradients(
        _ x: UnsafePointer<Float>, _ g: UnsafePointer<Float>, _ rows: Int, _ width: Int
    ) {
        let (weight, bias) = (self.weight?.gradient, self.bias?.gradient)
        if isLayerNorm {
            guard weight != nil || bias != nil else { return }
            ScratchPool.shared.withFloats(2 * width) { sums in
                for index in 0..<2 * width { sums[index] = 0 }
                Rows.sum(rows, width: 2 * width, into: sums) { row, sums in
                    etd_layer_norm_weight_backward(
                        x + row * width, epsilon, g + row * width, weight == nil ? nil : sums,
                        bias == nil ? nil : sums + width, width)
                }
                if let weight { etd_add(weight.pointer, sums, width) }
                if let bias { etd_add(bias.pointer, sums + width, width) }
            }
        } else if let weight {
            Rows.sum(rows, width: width, into: weight.pointer) { row, sums in
                etd_rms_norm_weight_backward(
                    x + row * width, epsilon, g + row * width, sums, width)
            }
        }
    }
}
