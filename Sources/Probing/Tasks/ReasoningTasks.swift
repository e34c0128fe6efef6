/// Tasks whose label follows from the text by steps of counting or by following names.
extension GeneratedTask {
    /// The start and `steps` more, modulo five.
    static let runningSum = GeneratedTask(
        name: "running_sum", kind: .reasoning,
        summary: "A count modulo five after some additions.",
        explanation: """
            A start from 1 to 9 and as many additions, from 1 to 9, as the difficulty says; the label is \
            the total modulo five. Items of the control task: the start with the last addend.
            """,
        difficulty: TaskDifficulty(name: "steps", standard: 2, range: 2...8, easiest: 1),
        classes: (0..<5).map(String.init)
    ) { draw in
        let addends = (0...draw.difficulty).map { _ in draw.number(1...9) }
        let who = draw.words(1, from: Words.people)[0]
        let what = draw.words(1, from: Words.countables)[0]
        let first = addends[0]
        func joined(_ before: String, _ after: String = "") -> String {
            addends.dropFirst().map { "\(before)\($0)\(after)" }.joined()
        }
        let text =
            switch draw.template {
            case 0: "\(who) has \(first) \(what)\(joined(", then gets ", " more")). Modulo five,"
            case 1: "\(who) keeps \(first) \(what).\(joined(" Add ", ".")) Taken modulo five,"
            case 2:
                "A box of \(who) holds \(first) \(what)\(joined(" and then ", " more")). Modulo five,"
            case 3: "\(first) \(what) belong to \(who)\(joined(", plus ")). Reduced modulo five,"
            case 4:
                "\(who) finds \(first) \(what)\(joined("; after that ", " others")). Modulo five,"
            default:
                "In the bag of \(who) lie \(first) \(what)\(joined(", next come ")). Modulo five,"
            }
        return TaskDraft(
            text: text + " the total is", label: String(addends.reduce(0, +) % 5),
            foil: String(addends.dropLast().reduce(0, +) % 5),
            item: "\(first),\(addends[addends.count - 1])", entities: [who, what],
            key: addends.map(String.init).joined(separator: "+"))
    }

    /// Two chains of assignments, interleaved; the end of one is asked for.
    static let variableAssignment = GeneratedTask(
        name: "variable_assignment", kind: .reasoning,
        summary: "The value of a variable after some hops.",
        explanation: """
            Two chains of assignments stand interleaved; each begins with a number from 1 to 5 and hands \
            it on as many times as the difficulty says. The label is the value of the last variable of \
            one of them: the other number is there to mislead. Items of the control task: the two \
            numbers in the order of the text.
            """,
        difficulty: TaskDifficulty(name: "hops", standard: 2, range: 1...4),
        classes: (1...5).map(String.init)
    ) { draw in
        let values = Array(draw.shuffled(Array(1...5)).prefix(2))
        let length = draw.difficulty + 1
        let names = draw.words(2 * length, from: Words.variables)
        // Which chain each statement belongs to.
        let order = draw.shuffled((0..<2 * length).map { $0 % 2 })
        var written = [0, 0]
        var statements: [String] = []
        var firsts: [Int] = []
        for chain in order {
            let place = written[chain]
            let name = names[chain * length + place]
            let source = place == 0 ? "\(values[chain])" : names[chain * length + place - 1]
            if place == 0 { firsts.append(values[chain]) }
            written[chain] += 1
            let statement =
                switch draw.template {
                case 0: "Let \(name) = \(source)."
                case 1: "\(name) := \(source);"
                case 2: "Set \(name) to \(source)."
                case 3: "\(name) equals \(source),"
                case 4: "Define \(name) as \(source)."
                default: "Put \(source) into \(name)."
                }
            statements.append(statement)
        }
        let asked = draw.below(2)
        let end = names[(asked + 1) * length - 1]
        let lead = ["", "", "", "so", "Now", "Then"][draw.template]
        let question = lead.isEmpty ? "The value of \(end) is" : "\(lead) the value of \(end) is"
        return TaskDraft(
            text: statements.joined(separator: " ") + " " + question, label: "\(values[asked])",
            foil: "\(values[1 - asked])",
            item: firsts.map(String.init).joined(separator: ","), entities: names,
            key: "\(values)\(order)\(asked)")
    }

    private static let things = ["ball", "book", "coin", "lamp"]

