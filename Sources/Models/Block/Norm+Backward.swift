import CKernels

extension Norm {
    /// The gradient with respect to a row x [width] from the gradient of the norm's output, as
    /// reverse-mode differentiation of `apply` gives it. `out` may be `gradient`.
    public func backward(
        _ x: UnsafePointer<Float>, gradient: UnsafePointer<Float>,
        out: UnsafeMutablePointer<Float>, width: Int
    ) {
        switch type {
        case .rms: etd_rms_norm_backward(x, weight, offset, epsilon, gradient, out, width)
        case .layer: etd_layer_norm_backward(x, weight, epsilon, gradient, out, width)
        }
    }
}
