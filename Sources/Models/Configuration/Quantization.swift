import Checkpoints
import Files

/// Checkpoints of libraries that quantise, such as GPTQ, AWQ, bitsandbytes and fp8. Their weights need
/// those libraries' kernels or rules; the safetensors forms are not read.
enum Quantization {
    /// Ends of the names of what stands beside or in the place of a quantised matrix. No family has a
    /// parameter of such a name.
    ///
    /// GPTQ and AWQ: qweight, qzeros, scales, g_idx. bitsandbytes: SCB, absmax, quant_map, quant_state,
    /// weight_format. fp8: weight_scale, weight_scale_inv, input_scale. compressed-tensors:
    /// weight_packed, weight_zero_point. MLX and quanto: scales, _data, _scale.
    private static let companions = [
        ".qweight", ".qzeros", ".scales", ".g_idx", ".SCB", ".absmax", ".quant_map",
        ".weight_format", ".weight_scale", ".weight_scale_inv", ".scale_weight", ".input_scale",
        ".weight_packed", ".weight_zero_point", ".weight._data", ".weight._scale",
    ]

    /// Names the quantisation of a safetensors checkpoint as the reason why it cannot be loaded, before
    /// its tensors are found to be missing.
    /// - Throws: `ModelError.quantized`, `.quantizedOnLoad`.
    static func refuse(_ checkpoint: Checkpoint) throws(ModelError) {
        guard checkpoint.format == .safetensors else { return }
        let names = Array(checkpoint.tensors.keys) + Array(checkpoint.otherTensors.keys)
        let companion = names.first { name in
            companions.contains { name.hasSuffix($0) } || name.contains(".quant_state.")
        }
        guard let declared = declaration(checkpoint.config) else {
            guard let companion else { return }
            throw .quantized(path: checkpoint.path, sign: "tensor \(companion)")
        }
        let isStored =
            companion != nil || checkpoint.otherTensors.keys.contains { $0.hasSuffix(".weight") }
        throw isStored
            ? .quantized(path: checkpoint.path, sign: declared)
            : .quantizedOnLoad(path: checkpoint.path, sign: declared)
    }

    /// What config.json says of a quantisation; nil if it says nothing.
    private static func declaration(_ config: JSON) -> String? {
        for place in [config, config["text_config"] ?? .null] {
            for field in ["quantization_config", "compression_config", "quantization"] {
                guard let object = place[field]?.objectValue, !object.isEmpty else { continue }
                let method =
                    place[field]?["quant_method"]?.stringValue
                    // Files of bitsandbytes before it had a name.
                    ?? (object.contains { $0.key.hasPrefix("load_in_") } ? "bitsandbytes" : nil)
                return field + (method.map { ": \($0)" } ?? "")
            }
        }
        return nil
    }
}

extension StoredTensor {
    /// Whether the values are another tensor's, in whatever type each is stored.
    func hasValues(of other: StoredTensor) -> Bool {
        guard shape == other.shape else { return false }
        if type == other.type { return bytes.elementsEqual(other.bytes) }
        // A whole number of every type's blocks.
        let step = 4096
        return withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * step) { buffer in
            for start in stride(from: 0, to: count, by: step) {
                let length = min(step, count - start)
                let range = start..<start + length
                let own = UnsafeMutableBufferPointer(rebasing: buffer[..<length])
                let others = UnsafeMutableBufferPointer(rebasing: buffer[step..<step + length])
                decode(range, into: own)
                other.decode(range, into: others)
                for index in 0..<length where own[index] != others[index] {
                    guard own[index].isNaN, others[index].isNaN else { return false }
                }
            }
            return true
        }
    }
}
