import Evaluation
import Models

/// Rows that run together: a trunk, and branches that continue it. What requests share stands in the
/// trunk and runs once.
final class ScanText {
    /// A row whose logits give one token's probability.
    struct Target {
        /// Among the text's rows: the trunk's, then each branch's.
        var row: Int
        var token: Int32
        /// Which of the requests that the text was made of.
        var request: Int
    }

    let trunk: [Int32]
    let branches: [[Int32]]
    /// By row, then request.
    let targets: [Target]
    /// One for each layer, made at its first use: every pass through a layer begins at position 0.
    private var caches: [KeyValueCache?] = []

    var rows: Int { trunk.count + branches.reduce(0) { $0 + $1.count } }
    var length: Int { trunk.count + (branches.map(\.count).max() ?? 0) }

    private init(trunk: [Int32], branches: [[Int32]], targets: [Target]) {
        self.trunk = trunk
        self.branches = branches
        self.targets = targets.sorted { ($0.row, $0.request) < ($1.row, $1.request) }
    }

    /// Texts for `requests`, which hold two ids or more.
    /// - Parameters:
    ///   - rows: the most that the branches of a text may have together.
    ///   - shares: whether requests may share a trunk.
    ///   - first: the number of the first request.
    static func texts(
        _ requests: [ScoreRequest], rows: Int, shares: Bool, firstRequest first: Int = 0
    ) -> [ScanText] {
        guard shares else { return requests.indices.map { alone(requests[$0], first + $0) } }
        return PrefixGroup.groups(requests, rows: rows, runsLast: false).map { group in
            let branchRows = group.branches.reduce(0) { $0 + $1.tokens.count }
            if group.requests.count == 1 || branchRows > rows {
                let index = group.requests.lowerBound
                return alone(requests[index], first + index)
            }
            var targets: [Target] = []
            var row = group.shared.count
            for branch in group.branches {
                for index in branch.requests {
                    let request = requests[index]
                    for position in request.firstScored..<request.tokens.count {
                        // The row before a token predicts it.
                        let place = position - 1
                        let inBranch = place - group.shared.count
                        targets.append(
                            Target(
                                row: inBranch >= 0 ? row + inBranch : place,
                                token: request.tokens[position], request: first + index))
                    }
                }
                row += branch.tokens.count
            }
            return ScanText(
                trunk: group.shared, branches: group.branches.map(\.tokens), targets: targets)
        }
    }

    private static func alone(_ request: ScoreRequest, _ index: Int) -> ScanText {
        ScanText(
            trunk: Array(request.tokens.dropLast()), branches: [],
            targets: (request.firstScored..<request.tokens.count).map {
                Target(row: $0 - 1, token: request.tokens[$0], request: index)
            })
    }

    /// An empty cache for a pass through `layer`, made by `make` at the first.
    func cache<Failure: Error>(
        _ layer: Int, _ make: () throws(Failure) -> KeyValueCache
    ) throws(Failure) -> KeyValueCache {
        while caches.count <= layer { caches.append(nil) }
        if let cache = caches[layer] {
            cache.rewind(to: 0)
            return cache
        }
        let made = try make()
        caches[layer] = made
        return made
    }

    /// Gives the caches' memory back.
    func rest() { caches = [] }
}
