extension Benchmark {
    /// AGIEval (Zhong et al. 2023), the eight English sets with options, their mean; letters only.
    static let agiEval: Benchmark = {
        var benchmark = Benchmark(
            name: "agieval", title: "AGIEval English", group: .multidisciplinary, shots: 1,
            form: questions(
                clozeMetric: .raw, cloze: false,
                head: { ($0.passage.map { $0 + "\n" } ?? "") + "Question: \($0.question)" }),
            files: ["agieval", "agieval_english"])
        benchmark.averaging = .subtasks
        benchmark.subtasks = [
            "aqua-rat", "logiqa-en", "lsat-ar", "lsat-lr", "lsat-rc", "sat-en", "sat-math",
            "gaokao-english",
        ]
        benchmark.olmesShots = { "agi_eval:\($0)" }
        benchmark.source =
            "it is ruixiangcui/AGIEval on GitHub (data/v1); write it as agieval.jsonl and give its "
            + "folder with --data-dir (docs/benchmarks.md says what a line looks like)"
        benchmark.shotsSource =
            "OLMES's are in its fewshot_sources.py (\"agi_eval:lsat-ar\" and others); give them with "
            + "--shots-file (docs/benchmarks.md), or --shots 0"
        // The data writes the letter before each option: "(A)5 km".
        benchmark.prepare = { document in
            var document = document
            document.choices = document.choices.map(withoutLetter)
            return document
        }
        return benchmark
    }()

    private static func withoutLetter(_ choice: String) -> String {
        let scalars = Array(choice.unicodeScalars.prefix(3))
        guard scalars.count == 3, scalars[0] == "(", scalars[2] == ")",
            ("A"..."Z").contains(scalars[1])
        else { return choice }
        return PythonText.strip(String(choice.unicodeScalars.dropFirst(3)))
    }
}
