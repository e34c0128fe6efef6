// The notation of plans. A split is written as the paper writes it, `7-4*3-5`; every other plan lists
// its layers as ranges and numbers, a loop with its passes behind a star: `0..6,7..10*3,11..15`, a
// skipped layer `0..4,6..29`, a loop of layers that do not follow one another `0,(1,3)*2,4`.

extension LayerPlan {
    /// The plan as text that `init(notation:)` reads back: `7-4*3-5` for a split, the list of layers
    /// otherwise, and `none` for a plan without layers.
    public var notation: String {
        if let (split, iterations) = split {
            return "\(split.encoder)-\(split.think)*\(iterations)-\(split.decoder)"
        }
        guard !parts.isEmpty else { return "none" }
        return parts.map { part in
            let ranges = Self.ranges(part.layers)
            let list = ranges.joined(separator: ",")
            guard part.iterations > 1 else { return list }
            return (ranges.count == 1 ? list : "(\(list))") + "*\(part.iterations)"
        }.joined(separator: ",")
    }

    /// Runs of consecutive layers, `3..7` or `3`.
    private static func ranges(_ layers: [Int]) -> [String] {
        var ranges: [ClosedRange<Int>] = []
        for layer in layers {
            if let last = ranges.last, last.upperBound + 1 == layer {
                ranges[ranges.count - 1] = last.lowerBound...layer
            } else {
                ranges.append(layer...layer)
            }
        }
        return ranges.map {
            $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)..\($0.upperBound)"
        }
    }

    /// Reads what `notation` writes.
    /// - Throws: `PlanError.notation`, `.tooManySteps`.
    public init(notation text: String) throws(PlanError) {
        if text == "none" {
            try self.init(parts: [])
            return
        }
        if text.utf8.contains(UInt8(ascii: "-")) {
            let notation = try SplitNotation(text)
            guard let iterations = notation.iterations else {
                throw .notation(
                    text: text, problem: "it does not say how often the think block runs")
            }
            try self.init(parts: notation.split.plan(iterations: iterations).parts)
            return
        }
        var reader = ListReader(text)
        try self.init(parts: try reader.parts())
    }

    /// Reads `0..6,(7,9)*3,11`.
    private struct ListReader {
        let text: String
        var rest: Substring

        init(_ text: String) {
            self.text = text
            rest = text[...]
        }

        mutating func parts() throws(PlanError) -> [Part] {
            var parts: [Part] = []
            repeat {
                let layers: [Int]
                if take("(") {
                    var inside: [Int] = []
                    repeat { inside += try range() } while take(",")
                    guard take(")") else { throw wrong("a ) is missing") }
                    layers = inside
                } else {
                    layers = try range()
                }
                let iterations = take("*") ? try number("the number after *") : 1
                guard iterations >= 1 else { throw wrong("a loop must run at least once") }
                parts.append(Part(layers, iterations: iterations))
            } while take(",")
            guard rest.isEmpty else { throw wrong("\"\(rest.prefix(12))\" is not expected here") }
            return parts
        }

        private mutating func range() throws(PlanError) -> [Int] {
            let first = try number("a layer")
            guard take("..") else { return [first] }
            let last = try number("the last layer of a range")
            guard first <= last else { throw wrong("\(first)..\(last) runs backwards") }
            guard last - first < LayerPlan.maximumSteps else {
                throw .tooManySteps(last - first + 1)
            }
            return Array(first...last)
        }

        private mutating func take(_ token: String) -> Bool {
            guard rest.hasPrefix(token) else { return false }
            rest = rest.dropFirst(token.count)
            return true
        }

        private mutating func number(_ what: String) throws(PlanError) -> Int {
            let digits = rest.prefix { ("0"..."9").contains($0) }
            guard !digits.isEmpty else { throw wrong("\(what) is missing") }
            rest = rest[digits.endIndex...]
            guard let value = Int(digits), value <= SplitNotation.largest else {
                throw wrong("\(what) is above \(SplitNotation.largest)")
            }
            return value
        }

        private func wrong(_ problem: String) -> PlanError {
            .notation(text: text, problem: problem)
        }
    }
}

/// A split as people write it: `7-4-5`, `7-4*k-5` with the iterations left open, or `7-4*3-5`.
public struct SplitNotation: Sendable, Equatable {
    public let split: Split
    /// k, if it was written as a number. 1 or above.
    public let iterations: Int?

    /// No model is deeper; keeps sums far from overflow.
    static let largest = 1_000_000

    /// - Parameter layers: what the parts must sum to; nil leaves that open.
    /// - Throws: `PlanError.notation`, or `.sum` when the parts do not sum to `layers`.
    public init(_ text: String, layers: Int? = nil) throws(PlanError) {
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
    ) throws(PlanError) -> Int {
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
