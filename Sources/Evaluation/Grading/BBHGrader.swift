/// BIG-Bench Hard with chain of thought: the last match of the first template that matches, against the
/// target. Case is ignored; so is punctuation, but not in dyck_languages, where it is the answer.
struct BBHGrader: Sendable {
    private let templates: [PythonPattern]
    private let ignoresPunctuation: Bool

    /// The pattern X of a subtask's answers.
    static func answerPattern(of subtask: String) -> String {
        switch subtask {
        case "boolean_expressions": "[tT]rue|[fF]alse"
        case "causal_judgement", "navigate", "sports_understanding", "web_of_lies": "[yY]es|[nN]o"
        case "dyck_languages": #"[\]\)\}\> ]+"#
        case "formal_fallacies": "[iI]nvalid|[vV]alid"
        case "multistep_arithmetic_two": #"-?\d+"#
        case "object_counting": #"\d+"#
        case "word_sorting": "[a-z ]+"
        default: #"\([A-Z]\)"#
        }
    }

    init(subtask: String) {
        let answer = "(" + Self.answerPattern(of: subtask) + ")"
        templates = [
            "(?i)So the answer is \(answer)", "(?i)answer is \(answer)", "(?i)answer:.*?\(answer)",
            "(?i)answer\\b.*?\(answer)", answer, "(?i)\(answer)",
        ].map(PythonPattern.init)
        ignoresPunctuation = subtask != "dyck_languages"
    }

    func answer(in text: String) -> String? {
        for template in templates {
            if let found = template.last(in: text) { return PythonText.strip(found) }
        }
        return nil
    }

    func grade(_ prediction: String, gold: String) -> Grade {
        guard let found = answer(in: prediction) else { return Grade(score: 0, extracted: nil) }
        func compared(_ text: String) -> String {
            let lower = text.lowercased()
            return ignoresPunctuation ? PythonText.withoutPunctuation(lower) : lower
        }
        let same = PythonText.same(compared(found), compared(gold))
        return Grade(score: same ? 1 : 0, extracted: found)
    }
}
