import Foundation

/// Runs a parsed template. Every step counts, so that none runs for ever.
struct JinjaRuntime {
    /// Steps of a template: far above what a long conversation takes.
    static let mostSteps = 5_000_000
    private static let mostText = 64 << 20

    private var scopes: [[String: JinjaValue]]
    private var out = ""
    private var steps = 0
    /// Whether a name without a value is an error.
    private var isStrict = false

    static func render(
        _ nodes: [JinjaNode], _ variables: [String: JinjaValue], isStrict: Bool = false
    ) throws(ChatTemplateError) -> String {
        var runtime = JinjaRuntime(scopes: [variables])
        runtime.isStrict = isStrict
        try runtime.run(nodes)
        return runtime.out
    }

    private init(scopes: [[String: JinjaValue]]) { self.scopes = scopes }

    private mutating func count(_ amount: Int = 1) throws(ChatTemplateError) {
        steps += amount
        guard steps <= Self.mostSteps, out.utf8.count <= Self.mostText else { throw .endless }
    }

    private mutating func run(_ nodes: [JinjaNode]) throws(ChatTemplateError) {
        for node in nodes {
            try count()
            switch node {
            case .text(let text): out += text
            case .output(let expression):
                let value = try evaluate(expression)
                guard let text = value.text else { throw .unknown("writing a list or an object") }
                out += text
            case .set(let name, nil, let expression):
                scopes[scopes.count - 1][name] = try evaluate(expression)
            case .set(let name, let member?, let expression):
                guard case .namespace(let space) = lookUp(name) else {
                    throw .failed("\(name).\(member) is set, and \(name) is no namespace")
                }
                space.members[member] = try evaluate(expression)
            case .conditional(let branches, let otherwise):
                var isDone = false
                for (condition, body) in branches {
                    guard try evaluate(condition).isTrue else { continue }
                    try run(body)
                    isDone = true
                    break
                }
                if !isDone { try run(otherwise) }
            case .loop(let names, let over, let filter, let body, let otherwise):
                try loop(names, try items(evaluate(over)), filter, body, otherwise)
            }
        }
    }

    private static let functions: Set = ["raise_exception", "namespace", "range", "strftime_now"]

    private func lookUp(_ name: String) -> JinjaValue {
        for scope in scopes.reversed() { if let value = scope[name] { return value } }
        // Templates ask whether a function is defined before they call it.
        return Self.functions.contains(name) ? .namespace(JinjaNamespace([:])) : .undefined
    }

    private func items(_ value: JinjaValue) throws(ChatTemplateError) -> [JinjaValue] {
        switch value {
        case .list(let values): values
        case .map(let pairs): pairs.map { .string($0.key) }
        case .string(let text): text.map { .string(String($0)) }
        case .undefined: []
        default: throw .failed("a loop over what is no list")
        }
    }

    private mutating func loop(
        _ names: [String], _ values: [JinjaValue], _ filter: JinjaExpression?,
        _ body: [JinjaNode], _ otherwise: [JinjaNode]
    ) throws(ChatTemplateError) {
        func bound(_ value: JinjaValue) throws(ChatTemplateError) -> [String: JinjaValue] {
            if names.count == 1 { return [names[0]: value] }
            guard case .list(let parts) = value, parts.count == names.count else {
                throw .failed("\(names.count) names for what has other parts")
            }
            return Dictionary(zip(names, parts)) { $1 }
        }
        var kept: [[String: JinjaValue]] = []
        for value in values {
            try count()
            let scope = try bound(value)
            if let filter {
                scopes.append(scope)
                defer { scopes.removeLast() }
                guard try evaluate(filter).isTrue else { continue }
            }
            kept.append(scope)
        }
        if kept.isEmpty { return try run(otherwise) }
        for (index, scope) in kept.enumerated() {
            var scope = scope
            func neighbour(_ index: Int) -> JinjaValue {
                guard kept.indices.contains(index), names.count == 1 else { return .undefined }
                return kept[index][names[0]] ?? .undefined
            }
            scope["loop"] = .map([
                .init(key: "index", value: .int(index + 1)),
                .init(key: "index0", value: .int(index)),
                .init(key: "revindex", value: .int(kept.count - index)),
                .init(key: "revindex0", value: .int(kept.count - index - 1)),
                .init(key: "first", value: .bool(index == 0)),
                .init(key: "last", value: .bool(index == kept.count - 1)),
                .init(key: "length", value: .int(kept.count)),
                .init(key: "previtem", value: neighbour(index - 1)),
                .init(key: "nextitem", value: neighbour(index + 1)),
            ])
            scopes.append(scope)
            defer { scopes.removeLast() }
            try run(body)
        }
    }

    // MARK: Expressions

