import CKernels
import Files
import Models
import Plans
import Tensors

/// Log-likelihoods of token sequences under a model and a layer plan. Knows ids, not texts.
///
/// Requests that follow one another and begin alike share that work (`PrefixGroup`), as the options of a
/// question and questions behind the same examples do. At f32 a score has the same bytes as if its
/// request had been the only one.
public final class Scorer {
    let model: Transformer
    private let plan: LayerPlan
    /// nil where the plan has one end.
    private let tree: DepthTree?
    /// How the think block runs where that is more than the plan says, and the text at hand.
    var thinker: ThinkRunner?
    var thinkingCache: KeyValueCache?
    private var session: Session?
    /// What the session's positions hold.
    var held: [Int32] = []
    /// Rows of logits that exist at once: 64 MiB of them, at least 16 rows.
    private let rowsAtOnce: Int
    private var logits: FloatBuffer?

    public convenience init(model: Transformer, plan: LayerPlan) {
        self.init(model: model, plan: plan, tree: nil)
    }

    /// Scores at every depth of a tree in one pass.
    convenience init(model: Transformer, tree: DepthTree) {
        self.init(model: model, plan: tree.plan, tree: tree)
    }

    private init(model: Transformer, plan: LayerPlan, tree: DepthTree?) {
        self.model = model
        self.plan = plan
        self.tree = tree
        rowsAtOnce = min(
            BlockRunner.blockLength, max(16, (1 << 24) / model.configuration.vocabularySize))
    }

    /// A scorer whose think block is damped, or stops when each token's rule says so.
    /// - Parameter router: the checkpoint's.
    /// - Throws: as `ThinkRunner.init`.
    public convenience init(
        model: Transformer, thinking: Thinking, router: Router?
    ) throws(ModelError) {
        self.init(model: model, plan: thinking.plan)
        thinker = try ThinkRunner(
            runner: BlockRunner(model: model), thinking: thinking, router: router)
    }

    public struct Score: Sendable, Equatable {
        /// log p(token | tokens before it), natural, for each scored token.
        public var logProbabilities: [Double] = []
        /// Whether each scored token is the most likely one; the lower id wins a tie.
        public var isGreedy = true
        /// The most likely token in each scored one's place.
        public var likeliest: [Int32] = []
        /// How often the think block ran for each scored token: for the one before it, whose output
        /// predicts it. nil where the plan says it.
        public var passes: [Int]?
        /// Logits after the last token: [V]; nil unless asked for.
        public var lastLogits: [Float]?

        /// The sum, in order.
        public var sum: Double { logProbabilities.reduce(0, +) }
    }

    /// - Throws: `ModelError.tooLong`, `.tokenOutOfRange`, `.nonFinite`, `.nonFiniteLogit`.
    public func score(
        _ request: ScoreRequest, lastLogits: Bool = false
    ) throws(ModelError) -> Score {
        var scores: [Score] = []
        try score([request], lastLogits: lastLogits) { scores.append($1) }
        return scores[0]
    }

    /// - Parameter onScore: called with each request's index and score, in order.
    /// - Throws: `ModelError.tooLong`, `.tokenOutOfRange`, `.nonFinite`, `.nonFiniteLogit`.
    public func score(
        _ requests: [ScoreRequest], lastLogits: Bool = false, onScore: (Int, Score) -> Void
    ) throws(ModelError) {
        try scoreDepths(requests, lastLogits: lastLogits) { onScore($0, $1[0]) }
    }

    /// The same at every depth of the tree; one depth without a tree.
    func scoreDepths(
        _ requests: [ScoreRequest], lastLogits: Bool = false, onScores: (Int, [Score]) -> Void
    ) throws(ModelError) {
        // The last id of a request is read from the logits, not run.
        let vocabulary = model.configuration.vocabularySize
        for request in requests {
            for (position, id) in request.tokens.enumerated() where id < 0 || id >= vocabulary {
                throw .tokenOutOfRange(id: id, position: position, vocabularySize: vocabulary)
            }
        }
        if let thinker {
            for group in thinkingGroups(requests) {
                let scores =
                    try group.count == 1
                    ? [run(requests[group.lowerBound], thinker, lastLogits: lastLogits)]
                    : run(requests[group], thinker, lastLogits: lastLogits)
                for (index, score) in zip(group, scores) { onScores(index, [score]) }
            }
            return
        }
        // Where frequencies depend on the text's length, no two texts begin with the same states.
        let shares = !model.configuration.rotaryDependsOnLength
        let groups = PrefixGroup.groups(
            requests, rows: shares ? BlockRunner.blockLength : 0, runsLast: lastLogits)
        // The last id of a request is predicted, and runs only where its own logits are wanted.
        let longest = requests.map(\.tokens.count).max() ?? 0
        let session = try session(for: max(0, longest - (lastLogits ? 0 : 1)))
        for group in groups {
            let scores = try run(
                group, requests, session, lastLogits: lastLogits, shares: shares)
            for (place, index) in group.requests.enumerated() {
                onScores(index, scores.map { $0[place] })
            }
        }
    }

