import Yams

/// YAML as the JSON values that the package knows: plain scalars that look like numbers are numbers, also
/// where YAML 1.1 takes them for text (`1e-5`); quoted ones are text.
public enum YAML {
    /// - Parameter path: named in errors.
    /// - Throws: `FileError.invalid` for text that is no YAML.
    public static func parse(_ text: String, path: String) throws(FileError) -> JSON {
        let node: Node?
        do { node = try Yams.compose(yaml: text) } catch {
            throw .invalid(path: path, problem: "not valid YAML: \(error)".onOneLine)
        }
        guard let node else { return .object([:]) }
        return json(node)
    }

    /// A file's.
    /// - Throws: `FileError`.
    public static func read(path: String) throws(FileError) -> JSON {
        guard let text = String(validating: try MappedFile.contents(path: path), as: UTF8.self)
        else { throw .invalid(path: path, problem: "not UTF-8 text") }
        return try parse(text, path: path)
    }

    private static func json(_ node: Node) -> JSON {
        switch node {
        case .scalar(let scalar):
            return scalar.style == .plain || scalar.style == .any
                ? plain(scalar.string) : .string(scalar.string)
        case .sequence(let sequence): return .array(sequence.map(json))
        case .mapping(let mapping):
            return .object(
                JSON.Object(
                    uniqueKeysWithValues: mapping.map { ($0.key.string ?? "", json($0.value)) }))
        case .alias: return .null
        }
    }

    /// A scalar without quotes.
    static func plain(_ text: String) -> JSON {
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        default: break
        }
        if let whole = Int64(text) { return .int(whole) }
        let isNumber = text.utf8.allSatisfy { "+-.0123456789eE".utf8.contains($0) }
        if isNumber, let number = Double(text), number.isFinite { return .double(number) }
        return .string(text)
    }
}
