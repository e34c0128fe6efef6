import Activations
import Corpus
import Files

/// What JSON lines say of their documents: numbers or texts by task, one per document or per token.
enum DumpLabels {
    enum Kind { case integer, number, text }

    struct Task {
        var name: String
        var kind: Kind
        var perToken: Bool

        /// The labels of these documents' stored rows. A token that was added (BOS) has none of its own:
        /// -1, NaN or an empty text stands there.
        func stored(_ documents: [Document], _ layout: DumpLayout) -> DumpTable.Labels {
            var found: [JSON] = []
            for document in documents {
                let value = document.labels[name] ?? .null
                guard perToken else {
                    found.append(value)
                    continue
                }
                let values = value.arrayValue ?? []
                let length = document.tokens.count
                for row in 0..<layout.positions.count(before: length, of: length) {
                    let place = layout.positions.position(row, of: length) - document.addedTokens
                    found.append(place < 0 ? .null : values[place])
                }
            }
            let values: DumpTable.Values =
                switch kind {
                case .integer:
                    .integers(
                        found.map { $0 == true ? 1 : $0 == false ? 0 : Int64($0.intValue ?? -1) })
                case .number: .numbers(found.map { $0.doubleValue ?? .nan })
                case .text: .texts(found.map { $0.stringValue ?? "" })
                }
            return DumpTable.Labels(task: name, perToken: perToken, values: values)
        }
    }

    /// The tasks of all documents, so that every shard stores the same types.
    /// - Throws: `CommandError.flag` naming the document whose label is missing or of another kind.
    static func read(_ documents: [Document], path: String?) throws -> [Task] {
        func wrong(_ document: Int, _ problem: String) -> CommandError {
            .flag(
                name: "--labels",
                problem: "\(path ?? DefaultText.name): document \(document) (from 0) \(problem)")
        }
        let names = Set(documents.flatMap(\.labels.keys)).sorted()
        guard !names.isEmpty else { throw wrong(0, "has neither \"label\" nor \"labels\"") }
        return try names.map { name in
            guard Paths.isPlainName(name) else {
                throw wrong(0, "has a task \(name.quotedForMessage), which is no plain name")
            }
            var task: Task?
            for (index, document) in documents.enumerated() {
                guard let value = document.labels[name], value != .null else {
                    throw wrong(index, "has no label for \(name.quotedForMessage), as others do")
                }
                let perToken = value.arrayValue != nil
                let own = document.tokens.count - document.addedTokens
                if let values = value.arrayValue, values.count < own {
                    throw wrong(
                        index,
                        "has \(values.count) labels for \(name.quotedForMessage) and \(own) tokens")
                }
                for value in value.arrayValue ?? [value] {
                    let kind: Kind
                    if value == true || value == false || value.intValue != nil {
                        kind = .integer
                    } else if value.doubleValue != nil {
                        kind = .number
                    } else if value.stringValue != nil {
                        kind = .text
                    } else {
                        throw wrong(index, "has \(value.kind) as label \(name.quotedForMessage)")
                    }
                    guard let known = task else {
                        task = Task(name: name, kind: kind, perToken: perToken)
                        continue
                    }
                    guard known.perToken == perToken, (known.kind == .text) == (kind == .text)
                    else {
                        throw wrong(
                            index,
                            "has a label \(name.quotedForMessage) of another kind than others")
                    }
                    if kind == .number { task?.kind = .number }
                }
            }
            return task ?? Task(name: name, kind: .integer, perToken: true)
        }
    }
}