    private mutating func evaluate(
        _ expression: JinjaExpression
    ) throws(ChatTemplateError) -> JinjaValue {
        try count()
        switch expression {
        case .value(let value): return value
        case .name(let name):
            let value = lookUp(name)
            if isStrict, case .undefined = value {
                throw .failed("there is no \(name.quotedForMessage)")
            }
            return value
        case .list(let parts): return .list(try all(parts))
        case .map(let pairs):
            var found: [JinjaValue.Pair] = []
            for (key, value) in pairs {
                guard case .string(let key) = try evaluate(key) else {
                    throw .unknown("an object's key that is no string")
                }
                found.append(.init(key: key, value: try evaluate(value)))
            }
            return .map(found)
        case .unary("not", let value): return .bool(!(try evaluate(value).isTrue))
        case .unary(_, let value):
            switch try evaluate(value) {
            case .int(let value): return .int(0 &- value)
            case .double(let value): return .double(-value)
            default: throw .failed("- before what is no number")
            }
        case .binary("and", let a, let b):
            let first = try evaluate(a)
            return first.isTrue ? try evaluate(b) : first
        case .binary("or", let a, let b):
            let first = try evaluate(a)
            return first.isTrue ? first : try evaluate(b)
        case .binary(let sign, let a, let b):
            return try Self.apply(sign, try evaluate(a), try evaluate(b))
        case .choice(let value, let condition, let otherwise):
            if try evaluate(condition).isTrue { return try evaluate(value) }
            return try otherwise.map { expression throws(ChatTemplateError) in
                try evaluate(expression)
            } ?? .undefined
        case .member(let value, let name): return try evaluate(value).member(name)
        case .index(let value, let index): return try Self.at(evaluate(value), evaluate(index))
        case .slice(let value, let first, let second, let third):
            return try slice(evaluate(value), [first, second, third])
        case .call(let callee, let values, let named): return try call(callee, values, named)
        case .filter(let value, let name, let arguments, let named):
            let value = try evaluate(value)
            let arguments = try all(arguments)
            var names: [String: JinjaValue] = [:]
            for (name, value) in named { names[name] = try evaluate(value) }
            return try JinjaLibrary.filter(name, value, arguments, names)
        case .test(let value, let name, let arguments, let negated):
            let found = try JinjaLibrary.test(name, evaluate(value), all(arguments))
            return .bool(found != negated)
        }
    }

    private mutating func all(
        _ expressions: [JinjaExpression]
    ) throws(ChatTemplateError) -> [JinjaValue] {
        var values: [JinjaValue] = []
        for expression in expressions { values.append(try evaluate(expression)) }
        return values
    }

    private mutating func call(
        _ callee: JinjaExpression, _ values: [JinjaExpression], _ named: [(String, JinjaExpression)]
    ) throws(ChatTemplateError) -> JinjaValue {
        let arguments = try all(values)
        if case .member(let object, let name) = callee {
            guard named.isEmpty else { throw .unknown("named arguments of .\(name)()") }
            return try JinjaLibrary.method(name, evaluate(object), arguments)
        }
        guard case .name(let name) = callee else { throw .unknown("a call of what has no name") }
        switch name {
        case "raise_exception": throw .refused(arguments.first?.text ?? "")
        case "namespace":
            var members: [String: JinjaValue] = [:]
            for (name, value) in named { members[name] = try evaluate(value) }
            return .namespace(JinjaNamespace(members))
        case "range":
            let numbers = arguments.compactMap {
                if case .int(let value) = $0 { value } else { nil }
            }
            guard numbers.count == arguments.count, 1...3 ~= numbers.count,
                numbers.count < 3 || numbers[2] != 0
            else { throw .failed("range() takes one to three whole numbers") }
            let (first, end) = numbers.count == 1 ? (0, numbers[0]) : (numbers[0], numbers[1])
            let step = numbers.count == 3 ? numbers[2] : 1
            let (distance, overflow) = end.subtractingReportingOverflow(first)
            guard !overflow, abs(distance / step) < Self.mostSteps else { throw .endless }
            let found = Array(stride(from: first, to: end, by: step))
            try count(found.count)
            return .list(found.map(JinjaValue.int))
        case "strftime_now":
            guard case .string(let format)? = arguments.first else {
                throw .failed("strftime_now() takes a format")
            }
            return .string(Self.now(format))
        default: throw .unknown("the function \(name)()")
        }
    }

