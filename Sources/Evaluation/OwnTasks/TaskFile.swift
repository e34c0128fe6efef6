import Corpus
import Files
import Tokenizers

/// A task that a user brings: a YAML file, or a log of lm-evaluation-harness's samples (docs/evaluation.md).
public struct TaskFile: Sendable {
    public let benchmark: Benchmark

    static let keys = [
        "name", "title", "data", "fields", "prompt", "shots", "shots_data", "choices", "delimiter",
        "metric", "letters", "stops", "max_tokens", "grading", "extract",
    ]

    /// - Parameter path: of YAML, or of a `.jsonl` or `.jsonl.gz` log.
    /// - Throws: `EvaluationError.file`, `FileError`.
    public init(path: String) throws {
        if path.hasSuffix(".jsonl") || path.hasSuffix(".jsonl.gz") {
            benchmark = Self.harness(path)
        } else {
            benchmark = try Settings(path: path).benchmark()
        }
    }

    // MARK: lm-evaluation-harness's samples

    /// The log of one task: each line has its context and options ready.
    private static func harness(_ path: String) -> Benchmark {
        var name = Paths.name(of: path)
        for ending in [".gz", ".jsonl"] where name.hasSuffix(ending) {
            name.removeLast(ending.count)
        }
        if name.hasPrefix("samples_") { name.removeFirst("samples_".count) }
        // `_2024-05-06T07-08-09.123456` is when it was written.
        if let mark = name.lastIndex(of: "_"), isDate(name[name.index(after: mark)...]) {
            name = String(name[..<mark])
        }
        var benchmark = Benchmark(
            name: name, title: name, group: .own, shots: 0,
            form: .options(
                Benchmark.Options(
                    cloze: .continuation { $0.question }, clozeMetric: .perCharacter,
                    hasUnconditional: false, lettersHead: { $0.question }, delimiter: "")))
        benchmark.hasLetters = false
        benchmark.dataPath = path
        benchmark.rewrite = { json, wrong throws(EvaluationError) in
            guard HarnessSample.matches(json) else {
                throw wrong(
                    "has no \"arguments\": not a log of lm-evaluation-harness's samples; describe other data "
                        + "in a YAML file")
            }
            let sample = try HarnessSample(json, wrong)
            return [
                "id": sample.id.map(JSON.string) ?? .null, "question": .string(sample.context),
                "choices": .array(sample.options.map(JSON.string)), "gold": .number(sample.gold),
            ]
        }
        return benchmark
    }

    private static func isDate(_ text: Substring) -> Bool {
        let bytes = Array(text.utf8)
        return bytes.count >= 10 && bytes[4] == 0x2D && bytes[7] == 0x2D
            && bytes.prefix(4).allSatisfy { (0x30...0x39).contains($0) }
    }
}

extension TaskFile {
    /// A YAML file's keys, checked.
    private struct Settings {
        let path: String
        let members: JSON.Object

        init(path: String) throws {
            self.path = path
            guard let members = try YAML.read(path: path).objectValue, !members.isEmpty else {
                throw EvaluationError.file(path: path, problem: "expected keys and values")
            }
            for key in members.keys where !TaskFile.keys.contains(key) {
                let near = NearestName.of(key, among: TaskFile.keys)
                throw EvaluationError.file(
                    path: path,
                    problem: "\(key): no such key"
                        + (near.map { "; did you mean \($0)?" }
                            ?? "; known are \(TaskFile.keys.joined(separator: ", "))"))
            }
            self.members = members
        }

        func error(_ key: String, _ problem: String) -> EvaluationError {
            .file(path: path, problem: "\(key): \(problem)")
        }

        func text(_ key: String) throws -> String? {
            guard let value = members[key] else { return nil }
            guard let text = value.stringValue else {
                throw error(key, "expected text, not \(value.text(indent: 0))")
            }
            return text
        }

        func whole(_ key: String, from least: Int) throws -> Int? {
            guard let value = members[key] else { return nil }
            guard let number = value.intValue, number >= least else {
                throw error(
                    key,
                    "expected a whole number, at least \(least), not \(value.text(indent: 0))")
            }
            return number
        }

        func texts(_ key: String) throws -> [String]? {
            guard let value = members[key] else { return nil }
            guard let values = value.arrayValue, !values.isEmpty,
                values.allSatisfy({ $0.stringValue != nil || $0.intValue != nil })
            else { throw error(key, "expected a list of texts, not \(value.text(indent: 0))") }
            return values.map { $0.stringValue ?? $0.text(indent: 0) }
        }

        /// Beside the YAML file, unless it is absolute.
        func file(_ key: String) throws -> String? {
            try text(key).map { $0.hasPrefix("/") ? $0 : Paths.join(Paths.directory(of: path), $0) }
        }

