extension Benchmark {
    /// TriviaQA (Joshi et al. 2017), `rc.wikipedia.nocontext`, validation; SQuAD's F1, the best over the
    /// aliases.
    static let triviaQA: Benchmark = {
        var benchmark = Benchmark(
            name: "triviaqa", title: "TriviaQA", group: .factual, shots: 5,
            form: .generation(
                Generation(
                    prompt: { "Question: \($0.question)\nAnswer:" }, maximumTokens: 50,
                    stops: ["\n\n"], metric: .f1, grading: { _ in .triviaQA })))
        benchmark.olmesShots = { _ in "OLMES:triviaqa" }
        benchmark.shotsSource =
            "OLMES's five are in its fewshot_sources.py (\"OLMES:triviaqa\"); give them with "
            + "--shots-file (docs/benchmarks.md), or --shots 0"
        return benchmark
    }()
}
