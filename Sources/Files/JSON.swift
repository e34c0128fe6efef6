import Foundation

/// A JSON value that keeps the order of its keys.
///
/// Checkpoint headers and configurations come from strangers, and the files this package writes are
/// read by people: Foundation's decoders lose the order of keys, accept duplicate names silently and
/// cannot bound nesting, so this module reads and writes JSON itself.
///
/// Doubles are written in the shortest form that reads back as the same value. Values that are not
/// finite have no JSON form and are written as `null`.
public enum JSON: Sendable, Equatable {
    case null
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case string(String)
    case array([JSON])
    case object(Object)
}

extension JSON {
    /// The member `key` of an object; nil for a missing key, a `null` member or any other kind of value.
    public subscript(key: String) -> JSON? {
        guard case .object(let members) = self, let value = members[key], value != .null else {
            return nil
        }
        return value
    }

    public var boolValue: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    /// The value as an integer; doubles without a fraction count, as Python writes `1e3` for 1000.
    public var intValue: Int? {
        switch self {
        case .int(let value): Int(exactly: value)
        case .double(let value): Int(exactly: value)
        default: nil
        }
    }

    public var doubleValue: Double? {
        switch self {
        case .int(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }

    public var stringValue: String? {
        if case .string(let value) = self { value } else { nil }
    }

    public var arrayValue: [JSON]? {
        if case .array(let value) = self { value } else { nil }
    }

    public var objectValue: Object? {
        if case .object(let value) = self { value } else { nil }
    }

    /// A number, or `null` when there is none or it is not finite.
    public static func number(_ value: Double?) -> JSON {
        guard let value, value.isFinite else { return .null }
        return .double(value)
    }

    public static func number(_ value: Int?) -> JSON {
        value.map { .int(Int64($0)) } ?? .null
    }

    public static func text(_ value: String?) -> JSON {
        value.map(JSON.string) ?? .null
    }

    /// What kind of value this is, in words for an error message.
    public var kind: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .int, .double: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

extension JSON: ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral,
    ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByNilLiteral
{
    public init(dictionaryLiteral elements: (String, JSON)...) {
        self = .object(Object(uniqueKeysWithValues: elements))
    }
    public init(arrayLiteral elements: JSON...) { self = .array(elements) }
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .int(value) }
    public init(floatLiteral value: Double) { self = .double(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(nilLiteral: ()) { self = .null }
}

// MARK: - Writing

extension JSON {
    /// The value as text. `indent` 0 gives one line; otherwise objects break over lines, and arrays
    /// of plain values stay on one.
    public func text(indent: Int = 2) -> String {
        var out: [UInt8] = []
        write(to: &out, indent: indent, depth: 0)
        return String(decoding: out, as: UTF8.self)
    }

    private var isPlain: Bool {
        switch self {
        case .array, .object: false
        default: true
        }
    }

    private func write(to out: inout [UInt8], indent: Int, depth: Int) {
        switch self {
        case .null: out += "null".utf8
        case .bool(let value): out += (value ? "true" : "false").utf8
        case .int(let value): out += String(value).utf8
        case .double(let value): out += (value.isFinite ? "\(value)" : "null").utf8
        case .string(let value): JSON.write(value, to: &out)
        case .array(let values):
            let breaks = indent > 0 && !values.allSatisfy(\.isPlain)
            out.append(UInt8(ascii: "["))
            for (position, value) in values.enumerated() {
                if position > 0 { out += (breaks || indent == 0 ? "," : ", ").utf8 }
                if breaks { JSON.newLine(&out, indent * (depth + 1)) }
                value.write(to: &out, indent: indent, depth: depth + 1)
            }
            if breaks { JSON.newLine(&out, indent * depth) }
            out.append(UInt8(ascii: "]"))
        case .object(let members):
            out.append(UInt8(ascii: "{"))
            for (position, member) in members.enumerated() {
                if position > 0 { out.append(UInt8(ascii: ",")) }
                if indent > 0 { JSON.newLine(&out, indent * (depth + 1)) }
                JSON.write(member.key, to: &out)
                out += (indent > 0 ? ": " : ":").utf8
                member.value.write(to: &out, indent: indent, depth: depth + 1)
            }
            if indent > 0 && !members.isEmpty { JSON.newLine(&out, indent * depth) }
            out.append(UInt8(ascii: "}"))
        }
    }

    private static func newLine(_ out: inout [UInt8], _ spaces: Int) {
        out.append(UInt8(ascii: "\n"))
        out += repeatElement(UInt8(ascii: " "), count: spaces)
    }

    private static func write(_ string: String, to out: inout [UInt8]) {
        out.append(UInt8(ascii: "\""))
        for byte in string.utf8 {
            switch byte {
            case UInt8(ascii: "\""): out += #"\""#.utf8
            case UInt8(ascii: "\\"): out += #"\\"#.utf8
            case 0x0A: out += #"\n"#.utf8
            case 0x0D: out += #"\r"#.utf8
            case 0x09: out += #"\t"#.utf8
            case 0..<0x20, 0x7F:
                let hex = String(byte, radix: 16)
                out += ("\\u" + String(repeating: "0", count: 4 - hex.count) + hex).utf8
            default: out.append(byte)
            }
        }
        out.append(UInt8(ascii: "\""))
    }
}
