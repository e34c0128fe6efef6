import Activations
import Analysis
import Corpus
import Files
import Foundation
import ModelStore
import Models
import OrderedCollections
import Plans
import Probing
import Records
import Relevance
import Reporting
import Selection
import Tensors

/// The main job from options to files: opens, measures, selects, writes.
public struct ProbeRun {
    public var model: ModelOptions
    public var data: DataOptions
    public var passes: ChosenPasses
    public var lens: TunedLensOptions
    public var probing: LinearProbeOptions
    public var relevance: RelevanceOptions
    public var split: SplitOptions
    public var sensitivity: Double
    public var sinks: SinksRecord.Policy
    public var lensPositions: PositionSelection
    public var until: StandardErrorBound?
    public var shard: DumpHeader.Shard?
    public var hashed: Bool
    public var out: String
    public var overwrite: Bool
    public var quiet: Bool

    public init(
        model: ModelOptions, data: DataOptions, passes: ChosenPasses, lens: TunedLensOptions,
        probing: LinearProbeOptions, relevance: RelevanceOptions? = nil, split: SplitOptions,
        sensitivity: Double,
        sinks: SinksRecord.Policy = .drop, lensPositions: PositionSelection = .all,
        until: StandardErrorBound? = nil, shard: DumpHeader.Shard? = nil, hashed: Bool, out: String,
        overwrite: Bool, quiet: Bool
    ) {
        self.model = model
        self.data = data
        self.passes = passes
        self.lens = lens
        self.probing = probing
        self.relevance = relevance ?? RelevanceOptions()
        self.split = split
        self.sensitivity = sensitivity
        self.sinks = sinks
        self.lensPositions = lensPositions
        self.until = until
        self.shard = shard
        self.hashed = hashed
        self.out = out
        self.overwrite = overwrite
        self.quiet = quiet
    }