    private func run(
        _ group: PrefixGroup, _ requests: [ScoreRequest], _ session: Session, lastLogits: Bool,
        shares: Bool
    ) throws(ModelError) -> [[Score]] {
        let interventions: [any Intervention] = tree.map { [$0] } ?? []
        var scores = [[Score]](
            repeating: [Score](repeating: Score(), count: group.requests.count),
            count: tree?.iterations.count ?? 1)
        let rowCount = group.branches.reduce(0) { $0 + $1.tokens.count }
        guard shares, rowCount <= BlockRunner.blockLength else {
            let (branch, index) = (group.branches[0], group.requests.lowerBound)
            let tokens = group.shared + branch.tokens
            let request = requests[index]
            let kept =
                shares
                ? min(PrefixGroup.commonPrefix(held, tokens), request.firstScored - 1) : 0
            session.rewind(to: kept)
            held = []
            try session.run(Array(tokens[kept...]), interventions: interventions) {
                positions, states throws(ModelError) in
                let rows = ScoredRow.of(
                    request, score: 0, positions: positions, lastLogits: lastLogits, firstRow: 0)
                try take(rows, states, &scores)
            }
            held = tokens
            return scores
        }
        let kept = PrefixGroup.commonPrefix(held, group.shared)
        session.rewind(to: kept)
        held = []
        // What the block has room for runs beside the branches.
        let inBlock = min(group.shared.count - kept, BlockRunner.blockLength - rowCount)
        let border = group.shared.count - inBlock
        try session.run(Array(group.shared[kept..<border]), interventions: interventions)
        var rows: [ScoredRow] = []
        var firstRow = inBlock
        for branch in group.branches {
            let positions = group.shared.count..<group.shared.count + branch.tokens.count
            for index in branch.requests {
                rows += ScoredRow.of(
                    requests[index], score: index - group.requests.lowerBound,
                    positions: positions, lastLogits: lastLogits, firstRow: firstRow)
            }
            firstRow += branch.tokens.count
        }
        rows.sort { ($0.row, $0.score) < ($1.row, $1.score) }
        try session.runner.run(
            [.init(group.shared[border...], cache: session.cache)]
                + group.branches.map { .branch($0.tokens) }, interventions: interventions)
        try take(rows, session.runner.states, &scores)
        held = group.shared
        return scores
    }

    /// Adds what the last states say, at each depth.
    /// - Parameter states: of a plan with one end, [·, d].
    private func take(
        _ rows: [ScoredRow], _ states: UnsafePointer<Float>, _ scores: inout [[Score]]
    ) throws(ModelError) {
        guard let tree else { return try take(rows, states, &scores[0]) }
        for depth in scores.indices { try take(rows, tree.states(depth), &scores[depth]) }
    }

    /// Adds what the logits of `rows` of `states` [·, d] say to the scores they belong to.
    func take(
        _ rows: [ScoredRow], _ states: UnsafePointer<Float>, _ scores: inout [Score]
    ) throws(ModelError) {
        let width = model.configuration.hiddenSize
        let vocabulary = model.configuration.vocabularySize
        // Options of one token are scored from one row.
        var places: [Int] = []
        var positions: [Int] = []
        for row in rows where places.last != row.row {
            places.append(row.row)
            positions.append(row.position)
        }
        var next = 0
        for start in stride(from: 0, to: places.count, by: rowsAtOnce) {
            let chunk = places[start..<min(start + rowsAtOnce, places.count)]
            let needed = chunk.count * vocabulary
            let logits =
                self.logits.flatMap { $0.count >= needed ? $0 : nil } ?? FloatBuffer(count: needed)
            self.logits = logits
            try ScratchPool.shared.withFloats(chunk.count * width) { gathered throws(ModelError) in
                for (index, place) in chunk.enumerated() {
                    (gathered + index * width).update(from: states + place * width, count: width)
                }
                try model.logits(of: gathered, rows: chunk.count, into: logits.pointer) {
                    positions[start + $0]
                }
            }
            let found = Self.normalisers(logits, rows: chunk.count, vocabulary: vocabulary)
            for (index, place) in chunk.enumerated() {
                while next < rows.count, rows[next].row == place {
                    let values = logits.pointer + index * vocabulary
                    scores[rows[next].score].take(
                        values, vocabulary, target: rows[next].target,
                        logSum: found[index].logSum, best: found[index].best)
                    next += 1
                }
            }
        }
    }

