extension Benchmark {
    /// GSM8K (Cobbe et al. 2021), test, with eight chains of thought.
    static let gsm8k = Benchmark(
        name: "gsm8k", title: "GSM8K", group: .math, shots: 8,
        form: .generation(
            Generation(
                prompt: { "Question: \($0.question)\nAnswer:" }, maximumTokens: 512,
                stops: ["Question:", "</s>", "<|im_end|>", "\n\n"], metric: .exactMatch,
                grading: { _ in .gsm8k })))
}
