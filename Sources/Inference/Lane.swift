import CKernels
import Foundation
import Models
import Plans

/// One request on its way.
final class Lane {
    let index: Int
    let request: GenerationRequest
    /// Bytes that its keys and values can come to.
    let reckoned: Int
    /// The most new tokens, with the end of the context reckoned in.
    let limit: Int
    /// Prompt and new tokens.
    private(set) var tokens: [Int32]
    /// There while the request runs, and while others may fork it.
    var cache: KeyValueCache?
    private(set) var result = Generation()
    private(set) var isFinished = false
    private var sampler: Sampler
    private var stream: TextStream?
    private let detokenizer: Detokenizer?
    /// Of every token, where all run as many.
    let fixedPasses: Int

    init(
        _ request: GenerationRequest, index: Int, reckoned: Int, limit: Int,
        detokenizer: Detokenizer?
    ) {
        self.index = index
        self.request = request
        self.reckoned = reckoned
        self.limit = limit
        self.detokenizer = detokenizer
        tokens = request.tokens
        sampler = Sampler(request.sampling)
        fixedPasses = request.plan.parts.map(\.iterations).max() ?? 1
        if request.likeliest != nil {
            result.logProbabilities = []
            result.likeliest = []
        }
        if request.streams || !request.stop.strings.isEmpty {
            stream = detokenizer.map { TextStream(detokenizer: $0, stops: request.stop.strings) }
        }
    }

    /// Whether another request's tokens go through the same layers in the same way.
    func runsLike(_ other: Lane) -> Bool {
        request.plan == other.request.plan && request.thinking == other.request.thinking
    }

    /// Tokens that have not run.
    var pending: ArraySlice<Int32> { tokens[(cache?.length ?? 0)...] }

    /// Chooses the next token.
    /// - Parameters:
    ///   - logits: [V].
    ///   - passes: of the think block that led to them.
    /// - Returns: the text that can be handed out now.
    func take(_ logits: UnsafeBufferPointer<Float>, passes: Int) -> String {
        let token = sampler.next(logits, text: tokens)
        tokens.append(token)
        result.tokens.append(token)
        result.passes.append(passes)
        if let count = request.likeliest {
            let logSum = etd_log_sum_exp(logits.baseAddress, logits.count)
            func entry(_ id: Int) -> TokenLogProbability {
                .init(token: Int32(id), value: Double(logits[id]) - logSum)
            }
            result.logProbabilities?.append(entry(Int(token)))
            result.likeliest?.append(Self.highest(count, logits).map(entry))
        }
        let spellsStop = stream?.take(result.tokens) ?? false
        if spellsStop || request.stop.tokens.contains(token) {
            result.finishReason = .stop
            isFinished = true
        } else if result.tokens.count == limit {
            isFinished = true
        }
        if isFinished { result.text = stream?.text ?? detokenizer?.text(result.tokens) }
        guard request.streams else { return "" }
        return (isFinished ? stream?.rest() : stream?.settled()) ?? ""
    }

    /// Ids of the `count` greatest values, greatest first; the lower id wins a tie.
    private static func highest(_ count: Int, _ values: UnsafeBufferPointer<Float>) -> [Int] {
        var best: [Int] = []
        for index in values.indices {
            guard best.count < count || best.last.map({ values[$0] < values[index] }) ?? false
            else { continue }
            if best.count == count { best.removeLast() }
            let place = best.firstIndex { values[$0] < values[index] } ?? best.endIndex
            best.insert(index, at: place)
        }
        return best
    }
}
