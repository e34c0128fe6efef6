extension Benchmark {
    /// MMLU-Pro (Wang et al. 2024), test, over all items: up to ten options, letters only.
    static let mmluPro: Benchmark = {
        var benchmark = Benchmark(
            name: "mmlu_pro", title: "MMLU-Pro", group: .multidisciplinary, shots: 5,
            form: questions(clozeMetric: .raw, cloze: false))
        benchmark.spreadsSubtasks = true
        benchmark.takesLowestAsShots = true
        // Five of its questions have one, and OLMES counts them like the others.
        benchmark.fewestOptions = 1
        benchmark.source =
            "it is TIGER-Lab/MMLU-Pro on Hugging Face; write it as mmlu_pro.jsonl and give its folder "
            + "with --data-dir (docs/benchmarks.md says what a line looks like)"
        return benchmark
    }()
}