    /// Runs it and gives what was written.
    public func run() throws -> (layers: LayersRecord, split: SplitRecord, run: RunRecord) {
        let folder = try RunDirectory.prepare(out, overwrite: overwrite)
        if folder.lock == nil, !quiet {
            Terminal.note(
                "--out \(out): this file system locks no folders; let no other run write there")
        }
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

    private func measureAndWrite(to folder: String) throws -> (
        layers: LayersRecord, split: SplitRecord, run: RunRecord
    ) {
        let clock = Stopwatch()
        model.apply(quiet: quiet)

        let loaded = try model.open(quiet: quiet)
        let tuned = try lens.lens(for: loaded)
        let opened = clock.seconds

        let (all, dataHash) = try data.read(for: loaded)
        let documents: [Document]
        var place: ProbeOptions.Shard?
        if let shard {
            let range = try shard.chosen(of: all.count)
            documents = Array(all[range])
            place = ProbeOptions.Shard(
                first: range.lowerBound, textDocuments: all.count,
                textTokens: all.reduce(0) { $0 + $1.tokens.count - $1.addedTokens })
        } else {
            documents = all
        }
        let probes = try preparedProbes(loaded)
        let tokenized = clock.seconds

        let plan = try split.plan(for: loaded)
        let evidencePath = Paths.join(folder, RunDirectory.evidence)
        let earlier = try EvidenceFile.begin(
            evidencePath, as: .probe, sha256: documents.map(\.sha256))
        if until != nil, !earlier.scans.isEmpty || !earlier.others.isEmpty {
            throw CommandError.flag(
                name: "--until",
                problem:
                    "\(evidencePath) holds others' values of all documents, and this run may end "
                    + "before them; write to another folder")
        }
        let result = try measure(loaded, nil, documents, tuned: tuned?.lens, shard: place)
        let looped =
            plan == .identity(layers: loaded.model.configuration.layerCount)
            ? nil
            : try measure(
                loaded, plan, Array(documents.prefix(result.documents)), tuned: tuned?.lens)
        let passed = clock.seconds
        let probed = try probes.map { try runProbes(loaded, $0) }
        let studied =
            relevance.relevance
            ? try RelevanceRun(
                loaded: loaded, options: relevance, bos: data.bos, quiet: quiet
            ).run(Array(documents.prefix(result.documents))) : nil

        let used = documents.prefix(result.documents)
        let tokens = used.reduce(0) { $0 + $1.tokens.count }
        let shown = looped ?? result
        let modelRecord = try loaded.record(hashed: hashed)
        var layers = LayersRecord(
            model: modelRecord,
            data: DataRecord(
                path: data.data ?? DefaultText.name, documents: used.count, tokens: tokens,
                sequenceLength: data.sequenceLength(of: loaded), bos: data.bos.rawValue),
            precision: model.arithmetic.rawValue, layers: shown.layers,
            boundaries: shown.boundaries,
            matrices: OrderedDictionary(uniqueKeysWithValues: shown.matrices.map { ($0, $1) }),
            plan: looped == nil ? nil : plan.notation,
            base: looped == nil
                ? nil
                : LayersRecord.Base(layers: result.layers, boundaries: result.boundaries),
            lensPositions: lensPositions == .all ? nil : lensPositions.description,
            sinks: shown.sinks, tunedLens: try tuned.flatMap { try lens.record($0.header) })
        layers.shard = shard?.description
        layers.probes = probed?.record
        if let studied, looped == nil { layers.take(studied) }
        let split = try Self.selectSplit(
            modelRecord, result, sensitivity: sensitivity,
            costs: { Self.costs(of: $0, loaded.model) })
        let run = try runRecord(
            loaded, shown, tokens: tokens, dataHash: dataHash,
            timings: RunRecord.Timings(
                open: opened, tokenize: tokenized - opened, pass: passed - tokenized,
                total: clock.seconds, probeForward: probed?.times.forward,
                probeFit: probed?.times.fit))
        var evidence = earlier.adding(
            shown.evidence, base: looped == nil ? nil : result.evidence)
        if let studied { evidence.take(studied, documents: used.count) }
        try RunDirectory.write(
            layers: layers, split: split, run: run, evidence: evidence,
            shard: shard.flatMap { shard in
                place.map { ShardFile(shard: shard, place: $0, sums: result.kept) }
            }, to: folder)
        return (layers, split, run)
    }

    /// Runs the passes over documents.
    /// - Parameter plan: nil for the model as it is.
    private func measure(
        _ loaded: LoadedModel, _ plan: LayerPlan?, _ documents: [Document], tuned: TunedLens?,
        shard: ProbeOptions.Shard? = nil
    ) throws -> Probe.Result {
        var options = ProbeOptions()
        options.tuned = tuned
        options.sinks = sinks
        options.lensPositions = lensPositions
        // The base has said which documents are enough.
        options.until = plan == nil ? until : nil
        options.makesEvidence = true
        options.shard = shard
        let progress = ProgressReporter(
            label: plan == nil ? "probing" : "probing \(plan?.notation ?? "")",
            total: documents.reduce(0) { $0 + $1.tokens.count }, unit: "tokens", quiet: quiet)
        let result: Probe.Result
        do {
            result = try Probe(
                model: loaded.model, plan: plan, passes: passes.measuring, options: options
            ).run(documents) { progress.advance(by: $0) }
        } catch {
            progress.abandon()
            throw CommandError.pass(path: loaded.checkpoint.path, problem: error.description)
        }
        progress.finish()
        if !quiet { result.notes.forEach(Terminal.note) }
        if let until, let met = result.metBound, !quiet {
            Terminal.note(
                met
                    ? "--until \(until): met after \(result.documents) of \(documents.count) documents"
                    : "--until \(until): not met by all \(documents.count) documents")
        }
        return result
    }

    private typealias Prepared = (
        pass: ProbingPass, tasks: [(data: ProbeTaskData, documents: [Document])],
        stored: [DumpTask]
    )

    /// The linear probes' tasks, tokenized; nil when none are asked for.
    private func preparedProbes(_ loaded: LoadedModel) throws -> Prepared? {
        let depth = probing.depth(named: passes.includesProbes)
        guard depth != .none else { return nil }
        let plan = try split.plan(for: loaded)
        let given = try probing.tasks()
        // States from a dump need no tokenizer.
        let tokenizer = given.isEmpty ? nil : try loaded.requiredTokenizer()
        let pass = ProbingPass(
            model: loaded.model, plan: plan, tokenizer: tokenizer, bos: data.bos, depth: depth,
            seed: probing.seed)
        let stored = try probing.storedTasks(loaded, plan, besides: given)
        let tasks = try given.map { task in (data: task, documents: try pass.documents(task)) }
        if let directory = probing.probeFeatures {
            try FeatureFiles.prepare(directory)
            // What is in the way shows now, and not when the first task has run.
            for name in given.map(\.name) + stored.map(\.data.name) {
                _ = try FeatureFiles.outputs(name, in: directory, overwrite: overwrite)
            }
        }
        return (pass, tasks, stored)
    }

    private func runProbes(
        _ loaded: LoadedModel, _ prepared: Prepared
    ) throws -> (record: ProbesRecord, times: ProbingPass.Times) {
        let progress = ProgressReporter(
            label: "linear probes",
            total: prepared.tasks.reduce(0) { $0 + $1.documents.count }, unit: "examples",
            quiet: quiet)
        do {
            let result = try prepared.pass.run(
                prepared.tasks, stored: prepared.stored,
                features: { task, store in
                    if let directory = probing.probeFeatures {
                        try FeatureFiles.write(
                            task, store, to: directory, overwrite: overwrite)
                    }
                }, progress: { progress.advance(by: $0) })
            progress.finish()
            return result
        } catch let error as ModelError {
            progress.abandon()
            throw CommandError.pass(path: loaded.checkpoint.path, problem: error.description)
        } catch {
            progress.abandon()
            throw error
        }
    }

    /// - Parameter costs: of a split; asked only for one that is proposed.
    static func selectSplit(
        _ record: ModelRecord, _ result: Probe.Result, sensitivity: Double,
        costs: (Split) -> [SplitRecord.Cost]
    ) throws -> SplitRecord {
        let name = Metric.angularDistanceLast.name
        return try AngularKneedleSelector(sensitivity: sensitivity).select(
            model: record, distances: result.layers.map { $0.metrics[name]?.mean },
            documentDistances: result.evidence.rows(name), cost: costs,
            createdBy: Product.createdBy)
    }

    static func costs(of split: Split, _ model: Transformer) -> [SplitRecord.Cost] {
        (1...5).compactMap { iterations in
            let plan = try? LayerPlan.split(
                encoder: split.encoder, think: split.think, decoder: split.decoder,
                iterations: iterations, layers: split.layers)
            return plan.map {
                SplitRecord.Cost(
                    iterations: iterations, flopsPerToken: model.flopsPerToken($0),
                    kvBytesPerToken: model.keyValueBytesPerToken($0))
            }
        }
    }

    private func runRecord(
        _ loaded: LoadedModel, _ result: Probe.Result, tokens: Int, dataHash: String?,
        timings: RunRecord.Timings
    ) throws -> RunRecord {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        var hashes = ["model": loaded.checkpoint.fingerprint]
        hashes["tokenizer"] = try loaded.tokenizerHash()
        if let dataHash {
            hashes["data"] = dataHash
        } else if let path = data.data {
            hashes["data"] = try SHA256.hexadecimal(ofFile: path)
        } else {
            hashes["data"] = SHA256.hexadecimal(of: DefaultText.text.utf8)
        }
        return RunRecord(
            arguments: CommandLine.arguments,
            versions: Product.versions,
            blasCoreType: MatrixProduct.blasCoreType, threads: Parallel.threads, hashes: hashes,
            tokens: tokens, peakResidentBytes: usage.ru_maxrss * 1024, timings: timings,
            selfChecks: result.selfChecks,
            created: Date.now.formatted(.iso8601))
    }
}

/// Seconds since it was made.
struct Stopwatch {
    private let start = ContinuousClock.now

