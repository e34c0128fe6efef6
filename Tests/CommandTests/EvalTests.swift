// `etd eval` as a user runs it, on a tiny model and tiny data. Log-likelihoods are those of `etd score`,
// whose oracle is transformers; accuracies are reckoned here from them once more.

import Files
import Foundation
import TestSupport
import Testing

/// A model with data for three tasks.
private struct EvalWorkplace {
    let model: TinyModel
    let data: String

    static let questions: [(question: String, choices: [String], gold: Int)] = [
        ("What is up?", ["sky", "the sea", "in"], 0), ("Where is it?", ["there", "in"], 1),
        ("Who am I?", ["the one", "x", "then two"], 2),
        ("Is this so?", ["yes", "no it is not"], 0),
        ("One and one?", ["two", "three", "four", "5"], 0), ("And?", ["thin", "thick"], 1),
    ]

    init() throws {
        model = try TinyModel("llama-gqa")
        data = model.file("data")
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
        let lines = Self.questions.enumerated().map { number, item in
            let json: JSON = [
                "id": .string("q\(number)"), "question": .string(item.question),
                "choices": .array(item.choices.map(JSON.string)), "gold": .number(item.gold),
            ]
            return json.text(indent: 0) + "\n"
        }.joined()
        try model.write(lines, to: "data/openbookqa.jsonl")
        try model.write(
            lines + #"{"id":"long","question":"\#(String(repeating: "the ", count: 150))?","#
                + #""choices":["in","on"],"gold":0}"#,
            to: "data/arc_easy.jsonl")
        try model.write(
            #"{"id":0,"question":"The in saw the on so _ ran.","choices":["in","on"],"gold":1}"#,
            to: "data/winogrande.jsonl")
    }

    func arguments(_ tasks: String, out: String, _ more: [String] = []) -> [String] {
        [
            "eval", "--model", model.path, "--tasks", tasks, "--data-dir", data, "--shots", "0",
            "--out", model.file(out), "--quiet",
        ] + more
    }

    @discardableResult
    func run(_ tasks: String, out: String, _ more: [String] = []) throws -> CommandRunner.Result {
        let result = try CommandRunner(etd)(arguments(tasks, out: out, more))
        try #require(result.code == 0, "\(result)")
        return result
    }

    func items(_ folder: String) throws -> [JSON] {
        try bytes(of: model.file(folder + "/items.jsonl")).split(separator: 0x0A)
            .map { try JSON.parse(Array($0)) }
    }

    func results(_ folder: String) throws -> JSON {
        try JSON.read(path: model.file(folder + "/results.json"))
    }

    /// Sums of log-probabilities by `etd score`.
    func sums(_ pairs: [(String, String)], _ more: [String] = []) throws -> [Double] {
        let scores = try Scores(
            model,
            pairs.map { ["context": .string($0.0), "continuation": .string($0.1)] }, more)
        return scores.lines.map { $0["sum_logprob"]?.doubleValue ?? .nan }
    }
}

private func numbers(_ json: JSON?) -> [Double] {
    (json?.arrayValue ?? []).compactMap(\.doubleValue)
}

