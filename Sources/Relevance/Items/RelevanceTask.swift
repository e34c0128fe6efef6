import Probing
import Scans
import Tensors

/// A reasoning task at one level: how hard it is and how many worked examples stand before the question.
public struct TaskLevel: Sendable, Equatable, CustomStringConvertible {
    public var task: GeneratedTask
    public var difficulty: Int
    public var shots: Int

    public init(task: GeneratedTask, difficulty: Int, shots: Int) {
        self.task = task
        self.difficulty = difficulty
        self.shots = shots
    }

    public static func == (one: TaskLevel, other: TaskLevel) -> Bool {
        one.description == other.description
    }

    public var description: String {
        "\(task.name):\(difficulty)" + (shots > 0 ? " (\(shots) examples)" : "")
    }

    /// The levels that the gate tries, in order: the standard difficulty and the easiest without examples,
    /// then the standard with five. Examples cost the most, in every pass that follows.
    public static func levels(of task: GeneratedTask) -> [TaskLevel] {
        let (standard, easiest) = (task.difficulty.standard, task.difficulty.easiest)
        let plain = standard == easiest ? [standard] : [standard, easiest]
        return plain.map { TaskLevel(task: task, difficulty: $0, shots: 0) }
            + [TaskLevel(task: task, difficulty: standard, shots: 5)]
    }

    /// Questions in a row that have the same worked examples: as many as run them once together.
    static let questionsOfExamples = 10
    /// Sets of worked examples, dealt out in turn.
    static let exampleSets = 30

    /// Questions of this level, each with every class as an option; the same seed gives the same ones, and
    /// the first n of more are those of n. Worked examples vary, so that the luck of five of them does not
    /// decide what the model can do; none is the question itself.
    /// - Throws: `ProbeTaskError.exhausted`.
    public func questions(_ count: Int, seed: UInt64) throws(ProbeTaskError) -> [TaskQuestion] {
        // One more than is shown, in place of one that is the question.
        let each = shots > 0 ? shots + 1 : 0
        let examples = try task.items(
            count: each * Self.exampleSets, difficulty: difficulty, seed: seed, stream: "examples")
        let questions = try task.items(
            count: count, difficulty: difficulty, seed: seed, stream: "items")
        return questions.enumerated().map { index, question in
            let set = index / Self.questionsOfExamples % Self.exampleSets
            let shown = examples[set * each..<(set + 1) * each]
                .filter { $0.text != question.text }.prefix(shots)
            return TaskQuestion(
                context: shown.map { "\($0.text) \($0.label)\n" }.joined() + question.text,
                options: task.classes.map { " " + $0 },
                gold: task.classes.firstIndex(of: question.label) ?? 0,
                foil: question.foil.flatMap { task.classes.firstIndex(of: $0) },
                template: question.template ?? 0)
        }
    }
}

/// A question as text.
public struct TaskQuestion: Sendable, Equatable {
    public var context: String
    /// With the space before them.
    public var options: [String]
    public var gold: Int
    /// The option that another question on the same text has for answer; may be the gold one.
    public var foil: Int?
    public var template: Int
}
