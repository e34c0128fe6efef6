import Corpus
import Files

/// A task with its examples, whoever made them. Training examples first, then validation, then test.
public struct ProbeTaskData: Sendable {
    public var name: String
    public var kind: ProbeTaskKind
    /// Of a generated task; nil for data of the user's own.
    public var difficulty: Int?
    /// The file, for data of the user's own.
    public var path: String?
    public var classes: [String]
    public var examples: [ProbeExample]
    /// Line numbers of the examples in `path`, from 1; empty for a generated task.
    public var lines: [Int] = []

    public init(
        name: String, kind: ProbeTaskKind, difficulty: Int?, path: String?, classes: [String],
        examples: [ProbeExample], lines: [Int] = []
    ) {
        self.name = name
        self.kind = kind
        self.difficulty = difficulty
        self.path = path
        self.classes = classes
        self.examples = examples
        self.lines = lines
    }

    /// - Throws: `ProbeTaskError.tooFew` when a split would lack a class.
    public static func generated(
        _ task: GeneratedTask, difficulty: Int, count: Int, seed: UInt64
    ) throws(ProbeTaskError) -> ProbeTaskData {
        let least = task.classes.count * 5
        guard count >= least else { throw .tooFew(count: count, least: least) }
        return ProbeTaskData(
            name: task.name, kind: task.kind, difficulty: difficulty, path: nil,
            classes: task.classes,
            examples: try task.examples(count: count, difficulty: difficulty, seed: seed))
    }

    public func range(_ split: ProbeExample.Split) -> Range<Int> {
        let first = examples.firstIndex { $0.split == split } ?? 0
        return first..<first + examples.count { $0.split == split }
    }
}

/// Reads `--probe-data`: lines of JSON with `text`, `label` and, as they please, `position` (the
/// character whose token is read, from 0, in Unicode scalars; the last one when missing), `item` and
/// `split`.
///
/// Without `split`, each class is cut into three fifths, one fifth and one fifth by the hash of its
/// texts; equal texts stay together. Without `item`, the control task gives a label to each text, so no
/// item of a test example was seen in training and its accuracy is what guessing gives.
public enum ProbeDataReader {
    private struct Line {
        var number: Int
        var example: ProbeExample
        var hasSplit: Bool
    }

