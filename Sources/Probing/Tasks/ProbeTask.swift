import Files
import Tensors

/// One text with a label at one of its tokens.
public struct ProbeExample: Sendable, Equatable {
    /// What an example is for: fitting, choosing the strength, or the reported figures.
    public enum Split: String, Sendable, CaseIterable {
        case train, validation, test
    }

    public var text: String
    public var label: String
    /// Of a generated reasoning task, the class that another question on the same text, or the same with a
    /// step left out, has for answer. It may be the label.
    public var foil: String?
    /// The character whose token is read: its zero-based place among the text's Unicode scalars.
    public var position: Int
    /// What the control task gives a random label to (Hewitt and Liang 2019): a property of the text
    /// that recurs and says little about the label.
    public var item: String
    public var split: Split
    /// Which wording the generator took; nil for data of the user's own.
    public var template: Int?
    /// Names and words put into the wording; no split shares one with another.
    public var entities: [String]
    /// What the label follows from, such as `3+4+4`; no split shares one with another. Empty where the
    /// entities alone keep the splits apart.
    public var key: String

    public init(
        text: String, label: String, foil: String? = nil, position: Int, item: String,
        split: Split, template: Int? = nil, entities: [String] = [], key: String = ""
    ) {
        self.text = text
        self.label = label
        self.foil = foil
        self.position = position
        self.item = item
        self.split = split
        self.template = template
        self.entities = entities
        self.key = key
    }

    /// One line of the files that `etd-analyze tasks --out` writes; `--probe-data` reads it back.
    public var json: JSON {
        [
            "text": .string(text), "label": .string(label), "position": .number(position),
            "item": .string(item), "split": .string(split.rawValue),
            "template": .number(template), "entities": .array(entities.map(JSON.string)),
            "key": .string(key),
        ]
    }
}

/// What a task's answer rests on.
public enum ProbeTaskKind: String, Sendable {
    /// The label follows from the text by some steps.
    case reasoning
    /// The label is a property of the token itself, its neighbour or its place: a control.
    case surface
    /// The user's own data: neither is known.
    case data
}

/// How hard a generated task is: one whole number with a meaning of its own.
public struct TaskDifficulty: Sendable {
    /// What it counts, such as `steps`.
    public var name: String
    public var standard: Int
    /// Where enough different examples exist that splits share nothing.
    public var range: ClosedRange<Int>
    /// The least that items which are not divided may have.
    public var easiest: Int

    init(name: String, standard: Int, range: ClosedRange<Int>, easiest: Int? = nil) {
        self.name = name
        self.standard = standard
        self.range = range
        self.easiest = easiest ?? range.lowerBound
    }
}

/// A task that the project generates.
///
/// Splits share neither wording nor entity nor the content a label follows from. Labels are balanced:
/// each class has as many examples as any other, give or take one. The same seed gives the same
/// examples on every machine (SplitMix64 and FNV-1a; whole-number arithmetic only).
public struct GeneratedTask: Sendable {
    public let name: String
    public let kind: ProbeTaskKind
    /// One line.
    public let summary: String
    /// What is asked, how it is made hard, and what the control task's items are.
    public let explanation: String
    public let difficulty: TaskDifficulty
    public let classes: [String]
    let draw: @Sendable (inout TaskDraw) -> TaskDraft
}

/// One candidate; taken if its label is the one wanted and its key belongs to the split.
struct TaskDraft {
    var text: String
    var label: String
    /// Of a reasoning task: what another question on the same text, or a step left out, would answer. One
    /// of the classes.
    var foil: String?
    var item: String
    var entities: [String] = []
    var key: String = ""
}

/// What a task draws from: chance, and the wordings and words of one split.
struct TaskDraw {
    var random: SplitMix64
    /// nil draws from all wordings and words.
    let split: ProbeExample.Split?
    let difficulty: Int
    /// 0…3 are for training, 4 for validation, 5 for testing.
    var template = 0

    static let templates = 6

    mutating func below(_ bound: Int) -> Int { random.below(bound) }

    mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[random.below(elements.count)]
    }

    /// A whole number in `range`, all equally likely.
    mutating func number(_ range: ClosedRange<Int>) -> Int {
        range.lowerBound + random.below(range.count)
    }

    mutating func shuffled<Element>(_ elements: [Element]) -> [Element] {
        var elements = elements
        for index in elements.indices.dropFirst().reversed() {
            elements.swapAt(index, random.below(index + 1))
        }
        return elements
    }

    /// The part of a pool that belongs to this split: three fifths, one fifth, one fifth, in order.
    func own<Element>(_ pool: [Element]) -> [Element] {
        let first = pool.count * 3 / 5
        let second = first + (pool.count - first) / 2
        switch split {
        case .train: return Array(pool[..<first])
        case .validation: return Array(pool[first..<second])
        case .test: return Array(pool[second...])
        case nil: return pool
        }
    }

    /// Different words of this split's part of a pool.
    mutating func words(_ count: Int, from pool: [String]) -> [String] {
        Array(shuffled(own(pool)).prefix(count))
    }

    mutating func chooseTemplate() {
        switch split {
        case .train: template = random.below(Self.templates - 2)
        case .validation: template = Self.templates - 2
        case .test: template = Self.templates - 1
        case nil: template = random.below(Self.templates)
        }
    }
}

/// FNV-1a over UTF-8, finished with SplitMix64's mixer, so that any of its bits may be used.
enum StableHash {
    static func of(_ text: String) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        var mixer = SplitMix64(seed: hash)
        return mixer.next()
    }
}

extension GeneratedTask {
    /// How many of `count` examples each split gets: a fifth for validation, a fifth for testing.
    public static func sizes(_ count: Int) -> [ProbeExample.Split: Int] {
        [.train: count - 2 * (count / 5), .validation: count / 5, .test: count / 5]
    }

    /// Draws that may fail for one example before the task is called exhausted.
    private static let attempts = 50_000

    /// - Parameters:
    ///   - count: of all splits together; training first, testing last.
    ///   - difficulty: the standard one when nil.
    /// - Throws: `ProbeTaskError.difficulty` outside the range, `.exhausted` when no further different
    ///   example is found.
    public func examples(
        count: Int, difficulty: Int? = nil, seed: UInt64
    ) throws(ProbeTaskError) -> [ProbeExample] {
        let difficulty = difficulty ?? self.difficulty.standard
        guard self.difficulty.range.contains(difficulty) else {
            throw .difficulty(
                task: name, asked: difficulty, name: self.difficulty.name,
                range: self.difficulty.range)
        }
        var examples: [ProbeExample] = []
        for split in ProbeExample.Split.allCases {
            var draw = TaskDraw(
                random: SplitMix64(
                    seed: StableHash.of("\(seed)|\(name)|\(difficulty)|\(split.rawValue)")),
                split: split, difficulty: difficulty)
            let part = try self.part(Self.sizes(count)[split] ?? 0, of: count, &draw)
            examples += draw.shuffled(part)
        }
        return examples
    }

    /// Examples that are not divided: every wording and word may occur in any of them. The first n of more
    /// are those of n.
    /// - Parameter stream: names one of several lists of a seed.
    /// - Throws: `ProbeTaskError.exhausted` when no further different example is found.
    package func items(
        count: Int, difficulty: Int, seed: UInt64, stream: String
    ) throws(ProbeTaskError) -> [ProbeExample] {
        var draw = TaskDraw(
            random: SplitMix64(seed: StableHash.of("\(seed)|\(name)|\(difficulty)|\(stream)")),
            split: nil, difficulty: difficulty)
        return try part(count, of: count, &draw)
    }

    /// Different examples, classes in turn.
    private func part(
        _ size: Int, of count: Int, _ draw: inout TaskDraw
    ) throws(ProbeTaskError) -> [ProbeExample] {
        var seen: Set<String> = []
        var part: [ProbeExample] = []
        for index in 0..<size {
            let wanted = classes[index % classes.count]
            var found: ProbeExample?
            var attempt = 0
            while found == nil, attempt < Self.attempts {
                attempt += 1
                draw.chooseTemplate()
                let draft = self.draw(&draw)
                guard draft.label == wanted,
                    draw.split == nil || Self.split(of: draft.key) ?? draw.split == draw.split,
                    seen.insert(draft.text).inserted
                else { continue }
                found = ProbeExample(
                    text: draft.text, label: draft.label, foil: draft.foil,
                    position: draft.text.unicodeScalars.count - 1, item: draft.item,
                    split: draw.split ?? .train, template: draw.template,
                    entities: draft.entities, key: draft.key)
            }
            guard let found else {
                throw .exhausted(task: name, difficulty: draw.difficulty, count: count)
            }
            part.append(found)
        }
        return part
    }

