import Records

/// A split as people write it: `7-4-5`, `7-4*k-5` with the iterations left open, or `7-4*3-5`.
public struct SplitNotation: Sendable, Equatable {
    public let split: Split
    /// k, if it was written as a number. 1 or above.
    public let iterations: Int?

    /// No model is deeper; keeps sums far from overflow.
    private static let largest = 1_000_000

    /// - Parameter layers: what the parts must sum to; nil leaves that open.
    /// - Throws: `SelectionError.notation`, or `.sum` when the parts do not sum to `layers`.
    public init(_ text: String, layers: Int? = nil) throws(SelectionError) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3 else {
            throw .notation(
                text: text,
                problem: text.isEmpty
                    ? "it is empty"
                    : "expected three parts joined by -, found \(parts.count)")
        }
        let think = parts[1].split(
            separator: "*", maxSplits: 1, omittingEmptySubsequences: false)
        split = Split(
            encoder: try Self.number(parts[0], "the encoder", in: text),
            think: try Self.number(think[0], "the think block", in: text),
            decoder: try Self.number(parts[2], "the decoder", in: text))
        guard split.think > 0 else {
            throw .notation(text: text, problem: "the think block is empty, it needs a layer")
        }
        if think.count == 2, think[1] != "k" {
            let iterations = try Self.number(think[1], "the number after * (or k)", in: text)
            guard iterations > 0 else {
                throw .notation(text: text, problem: "the think block must run at least once")
            }
            self.iterations = iterations
        } else {
            iterations = nil
        }
        if let layers, split.layers != layers {
            throw .sum(text: text, actual: split.layers, expected: layers)
        }
    }

    private static func number(
        _ digits: Substring, _ what: String, in text: String
    ) throws(SelectionError) -> Int {
        // `Int` alone would take signs.
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            throw .notation(
                text: text,
                problem: digits.isEmpty
                    ? "\(what) is missing" : "\(what) is \"\(digits)\", not a whole number")
        }
        guard let value = Int(digits), value <= largest else {
            throw .notation(text: text, problem: "\(what) is above \(largest)")
        }
        return value
    }
}
