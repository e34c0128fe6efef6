/// A piece of a template.
enum JinjaToken {
    case text(String)
    /// A sign, or what opens and closes a statement or an output.
    case symbol(String)
    case word(String)
    case string(String)
    case int(Int)
    case double(Double)

    /// For errors.
    var text: String {
        switch self {
        case .text(let text): "the text \"\(text.prefix(20))\""
        case .symbol(let text), .word(let text): "\"\(text)\""
        case .string(let text): "the string \"\(text.prefix(20))\""
        case .int(let value): "\(value)"
        case .double(let value): "\(value)"
        }
    }
}

/// Cuts a template into text and tokens. White space as with trim_blocks and lstrip_blocks: the line break
/// behind a statement goes, and so do the blanks before one that begins a line.
struct JinjaLexer {
    private let source: [Character]
    private var place = 0
    private var tokens: [JinjaToken] = []

    static func tokens(_ source: String) throws(ChatTemplateError) -> [JinjaToken] {
        // Python opens files so, and characters of Swift would take both for one.
        let text = source.replacing("\r\n", with: "\n")
        var lexer = JinjaLexer(source: Array(text))
        try lexer.run()
        return lexer.tokens
    }

    private init(source: [Character]) { self.source = source }

    private func at(_ index: Int, _ text: String) -> Bool {
        index + text.count <= source.count
            && zip(source[index...], text).allSatisfy { $0 == $1 }
    }

    private mutating func run() throws(ChatTemplateError) {
        var text: [Character] = []
        // A template's own last line break is no part of it.
        let end = source.last == "\n" ? source.count - 1 : source.count
        func isBlank(_ character: Character) -> Bool { character == " " || character == "\t" }
        while place < end {
            guard let opening = ["{{", "{%", "{#"].first(where: { at(place, $0) }) else {
                text.append(source[place])
                place += 1
                continue
            }
            let sign = place + 2 < source.count ? source[place + 2] : " "
            if sign == "-" {
                while let last = text.last, last.isWhitespace { text.removeLast() }
            } else if opening != "{{", sign != "+" {
                let blanks = text.reversed().prefix(while: isBlank).count
                let before = text.count - blanks
                // Only where the statement begins its line.
                let isFirst = before > 0 ? text[before - 1] == "\n" : lineBegins
                if isFirst { text.removeLast(blanks) }
            }
            if !text.isEmpty { tokens.append(.text(String(text))) }
            text = []
            place += sign == "-" || sign == "+" ? 3 : 2
            let stripsAfter: Bool
            if opening == "{#" {
                guard let close = (place..<source.count).first(where: { at($0, "#}") }) else {
                    throw .syntax("a comment does not end")
                }
                stripsAfter = close > place && source[close - 1] == "-"
                place = close + 2
            } else {
                tokens.append(.symbol(opening))
                stripsAfter = try inside(opening == "{{" ? "}}" : "%}")
            }
            if stripsAfter {
                while place < source.count, source[place].isWhitespace { place += 1 }
            } else if opening != "{{", place < source.count, source[place] == "\n" {
                place += 1
            }
            lineBegins = place > 0 && source[place - 1] == "\n"
        }
        if !text.isEmpty { tokens.append(.text(String(text))) }
    }

    /// Whether the text that is being read begins at a line's beginning.
    private var lineBegins = true

    private static let signs = [
        "==", "!=", "<=", ">=", "//", "+", "-", "*", "/", "%", "~", "<", ">", "=", "(", ")", "[",
        "]", "{", "}", ",", ".", ":", "|",
    ]

    /// Tokens up to `closing`, which is the last of them.
    /// - Returns: whether white space behind it goes.
    private mutating func inside(_ closing: String) throws(ChatTemplateError) -> Bool {
        var braces = 0
        while place < source.count {
            let character = source[place]
            if character.isWhitespace {
                place += 1
            } else if braces == 0, at(place, "-" + closing) {
                tokens.append(.symbol(closing))
                place += closing.count + 1
                return true
            } else if braces == 0, at(place, closing) {
                tokens.append(.symbol(closing))
                place += closing.count
                return false
            } else if character == "'" || character == "\"" {
                tokens.append(.string(try string(character)))
            } else if character.isASCII, character.isNumber {
                tokens.append(try number())
            } else if character.isLetter || character == "_" {
                let start = place
                while place < source.count,
                    source[place].isLetter || source[place].isNumber || source[place] == "_"
                {
                    place += 1
                }
                tokens.append(.word(String(source[start..<place])))
            } else if let sign = Self.signs.first(where: { at(place, $0) }) {
                if sign == "{" { braces += 1 }
                if sign == "}" { braces -= 1 }
                tokens.append(.symbol(sign))
                place += sign.count
            } else {
                throw .unknown("the sign \(character)")
            }
        }
        throw .syntax("\(closing) is missing")
    }

    private mutating func string(_ quote: Character) throws(ChatTemplateError) -> String {
        var text = ""
        place += 1
        while place < source.count {
            let character = source[place]
            place += 1
            if character == quote { return text }
            guard character == "\\", place < source.count else {
                text.append(character)
                continue
            }
            let escaped = source[place]
            place += 1
            switch escaped {
            case "n": text += "\n"
            case "t": text += "\t"
            case "r": text += "\r"
            case "\\", "'", "\"": text.append(escaped)
            default: throw .unknown("the escape \\\(escaped)")
            }
        }
        throw .syntax("a string does not end")
    }

    private mutating func number() throws(ChatTemplateError) -> JinjaToken {
        let start = place
        while place < source.count, source[place].isASCII, source[place].isNumber { place += 1 }
        if place + 1 < source.count, source[place] == ".", source[place + 1].isNumber {
            place += 1
            while place < source.count, source[place].isASCII, source[place].isNumber { place += 1 }
            if let value = Double(String(source[start..<place])) { return .double(value) }
        } else if let value = Int(String(source[start..<place])) {
            return .int(value)
        }
        throw .syntax("\(String(source[start..<place]).prefix(20)) is no number")
    }
}
