import Activations
import Corpus
import Foundation
import ModelStore
import Models
import Records
import Relevance
import Reporting
import Scans
import Tokenizers

/// READ and USE of a run: from options to scores and evidence.
struct RelevanceRun {
    /// Tokens of plain text that USE's damage is compared with, at most.
    static let textTokens = 2_048

    let loaded: LoadedModel
    let options: RelevanceOptions
    let bos: BOSPolicy
    let quiet: Bool

    struct Outcome {
        var study: RelevanceStudy.Result
        var record: RelevanceRecord
        /// The documents behind the text's damage: the first of the run's.
        var documents: Int
        var seconds: Double
    }

    /// - Parameter documents: the run's.
    /// - Throws: `CommandError`, `RelevanceError`.
    func run(_ documents: [Document]) throws -> Outcome {
        let clock = Stopwatch()
        _ = try loaded.requiredTokenizer()
        var settings = RelevanceStudy.Settings(tasks: try options.tasks())
        settings.readItems = options.relevanceItems
        settings.useItems = options.useItems
        settings.seed = options.relevanceSeed
        var text: [Document] = []
        var tokens = 0
        for document in documents where document.tokens.count >= 2 {
            guard text.isEmpty || tokens + document.tokens.count <= Self.textTokens else { break }
            text.append(document)
            tokens += document.tokens.count
        }
        guard !text.isEmpty else {
            throw CommandError.flag(
                name: "--relevance", problem: "no document of the text has two tokens or more")
        }
        let limit = options.relevanceBudget?.seconds
        let reader = ScanItemReader(
            tokenizer: loaded.lazyTokenizer, bos: bos, path: "relevance",
            vocabulary: loaded.model.configuration.vocabularySize)
        let progress = ProgressReporter(
            label: "relevance", total: 0, unit: "token passes", quiet: quiet)
        let study = RelevanceStudy(
            model: loaded.model, settings: settings, reader: reader, text: text,
            isOver: { limit.map { clock.seconds >= $0 } ?? false },
            progress: progress.take)
        let result: RelevanceStudy.Result
        do {
            result = try study.run()
        } catch {
            progress.abandon()
            if let error = error as? ModelError {
                throw CommandError.pass(
                    path: loaded.checkpoint.path, problem: error.description)
            }
            throw error
        }
        progress.finish()
        return Outcome(
            study: result, record: record(result, settings), documents: text.count,
            seconds: clock.seconds)
    }

    private func record(
        _ result: RelevanceStudy.Result, _ settings: RelevanceStudy.Settings
    ) -> RelevanceRecord {
        var trials = result.trials.map { tried in
            RelevanceRecord.Trial(
                tried.level.task.name, tried.level.difficulty, tried.level.shots, tried.gate)
        }
        if let gate = result.knowledgeGate {
            trials.append(.init(KnowledgeItems.name, nil, 0, gate))
        }
        let names = result.passed.map(\.level.description)
        func use(_ score: UseScore?, _ scan: Int, _ tasks: [String]) -> RelevanceRecord.Use? {
            score.map { score in
                RelevanceRecord.Use(
                    tasks: tasks, items: result.scans[scan].job.items.count,
                    intercept: score.intercept, slope: score.slope, fitted: score.fitted,
                    critical: score.use.critical, detectable: score.detectable,
                    halfCorrelation: score.halfCorrelation,
                    halves: score.halves.map { $0.map { $0.isFinite ? $0 : nil } })
            }
        }
        return RelevanceRecord(
            seed: settings.seed, isComplete: result.isComplete, trials: trials,
            read: result.read.map { read in
                .init(
                    tasks: result.readTasks.map(\.name),
                    items: result.readTasks.reduce(0) { $0 + ($1.labelBits.first?.count ?? 0) },
                    swaps: result.readTasks.first?.swapped.first?.count ?? 0,
                    detectable: read.detectable,
                    unread: result.unread.map { "\($0.task): \($0.reason)" })
            }, use: use(result.use, 0, names),
            knowledge: use(result.knowledge, 1, [KnowledgeItems.name]),
            seconds: [
                "gate": result.gateSeconds, "read_forward": result.readForwardSeconds,
                "read_fit": result.readFitSeconds, "use": result.useSeconds,
            ])
    }
}

extension ProgressReporter {
    func take(_ progress: ScanProgress) {
        switch progress {
        case .done(let count): advance(by: count)
        case .planned(let count): plan(count)
        }
    }
}

extension RelevanceRecord.Trial {
    init(_ task: String, _ difficulty: Int?, _ shots: Int, _ gate: TaskGate) {
        self.init(
            task: task, difficulty: difficulty, shots: shots, items: gate.items,
            accuracy: gate.accuracy,
            information: Estimate(mean: gate.information, standardError: gate.error),
            passed: gate.passes)
    }

    /// For a line of notes.
    var evidence: String {
        guard let mean = information.mean, let error = information.standardError else { return "" }
        return String(
            format: "%d items, accuracy %.2f, %.3f nats on guessing, z %.1f", items, accuracy, mean,
            error > 0 ? mean / error : 0)
    }
}

extension LayersRecord {
    /// Takes in READ and USE: the record and each layer's scores.
    mutating func take(_ outcome: RelevanceRun.Outcome) {
        relevance = outcome.record
        func store(_ name: String, _ values: [Double]) {
            for (layer, value) in values.enumerated() where layer < layers.count {
                layers[layer].scores[name] = value.isFinite ? value : .some(nil)
            }
        }
        if let read = outcome.study.read {
            store("read_bits", read.read)
            store("read_bits_low", read.low)
            store("read_bits_high", read.high)
            store("read_bits_p", read.pValues)
            store("read_value_bits", read.value)
            store("read_by_template_bits", read.byTemplate)
        }
        for (name, score) in [
            ("use", outcome.study.use), ("use_knowledge", outcome.study.knowledge),
        ] {
            guard let score else { continue }
            store(name, score.use.means)
            store("\(name)_low", score.use.bandLow)
            store("\(name)_high", score.use.bandHigh)
            store("\(name)_p", score.use.pValues)
        }
        if let use = outcome.study.use {
            store("use_damage", use.damage)
            store("use_text_damage", use.textDamage)
        }
    }
}

extension EvidenceFile {
    /// Takes in what relevance rests on.
    /// - Parameter total: documents of the file; those of the text are the first of them.
    mutating func take(_ outcome: RelevanceRun.Outcome, documents total: Int) {
        relevance = Relevance()
        for task in outcome.study.readTasks {
            // A name with a colon is no trouble for HDF5; a space is for people who type it.
            relevance.probes[task.name.replacing(" ", with: "_")] = [
                "loss": NumberArray(task.labelBits), "foil_loss": NumberArray(task.foilBits),
                "swapped": NumberArray(task.swapped),
            ]
        }
        for (name, score) in [
            ("reasoning", outcome.study.use), ("knowledge", outcome.study.knowledge),
        ] {
            guard let score else { continue }
            relevance.use[name] = [
                "change": NumberArray(score.changes),
                "half": NumberArray(
                    shape: [score.itemHalves.count], values: score.itemHalves.map(Double.init)),
                "text_damage": NumberArray(
                    shape: [score.textDamage.count], values: score.textDamage),
            ]
        }
        if let effect = outcome.study.scans.first?.skipEffect {
            skipEffect = SkipEffect(effect, documents: total)
        }
    }
}
