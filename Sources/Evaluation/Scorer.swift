import CKernels
import Files
import Models
import Tensors

/// Log-likelihoods of token sequences under a model and a layer plan. Knows ids, not texts.
public final class Scorer {
    private let model: Transformer
    private let plan: LayerPlan
    private var session: Session?
    /// Rows of logits that exist at once.
    private static let rowsAtOnce = 32

    public init(model: Transformer, plan: LayerPlan) {
        self.model = model
        self.plan = plan
    }

    public struct Score: Sendable, Equatable {
        /// log p(token | tokens before it), natural, for each scored token.
        public var logProbabilities: [Double]
        /// Whether each scored token is the most likely one; the lower id wins a tie.
        public var isGreedy: Bool
        /// Logits after the last token: [V]; nil unless asked for.
        public var lastLogits: [Float]?

        /// The sum, in order.
        public var sum: Double { logProbabilities.reduce(0, +) }
    }

    /// - Throws: `ModelError.tooLong`, `.tokenOutOfRange`, `.nonFinite`.
    public func score(
        _ request: ScoreRequest, lastLogits: Bool = false
    ) throws(ModelError) -> Score {
        let tokens = request.tokens
        let session = try session(for: tokens.count)
        let vocabulary = model.configuration.vocabularySize
        let width = model.configuration.hiddenSize
        var score = Score(logProbabilities: [], isGreedy: true, lastLogits: nil)
        let logits = FloatBuffer(count: Self.rowsAtOnce * vocabulary)
        try session.run(tokens) { positions, states in
            // The row at position p predicts token p + 1.
            let last = tokens.count - (lastLogits ? 1 : 2)
            var first = max(positions.lowerBound, request.firstScored - 1)
            while first <= min(last, positions.upperBound - 1) {
                let end = min(first + Self.rowsAtOnce, last + 1, positions.upperBound)
                model.logits(
                    of: states + (first - positions.lowerBound) * width, rows: end - first,
                    into: logits.pointer)
                take(first..<end, tokens, logits, &score)
                first = end
            }
        }
        return score
    }

    private func take(
        _ rows: Range<Int>, _ tokens: [Int32], _ logits: FloatBuffer, _ score: inout Score
    ) {
        let vocabulary = model.configuration.vocabularySize
        var sums = [Double](repeating: 0, count: rows.count)
        var best = [Int32](repeating: 0, count: rows.count)
        sums.withUnsafeMutableBufferPointer { sums in
            best.withUnsafeMutableBufferPointer { best in
                nonisolated(unsafe) let sums = sums
                nonisolated(unsafe) let best = best
                Parallel.forEach(rows.count) { index in
                    let row = logits.pointer + index * vocabulary
                    sums[index] = etd_log_sum_exp(row, vocabulary)
                    var top = 0
                    for id in 1..<max(1, vocabulary) where row[id] > row[top] { top = id }
                    best[index] = Int32(top)
                }
            }
        }
        for (index, position) in rows.enumerated() {
            let row = logits.pointer + index * vocabulary
            guard position + 1 < tokens.count else {
                score.lastLogits = Array(UnsafeBufferPointer(start: row, count: vocabulary))
                continue
            }
            let target = tokens[position + 1]
            score.logProbabilities.append(Double(row[Int(target)]) - sums[index])
            if best[index] != target { score.isGreedy = false }
        }
    }

    /// A session with room for `count` tokens; kept from one request to the next.
    private func session(for count: Int) throws(ModelError) -> Session {
        if let session, session.capacity >= count {
            session.reset()
            return session
        }
        let context = model.configuration.contextLength
        guard count <= context else { throw .tooLong(tokens: count, context: context) }
        // Whole blocks, so that slowly growing requests do not make a session each.
        let rounded = (count + Session.blockLength - 1) / Session.blockLength * Session.blockLength
        let made = try Session(model: model, plan: plan, capacity: min(context, rounded))
        session = made
        return made
    }
}

extension Scorer.Score {
    /// One line of `etd score`'s output. `n_tokens` counts the scored tokens.
    public func json(index: Int) -> JSON {
        var members: [(String, JSON)] = [
            ("index", .number(index)),
            ("n_tokens", .number(logProbabilities.count)),
            ("logprobs", .array(logProbabilities.map { .number($0) })),
            ("sum_logprob", .number(sum)),
            ("is_greedy", .bool(isGreedy)),
        ]
        if let lastLogits {
            members.append(("last_logits", .array(lastLogits.map { .number(Double($0)) })))
        }
        return .object(.init(uniqueKeysWithValues: members))
    }
}
