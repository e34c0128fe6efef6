extension Benchmark {
    /// BoolQ (Clark et al. 2019), validation.
    static let boolQ: Benchmark = {
        var benchmark = Benchmark(
            name: "boolq", title: "BoolQ", group: .reading, shots: 5,
            form: questions(
                clozeMetric: .raw, unconditional: false,
                head: { ($0.passage.map { $0 + "\n" } ?? "") + "Question: \($0.question)" }))
        benchmark.subsetSize = 1000
        return benchmark
    }()
}