    /// Four people swap four things.
    static let entityTracking = GeneratedTask(
        name: "entity_tracking", kind: .reasoning,
        summary: "Who holds what after some swaps.",
        explanation: """
            Four people hold four things; as many swaps between two people as the difficulty says; the \
            label is what one of them holds at the end. Items of the control task: who held what at the \
            start, in the order of the text.
            """,
        difficulty: TaskDifficulty(name: "swaps", standard: 2, range: 1...6), classes: things
    ) { draw in
        let people = draw.words(4, from: Words.people)
        let start = draw.shuffled(Array(0..<4))
        var held = start
        var swaps: [(Int, Int)] = []
        for _ in 0..<draw.difficulty {
            let pair = draw.shuffled(Array(0..<4))
            swaps.append((pair[0], pair[1]))
            held.swapAt(pair[0], pair[1])
        }
        let asked = draw.below(4)
        let holds = people.indices.map { index in
            let (who, what) = (people[index], things[start[index]])
            return switch draw.template {
            case 0: "\(who) has the \(what)."
            case 1: "\(who) holds the \(what)."
            case 2: "\(who) takes the \(what)."
            case 3: "\(who) owns the \(what)."
            case 4: "\(who) carries the \(what)."
            default: "\(who) keeps the \(what)."
            }
        }
        let changes = swaps.map { one, other in
            let (a, b) = (people[one], people[other])
            return switch draw.template {
            case 0: "\(a) and \(b) swap."
            case 1: "\(a) trades with \(b)."
            case 2: "Then \(a) and \(b) exchange."
            case 3: "\(a) swaps with \(b)."
            case 4: "Next, \(a) and \(b) trade."
            default: "\(a) and \(b) change places."
            }
        }
        let text = (holds + changes).joined(separator: " ") + " Now \(people[asked]) has the"
        return TaskDraft(
            text: text, label: things[held[asked]], foil: things[start[asked]],
            item: start.map(String.init).joined(), entities: people,
            key: "\(start)\(swaps)\(asked)")
    }

    /// Links of a chain in any order; a question about two that are not neighbours.
    static let comparisonChain = GeneratedTask(
        name: "comparison_chain", kind: .reasoning,
        summary: "Whether one person comes before another, by transitivity.",
        explanation: """
            A chain of comparisons between people, as many links as the difficulty says, each in either \
            direction (taller, shorter) and all in random order; a question about two people who are \
            not neighbours in the chain; the label is yes or no. Items of the control task: the order \
            of the links with their directions.
            """,
        difficulty: TaskDifficulty(name: "links", standard: 3, range: 3...6, easiest: 2),
        classes: ["yes", "no"]
    ) { draw in
        let links = draw.difficulty
        let names = draw.words(links + 1, from: Words.people)
        let more = ["taller", "older", "faster", "heavier", "richer", "stronger"][draw.template]
        let less = ["shorter", "younger", "slower", "lighter", "poorer", "weaker"][draw.template]
        let order = draw.shuffled(Array(0..<links))
        let inverted = order.map { _ in draw.below(2) == 1 }
        let facts = zip(order, inverted).map { link, inverted in
            inverted
                ? "\(names[link + 1]) is \(less) than \(names[link])."
                : "\(names[link]) is \(more) than \(names[link + 1])."
        }
        let gap = draw.number(2...links)
        let low = draw.below(links - gap + 1)
        let yes = draw.below(2) == 0
        let (first, second) = yes ? (low, low + gap) : (low + gap, low)
        // Who is named first in the facts: what an answer by the order of names would be.
        let named = zip(order, inverted).flatMap { link, inverted in
            inverted ? [link + 1, link] : [link, link + 1]
        }
        let isFirst =
            (named.firstIndex(of: first) ?? 0) < (named.firstIndex(of: second) ?? 0)
        let question = "Is \(names[first]) \(more) than \(names[second])? The answer is"
        return TaskDraft(
            text: facts.joined(separator: " ") + " " + question, label: yes ? "yes" : "no",
            foil: isFirst ? "yes" : "no",
            item: "\(order)\(inverted)", entities: names,
            key: "\(order)\(inverted)\(first),\(second)")
    }

    /// A weekday moved to and fro.
    static let dateArithmetic = GeneratedTask(
        name: "date_arithmetic", kind: .reasoning,
        summary: "The weekday after some moves.",
        explanation: """
            A weekday, and as many moves of 1 to 20 days, earlier or later, as the difficulty says; the \
            label is the weekday at the end. Items of the control task: the last move.
            """,
        difficulty: TaskDifficulty(name: "moves", standard: 2, range: 2...6, easiest: 1),
        classes: Words.weekdays
    ) { draw in
        let start = draw.below(7)
        let moves = (0..<draw.difficulty).map { _ in
            (days: draw.number(1...20), later: draw.below(2) == 0)
        }
        let event = draw.words(1, from: Words.events)[0]
        let day = Words.weekdays[start]
        let steps = moves.map { move in
            let days = "\(move.days) day\(move.days == 1 ? "" : "s")"
            let way = move.later ? "later" : "earlier"
            return switch draw.template {
            case 0: "It moves \(days) \(way)."
            case 1: "It is put \(days) \(way)."
            case 2: "Then it is set \(days) \(way)."
            case 3: "It will be held \(days) \(way)."
            case 4: "They shift it \(days) \(way)."
            default: "It takes place \(days) \(way)."
            }
        }
        let opening =
            switch draw.template {
            case 0: "The \(event) is on \(day)."
            case 1: "A \(event) was planned for \(day)."
            case 2: "Our \(event) is due on \(day)."
            case 3: "The next \(event) falls on \(day)."
            case 4: "We have a \(event) on \(day)."
            default: "Someone announced a \(event) for \(day)."
            }
        let days = moves.reduce(into: [start]) { days, move in
            days.append((days[days.count - 1] + (move.later ? move.days : -move.days) + 21) % 7)
        }
        let last = moves[moves.count - 1]
        return TaskDraft(
            text: opening + " " + steps.joined(separator: " ") + " The new day is",
            label: Words.weekdays[days[moves.count]], foil: Words.weekdays[days[moves.count - 1]],
            item: "\(last.days)\(last.later ? "+" : "-")",
            entities: [event], key: "\(start)\(moves)")
    }
}
