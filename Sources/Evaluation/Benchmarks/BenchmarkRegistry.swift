import Files

/// The benchmarks of the paper on Encode, Think, Decode, one a line.
public enum BenchmarkRegistry {
    public static let all: [Benchmark] = [
        .triviaQA, .naturalQuestions,
        .boolQ, .openBookQA, .drop,
        .commonsenseQA, .hellaSwag, .socialIQA, .winoGrande,
        .arcEasy, .arcChallenge, .mmlu, .mmluPro, .agiEval,
        .bbh,
        .gsm8k, .minervaMath,
    ]

    /// The benchmark of that name; `bbh_<subtask>` is BBH with one subtask.
    public static func named(_ name: String) -> Benchmark? {
        if let found = all.first(where: { $0.name == name }) { return found }
        guard name.hasPrefix("bbh_") else { return nil }
        let subtask = String(name.dropFirst(4))
        return Benchmark.bbh.subtasks?.contains(subtask) == true
            ? Benchmark.bbh.restricted(to: subtask) : nil
    }

    /// What names, groups and `all` stand for, in order, each once.
    /// - Throws: `EvaluationError.unknownTask`.
    public static func resolve(_ names: [String]) throws(EvaluationError) -> [Benchmark] {
        var found: [Benchmark] = []
        for name in names {
            let matches: [Benchmark]
            if name == "all" {
                matches = all
            } else if let benchmark = named(name) {
                matches = [benchmark]
            } else if let group = Benchmark.Group.named.first(where: { $0.rawValue == name }) {
                matches = all.filter { $0.group == group }
            } else {
                throw .unknownTask(name: name, suggestion: suggestion(name), known: knownNames)
            }
            for match in matches where !found.contains(where: { $0.name == match.name }) {
                found.append(match)
            }
        }
        return found
    }

    private static var knownNames: [String] {
        all.map(\.name) + Benchmark.Group.named.map(\.rawValue) + ["all"]
    }

    private static func suggestion(_ name: String) -> String? {
        let known = knownNames + (Benchmark.bbh.subtasks ?? []).map { "bbh_" + $0 }
        return NearestName.of(name, among: known)
    }
}
