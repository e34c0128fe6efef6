import Activations
import Corpus
import Files
import Foundation
import ModelStore
import Models
import Plans
import Probing
import Records
import Relevance
import Reporting
import Scans
import Tensors

/// `etd-analyze scan` from options to files.
public struct ScanRun {
    static let scans = "scans.json"
    static let evidence = "evidence.h5"
    static let journal = "scans.unfinished.jsonl"

    var model: ModelOptions
    var data: DataOptions
    var options: ScanOptions
    var out: String
    var overwrite: Bool
    var quiet: Bool

    public init(
        model: ModelOptions, data: DataOptions, options: ScanOptions, out: String, overwrite: Bool,
        quiet: Bool
    ) {
        self.model = model
        self.data = data
        self.options = options
        self.out = out
        self.overwrite = overwrite
        self.quiet = quiet
    }

    /// Runs it and gives what was written.
    public func run() throws -> ScansRecord {
        // A scan that was begun goes on, and then replaces what it has written so far.
        var begun = false
        if !overwrite, out != "-" {
            let journal = Paths.join(try Output.resolved(out), Self.journal)
            begun = Paths.kind(journal) != .missing
        }
        let folder = try RunDirectory.prepare(
            out, files: [Self.scans], overwrite: overwrite || begun)
        return try withExtendedLifetime(folder.lock) {
            do {
                return try measureAndWrite(to: folder.path)
            } catch {
                // Leaves a directory that something stands in.
                if folder.isNew { rmdir(folder.path) }
                throw error
            }
        }
    }

    private func measureAndWrite(to folder: String) throws -> ScansRecord {
        let start = ProcessInfo.processInfo.systemUptime
        model.apply(quiet: quiet)
        let loaded = try model.open(quiet: quiet)
        let layers = loaded.model.configuration.layerCount
        let lengths = options.lengths?.values ?? (options.windows == nil ? Array(1...4) : [])
        let windows = try ScanWindow.grid(
            kinds: options.kinds.values,
            lengths: options.lengths == nil ? lengths.filter { $0 <= layers } : lengths,
            ranges: options.windows?.ranges ?? [], iterations: options.iterations.values,
            layers: layers)
        let rivals = try rivals(layers)
        let (items, source, tooLong, trials) = try readItems(loaded)
        let (documents, text) = try readText(loaded, hasItems: !items.isEmpty)
        let job = Scan.Job(
            windows: windows + rivals.filter { !windows.contains($0) }, items: items,
            documents: documents, races: options.racing, seed: options.seed,
            dynamics: options.dynamics, skipEffect: true, pinned: Set(rivals))

        // A probe may have left its own values there.
        let evidencePath = Paths.join(folder, Self.evidence)
        let earlier = try EvidenceFile.begin(
            evidencePath, as: .scan, sha256: documents.map(\.sha256))
        let journal = Paths.join(folder, Self.journal)
        if overwrite { unlink(journal) }
        let progress = ProgressReporter(
            label: "scanning", total: 0, unit: "token passes", quiet: quiet)
        let limit = options.budget?.seconds
        let result: Scan.Result
        do {
            result = try Scan.run(
                job, model: loaded.model, journalAt: journal,
                key: key(loaded, job, source, text),
                isOver: {
                    limit.map { ProcessInfo.processInfo.systemUptime - start >= $0 } ?? false
                }, progress: progress.take)
        } catch {
            progress.abandon()
            if let error = error as? ModelError {
                throw CommandError.pass(path: loaded.checkpoint.path, problem: "\(error)")
            }
            throw error
        }
        progress.finish()

        var record = ScansRecord(
            model: try loaded.record(hashed: false), precision: model.arithmetic.rawValue,
            bos: data.bos.rawValue, items: source, tooLong: tooLong, text: text,
            documents: documents.count,
            racing: .init(
                isOn: job.races, seed: job.seed, search: result.search.count,
                confirmation: result.confirmation.count),
            base: result.base, windows: result.rows, notRun: result.notRun,
            isComplete: !result.stopped, executions: result.executions,
            naiveExecutions: result.naiveExecutions)
        record.gate = trials
        record.headRows = result.headRows
        record.dynamics = result.dynamicsRows
        record.skipEffect = result.skipEffectMap
        var evidence = Self.evidence(result)
        evidence.probe = earlier.probe
        evidence.base = earlier.base
        evidence.relevance = earlier.relevance
        if evidence.skipEffect == nil { evidence.skipEffect = earlier.skipEffect }
        if evidence.sha256.isEmpty {
            (evidence.sha256, evidence.tokens) = (earlier.sha256, earlier.tokens)
        }
        try evidence.write(to: evidencePath, replacing: true)
        try AtomicFile.write(record.json, to: Paths.join(folder, Self.scans))
        if !result.stopped { unlink(journal) }
        return record
    }

