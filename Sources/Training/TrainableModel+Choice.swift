import CKernels
import Plans
import Tensors

extension TrainableModel {
    /// Chooses what is trained, and makes the adapters of a LoRA: A uniform within ±1/√K, as PEFT draws it, B
    /// zero.
    public func prepare(
        _ trains: TrainingConfiguration.Trains, lora: TrainingConfiguration.LowRank?, split: Split?,
        seed: UInt64
    ) {
        switch trains {
        case .all: train { _ in true }
        case .think:
            let range = split?.thinkRange ?? 0..<0
            train { $0.layer.map(range.contains) ?? false }
        case .lora:
            if let lora { addAdapters(lora, seed: seed) }
            train { $0.kind == .adapter }
        }
    }

    private func addAdapters(_ lora: TrainingConfiguration.LowRank, seed: UInt64) {
        var number: UInt64 = 0
        func adapter(_ linear: Linear, _ name: String) -> Adapter? {
            guard lora.targets.contains(name) else { return nil }
            number += 1
            let base = String(linear.weight.name.dropLast(".weight".count))
            let down = Parameter(
                name: base + ".lora_A", kind: .adapter, layer: linear.weight.layer,
                rows: lora.rank, columns: linear.inputs)
            let up = Parameter(
                name: base + ".lora_B", kind: .adapter, layer: linear.weight.layer,
                rows: linear.outputs, columns: lora.rank)
            var random = SplitMix64(seed: seed, stream: 1 << 62 | number)
            let bound = 1 / Float(linear.inputs).squareRoot()
            for index in 0..<down.count {
                let unit = Float(random.next() >> 40) * 0x1p-24
                down.values.pointer[index] = bound * (2 * unit - 1)
            }
            return Adapter(down: down, up: up, scale: Float(lora.alpha) / Float(lora.rank))
        }
        for index in layers.indices {
            layers[index].query.adapter = adapter(layers[index].query, "q")
            layers[index].key.adapter = adapter(layers[index].key, "k")
            layers[index].value.adapter = adapter(layers[index].value, "v")
            layers[index].attentionOutput.adapter = adapter(layers[index].attentionOutput, "o")
            if let gate = layers[index].gate {
                layers[index].gate?.adapter = adapter(gate, "gate")
            }
            layers[index].up.adapter = adapter(layers[index].up, "up")
            layers[index].down.adapter = adapter(layers[index].down, "down")
        }
    }

    /// The values of a weight with what its adapter adds, by parameter: W + scale · B·A.
    func merged(_ parameter: Parameter) -> FloatBuffer {
        guard let layer = parameter.layer,
            let adapter = layers[layer].adapter(of: parameter)
        else { return parameter.values }
        let out = FloatBuffer(uninitialized: parameter.count)
        LinearGradients.product(
            ProductSide(
                values: adapter.up.values.pointer, stride: adapter.rank, isTurned: false),
            rows: parameter.rows,
            ProductSide(
                values: adapter.down.values.pointer, stride: parameter.columns, isTurned: true),
            columns: parameter.columns, depth: adapter.rank, adds: false, into: out.pointer,
            in: .f32)
        etd_scale(out.pointer, adapter.scale, out.count)
        etd_add(out.pointer, parameter.values.pointer, out.count)
        return out
    }
}

extension TrainableLayer {
    func adapter(of parameter: Parameter) -> Adapter? {
        [query, key, value, attentionOutput, gate, up, down].compactMap(\.self)
            .first { $0.weight === parameter }?.adapter
    }
}
