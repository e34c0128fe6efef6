import CKernels
import Models

extension ModelConfiguration.Activation {
    /// Gradients of activation(gate) · up, or of activation(up) without a gate, from that of the result;
    /// `count` values. `dGate` may be `gate`, `dUp` may be `up` or `gradient`.
    package func backward(
        gate: UnsafePointer<Float>?, up: UnsafePointer<Float>, gradient: UnsafePointer<Float>,
        dGate: UnsafeMutablePointer<Float>?, dUp: UnsafeMutablePointer<Float>, count: Int
    ) {
        switch (self, gate, dGate) {
        case (.silu, let gate?, let dGate?):
            etd_silu_gate_backward(gate, up, gradient, dGate, dUp, count)
        case (.geluTanh, let gate?, let dGate?):
            etd_gelu_tanh_gate_backward(gate, up, gradient, dGate, dUp, count)
        case (.gelu, let gate?, let dGate?):
            etd_gelu_gate_backward(gate, up, gradient, dGate, dUp, count)
        case (.silu, _, _): etd_silu_backward(up, gradient, dUp, count)
        case (.geluTanh, _, _): etd_gelu_tanh_backward(up, gradient, dUp, count)
        case (.gelu, _, _): etd_gelu_backward(up, gradient, dUp, count)
        }
    }
}
