import Foundation

/// Filters, tests and methods that chat templates use, with Python's results.
enum JinjaLibrary {
    static func filter(
        _ name: String, _ value: JinjaValue, _ arguments: [JinjaValue],
        _ named: [String: JinjaValue]
    ) throws(ChatTemplateError) -> JinjaValue {
        guard named.keys.allSatisfy({ name == "default" && $0 == "boolean" }) else {
            throw .unknown("named arguments of the filter \(name)")
        }
        switch (name, value, arguments.count) {
        case ("trim", .string(let text), 0): return .string(stripped(text, nil, true, true))
        case ("length", .list(let values), 0), ("count", .list(let values), 0):
            return .int(values.count)
        case ("length", .map(let pairs), 0), ("count", .map(let pairs), 0): return .int(pairs.count)
        case ("length", .string(let text), 0), ("count", .string(let text), 0):
            return .int(text.unicodeScalars.count)
        case ("length", .undefined, 0): return .int(0)
        case ("tojson", _, 0):
            guard let text = value.json else { throw .failed("tojson of what is not defined") }
            return .string(text)
        case ("upper", .string(let text), 0): return .string(text.uppercased())
        case ("lower", .string(let text), 0): return .string(text.lowercased())
        case ("capitalize", .string(let text), 0):
            return .string(text.prefix(1).uppercased() + text.dropFirst().lowercased())
        case ("string", _, 0):
            guard let text = value.text else { throw .unknown("string of a list or an object") }
            return .string(text)
        case ("int", _, 0):
            if case .string(let text) = value { return .int(Int(text) ?? 0) }
            return .int(value.number.flatMap { Int(exactly: $0.rounded(.towardZero)) } ?? 0)
        case ("first", .list(let values), 0): return values.first ?? .undefined
        case ("last", .list(let values), 0): return values.last ?? .undefined
        case ("list", .list, 0): return value
        case ("reverse", .list(let values), 0): return .list(values.reversed())
        case ("items", .map(let pairs), 0):
            return .list(pairs.map { .list([.string($0.key), $0.value]) })
        case ("safe", _, 0): return value
        case ("default", _, 0...2), ("d", _, 0...2):
            let byTruth = (arguments.count > 1 ? arguments[1] : named["boolean"])?.isTrue ?? false
            let isMissing = byTruth ? !value.isTrue : value == .undefined
            return isMissing ? arguments.first ?? .string("") : value
        case ("join", .list(let values), 0...1):
            let texts = values.compactMap(\.text)
            guard texts.count == values.count else { throw .unknown("join of lists or objects") }
            return .string(texts.joined(separator: arguments.first?.text ?? ""))
        case ("replace", .string(let text), 2):
            guard case .string(let old) = arguments[0], case .string(let new) = arguments[1],
                !old.isEmpty
            else { throw .failed("replace takes two strings") }
            return .string(text.replacingOccurrences(of: old, with: new, options: .literal))
        case ("selectattr", .list(let values), 1...3), ("rejectattr", .list(let values), 1...3):
            guard case .string(let key) = arguments[0] else {
                throw .failed("\(name) takes a member's name")
            }
            var kept: [JinjaValue] = []
            for value in values {
                let member = value.member(key)
                var holds = member.isTrue
                if arguments.count > 1, case .string(let test) = arguments[1] {
                    holds = try Self.test(test, member, Array(arguments.dropFirst(2)))
                }
                if holds == (name == "selectattr") { kept.append(value) }
            }
            return .list(kept)
        case ("map", .list(let values), 1):
            guard case .string(let filter) = arguments[0] else {
                throw .failed("map takes a filter's name")
            }
            var found: [JinjaValue] = []
            for value in values { found.append(try Self.filter(filter, value, [], [:])) }
            return .list(found)
        default: throw .unknown("the filter \(name) of such a value")
        }
    }

