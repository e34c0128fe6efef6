/// What keys and values a token has in the passes of the think block that it did not run.
///
/// Systems differ here, and the choice changes every number, so it has a name and stands in every output.
/// The paper does not say what it does; `recompute` is what its training graph, in which a halted token's
/// state is frozen while all passes run, amounts to, and what exports to transformers do by default.
public enum KeyValuePolicy: String, Sendable, CaseIterable {
    /// Those that a pass over its frozen state gives. They are computed when a later token of the text
    /// gets that deep, and never if none does.
    case recompute
    /// Those of the last pass that it ran.
    case last
    /// None: nobody attends to it there.
    case skip
    /// A layer has one key and value for each token, which every pass overwrites: tokens after it see
    /// what its last pass left, in whatever pass they are. Tokens run one after the other, also those
    /// of a prompt.
    case shared

    public var meaning: String {
        switch self {
        case .recompute: "computed from its frozen state, once a later token gets that deep"
        case .last: "those of the last pass that it ran"
        case .skip: "none; it is not attended to there"
        case .shared:
            "one set for all passes, which each pass overwrites; prompts run token by token"
        }
    }
}

extension [Int] {
    /// The first index whose element is not below `value`; the array ascends.
    func lowerBound(of value: Int) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < value { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
