extension Benchmark {
    /// DROP (Dua et al. 2019), validation; F1 over bags of words.
    static let drop: Benchmark = {
        var benchmark = Benchmark(
            name: "drop", title: "DROP", group: .reading, shots: 5,
            form: .generation(
                Generation(
                    prompt: {
                        "Passage: \($0.passage ?? "")\nQuestion: \($0.question)\nAnswer:"
                    }, maximumTokens: 100, stops: ["Passage:", "Question:", "\n\n"], metric: .f1,
                    grading: { _ in .drop })))
        benchmark.subsetSize = 1000
        benchmark.preamble = { _ in
            "The following are reading comprehension questions, where the answer to each question "
                + "is either a segment of text from the corresponding passage, a number, or a date "
                + "(containing any of the date, month, and/or year components). Some questions may "
                + "require you to pull together information pieces from the passage and reason over "
                + "them.\n\n"
        }
        return benchmark
    }()
}
