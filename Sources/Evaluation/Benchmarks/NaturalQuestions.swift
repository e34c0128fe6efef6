extension Benchmark {
    /// Natural Questions (Kwiatkowski et al. 2019), open, validation; DROP's F1.
    static let naturalQuestions: Benchmark = {
        var benchmark = Benchmark(
            name: "naturalqs", title: "NaturalQuestions", group: .factual, shots: 5,
            form: .generation(
                Generation(
                    prompt: { "Question: \($0.question)\nAnswer:" }, maximumTokens: 50,
                    stops: ["Question:", "Q:", "\n\n"], metric: .f1,
                    grading: { _ in .naturalQuestions })))
        benchmark.subsetSize = 1000
        return benchmark
    }()
}
