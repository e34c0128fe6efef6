/// Controls: labels that need no reasoning, only the token, its neighbour or its place. A layer at which
/// these become readable has not begun to think.
extension GeneratedTask {
    private static let leads = ["Words:", "List:", "Note:", "Here:", "Item:", "Text:"]

    /// What kind of token the last one is.
    static let tokenClass = GeneratedTask(
        name: "token_class", kind: .surface,
        summary: "What kind of token this is: word, name, number or mark.",
        explanation: """
            Words of every kind, the last one a common word, a capitalised one, a number or a punctuation \
            mark; the label says which. It is written in the token itself. The difficulty is the number \
            of words before it. Items of the control task: the last word.
            """,
        difficulty: TaskDifficulty(name: "words before", standard: 5, range: 1...20),
        classes: ["common", "capitalised", "number", "mark"]
    ) { draw in
        let pools = [Words.common, Words.capitalised, Words.numbers, Words.punctuation]
        let words = (0...draw.difficulty).map { _ in
            let kind = draw.below(4)
            return (kind: kind, word: draw.pick(draw.own(pools[kind])))
        }
        let last = words[words.count - 1]
        let names = ["common", "capitalised", "number", "mark"]
        return TaskDraft(
            text: ([leads[draw.template]] + words.map(\.word)).joined(separator: " "),
            label: names[last.kind], item: last.word, entities: words.map(\.word))
    }

    /// How far into the text the last word stands.
    static let positionBucket = GeneratedTask(
        name: "position_bucket", kind: .surface,
        summary: "How far into the text this word stands.",
        explanation: """
            A list of common words; the label is the quarter in which its length falls, of four quarters \
            as wide as the difficulty says. Items of the control task: the last word.
            """,
        difficulty: TaskDifficulty(name: "words per quarter", standard: 4, range: 2...8),
        classes: ["first", "second", "third", "fourth"]
    ) { draw in
        let count = draw.number(1...4 * draw.difficulty)
        let words = (0..<count).map { _ in draw.pick(draw.own(Words.common)) }
        let quarter = (count - 1) / draw.difficulty
        return TaskDraft(
            text: ([leads[draw.template]] + words).joined(separator: " "),
            label: ["first", "second", "third", "fourth"][quarter], item: words[count - 1],
            entities: words)
    }

    /// How many letters the last word has.
    static let wordLength = GeneratedTask(
        name: "word_length", kind: .surface,
        summary: "Whether this word is short, middling or long.",
        explanation: """
            A list of common words; the label says whether the last one has up to four letters, five or \
            six, or more. The difficulty is the number of words before it. Items of the control task: \
            the last word.
            """,
        difficulty: TaskDifficulty(name: "words before", standard: 5, range: 2...20),
        classes: ["short", "middling", "long"]
    ) { draw in
        let words = (0...draw.difficulty).map { _ in draw.pick(draw.own(Words.common)) }
        let last = words[words.count - 1]
        let label = last.count <= 4 ? "short" : last.count <= 6 ? "middling" : "long"
        return TaskDraft(
            text: ([leads[draw.template]] + words).joined(separator: " "), label: label, item: last,
            entities: words)
    }

    /// Which colour stood just before.
    static let previousToken = GeneratedTask(
        name: "previous_token", kind: .surface,
        summary: "Which colour stands before this word.",
        explanation: """
            A list of common words and of four colours; the label is the colour that stands as many words \
            before the last one as the difficulty says. Colours stand elsewhere too. Items of the \
            control task: the last word.
            """,
        difficulty: TaskDifficulty(name: "words back", standard: 1, range: 1...8),
        classes: Words.cues
    ) { draw in
        let count = draw.difficulty + 5
        var words = (0..<count).map { _ in
            draw.below(3) == 0 ? draw.pick(Words.cues) : draw.pick(draw.own(Words.common))
        }
        let last = draw.pick(draw.own(Words.common))
        words[count - 1] = last
        let cue = draw.pick(Words.cues)
        words[count - 1 - draw.difficulty] = cue
        return TaskDraft(
            text: ([leads[draw.template]] + words).joined(separator: " "), label: cue, item: last,
            entities: words.filter { !Words.cues.contains($0) })
    }
}
