extension Benchmark {
    /// ARC (Clark et al. 2018), the easy set, test.
    static let arcEasy: Benchmark = {
        var benchmark = Benchmark(
            name: "arc_easy", title: "ARC-Easy", group: .multidisciplinary, shots: 5,
            form: questions(clozeMetric: .perCharacter))
        benchmark.subsetSize = 1000
        return benchmark
    }()

    /// The challenge set, test.
    static let arcChallenge = Benchmark(
        name: "arc_challenge", title: "ARC-Challenge", group: .multidisciplinary, shots: 5,
        form: questions(clozeMetric: .unconditional))
}
