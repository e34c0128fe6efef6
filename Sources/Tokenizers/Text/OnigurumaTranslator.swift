/// Rewrites a regular expression from Oniguruma's Ruby syntax to ICU's.
///
/// Every construct is either known to mean the same after the rewriting, or refused by name: a
/// pattern is never passed on in the hope that it fits. Not known are back references, named groups,
/// conditionals, options in mid-group, unbounded loops over groups, and the scripts and properties
/// outside `knownProperties`.
struct OnigurumaTranslator {
    private let pattern: String
    private let scalars: [Unicode.Scalar]
    private var position = 0
    private var output = ""

    init(_ pattern: String) {
        self.pattern = pattern
        scalars = Array(pattern.unicodeScalars)
    }

    /// Oniguruma's `\w`: these six characters below U+0100 are words there although they are
    /// neither letters nor decimal digits.
    private static let word =
        #"\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{B2}\x{B3}\x{B9}\x{BC}\x{BD}\x{BE}"#
    /// ICU keeps a state for every round of such a loop and gives up, without a word, after some
    /// hundred thousand. Loops over a character or class need no states.
    private static let groupLoop =
        "repeats a group without bound, which this package cannot match in long texts"
    private static let knownProperties: Set<String> = [
        "L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No", "P", "Pc",
        "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S", "Sm", "Sc", "Sk", "So", "Z", "Zs", "Zl", "Zp", "C",
        "Cc", "Cf", "Cn", "Co", "Han", "Hiragana", "Katakana", "Hangul", "Latin", "Greek",
        "Cyrillic", "Arabic", "Hebrew", "Thai", "Devanagari", "Bengali", "Tamil", "Armenian",
        "Georgian", "Khmer", "Lao", "Myanmar", "Tibetan", "Bopomofo",
    ]

    mutating func translate() throws(PatternError) -> String {
        var depth = 0
        // Options such as (?i) are taken only where a group or the pattern begins.
        var atStart = true
        var endsGroup = false
        while let scalar = peek() {
            let (wasAtStart, wasGroup) = (atStart, endsGroup)
            (atStart, endsGroup) = (false, false)
            switch scalar {
            case "\\":
                try escape(inClass: false)
            case "[":
                position += 1
                output += try characterClass(depth: 0)
            case "(":
                position += 1
                atStart = try group(isFirst: wasAtStart, depth: &depth)
            case ")":
                position += 1
                depth -= 1
                if depth < 0 { throw refuse("has an unmatched ')'") }
                output += ")"
                endsGroup = true
            case "*", "+", "?":
                if wasGroup, scalar != "?" { throw refuse(Self.groupLoop) }
                position += 1
                output += String(scalar) + quantifierSuffix()
            case "{":
                try interval(ofGroup: wasGroup)
            case "|", "^", "$", ".":
                position += 1
                output.unicodeScalars.append(scalar)
            default:
                position += 1
                output += Self.literal(scalar)
            }
        }
        if depth != 0 { throw refuse("has an unmatched '('") }
        return output
    }

    private func peek(_ offset: Int = 0) -> Unicode.Scalar? {
        position + offset < scalars.count ? scalars[position + offset] : nil
    }

    private func refuse(_ problem: String) -> PatternError {
        PatternError(pattern: pattern, problem: problem)
    }

    /// A scalar that stands for itself, in a form that needs no context.
    private static func literal(_ scalar: Unicode.Scalar) -> String {
        let isPlain =
            scalar.value < 0x80 && (scalar.properties.isAlphabetic || scalar.isNumeric)
        return isPlain ? String(scalar) : "\\x{\(String(scalar.value, radix: 16))}"
    }

    /// Behind a quantifier, `?` makes it lazy and `+` possessive, in both syntaxes.
    private mutating func quantifierSuffix() -> String {
        guard let next = peek(), next == "?" || next == "+" else { return "" }
        position += 1
        return String(next)
    }