    /// Window passes when no window leaves the race.
    private func rivals(_ layers: Int) throws -> [ScanWindow] {
        guard let text = options.rivals else { return [] }
        do {
            let notation = try SplitNotation(text)
            return try ScanWindow.rivals(
                of: notation.split, iterations: notation.iterations ?? 1, layers: layers)
        } catch let error as PlanError {
            throw CommandError.flag(name: "--rivals", problem: error.description)
        }
    }

    // MARK: Input

    private typealias Items = (
        items: [ScanItem], source: ScansRecord.Source?, tooLong: Int,
        trials: [RelevanceRecord.Trial]
    )

    private func readItems(_ loaded: LoadedModel) throws -> Items {
        guard options.items != nil || options.itemTasks != nil else { return ([], nil, 0, []) }
        let context = loaded.model.configuration.contextLength
        let path = options.items ?? "--item-tasks \(options.itemTasks ?? "")"
        let reader = ScanItemReader(
            tokenizer: loaded.lazyTokenizer, bos: data.bos, path: path,
            vocabulary: loaded.model.configuration.vocabularySize)
        let search = GateSearch(model: loaded.model, reader: reader, seed: options.seed)
        var read = ItemFile()
        if let file = options.items { read = try ItemFile.read(path: file, reader: reader) }
        if read.unconditional > 0 {
            loaded.note(
                "\(path): \(read.unconditional) documents are asked without their question and left "
                    + "out")
        }
        // The last id is predicted, it does not run.
        var items = read.items.filter { item in
            item.options.allSatisfy { $0.tokens.count - 1 <= context }
        }
        let tooLong = read.items.count - items.count
        if tooLong > 0 {
            loaded.note(
                "\(path): \(tooLong) of \(read.items.count) items are longer than the model's "
                    + "context of \(context) and left out")
        }
        var trials: [RelevanceRecord.Trial] = []
        if options.gate, !items.isEmpty { items = try gated(items, path, search, &trials) }
        if let names = options.itemTasks {
            items += try taskItems(names, loaded, search, &trials)
        }
        for trial in trials where !quiet {
            let verdict = trial.passed ? "done" : "not done, left out"
            loaded.note("gate: \(trial.label): \(verdict) (\(trial.evidence))")
        }
        guard !items.isEmpty || trials.isEmpty else {
            throw ScanError.items(
                path: path,
                problem:
                    "no task passes the gate: this model does none of them better than guessing, so a "
                    + "scan would measure noise; bring items that it does with --items, or easier ones"
            )
        }
        guard items.count >= 2 else {
            throw ScanError.items(
                path: path,
                problem:
                    "has \(items.count) usable item\(items.count == 1 ? "" : "s"); a scan needs "
                    + "two or more, and some hundreds to see small effects")
        }
        guard items.count >= 4 || !options.racing else {
            throw ScanError.items(
                path: path,
                problem:
                    "has \(items.count) items, too few to divide into search and confirmation; "
                    + "give four or more, or --no-racing")
        }
        let sha256 =
            try options.items.map { try SHA256.hexadecimal(ofFile: $0) }
            ?? SHA256.hexadecimal(of: Array("\(path) \(options.itemCount)".utf8))
        return (items, .init(path: path, sha256: sha256, count: items.count), tooLong, trials)
    }

