extension Benchmark {
    /// BIG-Bench Hard (Suzgun et al. 2023), the mean over its 27 sets, with three chains of thought.
    static let bbh: Benchmark = {
        var benchmark = Benchmark(
            name: "bbh", title: "BIG-Bench Hard", group: .bbh, shots: 3,
            form: .generation(
                Generation(
                    prompt: {
                        "Question: \($0.question)\nAnswer: Let's think step by step."
                    }, maximumTokens: 512, stops: ["\n\n"], metric: .exactMatch,
                    grading: { .bbh($0 ?? "") })))
        benchmark.averaging = .subtasks
        benchmark.subtasks = [
            "boolean_expressions", "causal_judgement", "date_understanding", "disambiguation_qa",
            "dyck_languages", "formal_fallacies", "geometric_shapes", "hyperbaton",
            "logical_deduction_five_objects", "logical_deduction_seven_objects",
            "logical_deduction_three_objects", "movie_recommendation", "multistep_arithmetic_two",
            "navigate", "object_counting", "penguins_in_a_table",
            "reasoning_about_colored_objects", "ruin_names",
            "salient_translation_error_detection", "snarks", "sports_understanding",
            "temporal_sequences", "tracking_shuffled_objects_five_objects",
            "tracking_shuffled_objects_seven_objects", "tracking_shuffled_objects_three_objects",
            "web_of_lies", "word_sorting",
        ]
        // The public file of chains of thought is keyed by the subtask alone.
        benchmark.olmesShots = { $0 }
        benchmark.readyShots = bbhShots
        benchmark.source =
            "it is suzgunmirac/BIG-Bench-Hard on GitHub; write bbh/*.json as bbh.jsonl and give its "
            + "folder with --data-dir (docs/benchmarks.md says what a line looks like)"
        benchmark.shotsSource =
            "they are the cot-prompts of suzgunmirac/BIG-Bench-Hard, as bbh_cot_prompts.json beside the "
            + "data (docs/benchmarks.md), or --shots 0"
        return benchmark
    }()

    /// The public prompt behind its `-----`, with OLMES's names for questions and answers and its blank
    /// after "step by step."; the description and the first `count` questions.
    private static func bbhShots(_ text: String, count: Int) -> String? {
        var text = PythonText.split(text, "-----\n").last ?? text
        text = PythonText.strip(text)
        text = PythonText.replace(text, "\nQ: ", "\nQuestion: ")
        text = PythonText.replace(text, "\nA: ", "\nAnswer: ")
        text = PythonText.replace(text, "step by step.\n", "step by step. ")
        let parts = PythonText.split(text, "\n\nQuestion: ")
        guard parts.count > count else { return nil }
        return parts.prefix(count + 1).joined(separator: "\n\nQuestion: ")
    }
}
