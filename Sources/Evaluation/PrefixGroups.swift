/// Requests that follow one another in a file and run together: what they begin with runs once, what
/// follows runs as branches of one block. Knows ids and counts, not models.
package struct PrefixGroup: Sendable, Equatable {
    /// Ids that run, and the requests that are scored from them: options of one token differ only in
    /// what is scored.
    package struct Branch: Sendable, Equatable {
        /// Behind the shared ones.
        package var tokens: [Int32]
        package var requests: [Int]

        package init(tokens: [Int32], requests: [Int]) {
            self.tokens = tokens
            self.requests = requests
        }
    }

    /// Ids that all requests begin with and none is scored from.
    package var shared: [Int32]
    package var branches: [Branch]
    package var requests: Range<Int>

    package init(shared: [Int32], branches: [Branch], requests: Range<Int>) {
        self.shared = shared
        self.branches = branches
        self.requests = requests
    }

    /// A block that has fewer rows than this costs about as much as one that has: weights are decoded
    /// and laid out for each block.
    static let blockOverhead = 64

    /// Cuts `requests` into groups whose branches have at most `rows` tokens together; a request that has
    /// more on its own stands alone.
    /// - Parameter runsLast: whether the last id runs, not only predicted.
    package static func groups(
        _ requests: [ScoreRequest], rows: Int, runsLast: Bool
    ) -> [PrefixGroup] {
        var groups: [PrefixGroup] = []
        var start = 0
        while start < requests.count {
            let group = first(of: requests[start...], rows: rows, runsLast: runsLast)
            groups.append(group)
            start = group.requests.upperBound
        }
        return groups
    }

    private static func first(
        of requests: ArraySlice<ScoreRequest>, rows limit: Int, runsLast: Bool
    ) -> PrefixGroup {
        func inputs(_ request: ScoreRequest) -> ArraySlice<Int32> {
            runsLast ? request.tokens[...] : request.tokens.dropLast()
        }
        let lead = inputs(requests[requests.startIndex])
        var shared = requests[requests.startIndex].firstScored - 1
        var members: [ArraySlice<Int32>: [Int]] = [lead: [requests.startIndex]]
        var order = [lead]
        var end = requests.startIndex + 1
        while end < requests.endIndex {
            let candidate = inputs(requests[end])
            let common = min(
                shared, requests[end].firstScored - 1, commonPrefix(lead, candidate))
            let isNew = members[candidate] == nil
            let rows =
                order.reduce(0) { $0 + $1.count - common } + (isNew ? candidate.count - common : 0)
            // What the others would run again against the block that a group of its own costs.
            let again = (order.count - 1) * (shared - common)
            guard rows <= limit, again <= blockOverhead else { break }
            if isNew { order.append(candidate) }
            members[candidate, default: []].append(end)
            shared = common
            end += 1
        }
        return PrefixGroup(
            shared: Array(lead.prefix(shared)),
            branches: order.map {
                Branch(tokens: Array($0.dropFirst(shared)), requests: members[$0] ?? [])
            },
            requests: requests.startIndex..<end)
    }

    package static func commonPrefix(
        _ a: some Collection<Int32>, _ b: some Collection<Int32>
    ) -> Int {
        zip(a, b).prefix { $0 == $1 }.count
    }
}