    private static func now(_ format: String) -> String {
        var seconds = time(nil)
        var parts = tm()
        localtime_r(&seconds, &parts)
        var buffer = [CChar](repeating: 0, count: 256)
        let length = strftime(&buffer, buffer.count, format, &parts)
        return String(decoding: buffer[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func apply(
        _ sign: String, _ a: JinjaValue, _ b: JinjaValue
    ) throws(ChatTemplateError) -> JinjaValue {
        switch (sign, a, b) {
        case ("==", _, _): return .bool(a.equals(b))
        case ("!=", _, _): return .bool(!a.equals(b))
        case ("in", _, _): return .bool(try contains(b, a))
        case ("not in", _, _): return .bool(!(try contains(b, a)))
        case ("~", _, _):
            guard let first = a.text, let second = b.text else {
                throw .unknown("~ with a list or an object")
            }
            guard first.utf8.count + second.utf8.count <= mostText else { throw .endless }
            return .string(first + second)
        case ("+", .string(let first), .string(let second)):
            guard first.utf8.count + second.utf8.count <= mostText else { throw .endless }
            return .string(first + second)
        case ("+", .list(let first), .list(let second)):
            guard first.count + second.count <= mostSteps else { throw .endless }
            return .list(first + second)
        case (_, .string(let first), .string(let second)):
            switch sign {
            case "<":
                return .bool(first.unicodeScalars.lexicographicallyPrecedes(second.unicodeScalars))
            case ">":
                return .bool(second.unicodeScalars.lexicographicallyPrecedes(first.unicodeScalars))
            default: break
            }
        case (_, .int(let first), .int(let second)):
            let result: (Int, overflow: Bool)?
            switch sign {
            case "+": result = first.addingReportingOverflow(second)
            case "-": result = first.subtractingReportingOverflow(second)
            case "*": result = first.multipliedReportingOverflow(by: second)
            case "%" where second != 0:
                // As in Python: the sign of the divisor.
                let rest = first % second
                result = (rest != 0 && (rest < 0) != (second < 0) ? rest + second : rest, false)
            case "//" where second > 0:
                result = (Int((Double(first) / Double(second)).rounded(.down)), false)
            default: result = nil
            }
            if let result, !result.overflow { return .int(result.0) }
            fallthrough
        default:
            guard let first = a.number, let second = b.number else { break }
            switch sign {
            case "<": return .bool(first < second)
            case ">": return .bool(first > second)
            case "<=": return .bool(first <= second)
            case ">=": return .bool(first >= second)
            case "+": return .double(first + second)
            case "-": return .double(first - second)
            case "*": return .double(first * second)
            case "/" where second != 0: return .double(first / second)
            default: break
            }
        }
        throw .failed("\(sign) between what it does not stand between")
    }

    private static func contains(
        _ whole: JinjaValue, _ part: JinjaValue
    ) throws(ChatTemplateError) -> Bool {
        switch (whole, part) {
        case (.string(let text), .string(let word)): word.isEmpty || text.contains(word)
        case (.list(let values), _): values.contains { $0.equals(part) }
        case (.map(let pairs), .string(let key)): pairs.contains { $0.key == key }
        case (.undefined, _): false
        default: throw .failed("\"in\" what holds nothing")
        }
    }

    private static func at(
        _ value: JinjaValue, _ index: JinjaValue
    ) throws(ChatTemplateError) -> JinjaValue {
        switch (value, index) {
        case (_, .string(let key)): return value.member(key)
        case (.list(let values), .int(let place)):
            let place = place < 0 ? place + values.count : place
            return values.indices.contains(place) ? values[place] : .undefined
        case (.string(let text), .int(let place)):
            let scalars = Array(text.unicodeScalars)
            let place = place < 0 ? place + scalars.count : place
            return scalars.indices.contains(place) ? .string(String(scalars[place])) : .undefined
        default: throw .failed("an index into what has none")
        }
    }

    private mutating func slice(
        _ value: JinjaValue, _ bounds: [JinjaExpression?]
    ) throws(ChatTemplateError) -> JinjaValue {
        var numbers: [Int?] = []
        for bound in bounds {
            guard let bound else {
                numbers.append(nil)
                continue
            }
            guard case .int(let number) = try evaluate(bound) else {
                throw .failed("a slice's bound is no whole number")
            }
            numbers.append(number)
        }
        let step = numbers[2] ?? 1
        guard step == 1 || step == -1 else { throw .unknown("a slice with steps of \(step)") }
        func places(_ count: Int) -> [Int] {
            func clamp(_ bound: Int, _ low: Int, _ high: Int) -> Int {
                min(max(bound < 0 ? bound + count : bound, low), high)
            }
            if step == 1 {
                let first = numbers[0].map { clamp($0, 0, count) } ?? 0
                let end = numbers[1].map { clamp($0, 0, count) } ?? count
                return first < end ? Array(first..<end) : []
            }
            let first = numbers[0].map { clamp($0, -1, count - 1) } ?? count - 1
            let end = numbers[1].map { clamp($0, -1, count - 1) } ?? -1
            return first > end ? Array((end + 1...first).reversed()) : []
        }
        switch value {
        case .list(let values): return .list(places(values.count).map { values[$0] })
        case .string(let text):
            let scalars = Array(text.unicodeScalars)
            var found = String.UnicodeScalarView()
            for place in places(scalars.count) { found.append(scalars[place]) }
            return .string(String(found))
        default: throw .failed("a slice of what is neither list nor string")
        }
    }
}
