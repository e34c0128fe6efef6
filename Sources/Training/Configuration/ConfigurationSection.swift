import Files

/// One mapping of a configuration, whose keys are all known.
struct ConfigurationSection {
    let path: String
    /// What stands before its keys in messages: nothing, or `optimizer.`.
    let prefix: String
    let values: JSON.Object

    /// - Throws: `TrainingError.key` for a key that is not among `known`, with one that may have been meant.
    init(
        _ json: JSON, path: String, prefix: String = "", known: [String]
    ) throws(TrainingError) {
        guard let values = json.objectValue else {
            throw .key(
                path: path, key: prefix.isEmpty ? "the file" : String(prefix.dropLast()),
                problem: "expected keys with values, not \(json.kind)")
        }
        for key in values.keys where !known.contains(key) {
            let near = NearestName.of(key, among: known)
            let advice =
                near.map { "did you mean \(prefix)\($0)?" }
                ?? "known are \(known.joined(separator: ", "))"
            throw .key(
                path: path, key: (prefix + key).quotedForMessage,
                problem: "is no key of a training; \(advice)")
        }
        self.path = path
        self.prefix = prefix
        self.values = values
    }

    func error(_ key: String, _ problem: String) -> TrainingError {
        .key(path: path, key: prefix + key, problem: problem)
    }

    /// Nil where it is missing or null.
    subscript(key: String) -> JSON? {
        values[key].flatMap { $0 == .null ? nil : $0 }
    }

    func section(_ key: String, known: [String]) throws(TrainingError) -> ConfigurationSection? {
        guard let value = self[key] else { return nil }
        return try ConfigurationSection(
            value, path: path, prefix: prefix + key + ".", known: known)
    }

    func number(
        _ key: String, default standard: Double?, in range: ClosedRange<Double>
    ) throws(TrainingError) -> Double {
        guard let value = self[key] else {
            guard let standard else { throw error(key, "is missing; give a number") }
            return standard
        }
        guard let number = value.doubleValue, range.contains(number) else {
            throw error(
                key,
                "expected a number from \(range.lowerBound) to \(range.upperBound), not "
                    + value.text(indent: 0))
        }
        return number
    }

    func count(
        _ key: String, default standard: Int?, in range: ClosedRange<Int> = 1...1 << 40
    ) throws(TrainingError) -> Int {
        guard let value = self[key] else {
            guard let standard else { throw error(key, "is missing; give a whole number") }
            return standard
        }
        guard let number = value.intValue, range.contains(number) else {
            throw error(
                key,
                "expected a whole number from \(range.lowerBound) to \(range.upperBound), not "
                    + value.text(indent: 0))
        }
        return number
    }

    func flag(_ key: String, default standard: Bool) throws(TrainingError) -> Bool {
        guard let value = self[key] else { return standard }
        guard let flag = value.boolValue else {
            throw error(key, "expected true or false, not \(value.text(indent: 0))")
        }
        return flag
    }

    func text(_ key: String, default standard: String?) throws(TrainingError) -> String {
        guard let value = self[key] else {
            guard let standard else { throw error(key, "is missing") }
            return standard
        }
        guard let text = value.stringValue else {
            throw error(key, "expected text, not \(value.text(indent: 0))")
        }
        return text
    }

    /// One of an enumeration's names.
    func choice<Choice: RawRepresentable & CaseIterable>(
        _ key: String, default standard: Choice
    ) throws(TrainingError) -> Choice where Choice.RawValue == String {
        let name = try text(key, default: standard.rawValue)
        guard let choice = Choice(rawValue: name) else {
            let names = Choice.allCases.map(\.rawValue)
            let near = NearestName.of(name, among: names).map { "; did you mean \($0)?" } ?? ""
            throw error(
                key, "\(name.quotedForMessage) is none of \(names.joined(separator: ", "))\(near)")
        }
        return choice
    }
}