    /// `{n}`, `{n,}`, `{n,m}` or `{,m}`; any other brace stands for itself.
    private mutating func interval(ofGroup: Bool) throws(PatternError) {
        var end = position + 1
        var body = ""
        while end < scalars.count, scalars[end] != "}", body.count < 16 {
            body.unicodeScalars.append(scalars[end])
            end += 1
        }
        let bounds = body.split(separator: ",", omittingEmptySubsequences: false)
        let isInterval =
            end < scalars.count && scalars[end] == "}" && (1...2).contains(bounds.count)
            && bounds.contains { !$0.isEmpty }
            && bounds.allSatisfy { $0.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 } }
        guard isInterval else {
            position += 1
            output += Self.literal("{")
            return
        }
        if ofGroup, bounds.last == "" { throw refuse(Self.groupLoop) }
        position = end + 1
        output += bounds[0].isEmpty ? "{0,\(bounds[1])}" : "{\(body)}"
        if let next = peek(), next == "+" || (next == "?" && bounds.count == 1) {
            throw refuse("has \"{\(body)}\(next)\", which engines read differently")
        }
        if peek() == "?" {
            position += 1
            output += "?"
        }
    }

    /// The rest of a group's opening. Returns whether what follows is a place for options.
    private mutating func group(
        isFirst: Bool, depth: inout Int
    ) throws(PatternError) -> Bool {
        depth += 1
        guard peek() == "?" else {
            output += "("
            return true
        }
        for opening in ["?:", "?=", "?!", "?>", "?<=", "?<!"] {
            let marks = Array(opening.unicodeScalars)
            if position + marks.count <= scalars.count,
                Array(scalars[position..<(position + marks.count)]) == marks
            {
                position += marks.count
                output += "(" + opening
                return true
            }
        }
        // Options: Ruby's m is ICU's s; both know i.
        position += 1
        var options = ""
        while let scalar = peek(), scalar != ":", scalar != ")" {
            switch scalar {
            case "i", "-": options.unicodeScalars.append(scalar)
            case "m": options += "s"
            default: throw refuse("has the group \"(?\(scalar)\", which this package does not know")
            }
            position += 1
        }
        let isScoped = peek() == ":"
        guard peek() != nil, isScoped || isFirst else {
            throw refuse("sets options in the middle of a group")
        }
        position += 1
        output += "(?\(options)\(isScoped ? ":" : ")")"
        if !isScoped { depth -= 1 }
        return true
    }

    /// An escape, at the backslash. Outside a class it is written to the output; inside, returned.
    @discardableResult
    private mutating func escape(inClass: Bool) throws(PatternError) -> String {
        guard let scalar = peek(1) else { throw refuse("ends in a backslash") }
        position += 2
        // ICU's own \b looks through combining marks.
        let word = "[\(Self.word)]"
        let set: String
        switch scalar {
        case "s": set = #"\p{White_Space}"#
        case "S": set = #"\P{White_Space}"#
        case "d": set = #"\p{Nd}"#
        case "D": set = #"\P{Nd}"#
        case "w": set = "[\(Self.word)]"
        case "W": set = "[^\(Self.word)]"
        case "h": set = "[0-9a-fA-F]"
        case "H": set = "[^0-9a-fA-F]"
        case "p", "P": set = try property(isNegated: scalar == "P")
        case "b" where inClass: set = Self.literal("\u{8}")
        case "b": set = "(?:(?<=\(word))(?!\(word))|(?<!\(word))(?=\(word)))"
        case "B": set = "(?:(?<=\(word))(?=\(word))|(?<!\(word))(?!\(word)))"
        case "A", "z", "Z":
            if inClass { throw refuse("has \"\\\(scalar)\" in a class") }
            set = "\\\(scalar)"
        default: set = Self.literal(try character(scalar))
        }
        if !inClass { output += set }
        return set
    }

    /// The character that the escape of `scalar` stands for; the position is behind `scalar`.
    private mutating func character(_ scalar: Unicode.Scalar) throws(PatternError) -> Unicode.Scalar
    {
        switch scalar {
        case "n": return "\n"
        case "r": return "\r"
        case "t": return "\t"
        case "f": return "\u{C}"
        case "v": return "\u{B}"
        case "a": return "\u{7}"
        case "e": return "\u{1B}"
        case "0": return "\0"
        case "x", "u":
            var digits = ""
            if scalar == "x", peek() == "{" {
                position += 1
                while let digit = peek(), digit != "}" {
                    digits.unicodeScalars.append(digit)
                    position += 1
                }
                position += 1
            } else {
                let count = scalar == "u" ? 4 : 2
                while digits.count < count, let digit = peek(), digit.properties.isASCIIHexDigit {
                    digits.unicodeScalars.append(digit)
                    position += 1
                }
            }
            guard let value = UInt32(digits, radix: 16), let result = Unicode.Scalar(value),
                scalar == "u" || value < 0x80 || digits.count > 2
            else { throw refuse("has a wrong \\\(scalar) escape") }
            return result
        default:
            let isSpecial =
                scalar.value < 0x80 && (scalar.properties.isAlphabetic || scalar.isNumeric)
            if isSpecial { throw refuse("has \"\\\(scalar)\", which this package does not know") }
            return scalar
        }
    }

    private mutating func property(isNegated: Bool) throws(PatternError) -> String {
        guard peek() == "{" else { throw refuse("has \\p without a brace") }
        position += 1
        var isNegated = isNegated
        if peek() == "^" {
            position += 1
            isNegated.toggle()
        }
        var name = ""
        while let scalar = peek(), scalar != "}" {
            name.unicodeScalars.append(scalar)
            position += 1
        }
        position += 1
        guard Self.knownProperties.contains(name) else {
            throw refuse(
                "has the property \"\(name.prefix(40))\", which this package does not know")
        }
        return (isNegated ? "\\P{" : "\\p{") + name + "}"
    }

    /// A class, behind its opening bracket. Each side of `&&` gets brackets of its own, since the
    /// engines give the operator different precedence.
    private mutating func characterClass(depth: Int) throws(PatternError) -> String {
        if depth > 32 { throw refuse("nests classes too deeply") }
        var isNegated = false
        if peek() == "^" {
            position += 1
            isNegated = true
        }
        var sections: [String] = [""]
        var isFirst = true
        while true {
            guard let scalar = peek() else { throw refuse("has a class without its ']'") }
            if scalar == "]", !isFirst { break }
            isFirst = false
            if scalar == "&", peek(1) == "&" {
                position += 2
                sections.append("")
                continue
            }
            sections[sections.count - 1] += try classItem(depth: depth)
        }
        position += 1
        if sections.contains("") { throw refuse("has an empty class") }
        let body =
            sections.count == 1 ? sections[0] : sections.map { "[\($0)]" }.joined(separator: "&&")
        return (isNegated ? "[^" : "[") + body + "]"
    }

    private mutating func classItem(depth: Int) throws(PatternError) -> String {
        guard let scalar = peek() else { throw refuse("has a class without its ']'") }
        if scalar == "[" {
            if peek(1) == ":" {
                throw refuse("has a POSIX bracket, which this package does not know")
            }
            position += 1
            return try characterClass(depth: depth + 1)
        }
        let first: String
        if scalar == "\\" {
            first = try escape(inClass: true)
            // A set such as \s is no end of a range.
            if !first.hasPrefix("\\x"), first.unicodeScalars.count > 1 { return first }
        } else {
            position += 1
            first = Self.literal(scalar)
        }
        guard peek() == "-", let next = peek(1), next != "]" else { return first }
        if next == "&" && peek(2) == "&" || next == "[" { return first }
        position += 1
        let last: String
        if next == "\\" {
            last = try escape(inClass: true)
            if !last.hasPrefix("\\x"), last.unicodeScalars.count > 1 {
                throw refuse("has a range that ends in a set")
            }
        } else {
            position += 1
            last = Self.literal(next)
        }
        return "\(first)-\(last)"
    }
}
