// Works out each task's label from the text alone, by other means than the generator: it parses the
// wording, follows names with dictionaries, closes relations by search and tries every model of a
// syllogism.

import Foundation
import Testing

enum LabelChecker {
    struct Malformed: Error {}

    static func label(_ task: String, _ text: String, difficulty: Int) throws -> String {
        switch task {
        case "running_sum": try runningSum(text)
        case "variable_assignment": try variableAssignment(text)
        case "entity_tracking": try entityTracking(text)
        case "comparison_chain": try comparisonChain(text)
        case "boolean_expression": try booleanExpression(text)
        case "bracket_depth": "\(text.count { $0 == "(" } - text.count { $0 == ")" })"
        case "date_arithmetic": try dateArithmetic(text)
        case "syllogism": try syllogism(text)
        case "token_class": try tokenClass(text)
        case "position_bucket":
            ["first", "second", "third", "fourth"][
                (words(text).count - 2) / difficulty]
        case "word_length":
            switch try #require(words(text).last).count {
            case ...4: "short"
            case 5, 6: "middling"
            default: "long"
            }
        case "previous_token": words(text).reversed()[difficulty]
        default: "?"
        }
    }

    private static func words(_ text: String) -> [String] {
        text.split(separator: " ").map(String.init)
    }

    /// The groups of every match, the whole match left out.
    static func matches(_ pattern: String, _ text: String) throws -> [[String]] {
        let expression = try NSRegularExpression(pattern: pattern)
        let whole = text as NSString
        return expression.matches(in: text, range: NSRange(location: 0, length: whole.length)).map {
            match in
            (1..<match.numberOfRanges).map { index in
                let range = match.range(at: index)
                return range.location == NSNotFound ? "" : whole.substring(with: range)
            }
        }
    }

    private static func runningSum(_ text: String) throws -> String {
        let numbers = try matches(#"(\d+)"#, text).map { try #require(Int($0[0])) }
        var remainder = 0
        for number in numbers { remainder = (remainder + number) % 5 }
        return "\(remainder)"
    }

    private static func variableAssignment(_ text: String) throws -> String {
        var values: [String: String] = [:]
        let forms = [
            #"Let (\w+) = (\w+)\."#, #"(\w+) := (\w+);"#, #"Set (\w+) to (\w+)\."#,
            #"(\w+) equals (\w+),"#, #"Define (\w+) as (\w+)\."#,
        ]
        var pairs = try forms.flatMap { try matches($0, text) }
        pairs += try matches(#"Put (\w+) into (\w+)\."#, text).map { [$0[1], $0[0]] }
        for pair in pairs { values[pair[0]] = pair[1] }
        var place = try #require(try matches(#"value of (\w+) is$"#, text).first)[0]
        while let next = values[place] { place = next }
        return place
    }

    private static func entityTracking(_ text: String) throws -> String {
        var holder: [String: String] = [:]
        for pair in try matches(#"(\w+) (?:has|holds|takes|owns|carries|keeps) the (\w+)\."#, text)
        {
            holder[pair[1]] = pair[0]
        }
        let names = Set(holder.values)
        for sentence in text.components(separatedBy: ". ") where !sentence.contains(" the ") {
            let two = try matches(#"([A-Z]\w+)"#, sentence).map { $0[0] }.filter(names.contains)
            guard two.count == 2 else { continue }
            for (thing, who) in holder {
                if who == two[0] { holder[thing] = two[1] }
                if who == two[1] { holder[thing] = two[0] }
            }
        }
        let asked = try #require(try matches(#"Now (\w+) has the$"#, text).first)[0]
        return try #require(holder.first { $0.value == asked }?.key)
    }

    private static func comparisonChain(_ text: String) throws -> String {
        let less = ["shorter", "younger", "slower", "lighter", "poorer", "weaker"]
        var above: [String: [String]] = [:]
        for fact in try matches(#"(\w+) is (\w+) than (\w+)\."#, text) {
            let isLess = less.contains(fact[1])
            above[isLess ? fact[2] : fact[0], default: []].append(isLess ? fact[0] : fact[2])
        }
        let question = try #require(try matches(#"Is (\w+) \w+ than (\w+)\?"#, text).first)
        var reached: Set<String> = []
        var open = [question[0]]
        while let name = open.popLast() {
            for next in above[name] ?? [] where reached.insert(next).inserted { open.append(next) }
        }
        return reached.contains(question[1]) ? "yes" : "no"
    }

    /// Shunting-yard over two stacks; not binds before and, and before or.
    private static func booleanExpression(_ text: String) throws -> String {
        let rank = ["not": 3, "and": 2, "or": 1]
        var values: [Bool] = []
        var operators: [String] = []
        func apply() throws {
            let name = operators.popLast()
            let (last, before) = (values.popLast(), name == "not" ? true : values.popLast())
            guard let right = last, let left = before else { throw Malformed() }
            if name == "not" { return values.append(!right) }
            values.append(name == "and" ? left && right : left || right)
        }
        for word in words(text) {
            switch word {
            case "True", "False": values.append(word == "True")
            case "(": operators.append(word)
            case ")":
                while operators.last != "(" { try apply() }
                operators.removeLast()
            case "not", "and", "or":
                while let last = operators.last, let other = rank[last], let own = rank[word],
                    other >= own, word != "not"
                {
                    try apply()
                }
                operators.append(word)
            default: continue
            }
        }
        while !operators.isEmpty { try apply() }
        #expect(values.count == 1)
        return values[0] ? "True" : "False"
    }

    private static func dateArithmetic(_ text: String) throws -> String {
        let days = [
            "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
        ]
        var day = try #require(days.firstIndex { text.contains($0) })
        for move in try matches(#"(\d+) days? (later|earlier)"#, text) {
            let count = try #require(Int(move[0]))
            for _ in 0..<count {
                day = move[1] == "later" ? (day + 1) % 7 : (day + 6) % 7
            }
        }
        return days[day]
    }

    /// A statement as a test of a model. A model says which of the 2^n kinds of things (in or out of
    /// each of n sets) exist.
    private static func syllogism(_ text: String) throws -> String {
        let pattern = #"(All|No|Some) (\w+) are (not )?(\w+)\."#
        var statements = try matches(pattern, text)
        let last = statements.popLast()
        let conclusion = try #require(last)
        let asked = Set([conclusion[1], conclusion[3]])
        // What bears on the conclusion shares a term with it; other premises are about other things.
        let premises = statements.filter { !asked.isDisjoint(with: [$0[1], $0[3]]) }
        #expect(premises.count == 2)
        let terms = Array(Set((premises + [conclusion]).flatMap { [$0[1], $0[3]] })).sorted()
        #expect(terms.count == 3)
        func holds(_ statement: [String], _ model: Int) -> Bool {
            let a = terms.firstIndex(of: statement[1]) ?? 0
            let b = terms.firstIndex(of: statement[3]) ?? 0
            let both = (0..<8).contains {
                model >> $0 & 1 == 1 && $0 >> a & 1 == 1 && $0 >> b & 1 == 1
            }
            let onlyA = (0..<8).contains {
                model >> $0 & 1 == 1 && $0 >> a & 1 == 1 && $0 >> b & 1 == 0
            }
            switch (statement[0], statement[2].isEmpty) {
            case ("All", _): return !onlyA
            case ("No", _): return !both
            case (_, true): return both
            default: return onlyA
            }
        }
        let isValid = (0..<256).allSatisfy { model in
            !premises.allSatisfy { holds($0, model) } || holds(conclusion, model)
        }
        return isValid ? "valid" : "invalid"
    }

    private static func tokenClass(_ text: String) throws -> String {
        let first = try #require(words(text).last?.unicodeScalars.first)
        if ("0"..."9").contains(first) { return "number" }
        if ("a"..."z").contains(first) { return "common" }
        return ("A"..."Z").contains(first) ? "capitalised" : "mark"
    }
}