    /// log Σ exp and the first greatest id of each row.
    private static func normalisers(
        _ logits: FloatBuffer, rows: Int, vocabulary: Int
    ) -> [(logSum: Double, best: Int32)] {
        var found = [(logSum: Double, best: Int32)](repeating: (0, 0), count: rows)
        found.withUnsafeMutableBufferPointer { found in
            nonisolated(unsafe) let found = found
            Parallel.forEach(rows) { index in
                let row = logits.pointer + index * vocabulary
                found[index] = (
                    etd_log_sum_exp(row, vocabulary), Int32(etd_argmax(row, vocabulary))
                )
            }
        }
        return found
    }

    /// A session with room for `count` tokens, kept for the next requests.
    private func session(for count: Int) throws(ModelError) -> Session {
        if let session, session.capacity >= count { return session }
        let context = model.configuration.contextLength
        guard count <= context else { throw .tooLong(tokens: count, context: context) }
        // Whole blocks, so that slowly growing calls do not make a session each.
        let rounded =
            (count + BlockRunner.blockLength - 1) / BlockRunner.blockLength
            * BlockRunner.blockLength
        let made = try Session(
            model: model, plan: plan, capacity: min(context, rounded), keepsAll: true,
            blockRows: BlockRunner.blockLength)
        session = made
        held = []
        return made
    }
}

/// A row of states that a score needs.
struct ScoredRow {
    /// Among the states at hand.
    var row: Int
    /// In the request's tokens.
    var position: Int
    /// Among the group's requests.
    var score: Int
    /// The id it predicts; nil where its logits are wanted.
    var target: Int32?

    /// The rows that `request` needs of those at `positions`, the first of which is `firstRow`.
    static func of(
        _ request: ScoreRequest, score: Int, positions: Range<Int>, lastLogits: Bool, firstRow: Int
    ) -> [ScoredRow] {
        // The row at position p predicts token p + 1.
        let end = request.tokens.count - (lastLogits ? 0 : 1)
        return (request.firstScored - 1..<end).clamped(to: positions).map { position in
            let next = position + 1
            return ScoredRow(
                row: firstRow + position - positions.lowerBound, position: position, score: score,
                target: next < request.tokens.count ? request.tokens[next] : nil)
        }
    }
}

extension Scorer.Score {
    fileprivate mutating func take(
        _ logits: UnsafePointer<Float>, _ vocabulary: Int, target: Int32?, logSum: Double,
        best: Int32
    ) {
        guard let target else {
            lastLogits = Array(UnsafeBufferPointer(start: logits, count: vocabulary))
            return
        }
        logProbabilities.append(Double(logits[Int(target)]) - logSum)
        likeliest.append(best)
        if best != target { isGreedy = false }
    }

    /// One line of `etd score`'s output. `n_tokens` counts the scored tokens.
    /// - Parameter id: the request's own, if it has one.
    public func json(index: Int, id: JSON? = nil) -> JSON {
        var members: [(String, JSON)] = [("index", .number(index))]
        if let id { members.append(("id", id)) }
        members += [
            ("n_tokens", .number(logProbabilities.count)),
            ("logprobs", .array(logProbabilities.map { .number($0) })),
            ("sum_logprob", .number(sum)),
            ("is_greedy", .bool(isGreedy)),
        ]
        if let passes { members.append(("passes", .array(passes.map { .number($0) }))) }
        if let lastLogits {
            members.append(("last_logits", .array(lastLogits.map { .number(Double($0)) })))
        }
        return .object(.init(uniqueKeysWithValues: members))
    }
}
