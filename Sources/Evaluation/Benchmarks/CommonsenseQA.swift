extension Benchmark {
    /// CommonsenseQA (Talmor et al. 2019), validation.
    static let commonsenseQA = Benchmark(
        name: "csqa", title: "CommonsenseQA", group: .commonsense, shots: 5,
        form: questions(clozeMetric: .unconditional))
}
