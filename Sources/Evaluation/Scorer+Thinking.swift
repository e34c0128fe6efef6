import Models

extension Scorer {
    /// Scores a request whose tokens think on their own account. What it begins with in common with the
    /// one before runs once.
    func run(
        _ request: ScoreRequest, _ thinker: ThinkRunner, lastLogits: Bool
    ) throws(ModelError) -> Score {
        let tokens = lastLogits ? request.tokens[...] : request.tokens.dropLast()
        let context = model.configuration.contextLength
        guard tokens.count <= context else {
            throw .tooLong(tokens: tokens.count, context: context)
        }
        let cache: KeyValueCache
        if let thinkingCache {
            cache = thinkingCache
        } else {
            cache = try thinker.cache(keepsAll: true)
            thinkingCache = cache
        }
        // Rows whose logits are wanted run in any case.
        let shared = min(
            PrefixGroup.commonPrefix(held, Array(tokens)), request.firstScored - 1)
        held = []
        cache.rewind(to: model.configuration.rotaryDependsOnLength ? 0 : shared)
        var scores = [Score()]
        scores[0].passes = []
        while cache.length < tokens.count {
            let first = cache.length
            let part = tokens[first...].prefix(thinker.rowsPerText)
            let passes = try thinker.run([
                .init(part, cache: cache, textLength: tokens.count)
            ])
            let rows = ScoredRow.of(
                request, score: 0, positions: first..<first + part.count, lastLogits: lastLogits,
                firstRow: 0)
            try take(rows, thinker.runner.states, &scores)
            scores[0].passes? += rows.filter { $0.target != nil }.map { passes[$0.row] }
        }
        held = Array(tokens)
        return scores[0]
    }

    /// Requests that run in blocks together. One that begins like the one before it runs alone, and goes
    /// on from there.
    func thinkingGroups(_ requests: [ScoreRequest]) -> [Range<Int>] {
        let (mostRows, leastShared) = (BlockRunner.blockLength, 16)
        var groups: [Range<Int>] = []
        var rows = 0
        for (index, request) in requests.enumerated() {
            let alone =
                model.configuration.rotaryDependsOnLength
                || index > 0
                    && PrefixGroup.commonPrefix(requests[index - 1].tokens, request.tokens)
                        >= leastShared
            rows += request.tokens.count
            if let last = groups.last, !alone, rows <= mostRows {
                groups[groups.count - 1] = last.lowerBound..<index + 1
            } else {
                groups.append(index..<index + 1)
                rows = alone ? mostRows : request.tokens.count
            }
        }
        return groups
    }

    /// Requests of one block's rows at most, together.
    func run(
        _ requests: ArraySlice<ScoreRequest>, _ thinker: ThinkRunner, lastLogits: Bool
    ) throws(ModelError) -> [Score] {
        let context = model.configuration.contextLength
        var texts: [(request: ScoreRequest, tokens: ArraySlice<Int32>, cache: KeyValueCache)] = []
        for request in requests {
            let tokens = lastLogits ? request.tokens[...] : request.tokens.dropLast()
            guard tokens.count <= context else {
                throw .tooLong(tokens: tokens.count, context: context)
            }
            texts.append((request, tokens, try thinker.cache()))
        }
        var empty = Score()
        empty.passes = []
        var scores = Array(repeating: empty, count: texts.count)
        while texts.contains(where: { $0.cache.length < $0.tokens.count }) {
            var segments: [BlockRunner.Segment] = []
            var rows: [ScoredRow] = []
            var firstRow = 0
            for (index, text) in texts.enumerated() {
                let first = text.cache.length
                let part = text.tokens[first...].prefix(thinker.rowsPerText)
                guard !part.isEmpty else { continue }
                segments.append(.init(part, cache: text.cache))
                rows += ScoredRow.of(
                    text.request, score: index, positions: first..<first + part.count,
                    lastLogits: lastLogits, firstRow: firstRow)
                firstRow += part.count
            }
            let passes = try thinker.run(segments)
            try take(rows, thinker.runner.states, &scores)
            for row in rows where row.target != nil {
                scores[row.score].passes?.append(passes[row.row])
            }
        }
        return scores
    }
}
