import Models
import Plans
import Testing

/// Adaptive depth from its definition: one token after the other, one layer at a time, every earlier
/// token's keys and values put where the policy says, by interventions. Uses none of the code that
/// batches passes, lets rows leave, or keeps slots. Not for models whose taps lack a site.
final class DepthReference {
    private let model: Transformer
    private let split: Split
    private let maximum: Int
    private let policy: KeyValuePolicy
    private let textLength: Int
    /// Whether a token halts after a pass.
    private let halts:
        (_ pass: Int, _ position: Int, _ before: [Float], _ after: [Float]) throws -> Bool
    private let runner: BlockRunner
    /// Before rotary, by pass (0 outside the think block) and layer, then by position.
    private var stored: [[Int]: [Int: (key: [Float], value: [Float])]] = [:]
    private(set) var passes: [Int] = []
    /// Final raw states [d] of each token.
    private(set) var states: [[Float]] = []

    init(
        _ model: Transformer, _ split: Split, maximum: Int, policy: KeyValuePolicy, textLength: Int,
        halts: @escaping (Int, Int, [Float], [Float]) throws -> Bool
    ) {
        self.model = model
        self.split = split
        self.maximum = maximum
        self.policy = policy
        self.textLength = textLength
        self.halts = halts
        runner = BlockRunner(model: model, rows: textLength)
    }

    func run(_ tokens: [Int32]) throws {
        for token in tokens { try take(token) }
    }

    private func take(_ token: Int32) throws {
        let position = passes.count
        var x = try embedded(token, position)
        for layer in 0..<split.encoder { x = try step(layer, pass: 0, x, position) }
        var ran = maximum
        for pass in 1...maximum {
            var next = x
            for layer in split.thinkRange { next = try step(layer, pass: pass, next, position) }
            // A frozen state goes through the deeper passes for its keys alone.
            guard ran == maximum else { continue }
            let stops = try pass < maximum && halts(pass, position, x, next)
            x = next
            if stops { ran = pass }
            if stops, policy != .recompute { break }
        }
        passes.append(ran)
        for layer in split.encoder + split.think..<split.layers {
            x = try step(layer, pass: 0, x, position)
        }
        states.append(x)
    }

    /// What a token before this one has in a pass; nil for nothing.
    private func seen(
        _ position: Int, pass: Int, layer: Int
    ) -> (key: [Float], value: [Float])? {
        if pass == 0 { return stored[[0, layer]]?[position] }
        let ran = passes[position]
        switch policy {
        case .recompute: return stored[[pass, layer]]?[position]
        case .last: return stored[[min(pass, ran), layer]]?[position]
        case .skip: return pass <= ran ? stored[[pass, layer]]?[position] : nil
        case .shared: return stored[[ran, layer]]?[position]
        }
    }

    private func embedded(_ token: Int32, _ position: Int) throws -> [Float] {
        let cache = try KeyValueCache(model: model)
        var x: [Float] = []
        let width = model.configuration.hiddenSize
        let tokens = Array(repeating: token, count: position + 1)
        try runner.run([.init(tokens, cache: cache, textLength: textLength)], steps: 0..<0) {
            x = Array(UnsafeBufferPointer(start: $1 + position * width, count: width))
        }
        return x
    }

    /// One layer over one token, with the keys and values of those before it put in.
    private func step(_ layer: Int, pass: Int, _ x: [Float], _ position: Int) throws -> [Float] {
        let entries = (0..<position).map { seen($0, pass: pass, layer: layer) }
        let cache = try KeyValueCache(model: model, plan: LayerPlan(layers: [layer]))
        let tokens = [Int32](repeating: 5, count: position + 1)
        let rows = [[Float]](repeating: x, count: position + 1).flatMap(\.self)
        let own = OwnKey(position: position)
        try runner.run(
            [.init(tokens, cache: cache, textLength: textLength)], from: rows, taps: [own],
            interventions: [GivenKeys(entries: entries)])
        stored[[pass, layer], default: [:]][position] = (own.key, own.value)
        let width = model.configuration.hiddenSize
        return Array(UnsafeBufferPointer(start: runner.states + position * width, count: width))
    }

    /// Sees the last row's key and value.
    private final class OwnKey: Tap {
        private let position: Int
        private(set) var key: [Float] = []
        private(set) var value: [Float] = []

        init(position: Int) { self.position = position }
        func wants(_ site: Site) -> Bool { site == .key || site == .value }
        func observe(_ activation: Activation) {
            let row = Array(
                UnsafeBufferPointer(start: activation.row(position), count: activation.width))
            if activation.site == .key { key = row } else { value = row }
        }
    }

    /// Puts keys and values in, and takes weight from what is not there.
    private final class GivenKeys: Intervention {
        private let entries: [(key: [Float], value: [Float])?]

        init(entries: [(key: [Float], value: [Float])?]) { self.entries = entries }

        func wants(_ site: Site) -> Bool {
            site == .key || site == .value
                || site == .attentionPattern && entries.contains { $0 == nil }
        }

        func edit(_ activation: EditableActivation) {
            guard activation.place.site == .attentionPattern else {
                for (position, entry) in entries.enumerated() {
                    guard let entry else { continue }
                    let values = activation.place.site == .key ? entry.key : entry.value
                    activation.row(position).update(from: values, count: activation.width)
                }
                return
            }
            let keys = activation.positions.upperBound
            for head in 0..<activation.width / keys {
                let weights = activation.row(keys - 1) + head * keys
                var sum: Float = 0
                for key in 0..<keys {
                    if key < entries.count, entries[key] == nil { weights[key] = 0 }
                    sum += weights[key]
                }
                for key in 0..<keys { weights[key] /= sum }
            }
        }
    }
}