    /// - Throws: `ProbeTaskError` naming the file and, where there is one, the line.
    public static func read(path: String) throws(ProbeTaskError) -> ProbeTaskData {
        func reading<Result>(
            _ body: () throws(CorpusError) -> Result
        ) throws(ProbeTaskError) -> Result {
            do throws(CorpusError) {
                return try body()
            } catch {
                throw .data(path: path, problem: "\(error)".replacing("\(path): ", with: ""))
            }
        }
        let file = try reading { () throws(CorpusError) in try TextLines(path: path) }
        var lines: [Line] = []
        var number = 0
        while let content = try reading({ () throws(CorpusError) in try file.next() }) {
            number += 1
            if content.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) { continue }
            lines.append(try line(content, number: number, path: path))
        }
        guard !lines.isEmpty else { throw .data(path: path, problem: "holds no example") }
        let withSplit = lines.count { $0.hasSplit }
        guard withSplit == 0 || withSplit == lines.count else {
            let missing = lines.first { !$0.hasSplit }?.number ?? 0
            throw .line(
                path: path, line: missing,
                problem: "has no \"split\", but other lines have; give it to all lines or to none")
        }
        let classes = Set(lines.map(\.example.label)).sorted()
        guard classes.count > 1 else {
            throw .data(
                path: path,
                problem:
                    "all \(lines.count) examples have the label \"\(classes[0])\"; a probe needs "
                    + "two classes or more")
        }
        if withSplit == 0 { assignSplits(&lines, classes) }
        try check(lines, classes, path: path)
        let ordered = ProbeExample.Split.allCases.flatMap { split in
            lines.filter { $0.example.split == split }
        }
        let name = path.split(separator: "/").last.map(String.init) ?? path
        return ProbeTaskData(
            name: name, kind: .data, difficulty: nil, path: path, classes: classes,
            examples: ordered.map(\.example), lines: ordered.map(\.number))
    }

    private static func line(
        _ content: [UInt8], number: Int, path: String
    ) throws(ProbeTaskError) -> Line {
        func wrong(_ problem: String) -> ProbeTaskError {
            .line(path: path, line: number, problem: problem)
        }
        let json: JSON
        do {
            json = try JSON.parse(content)
        } catch {
            throw wrong("not valid JSON: \(error)")
        }
        guard let text = json["text"]?.stringValue, !text.isEmpty else {
            throw wrong("expected a \"text\" that is a string and not empty")
        }
        let label: String
        switch json["label"] {
        case .string(let value): label = value
        case .int(let value): label = String(value)
        case .bool(let value): label = String(value)
        default: throw wrong("expected a \"label\" that is a string, a whole number or a boolean")
        }
        let length = text.unicodeScalars.count
        var position = length - 1
        if let given = json["position"] {
            guard let value = given.intValue else {
                throw wrong(
                    "\"position\" is \(given.kind); expected the whole number of a character")
            }
            guard (0..<length).contains(value) else {
                throw wrong(
                    "\"position\" \(value) lies outside the text, whose characters are 0 to "
                        + "\(length - 1)")
            }
            position = value
        }
        var split: ProbeExample.Split?
        if let given = json["split"] {
            split = given.stringValue.flatMap(ProbeExample.Split.init)
            guard split != nil else {
                throw wrong(
                    "\"split\" is \(given.text(indent: 0)); expected train, validation or test")
            }
        }
        var item = text
        if let given = json["item"] {
            guard let value = given.stringValue ?? given.intValue.map(String.init) else {
                throw wrong("\"item\" is \(given.kind); expected a string or a whole number")
            }
            item = value
        }
        return Line(
            number: number,
            example: ProbeExample(
                text: text, label: label, position: position, item: item, split: split ?? .train),
            hasSplit: split != nil)
    }

    private static func assignSplits(_ lines: inout [Line], _ classes: [String]) {
        // A text belongs to the class it has first, wherever else it stands.
        var owner: [String: String] = [:]
        for line in lines where owner[line.example.text] == nil {
            owner[line.example.text] = line.example.label
        }
        var splits: [String: ProbeExample.Split] = [:]
        for label in classes {
            let texts = owner.filter { $0.value == label }.keys
                .map { (hash: StableHash.of($0), text: $0) }
                .sorted { ($0.hash, $0.text) < ($1.hash, $1.text) }
            let sizes = GeneratedTask.sizes(texts.count)
            for (index, entry) in texts.enumerated() {
                let first = sizes[.train] ?? 0
                let second = first + (sizes[.validation] ?? 0)
                splits[entry.text] = index < first ? .train : index < second ? .validation : .test
            }
        }
        for index in lines.indices {
            lines[index].example.split = splits[lines[index].example.text] ?? .train
        }
    }

    private static func check(
        _ lines: [Line], _ classes: [String], path: String
    ) throws(ProbeTaskError) {
        guard lines.count >= classes.count * 5 else {
            throw .data(
                path: path,
                problem:
                    "\(lines.count) examples for \(classes.count) classes; a probe needs at least "
                    + "5 of each")
        }
        for split in ProbeExample.Split.allCases {
            let present = Set(
                lines.lazy.filter { $0.example.split == split }.map(\.example.label))
            if present.isEmpty {
                throw .data(path: path, problem: "has no example in the split \(split.rawValue)")
            }
            if split == .train, let missing = classes.first(where: { !present.contains($0) }) {
                throw .data(
                    path: path,
                    problem: "the label \"\(missing)\" has no training example; give at least 5 of "
                        + "each label")
            }
            if split == .train, present.count < 2 {
                throw .data(path: path, problem: "its training examples have one class only")
            }
        }
    }
}
