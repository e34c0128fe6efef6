extension Benchmark {
    /// WinoGrande (Sakaguchi et al. 2020), XL, validation. The cloze form scores the rest of the sentence
    /// after each option has filled the blank.
    static let winoGrande = Benchmark(
        name: "winogrande", title: "WinoGrande", group: .commonsense, shots: 5,
        form: .options(
            Options(
                cloze: .blank, clozeMetric: .raw, hasUnconditional: false,
                lettersHead: {
                    "Fill in the blank: " + PythonText.replace($0.question, "_", "___")
                })))
}