        func benchmark() throws -> Benchmark {
            guard let name = try text("name"), !name.isEmpty,
                name.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x2F && $0 != 0x2C && $0 < 0x7F })
            else {
                throw error("name", "expected a name without spaces, commas and slashes")
            }
            guard let data = try file("data") else {
                throw error("data", "is missing: the JSON lines of the questions")
            }
            guard let source = try text("prompt") else {
                throw error(
                    "prompt",
                    "is missing: a template such as \"Question: {{ question }}\\nAnswer:\"")
            }
            let template: TextTemplate
            do throws(ChatTemplateError) { template = try TextTemplate(source) } catch {
                throw self.error("prompt", TaskFile.words(error))
            }
            let prompt: @Sendable (BenchmarkDocument) -> String = { document in
                // `check` has rendered it before a model is opened.
                (try? template.render(TaskFile.variables(document))) ?? ""
            }
            let isGenerated = ["stops", "max_tokens", "grading", "extract"]
                .contains { members[$0] != nil }
            var made = Benchmark(
                name: name, title: try text("title") ?? name, group: .own,
                shots: try whole("shots", from: 0) ?? 0,
                form: isGenerated ? try generation(prompt) : try options(prompt))
            made.dataPath = data
            made.shotsPath = try file("shots_data")
            made.takesLowestAsShots = made.shotsPath == nil
            made.shotsSource = "name a file of them under shots_data in \(path)"
            made.choices = try texts("choices")
            if !isGenerated, let letters = members["letters"] {
                guard let value = letters.boolValue else {
                    throw error("letters", "expected true or false")
                }
                made.hasLetters = value
            }
            if let fields = members["fields"] {
                made.rewrite = try renaming(fields)
            }
            made.settings = JSON.object(members).text(indent: 0)
            made.keepsFields = true
            made.check = { document throws(EvaluationError) in
                do throws(ChatTemplateError) {
                    _ = try template.render(TaskFile.variables(document))
                } catch {
                    throw .item(
                        task: name, id: document.itemID,
                        problem: "prompt: \(TaskFile.words(error))")
                }
            }
            return made
        }

        private func options(
            _ prompt: @escaping @Sendable (BenchmarkDocument) -> String
        ) throws -> Benchmark.Form {
            let name = try text("metric") ?? Benchmark.Metric.perCharacter.rawValue
            let metrics: [Benchmark.Metric] = [.raw, .perCharacter, .perToken, .unconditional]
            guard let metric = metrics.first(where: { $0.rawValue == name }) else {
                throw error(
                    "metric",
                    "\(name.quotedForMessage) is none of "
                        + metrics.map(\.rawValue).joined(separator: ", "))
            }
            return .options(
                Benchmark.Options(
                    cloze: .continuation(prompt), clozeMetric: metric,
                    hasUnconditional: metric == .unconditional,
                    lettersHead: { TaskFile.lettersHead(prompt($0)) },
                    delimiter: try text("delimiter") ?? " "))
        }

        private func generation(
            _ prompt: @escaping @Sendable (BenchmarkDocument) -> String
        ) throws -> Benchmark.Form {
            for key in ["choices", "metric", "letters", "delimiter"] where members[key] != nil {
                throw error(
                    key, "goes with options, but stops, max_tokens or grading ask for generation")
            }
            let name = try text("grading") ?? "exact"
            let grading: Grading
            if name == "exact" {
                let pattern = try text("extract")
                if let pattern, !Grading.isPattern(pattern) {
                    throw error(
                        "extract", "not a regular expression: \(pattern.quotedForMessage)")
                }
                grading = .exact(pattern: pattern)
            } else if let known = Grading.named(name) {
                guard members["extract"] == nil else {
                    throw error("extract", "goes with grading: exact")
                }
                grading = known
            } else {
                throw error(
                    "grading",
                    "\(name.quotedForMessage) is none of exact, "
                        + Grading.names.joined(separator: ", "))
            }
            let metric: Benchmark.Metric = grading.isF1 ? .f1 : .exactMatch
            return .generation(
                Benchmark.Generation(
                    prompt: prompt, maximumTokens: try whole("max_tokens", from: 1) ?? 256,
                    stops: try texts("stops") ?? ["\n\n"], metric: metric,
                    grading: { _ in grading }))
        }

        /// `fields: {question: problem}`: what this project calls question, the data calls problem.
        private func renaming(_ fields: JSON) throws -> Benchmark.Rewrite {
            guard let pairs = fields.objectValue,
                pairs.values.allSatisfy({ $0.stringValue != nil })
            else {
                throw error("fields", "expected this project's names with the data's behind them")
            }
            let names = pairs.map { ($0.key, $0.value.stringValue ?? "") }
            return { json, wrong throws(EvaluationError) in
                guard var object = json.objectValue else { return json }
                for (own, other) in names {
                    guard let value = object[other] else {
                        throw wrong("\(other.quotedForMessage) is missing")
                    }
                    object[own] = value
                }
                return .object(object)
            }
        }
    }

    /// What a template may name: the line's own fields, and the project's names for them.
    static func variables(_ document: BenchmarkDocument) -> [String: JSON] {
        var values = document.fields
        values["id"] = .string(document.id)
        values["subtask"] = .text(document.subtask)
        values["passage"] = .text(document.passage)
        values["question"] = .string(document.question)
        values["choices"] = .array(document.choices.map(JSON.string))
        return values
    }

    /// Letters stand between the question and its last line, which asks for the answer.
    static func lettersHead(_ prompt: String) -> String {
        prompt.hasSuffix("\nAnswer:") ? String(prompt.dropLast("\nAnswer:".count)) : prompt
    }

    static func words(_ error: ChatTemplateError) -> String {
        switch error {
        case .syntax(let problem): "the template cannot be read: \(problem)"
        case .unknown(let what): "the template uses \(what), which is not built"
        case .failed(let problem): "the template fails: \(problem)"
        case .refused(let words): "the template refuses this line: \(words)"
        case .endless: "the template does not end"
        }
    }
}
