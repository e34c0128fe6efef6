/// Statements of a template.
indirect enum JinjaNode {
    case text(String)
    case output(JinjaExpression)
    case set(name: String, member: String?, JinjaExpression)
    case conditional([(JinjaExpression, [JinjaNode])], otherwise: [JinjaNode])
    case loop(
        names: [String], over: JinjaExpression, filter: JinjaExpression?, body: [JinjaNode],
        otherwise: [JinjaNode])
}

indirect enum JinjaExpression {
    case value(JinjaValue)
    case name(String)
    case list([JinjaExpression])
    case map([(JinjaExpression, JinjaExpression)])
    case unary(String, JinjaExpression)
    case binary(String, JinjaExpression, JinjaExpression)
    case choice(JinjaExpression, if: JinjaExpression, otherwise: JinjaExpression?)
    case member(JinjaExpression, String)
    case index(JinjaExpression, JinjaExpression)
    case slice(JinjaExpression, JinjaExpression?, JinjaExpression?, JinjaExpression?)
    case call(JinjaExpression, [JinjaExpression], named: [(String, JinjaExpression)])
    case filter(JinjaExpression, String, [JinjaExpression], named: [(String, JinjaExpression)])
    case test(JinjaExpression, String, [JinjaExpression], negated: Bool)
}

/// Reads the subset of Jinja that chat templates use, with trim_blocks and lstrip_blocks, as transformers
/// sets them. What it does not know is an error that names it.
struct JinjaParser {
    private var tokens: [JinjaToken]
    private var place = 0
    private var depth = 0

    /// - Throws: `ChatTemplateError`.
    static func parse(_ source: String) throws(ChatTemplateError) -> [JinjaNode] {
        var parser = JinjaParser(tokens: try JinjaLexer.tokens(source))
        let nodes = try parser.nodes(until: [])
        return nodes
    }

    private init(tokens: [JinjaToken]) { self.tokens = tokens }

    private var next: JinjaToken? { place < tokens.count ? tokens[place] : nil }

    private mutating func take(_ symbol: String) -> Bool {
        guard case .symbol(symbol)? = next else { return false }
        place += 1
        return true
    }

    private mutating func takeWord(_ word: String) -> Bool {
        guard case .word(word)? = next else { return false }
        place += 1
        return true
    }

    private mutating func need(_ symbol: String) throws(ChatTemplateError) {
        guard take(symbol) else { throw wrong("\"\(symbol)\" is missing") }
    }

    private mutating func word() throws(ChatTemplateError) -> String {
        guard case .word(let word)? = next else { throw wrong("a name is missing") }
        place += 1
        return word
    }