    var seconds: Double { (ContinuousClock.now - start) / .seconds(1) }
}

/// The text that is probed without `--data`: the project's own, compiled in.
public enum DefaultText {
    /// Names the text in records.
    static let name = "(the project's own text)"

    public static var text: String {
        String(decoding: PackageResources.default_text_txt, as: UTF8.self)
    }
}

extension DataOptions {
    /// Tokens per window.
    public func sequenceLength(of loaded: LoadedModel) -> Int {
        sequenceLength ?? min(1024, loaded.model.configuration.contextLength)
    }

    /// What to run, in order.
    /// - Parameter tokens: documents behind the one that reaches so many are not read.
    public func documents(of loaded: LoadedModel, tokens: Int? = nil) throws -> [Document] {
        try read(for: loaded, tokens: tokens).documents
    }

    /// The same, with the SHA-256 of standard input where that was read: it cannot be read again.
    func read(
        for loaded: LoadedModel, tokens: Int? = nil
    ) throws -> (documents: [Document], sha256: String?) {
        let context = loaded.model.configuration.contextLength
        let length = sequenceLength(of: loaded)
        guard length <= context else {
            throw CorpusError.invalidWindow(
                length: length, problem: "the model's context is \(context)")
        }
        var reader = CorpusReader(
            tokenizer: loaded.lazyTokenizer,
            vocabularySize: loaded.model.configuration.vocabularySize, sequenceLength: length,
            limit: sequences, bos: bos, tokenLimit: tokens)
        reader.textKey = textKey
        guard let path = data else {
            return (try reader.read(text: DefaultText.text, path: DefaultText.name), nil)
        }
        var empty: [Int] = []
        let documents: [Document]
        var sha256: String?
        if path == "-" {
            (documents, sha256) = try reader.readStandardInput { empty.append($0) }
        } else {
            documents = try reader.read(path: path) { empty.append($0) }
        }
        if let first = empty.first {
            let lines = empty.count == 1 ? "1 line has" : "\(empty.count) lines have"
            loaded.note("\(path): \(lines) no text, left out (first: line \(first))")
        }
        return (documents, sha256)
    }
}
