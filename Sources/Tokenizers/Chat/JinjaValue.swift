import Files

/// A value of a chat template.
indirect enum JinjaValue: Equatable {
    case undefined
    case none
    case bool(Bool)
    case int(Int)
    case double(Double)
    case string(String)
    case list([JinjaValue])
    /// In the order of its keys.
    case map([Pair])
    case namespace(JinjaNamespace)

    struct Pair: Equatable {
        var key: String
        var value: JinjaValue
    }

    init(_ json: JSON) {
        switch json {
        case .null: self = .none
        case .bool(let value): self = .bool(value)
        case .int(let value): self = .int(Int(value))
        case .double(let value): self = .double(value)
        case .string(let value): self = .string(value)
        case .array(let values): self = .list(values.map(JinjaValue.init))
        case .object(let members):
            self = .map(members.map { Pair(key: $0.key, value: JinjaValue($0.value)) })
        }
    }

    var isTrue: Bool {
        switch self {
        case .undefined, .none: false
        case .bool(let value): value
        case .int(let value): value != 0
        case .double(let value): value != 0
        case .string(let value): !value.isEmpty
        case .list(let values): !values.isEmpty
        case .map(let pairs): !pairs.isEmpty
        case .namespace: true
        }
    }

    /// As Python's `str` and Jinja's output write it; nil for what templates do not print.
    var text: String? {
        switch self {
        case .undefined: ""
        case .none: "None"
        case .bool(let value): value ? "True" : "False"
        case .int(let value): "\(value)"
        case .double(let value): "\(value)"
        case .string(let value): value
        case .list, .map, .namespace: nil
        }
    }

    /// As transformers' `tojson` writes it: Python's `json.dumps` with ensure_ascii off.
    var json: String? {
        switch self {
        case .undefined, .namespace: return nil
        case .none: return "null"
        case .bool(let value): return value ? "true" : "false"
        case .int, .double: return text
        case .string(let value): return JSON.string(value).text(indent: 0)
        case .list(let values):
            let parts = values.compactMap(\.json)
            return parts.count == values.count ? "[" + parts.joined(separator: ", ") + "]" : nil
        case .map(let pairs):
            let parts = pairs.compactMap { pair in
                pair.value.json.map { JSON.string(pair.key).text(indent: 0) + ": " + $0 }
            }
            return parts.count == pairs.count ? "{" + parts.joined(separator: ", ") + "}" : nil
        }
    }

    var number: Double? {
        switch self {
        case .int(let value): Double(value)
        case .double(let value): value
        case .bool(let value): value ? 1 : 0
        default: nil
        }
    }

    /// Equal as in Python: numbers by value.
    func equals(_ other: JinjaValue) -> Bool {
        if let a = number, let b = other.number { return a == b }
        return self == other
    }

    func member(_ key: String) -> JinjaValue {
        switch self {
        case .map(let pairs): pairs.first { $0.key == key }?.value ?? .undefined
        case .namespace(let space): space.members[key] ?? .undefined
        default: .undefined
        }
    }
}

/// What `namespace()` makes: the one thing that a loop's body can change for what follows.
final class JinjaNamespace: Equatable {
    var members: [String: JinjaValue]

    init(_ members: [String: JinjaValue]) { self.members = members }
    static func == (a: JinjaNamespace, b: JinjaNamespace) -> Bool { a === b }
}
