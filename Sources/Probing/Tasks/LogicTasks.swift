/// Tasks of logic and structure: an expression's value, the depth of brackets, an argument's validity.
extension GeneratedTask {
    /// A random expression over True and False.
    static let booleanExpression = GeneratedTask(
        name: "boolean_expression", kind: .reasoning,
        summary: "The value of an expression over True and False.",
        explanation: """
            A random tree of as many operators (not, and, or) as the difficulty says, with every inner \
            node in brackets; the label is its value. Items of the control task: the first two and the \
            last two symbols that are no brackets.
            """,
        difficulty: TaskDifficulty(name: "operators", standard: 3, range: 3...8, easiest: 1),
        classes: ["True", "False"]
    ) { draw in
        let tree = BooleanTree.random(draw.difficulty, &draw)
        let symbols = tree.text.split(separator: " ").filter { $0 != "(" && $0 != ")" }
        let who = draw.words(1, from: Words.people)[0]
        let opening =
            switch draw.template {
            case 0: "\(who) writes down"
            case 1: "The expression of \(who) is"
            case 2: "Logic, says \(who):"
            case 3: "\(who) types in"
            case 4: "On the board of \(who) stands"
            default: "Here \(who) evaluates"
            }
        return TaskDraft(
            text: "\(opening) \(tree.text) . Its value is", label: tree.value ? "True" : "False",
            foil: tree.last ? "True" : "False",
            item: (symbols.prefix(2) + symbols.suffix(2)).joined(separator: " "),
            entities: [who], key: tree.text)
    }

    /// How many brackets are open at the end.
    static let bracketDepth = GeneratedTask(
        name: "bracket_depth", kind: .reasoning,
        summary: "How many brackets are still open.",
        explanation: """
            A sequence of opening and closing brackets, as long as the difficulty says or one longer, \
            in which no bracket closes that was not opened; the label is the number still open, from 1 \
            to 4. Items of the control task: the last four brackets.
            """,
        difficulty: TaskDifficulty(name: "brackets", standard: 10, range: 10...24, easiest: 6),
        classes: (1...4).map(String.init)
    ) { draw in
        var depth = 0
        var depths: [Int] = []
        var brackets: [String] = []
        for _ in 0..<draw.difficulty + draw.below(2) {
            let opens = depth == 0 || draw.below(2) == 0
            depths.append(depth)
            depth += opens ? 1 : -1
            brackets.append(opens ? "(" : ")")
        }
        let who = draw.words(1, from: Words.people)[0]
        let opening =
            switch draw.template {
            case 0: "\(who) writes"
            case 1: "The note of \(who) reads"
            case 2: "Brackets, by \(who):"
            case 3: "From \(who) comes"
            case 4: "What \(who) typed is"
            default: "A line of \(who) begins"
            }
        let sequence = brackets.joined(separator: " ")
        return TaskDraft(
            text: "\(opening) \(sequence) . Still open:", label: "\(depth)",
            foil: "\(min(4, max(1, depths[max(0, depths.count - 4)])))",
            item: brackets.suffix(4).joined(), entities: [who], key: sequence)
    }