    static func test(
        _ name: String, _ value: JinjaValue, _ arguments: [JinjaValue]
    ) throws(ChatTemplateError) -> Bool {
        switch (name, value, arguments.count) {
        case ("defined", _, 0): return value != .undefined
        case ("undefined", _, 0): return value == .undefined
        case ("none", _, 0): return value == .none
        case ("true", _, 0): return value == .bool(true)
        case ("false", _, 0): return value == .bool(false)
        case ("boolean", _, 0): if case .bool = value { return true } else { return false }
        case ("string", _, 0): if case .string = value { return true } else { return false }
        case ("mapping", _, 0): if case .map = value { return true } else { return false }
        case ("number", _, 0):
            if case .int = value { return true }
            if case .double = value { return true }
            return false
        case ("integer", _, 0): if case .int = value { return true } else { return false }
        case ("iterable", _, 0), ("sequence", _, 0):
            switch value {
            case .list, .map, .string: return true
            default: return false
            }
        case ("equalto", _, 1), ("eq", _, 1): return value.equals(arguments[0])
        case ("odd", .int(let number), 0): return number % 2 != 0
        case ("even", .int(let number), 0): return number % 2 == 0
        default: throw .unknown("the test \"is \(name)\"")
        }
    }

    static func method(
        _ name: String, _ value: JinjaValue, _ arguments: [JinjaValue]
    ) throws(ChatTemplateError) -> JinjaValue {
        let texts = arguments.compactMap { if case .string(let text) = $0 { text } else { nil } }
        switch (name, value, arguments.count) {
        case ("strip", .string(let text), 0...1):
            return .string(stripped(text, texts.first, true, true))
        case ("lstrip", .string(let text), 0...1):
            return .string(stripped(text, texts.first, true, false))
        case ("rstrip", .string(let text), 0...1):
            return .string(stripped(text, texts.first, false, true))
        case ("startswith", .string(let text), 1) where texts.count == 1:
            return .bool(text.utf8.starts(with: texts[0].utf8))
        case ("endswith", .string(let text), 1) where texts.count == 1:
            return .bool(text.utf8.reversed().starts(with: texts[0].utf8.reversed()))
        case ("upper", .string(let text), 0): return .string(text.uppercased())
        case ("lower", .string(let text), 0): return .string(text.lowercased())
        case ("split", .string(let text), 1) where texts.count == 1 && !texts[0].isEmpty:
            return .list(text.components(separatedBy: texts[0]).map(JinjaValue.string))
        case ("split", .string(let text), 0):
            return .list(
                text.split(whereSeparator: \.isWhitespace).map { .string(String($0)) })
        case ("replace", .string(let text), 2) where texts.count == 2 && !texts[0].isEmpty:
            return .string(
                text.replacingOccurrences(of: texts[0], with: texts[1], options: .literal))
        case ("items", .map, 0): return try filter("items", value, [], [:])
        case ("keys", .map(let pairs), 0): return .list(pairs.map { .string($0.key) })
        case ("values", .map(let pairs), 0): return .list(pairs.map(\.value))
        case ("get", .map(let pairs), 1...2) where texts.count >= 1:
            return pairs.first { $0.key == texts[0] }?.value
                ?? (arguments.count > 1 ? arguments[1] : .none)
        default: throw .unknown("the method .\(name)() of such a value")
        }
    }

    /// - Parameter characters: what goes; white space when nil.
    private static func stripped(
        _ text: String, _ characters: String?, _ atStart: Bool, _ atEnd: Bool
    ) -> String {
        let set = characters.map { Set($0.unicodeScalars) }
        func goes(_ scalar: Unicode.Scalar) -> Bool {
            // Python's str.strip also takes the four information separators.
            set?.contains(scalar)
                ?? (scalar.properties.isWhitespace || (0x1C...0x1F).contains(scalar.value))
        }
        var scalars = Substring(text).unicodeScalars
        if atStart { while let first = scalars.first, goes(first) { scalars.removeFirst() } }
        if atEnd { while let last = scalars.last, goes(last) { scalars.removeLast() } }
        return String(scalars)
    }
}
