import Files
import Foundation
import TestSupport

/// Checks JSON against the committed schemas of `configs/schemas`: the part of JSON Schema 2020-12 that
/// they use. A keyword it does not know is a problem, so that no rule is passed over in silence.
struct SchemaValidator {
    private let root: JSON

    /// - Parameter name: such as `layers`.
    init(_ name: String) throws {
        let url = Locations.package.appending(path: "configs/schemas/\(name).schema.json")
        root = try JSON.read(path: url.path)
    }

    /// What is wrong with `value`, each with its place; empty when it is valid.
    func problems(_ value: JSON) -> [String] { check(value, root, "$") }

    /// Parsed without the subscript's habit of hiding nulls.
    private static func members(_ value: JSON) -> JSON.Object { value.objectValue ?? [:] }

    private func check(_ value: JSON, _ schema: JSON, _ place: String) -> [String] {
        var problems: [String] = []
        for (keyword, rule) in Self.members(schema) {
            problems += check(value, keyword, rule, schema, place)
        }
        return problems
    }

    private func check(
        _ value: JSON, _ keyword: String, _ rule: JSON, _ schema: JSON, _ place: String
    ) -> [String] {
        func problem(unless holds: Bool, _ text: String) -> [String] {
            holds ? [] : ["\(place): \(text), found \(value.text(indent: 0).prefix(80))"]
        }
        switch keyword {
        case "$schema", "$id", "$defs", "title", "description", "then", "else": return []
        case "$ref": return check(value, resolve(rule), place)
        case "const": return problem(unless: value == rule, "must be \(rule.text(indent: 0))")
        case "enum":
            let allowed = rule.arrayValue ?? []
            return problem(
                unless: allowed.contains(value), "must be one of \(rule.text(indent: 0))")
        case "type":
            let types = rule.arrayValue ?? [rule]
            let fits = types.contains { Self.has(value, type: $0.stringValue ?? "") }
            return problem(unless: fits, "must be \(rule.text(indent: 0))")
        case "minimum", "maximum":
            guard let number = value.doubleValue, let limit = rule.doubleValue else { return [] }
            let holds = keyword == "minimum" ? number >= limit : number <= limit
            return problem(unless: holds, "\(keyword) is \(limit)")
        case "pattern":
            guard let text = value.stringValue, let pattern = rule.stringValue else { return [] }
            let holds = text.range(of: pattern, options: .regularExpression) != nil
            return problem(unless: holds, "must match \(pattern)")
        case "items":
            return (value.arrayValue ?? []).enumerated().flatMap {
                check($1, rule, "\(place)[\($0)]")
            }
        case "anyOf":
            let choices = (rule.arrayValue ?? []).map { check(value, $0, place) }
            return problem(unless: choices.contains { $0.isEmpty }, "fits no choice of anyOf")
        case "allOf": return (rule.arrayValue ?? []).flatMap { check(value, $0, place) }
        case "if":
            let branch = check(value, rule, place).isEmpty ? "then" : "else"
            return schema[branch].map { check(value, $0, place) } ?? []
        case "required", "dependentRequired", "properties", "additionalProperties":
            guard let object = value.objectValue else { return [] }
            return checkMembers(of: object, keyword, rule, schema, place)
        default: return ["\(place): the validator does not know \"\(keyword)\""]
        }
    }

    private func checkMembers(
        of object: JSON.Object, _ keyword: String, _ rule: JSON, _ schema: JSON, _ place: String
    ) -> [String] {
        func missing(_ names: JSON) -> [String] {
            (names.arrayValue ?? []).compactMap(\.stringValue).filter { object[$0] == nil }
                .map { "\(place): \($0) is missing" }
        }
        let known = Self.members(schema["properties"] ?? .null)
        switch keyword {
        case "required": return missing(rule)
        case "dependentRequired":
            return Self.members(rule).flatMap { object[$0.key] == nil ? [] : missing($0.value) }
        case "properties":
            return known.flatMap { name, rule in
                object[name].map { check($0, rule, "\(place).\(name)") } ?? []
            }
        default:
            return object.flatMap { name, value in
                known[name] == nil ? check(value, rule, "\(place).\(name)") : []
            }
        }
    }

    private func resolve(_ reference: JSON) -> JSON {
        let path = (reference.stringValue ?? "").split(separator: "/").dropFirst()
        return path.reduce(root) { $0[String($1)] ?? .null }
    }

    private static func has(_ value: JSON, type: String) -> Bool {
        switch type {
        case "null": value == .null
        case "boolean": value.boolValue != nil
        case "integer": value.intValue != nil
        case "number": value.doubleValue != nil
        case "string": value.stringValue != nil
        case "array": value.arrayValue != nil
        case "object": value.objectValue != nil
        default: false
        }
    }
}