    /// Syllogisms whose mood says nothing about their validity.
    static let syllogism = GeneratedTask(
        name: "syllogism", kind: .reasoning,
        summary: "Whether a syllogism is valid.",
        explanation: """
            Two premises and a conclusion over three made-up kinds of things, and, above a difficulty of \
            two, further premises about other kinds that bear on nothing. Of the moods that are valid in \
            some figures and invalid in others (AAA, EAE, AEE, AII, AOO, IAI, OAO; no term is taken to \
            exist), so the quantifiers do not give the answer away; the label is valid or invalid. \
            Items of the control task: the mood with the order of the premises.
            """,
        difficulty: TaskDifficulty(name: "premises", standard: 2, range: 2...5),
        classes: ["valid", "invalid"]
    ) { draw in
        let (mood, validFigures) = draw.pick(Syllogism.moods)
        // A coin for each mood: the moods differ in how many figures make them valid.
        let isValid = draw.below(2) == 0
        let figure = draw.pick((1...4).filter { validFigures.contains($0) == isValid })
        let others = draw.difficulty - 2
        let kinds = draw.words(3 + 2 * others, from: Words.nonsense)
        let (subject, middle, predicate) = (kinds[0], kinds[1], kinds[2])
        let letters = Array(mood)
        // The figure says where the middle term stands in the major and the minor premise.
        let major = figure == 1 || figure == 3 ? (middle, predicate) : (predicate, middle)
        let minor = figure == 1 || figure == 2 ? (subject, middle) : (middle, subject)
        var premises = [
            Syllogism.statement(letters[0], major.0, major.1),
            Syllogism.statement(letters[1], minor.0, minor.1),
        ]
        let swapped = draw.below(2) == 1
        if swapped { premises.swapAt(0, 1) }
        for index in 0..<others {
            let statement = Syllogism.statement(
                draw.pick(["A", "E", "I", "O"]), kinds[3 + 2 * index], kinds[4 + 2 * index])
            premises.insert(statement, at: draw.below(premises.count + 1))
        }
        let conclusion = Syllogism.statement(letters[2], subject, predicate)
        let link =
            switch draw.template {
            case 0: "Therefore:"
            case 1: "Hence:"
            case 2: "It follows:"
            case 3: "Thus:"
            case 4: "So:"
            default: "Consequently:"
            }
        let text =
            premises.map { $0 + "." }.joined(separator: " ")
            + " \(link) \(conclusion). This argument is"
        return TaskDraft(
            text: text, label: isValid ? "valid" : "invalid",
            foil: Syllogism.isValid(
                "\(letters[1])\(letters[0])\(letters[2])", [4, 2, 3, 1][figure - 1])
                ? "valid" : "invalid",
            item: "\(mood)\(swapped)", entities: kinds)
    }
}

/// An expression as text and value.
private struct BooleanTree {
    var text: String
    var value: Bool
    /// The value of what the topmost operator takes last.
    var last: Bool

    static func random(_ operators: Int, _ draw: inout TaskDraw) -> BooleanTree {
        guard operators > 0 else {
            let value = draw.below(2) == 0
            return BooleanTree(text: value ? "True" : "False", value: value, last: value)
        }
        if draw.below(3) == 0 {
            let inner = random(operators - 1, &draw)
            return BooleanTree(
                text: "not \(wrapped(inner, operators - 1))", value: !inner.value, last: inner.value
            )
        }
        let left = draw.below(operators)
        let right = operators - 1 - left
        let (a, b) = (random(left, &draw), random(right, &draw))
        let isAnd = draw.below(2) == 0
        return BooleanTree(
            text: "\(wrapped(a, left)) \(isAnd ? "and" : "or") \(wrapped(b, right))",
            value: isAnd ? a.value && b.value : a.value || b.value, last: b.value)
    }

    private static func wrapped(_ tree: BooleanTree, _ operators: Int) -> String {
        operators > 0 ? "( \(tree.text) )" : tree.text
    }
}

private enum Syllogism {
    /// Moods with the figures they are valid in, without existential import; each has invalid figures
    /// too. (EIO is valid in all four, so its mood gives the answer.)
    static let moods: [(String, [Int])] = [
        ("AAA", [1]), ("EAE", [1, 2]), ("AEE", [2, 4]), ("AII", [1, 3]), ("AOO", [2]),
        ("IAI", [3, 4]), ("OAO", [3]),
    ]

    /// Every valid form without existential import, by mood. The figures of a mood with premises changed
    /// round, which is what exchanging the conclusion's terms does, are 4, 2, 3, 1 for 1, 2, 3, 4.
    static func isValid(_ mood: String, _ figure: Int) -> Bool {
        let forms: [String: [Int]] = [
            "AAA": [1], "EAE": [1, 2], "AEE": [2, 4], "AII": [1, 3], "AOO": [2], "IAI": [3, 4],
            "OAO": [3], "EIO": [1, 2, 3, 4],
        ]
        return forms[mood]?.contains(figure) ?? false
    }

    static func statement(_ letter: Character, _ a: String, _ b: String) -> String {
        switch letter {
        case "A": "All \(a) are \(b)"
        case "E": "No \(a) are \(b)"
        case "I": "Some \(a) are \(b)"
        default: "Some \(a) are not \(b)"
        }
    }
}
