import Files
import Probing
import Reporting

/// `etd-analyze tasks`: lists, explains and writes the generated tasks.
public struct TasksRun {
    var tasks: [(task: GeneratedTask, difficulty: Int)]
    var named: Bool
    var shown: Int
    var count: Int
    var seed: UInt64
    var out: String?
    var overwrite: Bool

    /// - Parameters:
    ///   - named: whether tasks were named; otherwise the text lists all of them.
    ///   - shown: examples of each in the text.
    ///   - count: examples of each that are generated and written.
    public init(
        tasks: ChosenTasks, named: Bool, shown: Int, count: Int, seed: UInt64, out: String?,
        overwrite: Bool
    ) {
        self.tasks = tasks.tasks
        self.named = named
        self.shown = shown
        self.count = count
        self.seed = seed
        self.out = out
        self.overwrite = overwrite
    }

    /// - Returns: what to print.
    public func run(style: TerminalStyle, width: Int) throws -> String {
        if let out {
            do {
                try FeatureFiles.prepare(out)
            } catch {
                throw CommandError.flag(name: "--out", problem: "\(error)")
            }
            // All of them before the first is written.
            let outputs = try tasks.map {
                try Output(Paths.join(out, $0.task.name + ".jsonl"), overwrite: overwrite)
            }
            var lines: [String] = []
            for ((task, difficulty), output) in zip(tasks, outputs) {
                let data = try ProbeTaskData.generated(
                    task, difficulty: difficulty, count: count, seed: seed)
                try output.write(
                    data.examples.map { $0.json.text(indent: 0) + "\n" }.joined().utf8)
                lines.append("\(output.name): \(data.examples.count) examples")
            }
            return lines.map { $0 + "\n" }.joined()
        }
        return named ? try explained(style, width) : table(style)
    }

    private func table(_ style: TerminalStyle) -> String {
        TerminalTable(
            columns: [
                .init("Task"), .init("Kind"), .init("Classes", isNumeric: true),
                .init("Difficulty"), .init("Asks"),
            ],
            rows: tasks.map { task, difficulty in
                [
                    task.name, task.kind.rawValue, "\(task.classes.count)",
                    "\(difficulty) \(task.difficulty.name)", task.summary,
                ]
            }
        ).text(style: style)
    }

    private func explained(_ style: TerminalStyle, _ width: Int) throws -> String {
        var parts: [String] = []
        for (task, difficulty) in tasks {
            let range = task.difficulty.range
            var text = style.bold(task.name) + " (\(task.kind.rawValue))\n\(task.summary)\n\n"
            text += TerminalSummary.wrapped(task.explanation, width: width)
            text += "\nClasses: \(task.classes.joined(separator: ", "))\n"
            text +=
                "Difficulty: \(task.difficulty.name), \(range.lowerBound) to \(range.upperBound); "
                + "here \(difficulty)\n"
            let data = try ProbeTaskData.generated(
                task, difficulty: difficulty, count: max(count, shown * 2), seed: seed)
            for example in data.examples.prefix(shown) {
                text += "\n\(example.text)\n  \(style.dim("→ " + example.label))\n"
            }
            parts.append(text)
        }
        return parts.joined(separator: "\n")
    }
}
