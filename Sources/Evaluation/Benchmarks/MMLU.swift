extension Benchmark {
    /// MMLU (Hendrycks et al. 2021), test, the mean over its 57 subjects; the examples are those of the
    /// subject's development set, in order.
    static let mmlu: Benchmark = {
        var benchmark = Benchmark(
            name: "mmlu", title: "MMLU", group: .multidisciplinary, shots: 5,
            form: questions(clozeMetric: .perCharacter))
        benchmark.averaging = .subtasks
        benchmark.preamble = {
            let subject = PythonText.replace($0 ?? "", "_", " ")
            return "The following are multiple choice questions (with answers) about "
                + subject + ".\n\n"
        }
        return benchmark
    }()
}
