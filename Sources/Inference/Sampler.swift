import CKernels
import Foundation

/// How the next token is chosen. The most likely one unless something else is asked for.
public struct SamplingOptions: Sendable, Equatable {
    /// Logits are divided by it; 0 takes the most likely token.
    public var temperature: Double
    /// Only the k most likely tokens, and those that tie with the last of them.
    public var topK: Int?
    /// Only the most likely tokens that together have this probability.
    public var topP: Double?
    /// Only tokens at least this share as likely as the most likely one.
    public var minP: Double?
    /// Logits of tokens in the text are divided by it where positive and multiplied where negative.
    public var repetitionPenalty: Double?
    public var seed: UInt64

    public static let greedy = SamplingOptions(temperature: 0)

    public init(
        temperature: Double, topK: Int? = nil, topP: Double? = nil, minP: Double? = nil,
        repetitionPenalty: Double? = nil, seed: UInt64 = 0
    ) {
        self.temperature = temperature
        self.topK = topK
        self.topP = topP
        self.minP = minP
        self.repetitionPenalty = repetitionPenalty
        self.seed = seed
    }

    /// - Throws: `InferenceError.sampling` naming the setting.
    public func check() throws(InferenceError) {
        func wrong(_ name: String, _ value: Any, _ bounds: String) -> InferenceError {
            .sampling(name: name, problem: "is \(value); give \(bounds)")
        }
        guard temperature.isFinite, temperature == 0 || temperature >= 1e-3 else {
            throw wrong("temperature", temperature, "0 for the most likely token, or 0.001 or more")
        }
        if let topK, topK < 1 { throw wrong("top-k", topK, "1 or more") }
        if let topP, !(topP > 0 && topP <= 1) {
            throw wrong("top-p", topP, "a number above 0, at most 1")
        }
        if let minP, !(0...1 ~= minP) { throw wrong("min-p", minP, "a number from 0 to 1") }
        if let repetitionPenalty, !(repetitionPenalty > 0 && repetitionPenalty.isFinite) {
            throw wrong("repetition-penalty", repetitionPenalty, "a number above 0")
        }
    }

    /// Changes logits [V] in transformers' order: repetition penalty, temperature, top-k, top-p, min-p
    /// (`GenerationMixin._get_logits_processor`). What is cut becomes -∞. With temperature 0 only the
    /// penalty is applied, as transformers does without `do_sample`.
    /// - Parameter text: prompt and new tokens; each counts once for the penalty.
    public func process(_ logits: inout [Float], text: some Sequence<Int32>) {
        if let penalty = repetitionPenalty.map(Float.init), penalty != 1 {
            for token in Set(text) {
                let value = logits[Int(token)]
                logits[Int(token)] = value < 0 ? value * penalty : value / penalty
            }
        }
        guard temperature > 0 else { return }
        let divisor = Float(temperature)
        if divisor != 1 { for index in logits.indices { logits[index] /= divisor } }
        cutTopK(&logits)
        cutTopP(&logits)
        cutMinP(&logits)
    }

    private func cutTopK(_ logits: inout [Float]) {
        guard let topK, topK < logits.count else { return }
        let least = logits.sorted(by: >)[topK - 1]
        for index in logits.indices where logits[index] < least { logits[index] = -.infinity }
    }

    private func cutTopP(_ logits: inout [Float]) {
        guard let topP, topP < 1 else { return }
        // Least likely first; of equals the higher id.
        let order = logits.indices.filter { logits[$0] > -.infinity }.sorted {
            (logits[$0], -$0) < (logits[$1], -$1)
        }
        guard let best = order.last else { return }
        let weights = order.map { exp(Double(logits[$0] - logits[best])) }
        let total = weights.reduce(0, +)
        var sum = 0.0
        for (index, weight) in zip(order.dropLast(), weights) {
            sum += weight
            guard sum / total <= 1 - topP else { return }
            logits[index] = -.infinity
        }
    }

    private func cutMinP(_ logits: inout [Float]) {
        guard let minP, minP > 0, let best = logits.max() else { return }
        for index in logits.indices where exp(Double(logits[index] - best)) < minP {
            logits[index] = -.infinity
        }
    }
}

/// Chooses the tokens of one text.
struct Sampler {
    private let options: SamplingOptions
    private var random: SplitMix64

    init(_ options: SamplingOptions) {
        self.options = options
        random = SplitMix64(seed: options.seed)
    }

    /// - Parameter logits: [V], finite.
    mutating func next(
        _ logits: UnsafeBufferPointer<Float>, text: some Sequence<Int32>
    ) -> Int32 {
        if options.temperature == 0, (options.repetitionPenalty ?? 1) == 1 {
            return Int32(etd_argmax(logits.baseAddress, logits.count))
        }
        var values = Array(logits)
        options.process(&values, text: text)
        guard options.temperature > 0 else { return Int32(etd_argmax(&values, values.count)) }
        return draw(values)
    }

    /// One token with the probabilities softmax(logits): the first at which the running sum, in the order
    /// of ids, exceeds a uniform number's share of the whole.
    private mutating func draw(_ logits: [Float]) -> Int32 {
        let best = logits.max() ?? 0
        let weights = logits.map { exp(Double($0 - best)) }
        let threshold = random.uniform() * weights.reduce(0, +)
        var sum = 0.0
        var last = 0
        for (index, weight) in weights.enumerated() where weight > 0 {
            sum += weight
            last = index
            if sum > threshold { break }
        }
        return Int32(last)
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct SplitMix64 {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// In [0, 1), with 53 bits.
    mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }
}
