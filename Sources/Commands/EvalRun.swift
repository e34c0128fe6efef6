import CKernels
import Corpus
import Evaluation
import Files
import Foundation
import Inference
import ModelStore
import Models
import Records
import Reporting
import Tensors
import Tokenizers

/// `etd eval` from options to folders.
public struct EvalRun {
    public var model: ModelOptions
    public var tasks: [String]
    /// Users' own.
    public var taskFiles: [String]
    public var limit: Int?
    public var shots: Int?
    public var dataDirectories: [String]
    public var shotsFile: String?
    public var splits: [String]
    public var iterations: [Int]?
    public var think: ThinkOptions
    public var rivals: Bool
    public var alternative: Int?
    public var allowMismatch: Bool
    public var bos: BOSPolicy
    public var out: String
    public var overwrite: Bool
    public var quiet: Bool

    public init(
        model: ModelOptions, tasks: [String], taskFiles: [String] = [], limit: Int?, shots: Int?,
        dataDirectories: [String],
        shotsFile: String?, splits: [String], iterations: [Int]?, think: ThinkOptions,
        rivals: Bool = false,
        alternative: Int?, allowMismatch: Bool, bos: BOSPolicy, out: String, overwrite: Bool,
        quiet: Bool
    ) {
        self.model = model
        self.tasks = tasks
        self.taskFiles = taskFiles
        self.limit = limit
        self.shots = shots
        self.dataDirectories = dataDirectories
        self.shotsFile = shotsFile
        self.splits = splits
        self.iterations = iterations
        self.think = think
        self.rivals = rivals
        self.alternative = alternative
        self.allowMismatch = allowMismatch
        self.bos = bos
        self.out = out
        self.overwrite = overwrite
        self.quiet = quiet
    }

    /// Which depth each item needed.
    static let audit = "audit.json"

    /// Where scripts/fetch-benchmarks writes.
    public static var fetchedData: String {
        let environment = ProcessInfo.processInfo.environment
        let cache =
            environment["XDG_CACHE_HOME"].flatMap { $0.isEmpty ? nil : $0 }
            ?? (environment["HOME"] ?? "/root") + "/.cache"
        return cache + "/etd/benchmarks"
    }

    /// Runs it and gives what was measured, a record for each depth.
    public func run() throws -> [ResultsRecord] {
        let clock = Stopwatch()
        var benchmarks = try BenchmarkRegistry.resolve(tasks)
        for path in taskFiles {
            let own = try TaskFile(path: path).benchmark
            guard !benchmarks.contains(where: { $0.name == own.name }) else {
                throw CommandError.flag(
                    name: "--task-file \(path)",
                    problem: "its name \(own.name) is another task's of this run; give it another")
            }
            benchmarks.append(own)
        }
        let data = BenchmarkData(
            folders: dataDirectories + [Self.fetchedData], shotsFile: shotsFile)
        let prepared = try benchmarks.map {
            try PreparedTask($0, data: data, shots: shots, limit: limit)
        }
        model.apply(quiet: quiet)
        let loaded = try model.open(quiet: quiet)
        let tokenizer = try loaded.requiredTokenizer()
        let plans = try EvalPlan.all(
            splits: splits, iterations: iterations, think: think, rivals: rivals,
            alternative: alternative,
            allowMismatch: allowMismatch, for: loaded)
        if plans.count > 1, Paths.kind(Paths.join(out, EvalFolder.results)) != .missing {
            throw CommandError.flag(
                name: "--out \(out)",
                problem: "holds results of one depth; several depths need another folder")
        }
        let thinking = plans.map(\.chosen?.thinking)
        var router: Router?
        if let rule = thinking.lazy.compactMap({ $0?.rule }).first {
            // A router that is missing or does not fit is told before a folder is made.
            do throws(ModelError) {
                router = try loaded.router()
                _ = try rule.halter(for: loaded.model, router: router)
            } catch {
                throw CommandError.flag(name: "--adaptive", problem: "\(error)")
            }
        }
        let opened = clock.seconds
        let tokenizerHash = try loaded.tokenizerHash()
        let digest = digest(prepared, loaded, tokenizerHash)
        let folders = try plans.map { plan in
            try EvalFolder(
                plans.count == 1 ? out : Paths.join(out, plan.notation),
                key: SHA256.hexadecimal(of: "\(digest) \(plan.key)".utf8),
                fingerprint: loaded.checkpoint.fingerprint, overwrite: overwrite)
        }
        let context = loaded.model.configuration.contextLength
        let evaluator = Evaluator(
            scoring: SharedPlanScorer(
                model: loaded.model, plans: plans.map(\.plan), thinking: thinking, router: router),
            answers: try SchedulerAnswers(
                loaded, tokenizer: tokenizer, plans: plans.map(\.plan), thinking: thinking),
            passes: plans.map(\.iterations), tokenizer: tokenizer, bos: bos, context: context)
        let tokens = try ask(evaluator, prepared, folders, path: loaded.checkpoint.path)
        let asked = clock.seconds
        let modelRecord = try loaded.record(hashed: false)
        var records: [ResultsRecord] = []
        for (plan, folder) in zip(plans, folders) {
            let scores = prepared.flatMap { TaskScore.all($0.benchmark, folder.items) }
            var record = ResultsRecord(
                model: modelRecord, split: plan.split, iterations: plan.iterations,
                notation: plan.notation, precision: model.arithmetic.rawValue, bos: bos.rawValue,
                maximumLength: context, limit: limit,
                settings: prepared.map {
                    ResultsRecord.Setting(
                        name: $0.benchmark.name, shots: $0.shotCount, data: $0.path,
                        notes: $0.notes)
                },
                tasks: scores.map(ResultsRecord.Task.init))
            record.thinking = plan.chosen?.json
            record.meanPasses = plan.chosen == nil ? nil : EvaluatedItem.meanPasses(folder.items)
            let run = runRecord(
                loaded, tokenizerHash, digest, tokens: tokens,
                timings: RunRecord.Timings(
                    open: opened, tokenize: 0, pass: asked - opened, total: clock.seconds))
            try folder.finish(record, run)
            records.append(record)
        }
        let audits = EvalPlan.audits(plans, items: folders.map(\.items))
        if !audits.isEmpty {
            try AtomicFile.write(
                Array((EvalPlan.json(audits).text() + "\n").utf8), to: Paths.join(out, Self.audit))
        }
        let layers = Double(loaded.model.configuration.layerCount)
        let page = EvalPage(
            records: records,
            overheads: zip(plans, records).map { plan, record in
                // Adaptive tokens run as much of the think block as they needed on average.
                guard let mean = record.meanPasses, let split = plan.split else {
                    return Double(plan.plan.steps.count) / layers
                }
                return (layers + Double(split.think) * (mean - 1)) / layers
            },
            audits: audits,
            prepared, items: folders.map(\.items))
        try AtomicFile.write(
            Array(page.html(createdBy: Product.createdBy).utf8),
            to: Paths.join(out, RunDirectory.report))
        return records
    }