    /// The split that a content belongs to, by its hash; nil for none.
    private static func split(of key: String) -> ProbeExample.Split? {
        guard !key.isEmpty else { return nil }
        switch StableHash.of(key) % 5 {
        case 0, 1, 2: return .train
        case 3: return .validation
        default: return .test
        }
    }
}

/// Why a task or its data cannot be used.
public enum ProbeTaskError: Error, Equatable, CustomStringConvertible {
    case unknown(name: String, nearest: String?)
    case difficulty(task: String, asked: Int, name: String, range: ClosedRange<Int>)
    case malformed(text: String)
    case repeated(task: String)
    case exhausted(task: String, difficulty: Int, count: Int)
    case tooFew(count: Int, least: Int)
    case line(path: String, line: Int, problem: String)
    case data(path: String, problem: String)

    public var description: String {
        switch self {
        case .unknown(let name, let nearest):
            "no task \"\(name)\""
                + (nearest.map { "; did you mean \"\($0)\"?" } ?? "")
                + " (`etd-analyze tasks` lists them)"
        case .difficulty(let task, let asked, let name, let range):
            "task \(task): \(asked) \(name) asked for; it takes \(range.lowerBound) to "
                + "\(range.upperBound)"
        case .malformed(let text):
            "\"\(text)\" is not NAME or NAME:DIFFICULTY with a whole number"
        case .repeated(let task): "task \(task) stands there twice; name each task once"
        case .exhausted(let task, let difficulty, let count):
            "task \(task):\(difficulty) has not \(count) different examples with balanced labels; "
                + "ask for fewer or a higher difficulty"
        case .tooFew(let count, let least):
            "\(count) examples are too few: this task needs at least \(least), so that every split has "
                + "every class"
        case .line(let path, let line, let problem): "\(path): line \(line): \(problem)"
        case .data(let path, let problem): "\(path): \(problem)"
        }
    }
}

/// Every generated task, and how the command line names them.
public enum ProbeTasks {
    public static let all: [GeneratedTask] = [
        .runningSum, .variableAssignment, .entityTracking, .comparisonChain, .booleanExpression,
        .bracketDepth, .dateArithmetic, .syllogism, .tokenClass, .positionBucket, .wordLength,
        .previousToken,
    ]

    /// - Throws: `ProbeTaskError.unknown` with the nearest name.
    public static func named(_ name: String) throws(ProbeTaskError) -> GeneratedTask {
        if let task = all.first(where: { $0.name == name }) { return task }
        throw .unknown(name: name, nearest: NearestName.of(name, among: all.map(\.name)))
    }

    /// Reads `running_sum,syllogism:4`: names with, after a colon, a difficulty.
    public static func parse(
        _ text: String
    ) throws(ProbeTaskError) -> [(task: GeneratedTask, difficulty: Int)] {
        var chosen: [(task: GeneratedTask, difficulty: Int)] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let pieces = part.split(separator: ":", omittingEmptySubsequences: false)
            let task = try named(String(pieces[0]))
            var difficulty = task.difficulty.standard
            if pieces.count > 1 {
                guard pieces.count == 2, let asked = Int(pieces[1]) else {
                    throw .malformed(text: String(part))
                }
                guard task.difficulty.range.contains(asked) else {
                    throw .difficulty(
                        task: task.name, asked: asked, name: task.difficulty.name,
                        range: task.difficulty.range)
                }
                difficulty = asked
            }
            if chosen.contains(where: { $0.task.name == task.name }) {
                throw .repeated(task: task.name)
            }
            chosen.append((task, difficulty))
        }
        return chosen
    }
}
