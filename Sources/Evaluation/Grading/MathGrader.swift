/// MATH, as Minerva (Lewkowycz et al. 2022, appendix D) and OLMES score it, without a computer algebra
/// system: answers count as equal by their normalised strings or by exact rational arithmetic, and what
/// only algebra could decide is counted as wrong and marked.
enum MathGrader {
    static let invalid = "[invalidanswer]"

    private static let finalAnswer = PythonPattern(
        #"Final Answer: The final answer is(.*?). I hope it is correct."#)

    /// What stands in Minerva's closing sentence. The closing words are put behind the text first, so that
    /// an answer that stops before them is found; they bring no blank of their own.
    static func closingAnswer(in text: String) -> String {
        finalAnswer.matches(in: text + "I hope it is correct.").first.map {
            PythonText.strip($0[1])
        }
            ?? invalid
    }

    static func grade(_ prediction: String, gold: String) -> Grade {
        let closing = closingAnswer(in: prediction)
        let answer = MathNormalisation.minerva(closing)
        let strict = MathEquality.compare(answer, gold)
        let flexible = flexibleAnswers(in: prediction, closing: closing).contains {
            MathEquality.compare($0, gold) == .equal || HendrycksEquality.same($0, gold)
        }
        let found = PythonText.same(closing, invalid) ? nil : answer
        return Grade(
            score: strict == .equal ? 1 : 0, extracted: found, flexible: flexible ? 1 : 0,
            needsAlgebra: strict == .undecided)
    }

    /// The answers of the flexible form: in `\boxed{}` and in the closing sentence; where there is neither,
    /// between the last two dollar signs; where there are none, the whole text.
    static func flexibleAnswers(in text: String, closing: String) -> [String] {
        var answers: [String] = []
        if let boxed = lastBoxed(in: text) { answers.append(boxed) }
        if !PythonText.same(closing, invalid) {
            answers.append(MathNormalisation.minerva(closing))
        }
        if answers.isEmpty {
            let parts = PythonText.split(text, "$")
            if parts.count > 2 {
                answers.append(MathNormalisation.minerva(parts[parts.count - 2]))
            }
        }
        if answers.isEmpty { answers = [MathNormalisation.minerva(text), text] }
        return answers
    }

    /// What the last `\boxed{…}` or `\fbox{…}` holds, braces matched; of `\boxed 5` the text up to the next
    /// dollar sign.
    static func lastBoxed(in text: String) -> String? {
        let bytes = Array(text.utf8)
        func last(_ name: String) -> Int? {
            let wanted = Array(name.utf8)
            guard bytes.count >= wanted.count else { return nil }
            return (0...bytes.count - wanted.count).last {
                bytes[$0..<$0 + wanted.count].elementsEqual(wanted)
            }
        }
        if let start = last("\\boxed ") {
            let rest = bytes[(start + "\\boxed ".utf8.count)...]
            return String(decoding: rest.prefix { $0 != UInt8(ascii: "$") }, as: UTF8.self)
        }
        guard let start = last("\\boxed") ?? last("\\fbox") else { return nil }
        var depth = 0
        var open: Int?
        for index in start..<bytes.count {
            if bytes[index] == UInt8(ascii: "{") {
                depth += 1
                open = open ?? index
            } else if bytes[index] == UInt8(ascii: "}") {
                depth -= 1
                if depth == 0, let open {
                    // `\fbox{` is not what remove_boxed expects: it gives nothing.
                    guard bytes[start..<open].elementsEqual("\\boxed".utf8) else { return nil }
                    return String(decoding: bytes[(open + 1)..<index], as: UTF8.self)
                }
            }
        }
        return nil
    }
}

/// Minerva's normalisation of a final answer. It damages some (`\left` loses its "ft"), golds alike.
enum MathNormalisation {
    private static let substitutions = [
        ("an ", ""), ("a ", ""), (".$", "$"), ("\\$", ""), ("\\ ", ""), (" ", ""),
        ("mbox", "text"), (",\\text{and}", ","), ("\\text{and}", ","), ("\\text{m}", "\\text{}"),
    ]

    private static let removed = [
        "square", "ways", "integers", "dollars", "mph", "inches", "ft", "hours", "km", "units",
        "\\ldots", "sue", "points", "feet", "minutes", "digits", "cents", "degrees", "cm", "gm",
        "pounds", "meters", "meals", "edges", "students", "childrentickets", "multiples",
        "\\text{s}", "\\text{.}", "\\text{\ns}", "\\text{}^2", "\\text{}^3", "\\text{\n}",
        "\\text{}", "\\mathrm{th}", "^\\circ", "^{\\circ}", "\\;", ",\\!", "{,}", "\"", "\\dots",
    ]

