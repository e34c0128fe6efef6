import Files

/// What a grader makes of one prediction.
public struct Grade: Sendable, Equatable {
    /// The task's primary metric, from 0 to 1.
    public var score: Double
    /// What was compared with the gold answer; nil where nothing was found.
    public var extracted: String?
    /// MATH's second reading, which also takes `\boxed{}`, `$…$` and Hendrycks's string equality.
    public var flexible: Double?
    /// MATH: whether only a computer algebra system can say if the answer is right.
    public var needsAlgebra = false

    public init(
        score: Double, extracted: String?, flexible: Double? = nil, needsAlgebra: Bool = false
    ) {
        self.score = score
        self.extracted = extracted
        self.flexible = flexible
        self.needsAlgebra = needsAlgebra
    }
}

/// How a generated answer is scored: OLMES's rules. Knows texts, not models; predictions were cut at the
/// task's stop strings before.
public enum Grading: Sendable, Equatable {
    case gsm8k
    case minervaMath
    /// A subtask of BBH by its name.
    case bbh(String)
    /// Bags of spans with optimal alignment.
    case drop
    /// DROP's scoring of one span.
    case naturalQuestions
    case triviaQA
    /// Equal texts, white space around them left out. `pattern`: what is compared is the first group of its last
    /// match in the prediction, or the whole match; nothing matched is wrong. `gold` may be a list: one must be met.
    case exact(pattern: String?)

    /// Those that a user's task may name.
    private static let known: [(name: String, grading: Grading)] = [
        ("gsm8k", .gsm8k), ("minerva_math", .minervaMath), ("drop", .drop),
        ("naturalqs", .naturalQuestions), ("triviaqa", .triviaQA),
    ]
    static let names = known.map(\.name) + ["bbh_<subtask>"]

    /// The rule of that name; `bbh_navigate` is that of BBH's set.
    static func named(_ name: String) -> Grading? {
        if let found = known.first(where: { $0.name == name }) { return found.grading }
        let subtask = String(name.dropFirst("bbh_".count))
        return name.hasPrefix("bbh_") && Benchmark.bbh.subtasks?.contains(subtask) == true
            ? .bbh(subtask) : nil
    }

    /// Whether scores are shares of words rather than right or wrong.
    var isF1: Bool { self == .drop || self == .naturalQuestions || self == .triviaQA }

    static func isPattern(_ text: String) -> Bool { PythonPattern(checking: text) != nil }

    /// What `gold` must look like, for an error message.
    public var goldForm: String {
        switch self {
        case .gsm8k, .minervaMath, .bbh: "a string"
        case .drop: "a list of answers, each a list of strings"
        case .naturalQuestions, .triviaQA: "a list of strings"
        case .exact: "a string, a number or a list of them"
        }
    }

    /// - Returns: nil if `gold` has not the form `goldForm`.
    public func grade(_ prediction: String, gold: JSON) -> Grade? {
        switch self {
        case .gsm8k:
            return text(gold).map { GSM8KGrader.grade(prediction, gold: $0) }
        case .minervaMath:
            return text(gold).map { MathGrader.grade(prediction, gold: $0) }
        case .bbh(let subtask):
            return text(gold).map { BBHGrader(subtask: subtask).grade(prediction, gold: $0) }
        case .drop:
            guard let answers = gold.arrayValue, !answers.isEmpty else { return nil }
            var golds: [[String]] = []
            for answer in answers {
                guard let spans = strings(answer), !spans.isEmpty else { return nil }
                golds.append(spans)
            }
            return DROPGrader.grade(prediction, golds: golds)
        case .naturalQuestions:
            guard let golds = strings(gold), !golds.isEmpty else { return nil }
            return DROPGrader.grade(prediction, golds: golds.map { [$0] })
        case .triviaQA:
            guard let golds = strings(gold), !golds.isEmpty else { return nil }
            return SQuADGrader.grade(prediction, golds: golds)
        case .exact(let pattern):
            let golds = (gold.arrayValue ?? [gold]).compactMap { value in
                value.stringValue ?? value.doubleValue.map { _ in value.text(indent: 0) }
            }
            guard !golds.isEmpty, golds.count == gold.arrayValue?.count ?? 1 else { return nil }
            let found =
                pattern.flatMap(PythonPattern.init(checking:)).map { $0.last(in: prediction) }
                ?? prediction
            let extracted = found.map(PythonText.strip)
            let isRight = golds.contains { extracted == PythonText.strip($0) }
            return Grade(score: isRight ? 1 : 0, extracted: extracted)
        }
    }

    private func text(_ gold: JSON) -> String? { gold.stringValue }

    private func strings(_ value: JSON) -> [String]? {
        guard let values = value.arrayValue else { return nil }
        let strings = values.compactMap(\.stringValue)
        return strings.count == values.count ? strings : nil
    }

    /// The text up to the first of `stops`.
    public static func cut(_ text: String, at stops: [String]) -> String {
        let bytes = Array(text.utf8)
        let end = stops.compactMap { PythonText.find(Array($0.utf8), in: bytes, from: 0) }.min()
        return end.map { String(decoding: bytes[..<$0], as: UTF8.self) } ?? text
    }
}

/// The last number of the text against the last number of the gold answer.
enum GSM8KGrader {
    private static let comma = PythonPattern(#"(\d),(\d)"#)
    private static let number = PythonPattern(#"[-+]?\d*\.\d+|\d+"#)
    private static let beforeAnswer = PythonPattern(#"(?s).*#### "#)

    /// The last number, commas between digits left out; the whole text where there is none. A sign stays
    /// only before a number with a point: the pattern's second half has none.
    static func answer(in text: String) -> String? {
        number.last(in: comma.replace(in: text) { $0[1] + $0[2] })
    }

    static func grade(_ prediction: String, gold: String) -> Grade {
        let found = answer(in: prediction)
        let same = PythonText.same(
            compared(found ?? prediction), compared(answer(in: gold) ?? gold))
        return Grade(score: same ? 1 : 0, extracted: found)
    }

    /// What exact match ignores: commas, dollar signs, all before `#### `, a final point, case.
    private static func compared(_ text: String) -> String {
        var text = PythonText.replace(text, ",", "")
        text = PythonText.replace(text, "$", "")
        text = beforeAnswer.replace(in: text) { _ in "" }
        if text.unicodeScalars.last == "." { text.unicodeScalars.removeLast() }
        return text.lowercased()
    }
}

/// SQuAD's normalised words: F1, the greatest over the gold answers.
enum SQuADGrader {
    private static let articles = PythonPattern(#"\b(a|an|the)\b"#)

    static func words(_ text: String) -> [String] {
        let plain = PythonText.withoutPunctuation(text.lowercased())
        return PythonText.words(articles.replace(in: plain) { _ in " " })
    }

    static func f1(_ prediction: [String], _ gold: [String]) -> Double {
        var counts: [[UInt8]: Int] = [:]
        for word in gold { counts[Array(word.utf8), default: 0] += 1 }
        var shared = 0
        for word in prediction {
            if let count = counts[Array(word.utf8)], count > 0 {
                counts[Array(word.utf8)] = count - 1
                shared += 1
            }
        }
        guard shared > 0 else { return 0 }
        let precision = Double(shared) / Double(prediction.count)
        let recall = Double(shared) / Double(gold.count)
        return 2 * precision * recall / (precision + recall)
    }

    static func grade(_ prediction: String, golds: [String]) -> Grade {
        let words = words(prediction)
        let best = golds.map { f1(words, Self.words($0)) }.max() ?? 0
        return Grade(score: best, extracted: PythonText.strip(prediction))
    }
}