    /// Items of the tasks that pass, in their order.
    private func gated(
        _ items: [ScanItem], _ path: String, _ search: GateSearch,
        _ trials: inout [RelevanceRecord.Trial]
    ) throws -> [ScanItem] {
        var names: [String] = []
        var members: [String: [ScanItem]] = [:]
        for item in items {
            let name = item.task ?? path
            if members[name] == nil { names.append(name) }
            members[name, default: []].append(item)
        }
        var kept: Set<String> = []
        for name in names {
            let gate = try search.gate(members[name] ?? [])
            trials.append(.init(name, nil, 0, gate))
            if gate.passes { kept.insert(name) }
        }
        return items.filter { kept.contains($0.task ?? path) }
    }

    private func taskItems(
        _ names: String, _ loaded: LoadedModel, _ search: GateSearch,
        _ trials: inout [RelevanceRecord.Trial]
    ) throws -> [ScanItem] {
        _ = try loaded.requiredTokenizer()
        var parts = names.split(separator: ",").map(String.init)
        if parts.contains("all") {
            parts =
                ProbeTasks.all.filter { $0.kind == .reasoning }.map(\.name)
                + [KnowledgeItems.name]
        }
        let generated = parts.filter { $0 != KnowledgeItems.name }
        var chosen: [(task: GeneratedTask, level: Int?)] = []
        if !generated.isEmpty {
            chosen = try zip(ProbeTasks.parse(generated.joined(separator: ",")), generated).map {
                ($0.0.task, $0.1.contains(":") ? $0.0.difficulty : nil)
            }
        }
        var items: [ScanItem] = []
        for (task, level) in chosen {
            guard task.kind == .reasoning else {
                throw CommandError.flag(
                    name: "--item-tasks",
                    problem: "\(task.name) is a surface control; it has no options to choose from")
            }
            let levels = level.map { level in
                [0, 5].map { TaskLevel(task: task, difficulty: level, shots: $0) }
            }
            let found = try search.trials(task, levels: levels) { _ in }
            trials += found.map {
                .init($0.level.task.name, $0.level.difficulty, $0.level.shots, $0.gate)
            }
            if let passed = found.last, passed.gate.passes {
                items += try search.items(passed.level, options.itemCount)
            }
        }
        if parts.contains(KnowledgeItems.name) {
            let own = try search.knowledge(min(options.itemCount, KnowledgeItems.most))
            let gate = try search.gate(own)
            trials.append(.init(KnowledgeItems.name, nil, 0, gate))
            if gate.passes { items += own }
        }
        return items
    }

    private func readText(
        _ loaded: LoadedModel, hasItems: Bool
    ) throws -> (documents: [Document], source: ScansRecord.Source?) {
        if data.data == nil, hasItems, try loaded.tokenizer() == nil {
            loaded.note(
                "no text is scanned: the model has no tokenizer, and --data names no token file")
            return ([], nil)
        }
        let (all, hash) = try data.read(for: loaded)
        let documents = all.filter { $0.tokens.count >= 2 }
        if documents.count < all.count {
            loaded.note("documents of one token are left out: \(all.count - documents.count)")
        }
        let path = data.data ?? DefaultText.name
        guard !documents.isEmpty else {
            throw CommandError.flag(
                name: "--data", problem: "no document of \(path) has two tokens or more")
        }
        let sha256: String
        if let hash {
            sha256 = hash
        } else if let file = data.data {
            sha256 = try SHA256.hexadecimal(ofFile: file)
        } else {
            sha256 = SHA256.hexadecimal(of: Array(DefaultText.text.utf8))
        }
        let tokens = documents.reduce(0) { $0 + $1.tokens.count }
        return (documents, .init(path: path, sha256: sha256, count: tokens))
    }

