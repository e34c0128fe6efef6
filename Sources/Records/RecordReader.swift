import Files
import OrderedCollections

/// Reads the members of a record and says, when one is missing or of the wrong kind, which one in
/// which file.
struct RecordReader {
    let path: String
    /// Where in the file `json` stands, such as `layers[3]`; empty at the root.
    let place: String
    let json: JSON

    /// - Parameter json: the content of the file at `path`.
    init(_ json: JSON, path: String, schema: String) throws(FileError) {
        guard json["schema"]?.stringValue == schema else {
            let found = json["schema"]?.stringValue.map(\.quotedForMessage) ?? "none"
            throw .invalid(path: path, problem: "expected schema \"\(schema)\", found \(found)")
        }
        self.init(path: path, place: "", json: json)
    }

    init(path: String, place: String, json: JSON) {
        self.path = path
        self.place = place
        self.json = json
    }

    func wrong(_ key: String, _ expected: String) -> FileError {
        let found = json[key].map { "found \($0.kind)" } ?? "it is missing"
        return .invalid(
            path: path, problem: "\(place)\(key): expected \(expected), \(found)")
    }

    func member(_ key: String) throws(FileError) -> RecordReader {
        guard let value = json[key], value.objectValue != nil else { throw wrong(key, "an object") }
        return RecordReader(path: path, place: "\(place)\(key).", json: value)
    }

    func elements<Element>(
        _ key: String, _ read: (RecordReader) throws(FileError) -> Element
    ) throws(FileError) -> [Element] {
        guard let values = json[key]?.arrayValue else { throw wrong(key, "an array") }
        var elements: [Element] = []
        for (position, value) in values.enumerated() {
            elements.append(
                try read(
                    RecordReader(path: path, place: "\(place)\(key)[\(position)].", json: value)))
        }
        return elements
    }

    /// A square matrix of numbers and nulls; nil where the member is missing.
    func matrix(_ key: String) throws(FileError) -> [[Double?]]? {
        guard json[key] != nil else { return nil }
        let rows = try elements(key) { (row) throws(FileError) in row.json }
        var matrix: [[Double?]] = []
        for (index, row) in rows.enumerated() {
            guard let values = row.arrayValue, values.count == rows.count else {
                throw .invalid(
                    path: path,
                    problem:
                        "\(place)\(key)[\(index)]: expected \(rows.count) numbers, as many as rows")
            }
            matrix.append(values.map(\.doubleValue))
        }
        return matrix
    }

    func string(_ key: String) throws(FileError) -> String {
        guard let value = json[key]?.stringValue else { throw wrong(key, "a string") }
        return value
    }

    func int(_ key: String) throws(FileError) -> Int {
        guard let value = json[key]?.intValue else { throw wrong(key, "a whole number") }
        return value
    }

    /// No model has more layers, and no plan executes more: what lies beyond is no number of layers, and
    /// sums of what lies within stay far from overflow.
    static let mostLayers = 65_536

    /// A number of layers.
    func layers(_ key: String) throws(FileError) -> Int {
        let value = try int(key)
        guard (0...Self.mostLayers).contains(value) else {
            throw .invalid(
                path: path,
                problem:
                    "\(place)\(key): expected a number of layers, up to \(Self.mostLayers), found "
                    + "\(value)")
        }
        return value
    }

    func double(_ key: String) throws(FileError) -> Double {
        guard let value = json[key]?.doubleValue else { throw wrong(key, "a number") }
        return value
    }

    func bool(_ key: String) throws(FileError) -> Bool {
        guard let value = json[key]?.boolValue else { throw wrong(key, "true or false") }
        return value
    }

    /// Every pair of members `name` and `name_se`, in the order of the file.
    func estimates() -> LayersRecord.Metrics {
        let members = json.objectValue ?? [:]
        return members.keys.reduce(into: [:]) { estimates, name in
            guard let error = members[name + "_se"] else { return }
            estimates[name] = Estimate(
                mean: members[name]?.doubleValue, standardError: error.doubleValue)
        }
    }

    /// Every list of heads' values, by the name of the metric.
    func heads() -> OrderedDictionary<String, [Double?]> {
        let ending = LayersRecord.headsEnding
        return (json.objectValue ?? [:]).reduce(into: [:]) { heads, member in
            guard member.key.hasSuffix(ending), let values = member.value.arrayValue else { return }
            heads[String(member.key.dropLast(ending.count))] = values.map(\.doubleValue)
        }
    }

    /// The step of a row; nil where the file names none.
    func step() throws(FileError) -> LayersRecord.Step? {
        guard json["layer"] != nil, json["layer"] != .null else { return nil }
        return LayersRecord.Step(layer: try int("layer"), iteration: json["iteration"]?.intValue)
    }
}