    private func wrong(_ problem: String) -> ChatTemplateError {
        .syntax("\(problem), before \(next.map(\.text) ?? "the template's end")")
    }

    // MARK: Statements

    /// - Parameter ends: words of the statements that end this part; the statement's opening and its
    ///   word are then taken.
    private mutating func nodes(until ends: [String]) throws(ChatTemplateError) -> [JinjaNode] {
        depth += 1
        defer { depth -= 1 }
        guard depth < 200 else { throw wrong("statements are nested too deeply") }
        var found: [JinjaNode] = []
        while let token = next {
            place += 1
            switch token {
            case .text(let text): found.append(.text(text))
            case .symbol("{{"):
                found.append(.output(try expression()))
                try need("}}")
            case .symbol("{%"):
                let word = try word()
                if ends.contains(word) {
                    last = word
                    return found
                }
                found.append(contentsOf: try statement(word))
            default: throw wrong("\(token.text) is not expected")
            }
        }
        guard ends.isEmpty else { throw wrong("\(ends.joined(separator: " or ")) is missing") }
        return found
    }

    /// The word that ended the last part.
    private var last = ""

    private mutating func statement(_ word: String) throws(ChatTemplateError) -> [JinjaNode] {
        switch word {
        case "set":
            let name = try self.word()
            let member = take(".") ? try self.word() : nil
            try need("=")
            let value = try expression()
            try need("%}")
            return [.set(name: name, member: member, value)]
        case "if":
            var branches: [(JinjaExpression, [JinjaNode])] = []
            var otherwise: [JinjaNode] = []
            repeat {
                let condition = try expression()
                try need("%}")
                branches.append((condition, try nodes(until: ["elif", "else", "endif"])))
            } while last == "elif"
            if last == "else" {
                try need("%}")
                otherwise = try nodes(until: ["endif"])
            }
            try need("%}")
            return [.conditional(branches, otherwise: otherwise)]
        case "for":
            var names = [try self.word()]
            while take(",") { names.append(try self.word()) }
            guard takeWord("in") else { throw wrong("\"in\" is missing") }
            let over = try disjunction()
            let filter = takeWord("if") ? try expression() : nil
            try need("%}")
            let body = try nodes(until: ["else", "endfor"])
            var otherwise: [JinjaNode] = []
            if last == "else" {
                try need("%}")
                otherwise = try nodes(until: ["endfor"])
            }
            try need("%}")
            return [
                .loop(names: names, over: over, filter: filter, body: body, otherwise: otherwise)
            ]
        // What transformers marks for training; the text is that of its body.
        case "generation":
            try need("%}")
            let body = try nodes(until: ["endgeneration"])
            try need("%}")
            return body
        default: throw .unknown("the statement {% \(word) %}")
        }
    }

    // MARK: Expressions, by rising precedence

    private mutating func expression() throws(ChatTemplateError) -> JinjaExpression {
        depth += 1
        defer { depth -= 1 }
        guard depth < 200 else { throw wrong("expressions are nested too deeply") }
        let value = try disjunction()
        guard takeWord("if") else { return value }
        let condition = try disjunction()
        return .choice(value, if: condition, otherwise: takeWord("else") ? try expression() : nil)
    }

    private mutating func disjunction() throws(ChatTemplateError) -> JinjaExpression {
        var value = try conjunction()
        while takeWord("or") { value = .binary("or", value, try conjunction()) }
        return value
    }

    private mutating func conjunction() throws(ChatTemplateError) -> JinjaExpression {
        var value = try negation()
        while takeWord("and") { value = .binary("and", value, try negation()) }
        return value
    }

    private mutating func negation() throws(ChatTemplateError) -> JinjaExpression {
        var count = 0
        while takeWord("not") { count += 1 }
        let value = try comparison()
        return (0..<count).reduce(value) { value, _ in .unary("not", value) }
    }

    private mutating func comparison() throws(ChatTemplateError) -> JinjaExpression {
        var value = try sum()
        var isFirst = true
        while true {
            let sign: String
            if let found = ["==", "!=", "<=", ">=", "<", ">"].first(where: { take($0) }) {
                sign = found
            } else if takeWord("in") {
                sign = "in"
            } else if case .word("not")? = next, place + 1 < tokens.count,
                case .word("in") = tokens[place + 1]
            {
                place += 2
                sign = "not in"
            } else {
                return value
            }
            guard isFirst else { throw .unknown("comparisons in a row") }
            isFirst = false
            value = .binary(sign, value, try sum())
        }
    }

    private mutating func sum() throws(ChatTemplateError) -> JinjaExpression {
        var value = try product()
        while let sign = ["+", "-", "~"].first(where: { take($0) }) {
            value = .binary(sign, value, try product())
        }
        return value
    }

    private mutating func product() throws(ChatTemplateError) -> JinjaExpression {
        var value = try signed()
        while let sign = ["*", "//", "/", "%"].first(where: { take($0) }) {
            value = .binary(sign, value, try signed())
        }
        return value
    }

    private mutating func signed() throws(ChatTemplateError) -> JinjaExpression {
        var count = 0
        while take("-") { count += 1 }
        let value = try filtered()
        return (0..<count).reduce(value) { value, _ in .unary("-", value) }
    }

    /// Members, calls, filters and tests behind a value.
    private mutating func filtered() throws(ChatTemplateError) -> JinjaExpression {
        var value = try primary()
        while true {
            if take(".") {
                value = .member(value, try word())
            } else if take("[") {
                value = try subscripted(value)
            } else if take("(") {
                let (values, named) = try arguments()
                value = .call(value, values, named: named)
            } else if take("|") {
                let name = try word()
                let (values, named) = take("(") ? try arguments() : ([], [])
                value = .filter(value, name, values, named: named)
            } else if takeWord("is") {
                let negated = takeWord("not")
                let name = try word()
                let values = take("(") ? try arguments().0 : []
                value = .test(value, name, values, negated: negated)
            } else {
                return value
            }
        }
    }

    private mutating func subscripted(
        _ value: JinjaExpression
    ) throws(ChatTemplateError) -> JinjaExpression {
        func isEnd(_ parser: JinjaParser) -> Bool {
            switch parser.next {
            case .symbol(":")?, .symbol("]")?: true
            default: false
            }
        }
        let first = isEnd(self) ? nil : try expression()
        guard take(":") else {
            guard let first else { throw wrong("an index is missing") }
            try need("]")
            return .index(value, first)
        }
        let second = isEnd(self) ? nil : try expression()
        var third: JinjaExpression?
        if take(":") { third = isEnd(self) ? nil : try expression() }
        try need("]")
        return .slice(value, first, second, third)
    }

    private mutating func arguments() throws(ChatTemplateError) -> (
        [JinjaExpression], [(String, JinjaExpression)]
    ) {
        var values: [JinjaExpression] = []
        var named: [(String, JinjaExpression)] = []
        while !take(")") {
            if case .word(let name)? = next, place + 1 < tokens.count,
                case .symbol("=") = tokens[place + 1]
            {
                place += 2
                named.append((name, try expression()))
            } else {
                values.append(try expression())
            }
            if !take(",") {
                try need(")")
                break
            }
        }
        return (values, named)
    }

    private mutating func primary() throws(ChatTemplateError) -> JinjaExpression {
        guard let token = next else { throw wrong("a value is missing") }
        place += 1
        switch token {
        case .string(let text):
            var whole = text
            while case .string(let more)? = next {
                whole += more
                place += 1
            }
            return .value(.string(whole))
        case .int(let value): return .value(.int(value))
        case .double(let value): return .value(.double(value))
        case .word("true"), .word("True"): return .value(.bool(true))
        case .word("false"), .word("False"): return .value(.bool(false))
        case .word("none"), .word("None"): return .value(.none)
        case .word(let name): return .name(name)
        case .symbol("("):
            var values = [try expression()]
            var isTuple = false
            while take(",") {
                isTuple = true
                if case .symbol(")")? = next { break }
                values.append(try expression())
            }
            try need(")")
            return isTuple ? .list(values) : values[0]
        case .symbol("["):
            var values: [JinjaExpression] = []
            while !take("]") {
                values.append(try expression())
                if !take(",") {
                    try need("]")
                    break
                }
            }
            return .list(values)
        case .symbol("{"):
            var pairs: [(JinjaExpression, JinjaExpression)] = []
            while !take("}") {
                let key = try expression()
                try need(":")
                pairs.append((key, try expression()))
                if !take(",") {
                    try need("}")
                    break
                }
            }
            return .map(pairs)
        default:
            place -= 1
            throw wrong("a value is missing")
        }
    }
}
