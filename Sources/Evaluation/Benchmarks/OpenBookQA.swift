extension Benchmark {
    /// OpenBookQA (Mihaylov et al. 2018), test, without the book's facts.
    static let openBookQA = Benchmark(
        name: "openbookqa", title: "OpenBookQA", group: .reading, shots: 5,
        form: questions(clozeMetric: .unconditional))
}
