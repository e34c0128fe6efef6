extension Benchmark {
    /// HellaSwag (Zellers et al. 2019), validation: which ending goes on best.
    static let hellaSwag: Benchmark = {
        var benchmark = Benchmark(
            name: "hellaswag", title: "HellaSwag", group: .commonsense, shots: 5,
            form: .options(
                Options(
                    cloze: .continuation { PythonText.strip($0.question) },
                    clozeMetric: .perCharacter, hasUnconditional: true,
                    lettersHead: { $0.question + "\nChoose the best continuation:" },
                    stripsLettered: true)))
        benchmark.subsetSize = 1000
        return benchmark
    }()
}
