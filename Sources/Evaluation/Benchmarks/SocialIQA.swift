extension Benchmark {
    /// Social IQa (Sap et al. 2019), validation; the situation and the question are one text.
    static let socialIQA: Benchmark = {
        var benchmark = Benchmark(
            name: "socialiqa", title: "SocialIQA", group: .commonsense, shots: 5,
            form: questions(clozeMetric: .perCharacter))
        benchmark.subsetSize = 1000
        return benchmark
    }()
}
