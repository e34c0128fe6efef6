import Files

/// A part of a `tokenizer.json` that knows where it stands, so that an error can say so.
struct Node {
    let path: String
    let place: String
    let json: JSON

    func invalid(_ problem: String) -> TokenizerError {
        .invalid(path: path, place: place, problem: problem)
    }

    func unsupported(_ component: String, _ name: String, _ known: [String]) -> TokenizerError {
        .unsupported(path: path, component: component, name: name, known: known)
    }

    private func wrong(_ key: String, _ expected: String) -> TokenizerError {
        let found = json[key]?.kind ?? "nothing"
        return invalid("\"\(key)\" should be \(expected), and is \(found)")
    }

    func member(_ key: String, default value: JSON? = nil) throws(TokenizerError) -> Node {
        guard let member = json[key] ?? value else { throw wrong(key, "an object") }
        return Node(path: path, place: "\(place).\(key)", json: member)
    }

    func string(_ key: String) throws(TokenizerError) -> String {
        guard let value = json[key]?.stringValue else { throw wrong(key, "a string") }
        return value
    }

    func bytes(_ key: String) throws(TokenizerError) -> [UInt8] { Array(try string(key).utf8) }

    func bool(_ key: String, default value: Bool? = nil) throws(TokenizerError) -> Bool {
        if json[key] == nil, let value { return value }
        guard let value = json[key]?.boolValue else { throw wrong(key, "true or false") }
        return value
    }

    func count(_ key: String) throws(TokenizerError) -> Int {
        guard let value = json[key]?.intValue, value >= 0, value <= 1 << 20 else {
            throw wrong(key, "a small number")
        }
        return value
    }

    func elements(_ key: String, default value: [JSON]? = nil) throws(TokenizerError) -> [Node] {
        guard let elements = json[key] == nil ? value : json[key]?.arrayValue else {
            throw wrong(key, "an array")
        }
        return elements.enumerated().map { index, element in
            Node(path: path, place: "\(place).\(key)[\(index)]", json: element)
        }
    }
}