@Suite struct EvalTests {
    @Test func itemsAreScoresOfTheRequests() throws {
        let place = try EvalWorkplace()
        try place.run("openbookqa", out: "R")
        let items = try place.items("R")
        #expect(items.count == 2 * EvalWorkplace.questions.count)
        for (index, question) in EvalWorkplace.questions.enumerated() {
            let cloze = items[index]
            let letters = items[EvalWorkplace.questions.count + index]
            #expect(cloze["format"] == "rc" && letters["format"] == "mc")
            for item in [cloze, letters] {
                #expect(item["task"] == "openbookqa" && item["id"] == .string("q\(index)"))
                #expect(item["gold"] == .number(question.gold) && item["passes"] == 1)
            }
            let text = "Question: \(question.question)\n"
            let options = question.choices.map { " " + $0 }
            #expect(
                numbers(cloze["logprobs"])
                    == (try place.sums(options.map { (text + "Answer:", $0) })))
            #expect(
                numbers(cloze["logprobs_uncond"])
                    == (try place.sums(options.map { ("Answer:", $0) })))
            #expect(numbers(cloze["n_chars"]) == options.map { Double($0.count) })
            let listed = zip("ABCD", question.choices).map { " \($0). \($1)\n" }.joined()
            let context = text + listed + "Answer:"
            #expect(
                numbers(letters["logprobs"])
                    == (try place.sums(
                        "ABCD".prefix(options.count).map { (context, " \($0)") })))
        }
        let blank = try EvalWorkplace()
        try blank.run("winogrande", out: "R")
        #expect(
            numbers(try blank.items("R")[0]["logprobs"])
                == (try blank.sums([
                    ("The in saw the on so in", " ran."), ("The in saw the on so on", " ran."),
                ])))
    }

    @Test func resultsFollowFromItems() throws {
        let place = try EvalWorkplace()
        let result = try place.run("openbookqa,arc_easy", out: "R")
        #expect(
            names(in: place.model.file("R")) == [
                "items.jsonl", "report.html", "results.json", "run.json",
            ])
        let results = try place.results("R")
        #expect(try SchemaValidator("results").problems(results) == [])
        let items = try place.items("R")
        let rows = try #require(results["tasks"]?.arrayValue)
        #expect(rows.count == 2 * 5)
        for row in rows {
            let own = items.filter { $0["task"] == row["name"] && $0["format"] == row["format"] }
            #expect(row["items"]?.intValue == own.count)
            let right = own.count { item in
                let logs = numbers(item["logprobs"])
                let scored: [Double] =
                    switch row["metric"]?.stringValue {
                    case "raw": logs
                    case "per_char": zip(logs, numbers(item["n_chars"])).map(/)
                    case "per_token": zip(logs, numbers(item["n_tokens"])).map(/)
                    default: zip(logs, numbers(item["logprobs_uncond"])).map(-)
                    }
                let best = scored.firstIndex(of: scored.max() ?? 0)
                if row["primary"] == true {
                    #expect(item["prediction"]?.intValue == best)
                    #expect(item["correct"] == .bool(best == item["gold"]?.intValue))
                }
                return best == item["gold"]?.intValue
            }
            #expect(row["value"]?.doubleValue == Double(right) / Double(own.count))
        }
        let primary = rows.filter { $0["primary"] == true }
        #expect(
            primary.map { "\($0["name"]?.stringValue ?? "") \($0["metric"]?.stringValue ?? "")" }
                == ["openbookqa uncond", "openbookqa raw", "arc_easy per_char", "arc_easy raw"])
        // The long question is cut to the model's context of 128 tokens in both formats.
        #expect(primary.map { $0["truncated"]?.intValue } == [0, 0, 1, 1])
        #expect(items.count { $0["truncated"] == true } == 2)
        for row in results["olmes_maximum"]?.arrayValue ?? [] {
            let best = primary.filter { $0["name"] == row["name"] }
                .compactMap { $0["value"]?.doubleValue }.max()
            #expect(row["value"]?.doubleValue == best)
        }
        #expect(result.text.contains("OLMES maximum") && result.text.contains("base"))
    }

    @Test func depthsEachHaveAFolder() throws {
        let place = try EvalWorkplace()
        try place.run("openbookqa", out: "R")
        try place.run(
            "openbookqa", out: "D",
            ["--split", "1-2-1", "--split", "2-1-1", "--iterations", "1..3"])
        #expect(
            names(in: place.model.file("D"))
                == [
                    "1-2*2-1", "1-2*3-1", "2-1*2-1", "2-1*3-1", "audit.json", "base", "report.html",
                ])
        #expect(
            try bytes(of: place.model.file("D/base/items.jsonl"))
                == bytes(of: place.model.file("R/items.jsonl")))
        let looped = try place.results("D/1-2*3-1")
        #expect(looped["iterations"] == 3 && looped["split"]?["think"] == 2)
        #expect(try place.results("D/base")["split"] == nil)
        let item = try place.items("D/1-2*3-1")[0]
        #expect(item["passes"] == 3)
        #expect(
            numbers(item["logprobs"])
                == (try place.sums(
                    ["sky", "the sea", "in"].map { ("Question: What is up?\nAnswer:", " " + $0) },
                    ["--split", "1-2*3-1"])))
    }

    @Test func anInterruptedRunGoesOnToTheSameBytes() throws {
        let place = try EvalWorkplace()
        try place.run("openbookqa,arc_easy", out: "whole")
        // A folder in the place of a file stops the run at its very end.
        let blocked = place.model.file("R/items.jsonl")
        try FileManager.default.createDirectory(
            atPath: blocked, withIntermediateDirectories: true)
        let arguments = place.arguments("openbookqa,arc_easy", out: "R")
        expectFailure(try CommandRunner(etd)(arguments), naming: ["items.jsonl"])
        let partial = place.model.file("R/items.partial.jsonl")
        let lines = try bytes(of: partial).split(separator: 0x0A)
        #expect(lines.count == 1 + 26)
        try FileManager.default.removeItem(atPath: blocked)
        // Other settings and other models are not mixed into it.
        let other = place.arguments("openbookqa", out: "R")
        expectFailure(try CommandRunner(etd)(other), naming: ["unfinished", "--overwrite"])
        // Killed in the middle of its ninth item.
        let cut = lines.prefix(9).map { Array($0) + [0x0A] }.joined() + lines[9].prefix(20)
        try Data(cut).write(to: URL(filePath: partial))
        try place.run("openbookqa,arc_easy", out: "R")
        #expect(
            try bytes(of: place.model.file("R/items.jsonl"))
                == bytes(of: place.model.file("whole/items.jsonl")))
        #expect(
            names(in: place.model.file("R")) == [
                "items.jsonl", "report.html", "results.json", "run.json",
            ])
        #expect(try place.results("R")["tasks"] == place.results("whole")["tasks"])
    }

    /// Full steps of Euler's are plain passes; a rule that never stops a token runs all of them.
    @Test func dampedAndAdaptiveDepthsStandBesideFixedOnes() throws {
        let place = try EvalWorkplace()
        let fixed = ["--split", "1-2-1", "--iterations", "1,3"]
        try place.run(
            "openbookqa", out: "D",
            fixed + ["--damped", "euler", "--substeps", "3", "--factor", "1"])
        #expect(
            names(in: place.model.file("D"))
                == ["1-2*3-1", "1-2*euler-1", "audit.json", "base", "report.html"])
        try place.run(
            "openbookqa", out: "A", fixed + ["--adaptive", "change<1e-30", "--max-iterations", "3"])
        let plain = try place.items("D/1-2*3-1")
        for (folder, key) in [("D/1-2*euler-1", "damped"), ("A/1-2*adaptive-1", "adaptive")] {
            let items = try place.items(folder)
            #expect(items.count == plain.count)
            for (item, other) in zip(items, plain) {
                for (a, b) in zip(numbers(item["logprobs"]), numbers(other["logprobs"])) {
                    #expect(abs(a - b) < 1e-4, "\(folder)")
                }
                #expect(item["prediction"] == other["prediction"])
            }
            let record = try place.results(folder)
            #expect(try SchemaValidator("results").problems(record) == [])
            #expect(record[key]?.objectValue != nil && record["iterations"] == 3)
        }
        #expect(try place.results("A/1-2*adaptive-1")["mean_passes"] == 3.0)
        // A rule that every token meets at once runs the model as it is.
        try place.run(
            "openbookqa", out: "B",
            ["--split", "1-2-1", "--adaptive", "lens-kl<1000", "--max-iterations", "3"])
        let early = try place.results("B/1-2*adaptive-1")["mean_passes"]?.doubleValue ?? 0
        #expect(early < 3)
    }

    /// The audit counts what the items say.
    @Test func theAuditFollowsFromTheItems() throws {
        let place = try EvalWorkplace()
        try place.run("openbookqa", out: "D", ["--split", "1-2-1", "--iterations", "1..3"])
        let audit = try JSON.read(path: place.model.file("D/audit.json"))
        let split = try #require(audit["splits"]?.arrayValue?.first)
        #expect(audit["splits"]?.arrayValue?.count == 1 && split["split"] == "1-2*k-1")
        let right = try ["base", "1-2*2-1", "1-2*3-1"].map { depth in
            try place.items("D/" + depth).filter { $0["format"] == "rc" }.map {
                $0["correct"]?.boolValue == true
            }
        }
        let task = try #require(split["tasks"]?.arrayValue?.first { $0["format"] == "rc" })
        #expect(task["depths"] == [1, 2, 3])
        #expect(task["right"] == .array(right.map { .number($0.count { $0 }) }))
        let never = right[0].indices.count { item in !right.contains { $0[item] } }
        #expect(task["never_right"] == .number(never))
        let page = String(decoding: try bytes(of: place.model.file("D/report.html")), as: UTF8.self)
        #expect(page.contains("Which depth items need"))
    }

    /// The page has every depth, the rivals of a loop, and each question that changed with its text.
    @Test func thePageShowsDepthsAndWhatChanged() throws {
        let place = try EvalWorkplace()
        try place.run(
            "openbookqa,arc_easy", out: "P",
            ["--split", "1-1*3-2", "--split", "1-1*1-2", "--rivals"])
        // The base, the loop, the same block before and behind it, two layers twice in the middle, all twice.
        #expect(
            names(in: place.model.file("P"))
                == [
                    "0-1*3-3", "0-4*2-0", "1-1*3-2", "1-2*2-1", "2-1*3-1", "audit.json", "base",
                    "report.html",
                ])
        let page = String(decoding: try bytes(of: place.model.file("P/report.html")), as: UTF8.self)
        for text in ["0-4*2-0", "1-2*2-1", "1.50× layers", "2.00× layers", "OLMES maximum"] {
            #expect(page.contains(text), "\(text)")
        }
        var changed = 0
        let before = try place.items("P/1-1*3-2")
        for depth in ["base", "0-4*2-0"] {
            for (one, other) in zip(before, try place.items("P/" + depth))
            where one["correct"] != other["correct"] {
                changed += 1
                #expect(page.contains("\(one["id"]?.stringValue ?? "?")"))
            }
        }
        #expect(changed == 0 || page.contains("Questions that changed"))
        #expect(!page.contains("https:") && page.contains("<metadata>"))
    }

    /// Answers are those of `etd generate`, up to the task's stops, graded by its rules; depths each have theirs.
    @Test func answersAreGeneratedAndGraded() throws {
        let place = try EvalWorkplace()
        let questions = ["in the sea", "the one", "there was then"]
        try place.model.write(
            questions.enumerated().map { number, question in
                let json: JSON = [
                    "id": .number(number), "question": .string(question), "gold": ["the sky", "x"],
                ]
                return json.text(indent: 0) + "\n"
            }.joined(), to: "data/triviaqa.jsonl")
        try place.run("triviaqa,winogrande", out: "G", ["--split", "1-2-1", "--iterations", "1,2"])
        for (folder, more) in [("base", []), ("1-2*2-1", ["--split", "1-2*2-1"])] {
            let items = try place.items("G/" + folder).filter { $0["task"] == "triviaqa" }
            #expect(items.count == 3)
            for (item, question) in zip(items, questions) {
                let generated = try CommandRunner(etd)(
                    [
                        "generate", "--model", place.model.path, "--prompt",
                        "Question: \(question)\nAnswer:", "--max-tokens", "50", "--stop", "\n\n",
                        "--json", "--quiet",
                    ] + more)
                try #require(generated.code == 0, "\(generated)")
                let line = try JSON.parse(generated.output)
                #expect(item["prediction"] == line["text"])
                #expect(
                    item["n_tokens"]?.arrayValue?.first?.intValue
                        == line["tokens"]?.arrayValue?.count)
                #expect(item["format"] == "generate")
                // The grader's own figure for the same text.
                let saved: JSON = [
                    "prediction": item["prediction"] ?? .null, "gold": ["the sky", "x"],
                ]
                try place.model.write(saved.text(indent: 0) + "\n", to: "saved.jsonl")
                let graded = try CommandRunner(etd)(
                    ["eval", "--grade", place.model.file("saved.jsonl"), "--task", "triviaqa"])
                let grade = try JSON.parse(graded.output)
                #expect(grade["score"]?.doubleValue == item["score"]?.doubleValue)
            }
        }
        #expect(try place.items("G/1-2*2-1")[0]["passes"] == 2)
        let tasks = try place.results("G/base")["tasks"]?.arrayValue ?? []
        #expect(
            tasks.contains { $0["name"] == "triviaqa" && $0["metric"] == "f1" && $0["items"] == 3 })
    }

    @Test func resultsThatAreThereStay() throws {
        let place = try EvalWorkplace()
        try place.run("winogrande", out: "R")
        let arguments = place.arguments("winogrande", out: "R")
        expectFailure(try CommandRunner(etd)(arguments), naming: ["--overwrite"])
        try place.run("winogrande", out: "R", ["--overwrite"])
        let stranger = try TinyModel("llama-deep")
        expectFailure(
            try CommandRunner(etd)(
                arguments.map { $0 == place.model.path ? stranger.path : $0 }),
            naming: ["another model", "--overwrite"])
        // Nor do several depths go into folders beside them.
        expectFailure(
            try CommandRunner(etd)(arguments + ["--split", "1-2-1", "--iterations", "1,2"]),
            naming: ["holds results", "another folder"])
        #expect(
            names(in: place.model.file("R")) == [
                "items.jsonl", "report.html", "results.json", "run.json",
            ])
        try place.model.write("x", to: "file")
        expectFailure(
            try CommandRunner(etd)(place.arguments("winogrande", out: "file")),
            naming: ["not a directory"])
    }

    @Test func comparisonsPairItems() throws {
        let place = try EvalWorkplace()
        try place.run(
            "openbookqa,winogrande", out: "D", ["--split", "1-2-1", "--iterations", "1,3"])
        let (a, b) = (place.model.file("D/base"), place.model.file("D/1-2*3-1"))
        let result = try succeed(etd, "eval", "--compare", a, b, "--json", "--effect", "0.1")
        let rows = try #require(try JSON.parse(result.output)["tasks"]?.arrayValue)
        #expect(rows.count == 4)
        for row in rows {
            let own = [a, b].map { folder in
                ((try? bytes(of: folder + "/items.jsonl")) ?? Data()).split(separator: 0x0A)
                    .compactMap { try? JSON.parse(Array($0)) }
                    .filter { $0["task"] == row["name"] && $0["format"] == row["format"] }
                    .map { $0["correct"] == true ? 1.0 : 0 }
            }
            let differences = zip(own[1], own[0]).map(-)
            let count = Double(differences.count)
            #expect(row["items"]?.intValue == differences.count)
            let mean = differences.reduce(0, +) / count
            #expect(abs((row["difference"]?.doubleValue ?? .nan) - mean) < 1e-12)
            #expect(row["a"]?["value"]?.doubleValue == own[0].reduce(0, +) / count)
            #expect(row["gained"]?.intValue == differences.count { $0 > 0 })
            #expect(row["lost"]?.intValue == differences.count { $0 < 0 })
            #expect((0...1).contains(row["q"]?.doubleValue ?? -1))
            #expect((row["q"]?.doubleValue ?? -1) >= (row["mcnemar_p"]?.doubleValue ?? 2))
            if count > 1 {
                let squares = differences.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
                let error = (squares / (count - 1)).squareRoot() / count.squareRoot()
                #expect(abs((row["mde"]?.doubleValue ?? -1) - 2.802 * error) < 1e-12)
                #expect(row["items_needed"]?.intValue ?? 0 >= 2)
            }
        }
        let table = try succeed(etd, "eval", "--compare", a, b)
        #expect(table.text.contains("McNemar") && table.text.contains("openbookqa"))
        // The same folder: nothing changed.
        let same = try JSON.parse(try succeed(etd, "eval", "--compare", a, a, "--json").output)
        #expect(same["tasks"]?.arrayValue?.allSatisfy { $0["mcnemar_p"] == 1.0 } == true)
        try place.run("arc_easy", out: "other")
        try fail(etd, "eval", "--compare", a, place.model.file("other"), naming: ["no items pair"])
        try fail(
            etd, "eval", "--compare", a, place.model.file("D"), naming: ["results.json", "base"])
    }

    @Test func predictionsAreGradedLineByLine() throws {
        let scratch = try ScratchDirectory()
        let file = try scratch.write(
            """
            {"prediction":" So it is 1,000.\\n\\nQuestion: 5","gold":"1000","other":1}

            {"prediction":"none","gold":"7"}

            """.utf8, to: "gsm8k.jsonl")
        let graded = try succeed(etd, "eval", "--grade", file, "--task", "gsm8k")
        #expect(
            graded.lines == [
                #"{"index":0,"score":1.0,"extracted":"1000"}"#,
                #"{"index":2,"score":0.0,"extracted":null}"#,
            ])
        #expect(graded.errors.contains("2 predictions, mean score 0.5000"))
        let math = try scratch.write(
            ##"{"prediction":"Final Answer: The final answer is $x+1$. I hope it is correct.","gold":"1+x"}"##
                .utf8, to: "math.jsonl")
        let open = try succeed(etd, "eval", "--grade", math, "--task", "minerva_math")
        #expect(
            open.lines == [
                #"{"index":0,"score":0.0,"extracted":"x+1","flexible":0.0,"needs_algebra":true}"#
            ])
        #expect(open.errors.contains("computer algebra"))
        for (line, problem) in [
            (#"{"prediction":1,"gold":"1"}"#, "\"prediction\""),
            (#"{"prediction":"1"}"#, "\"gold\""),
            (#"{"prediction":"1","gold":1}"#, "must be a string"), ("{", "not valid JSON"),
        ] {
            let bad = try scratch.write("\n\(line)".utf8, to: "bad.jsonl")
            let result = try CommandRunner(etd)("eval", "--grade", bad, "--task", "gsm8k")
            #expect(result.code == 1 && result.errors.contains("line 2: "), "\(result)")
            #expect(result.errors.contains(problem), "\(result)")
        }
        let empty = try scratch.write([], to: "empty.jsonl")
        try fail(etd, "eval", "--grade", empty, "--task", "gsm8k", naming: [empty])
        for (task, problem) in [
            ("arc_easy", "log-likelihoods"), ("bbh", "bbh_navigate"), ("math", "group"),
            ("gsm8", "did you mean gsm8k?"),
        ] {
            try fail(etd, "eval", "--grade", file, "--task", task, naming: [problem])
        }
    }

    @Test func badInputIsNamed() throws {
        let place = try EvalWorkplace()
        func expect(_ tasks: String, _ more: [String] = [], naming parts: [String]) throws {
            // Without the fetched data and examples.
            expectFailure(
                try CommandRunner(etd)(
                    place.arguments(tasks, out: "bad", more),
                    environment: ["XDG_CACHE_HOME": place.model.path]),
                naming: parts)
            #expect(names(in: place.model.file("bad")) == nil)
        }
        try expect("opnbookqa", naming: ["did you mean openbookqa?"])
        try expect("gsm8k", naming: ["gsm8k: no data"])
        try place.model.write(
            #"{"id":0,"question":"in","gold":[1]}"# + "\n", to: "data/triviaqa.jsonl")
        try expect("triviaqa", naming: ["triviaqa", "0", "a list of strings"])
        try expect("hellaswag", naming: ["hellaswag: no data", "scripts/fetch-benchmarks"])
        try expect("openbookqa", ["--shots", "3"], naming: ["3 examples"])
        try place.model.write(
            #"{"id":1,"question":"x","choices":["a","b"],"gold":2}"#, to: "data/csqa.jsonl")
        try expect("csqa", naming: ["csqa.jsonl: line 1", "\"gold\" is 2"])
        try expect("openbookqa", ["--split", "1-1-1", "--iterations", "2"], naming: ["4"])
        for arguments in [
            ["eval"], ["eval", "--model", "x"], ["eval", "--compare", "a"],
            ["eval", "--grade", "x"], ["eval", "--compare", "a", "b", "--effect", "0"],
            ["eval", "--compare", "a", "b", "--model", "x"],
            place.arguments("openbookqa", out: "bad", ["--limit", "0"]),
            place.arguments("openbookqa", out: "bad", ["--split", "1-2-1"]),
            place.arguments("openbookqa", out: "bad", ["--iterations", "2"]),
            place.arguments(
                "openbookqa", out: "bad", ["--split", "1-2-1", "--iterations", "2..1"]),
        ] {
            let result = try CommandRunner(etd)(arguments)
            #expect(result.code == 64, "\(result)")
        }
    }

    @Test func limitsAndNumberListsWork() throws {
        let place = try EvalWorkplace()
        try place.run("openbookqa", out: "R", ["--limit", "2"])
        #expect(
            try place.items("R").compactMap { $0["id"]?.stringValue } == ["q0", "q1", "q0", "q1"])
        #expect(try place.results("R")["limit"] == 2)
    }
}
