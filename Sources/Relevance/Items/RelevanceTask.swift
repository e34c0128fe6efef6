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

    /// Questions of this level, each with every class as an option; the same seed gives the same ones, and
    /// the first n of more are those of n.
    /// - Throws: `ProbeTaskError.exhausted`.
    public func questions(_ count: Int, seed: UInt64) throws(ProbeTaskError) -> [TaskQuestion] {
        let examples = try task.items(
            count: shots, difficulty: difficulty, seed: seed, stream: "examples")
        let head = examples.map { "\($0.text) \($0.label)\n" }.joined()
        return try task.items(count: count, difficulty: difficulty, seed: seed, stream: "items")
            .map { example in
                TaskQuestion(
                    context: head + example.text, options: task.classes.map { " " + $0 },
                    gold: task.classes.firstIndex(of: example.label) ?? 0,
                    foil: example.foil.flatMap { task.classes.firstIndex(of: $0) },
                    template: example.template ?? 0)
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