    /// - Returns: tokens that items of this call held.
    private func ask(
        _ evaluator: Evaluator, _ prepared: [PreparedTask], _ folders: [EvalFolder], path: String
    ) throws -> Int {
        let total = prepared.reduce(0) { $0 + $1.itemCount } * folders.count
        let progress = ProgressReporter(
            label: "evaluating", total: total, unit: "items", quiet: quiet)
        progress.skip(folders.reduce(0) { $0 + $1.items.count })
        var tokens = 0
        do {
            for task in prepared {
                try evaluator.run(
                    task,
                    isDone: { folders[$0].isDone(task.benchmark.name, $1, $2) },
                    onItems: { plan, items in
                        try folders[plan].add(items)
                        tokens += items.reduce(0) { $0 + $1.tokens.reduce(0, +) }
                        progress.advance(by: items.count, note: task.benchmark.title)
                    })
            }
        } catch let error as ModelError {
            progress.abandon()
            throw CommandError.pass(path: path, problem: error.description)
        } catch let error as InferenceError {
            progress.abandon()
            throw CommandError.pass(path: path, problem: error.description)
        } catch {
            progress.abandon()
            throw error
        }
        progress.finish()
        return tokens
    }

    /// Of everything but the plan that decides an item's bytes.
    private func digest(
        _ prepared: [PreparedTask], _ loaded: LoadedModel, _ tokenizerHash: String
    ) -> String {
        var hash = SHA256()
        hash.update("\(loaded.checkpoint.fingerprint) \(tokenizerHash)\n".utf8)
        hash.update("\(model.arithmetic.rawValue) \(bos.rawValue)\n".utf8)
        for task in prepared { task.digest(into: &hash) }
        return hash.hexadecimal()
    }

    private func runRecord(
        _ loaded: LoadedModel, _ tokenizerHash: String, _ digest: String, tokens: Int,
        timings: RunRecord.Timings
    ) -> RunRecord {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        let level = etd_cpu_level_name(etd_cpu_level()).map { String(cString: $0) } ?? "unknown"
        return RunRecord(
            arguments: CommandLine.arguments,
            versions: [
                "etd-analyze": Product.version, "openblas": MatrixProduct.blasVersion,
                "onednn": Arithmetic.oneDNNVersion ?? "none", "kernels": level,
            ],
            blasCoreType: MatrixProduct.blasCoreType, threads: Parallel.threads,
            hashes: [
                "model": loaded.checkpoint.fingerprint, "tokenizer": tokenizerHash,
                "questions": digest,
            ],
            tokens: tokens, peakResidentBytes: usage.ru_maxrss * 1024, timings: timings,
            selfChecks: [], created: Date.now.formatted(.iso8601))
    }
}

extension ResultsRecord.Task {
    init(_ score: TaskScore) {
        self.init(
            name: score.name, group: score.group, format: score.format.rawValue,
            metric: score.metric.rawValue, value: score.interval.value, low: score.interval.low,
            high: score.interval.high, items: score.items, truncated: score.truncated,
            isPrimary: score.isPrimary)
    }
}