    /// Of everything that values depend on.
    private func key(
        _ loaded: LoadedModel, _ job: Scan.Job, _ items: ScansRecord.Source?,
        _ text: ScansRecord.Source?
    ) -> String {
        let parts: [String] =
            [
                "4", loaded.checkpoint.fingerprint, model.arithmetic.rawValue, data.bos.rawValue,
                items?.sha256 ?? "", text?.sha256 ?? "",
                job.documents.map { String($0.tokens.count) }.joined(separator: ","),
                "\(job.races)", "\(job.seed)", "\(job.dynamics)", "\(job.skipEffect)",
            ] + job.windows.map { $0.description + (job.pinned.contains($0) ? " pinned" : "") }
        return SHA256.hexadecimal(of: Array(parts.joined(separator: "\n").utf8))
    }

    // MARK: Output

    private static func evidence(_ result: Scan.Result) -> EvidenceFile {
        let job = result.job
        var scans = [
            EvidenceFile.Scans(
                kind: "base", windows: [[0, 0, 0]], margins: [result.baseMargins],
                logOdds: [result.baseLogOdds], nll: [result.baseNLL])
        ]
        for kind in ScanKind.allCases {
            let members = job.windows.indices.filter { job.windows[$0].kind == kind }
            scans.append(
                EvidenceFile.Scans(
                    kind: kind.rawValue,
                    windows: members.map { index in
                        let window = job.windows[index]
                        return [window.start, window.length, window.iterations ?? 0].map {
                            Int32($0)
                        }
                    },
                    margins: members.map { result.margins[$0].map { $0 ?? .nan } },
                    logOdds: members.map { result.logOdds[$0].map { $0 ?? .nan } },
                    nll: members.map { result.nll[$0].map { $0 ?? .nan } }))
        }
        let confirmed = Set(result.confirmation)
        var file = EvidenceFile(
            sha256: job.documents.map(\.sha256),
            tokens: job.documents.map { Int64($0.tokens.count - $0.addedTokens) },
            scored: job.documents.map { Int64($0.tokens.count - 1) },
            stages: job.items.indices.map { confirmed.contains($0) ? 1 : 0 }, scans: scans)
        file.skipEffect = result.skipEffect.map { EvidenceFile.SkipEffect($0) }
        file.dynamics = result.dynamics.map(EvidenceFile.Dynamics.init)
        return file
    }

    /// A few lines for people: the model as it is, and the best windows of each kind.
    public static func summary(_ record: ScansRecord) -> String {
        func text(_ estimate: Estimate, _ format: String) -> String {
            guard let mean = estimate.mean else { return "-" }
            let error = estimate.standardError.map { String(format: " ± %.3f", $0) } ?? ""
            return String(format: format, mean) + error
        }
        var lines = [
            "base: margin \(text(record.base.margin, "%.3f")), accuracy "
                + "\(text(record.base.accuracy, "%.3f")), nll \(text(record.base.nll, "%.3f"))"
        ]
        let byText = record.items == nil
        for kind in ScanKind.allCases.map(\.rawValue) {
            let rows = record.windows.filter { $0.kind == kind }
            let stage = rows.contains { $0.stage == "confirm" } ? "confirm" : "search"
            func rank(_ row: ScansRecord.Window) -> Double {
                byText
                    ? -(row.change.nll.mean ?? .infinity) : row.change.margin.mean ?? -.infinity
            }
            for row in rows.filter({ $0.stage == stage }).sorted(by: { rank($0) > rank($1) })
                .prefix(3)
            {
                let window = ScanWindow(
                    kind: ScanKind(rawValue: kind) ?? .skip, start: row.start,
                    length: row.length, iterations: row.iterations)
                lines.append(
                    "\(window) (\(stage), \(row.items) items): margin "
                        + "\(text(row.change.margin, "%+.3f")), nll \(text(row.change.nll, "%+.3f"))"
                )
            }
        }
        let share =
            record.naiveExecutions > 0
            ? Double(record.executions) / Double(record.naiveExecutions) : 1
        lines.append(
            "layer executions (layers × positions): \(record.executions) of "
                + "\(record.naiveExecutions) without sharing (\(String(format: "%.0f", 100 * share)) %)"
        )
        if !record.isComplete {
            lines.append(
                "stopped by --budget: \(record.notRun) windows not run; the same command goes on")
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
