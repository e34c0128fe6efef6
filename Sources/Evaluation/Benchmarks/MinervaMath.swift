extension Benchmark {
    /// MATH (Hendrycks et al. 2021), test, with Minerva's four solutions; the mean over its seven subjects.
    static let minervaMath: Benchmark = {
        var benchmark = Benchmark(
            name: "minerva_math", title: "MATH", group: .math, shots: 4,
            form: .generation(
                Generation(
                    prompt: { "Problem:\n\($0.question)\n\nSolution:" }, maximumTokens: 1024,
                    stops: ["Problem:", "\n\n"], metric: .exactMatch,
                    grading: { _ in .minervaMath })))
        benchmark.averaging = .subtasks
        return benchmark
    }()
}