    private static let dollars = PythonPattern(#"(.*?)(\$)(.*?)(\$)(.*)"#)
    private static let wrappers = [
        PythonPattern(#"(\\text\{)(.*?)(\})"#), PythonPattern(#"(\\textbf\{)(.*?)(\})"#),
        PythonPattern(#"(\\overline\{)(.*?)(\})"#), PythonPattern(#"(\\boxed\{)(.*)(\})"#),
    ]
    private static let shortFraction = PythonPattern(#"(frac)([^{])(.)"#)
    private static let shortRoot = PythonPattern(#"(sqrt)([^{])"#)

    static func minerva(_ answer: String) -> String {
        var text = PythonText.split(answer, "=").last ?? answer
        for (old, new) in substitutions { text = PythonText.replace(text, old, new) }
        for word in removed { text = PythonText.replace(text, word, "") }
        text = dollars.replace(in: text) { "$" + $0[3] + "$" }
        for wrapper in wrappers { text = wrapper.replace(in: text) { $0[2] } }
        text = shortFraction.replace(in: text) { "frac{\($0[2])}{\($0[3])}" }
        text = shortRoot.replace(in: text) { "sqrt{\($0[2])}" }
        text = PythonText.replace(text, "$", "")
        let digits = PythonText.replace(text, ",", "")
        return PythonText.isDigits(digits) ? digits : text
    }
}

/// Whether two normalised answers are the same number or text.
enum MathEquality: Equatable {
    case equal, different
    /// Neither strings nor rational arithmetic can say.
    case undecided

    static func compare(_ a: String, _ b: String) -> MathEquality {
        guard !PythonText.same(a, MathGrader.invalid), isExpression(a), isExpression(b) else {
            return .different
        }
        if PythonText.same(a, b) { return .equal }
        if let first = Rational(latex: a), let second = Rational(latex: b) {
            return first == second ? .equal : .different
        }
        return .undecided
    }

    /// Whether sympy's `parse_latex` reads the text, as far as that can be told without it. What it does not
    /// read scores 0 even where both sides are the same: tuples and intervals, most matrices, percentages,
    /// numbers that begin with a point or with a zero before other digits. It stops at what cannot go on,
    /// such as a comma between two answers, and is content with what stands before. Agrees with sympy 1.14
    /// on the distinct normalised answers of MATH's test split (`scripts/goldens/grading.py`).
    static func isExpression(_ text: String) -> Bool {
        let bytes = Array(head(Array(text.utf8)))
        guard let first = bytes.first, first != UInt8(ascii: ".") else { return false }
        let read = String(decoding: bytes, as: UTF8.self)
        let foreign = ["\\%", "{}", "{\\}"]
        guard !foreign.contains(where: { PythonText.contains(read, $0) }),
            !read.hasPrefix("\\le("), !read.hasPrefix("\\le["),
            read.utf8.count(where: { $0 == UInt8(ascii: "<") }) < 2
        else { return false }
        if let matrix = PythonText.split(read, "\\begin{pmatrix}").dropFirst().first {
            let cells = PythonText.split(matrix, "\\end")[0]
            let rest = PythonText.replace(cells, "\\-", "")
            if PythonText.contains(rest, "\\") || PythonText.contains(rest, "&") { return false }
        }
        return !hasLeadingZero(bytes) && isNested(bytes)
    }

    /// What stands before the first comma, union or membership sign outside brackets.
    private static func head(_ bytes: [UInt8]) -> ArraySlice<UInt8> {
        var depth = 0
        for (index, byte) in bytes.enumerated() {
            switch byte {
            case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
            case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
            case UInt8(ascii: ",") where depth == 0 && !groupsThousands(bytes, index):
                return bytes[..<index]
            case UInt8(ascii: "\\") where depth == 0:
                for name in ["\\cup", "\\in"] where bytes[index...].starts(with: name.utf8) {
                    let end = index + name.utf8.count
                    if end == bytes.count || !(0x61...0x7A).contains(bytes[end] | 0x20) {
                        return bytes[..<index]
                    }
                }
            default: break
            }
        }
        return bytes[...]
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    /// Whether the comma at `index` stands between a digit and three others.
    private static func groupsThousands(_ bytes: [UInt8], _ index: Int) -> Bool {
        let after = bytes[(index + 1)...].prefix(3)
        return index > 0 && isDigit(bytes[index - 1]) && after.count == 3
            && after.allSatisfy(isDigit)
    }

    private static func hasLeadingZero(_ bytes: [UInt8]) -> Bool {
        bytes.indices.dropLast().contains { index in
            bytes[index] == 0x30 && isDigit(bytes[index + 1])
                && (index == 0
                    || !isDigit(bytes[index - 1]) && !".,".utf8.contains(bytes[index - 1]))
        }
    }

    /// Brackets close, and no comma inside them separates.
    private static func isNested(_ bytes: [UInt8]) -> Bool {
        var depth = 0
        for (index, byte) in bytes.enumerated() {
            switch byte {
            case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
            case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
            case UInt8(ascii: ",") where depth > 0:
                if !groupsThousands(bytes, index) { return false }
            default: break
            }
        }
        return depth == 0
    }
}
