import Checkpoints
import Corpus
import Files
import Foundation
import ModelStore
import Models
import Plans
import Selection
import Tensors
import Tokenizers
import Training

/// Everything that a training needs, opened and checked, from its configuration and, where it goes on, its
/// checkpoint.
struct TrainSetup {
    let configuration: TrainingConfiguration
    let split: Split?
    let trainer: Trainer
    let files: TrainingCheckpoint
    /// Where it is to begin.
    let data: TrainingData
    /// Path and fingerprint of each data file.
    let fingerprints: [[String]]
    /// Lines for a person.
    let summary: String
    private let layers: Int
    private let heldOut: [TrainingBatch]

    /// - Parameters:
    ///   - path: of the configuration, for errors.
    ///   - checkpoint: the run's own that it goes on from, with its state.
    init(
        _ given: TrainingConfiguration, path: String, checkpoint: String?, state: TrainingState?,
        quiet: Bool
    ) throws {
        var configuration = given
        let base = Self.folder(of: configuration.model)
        let isLowRank = configuration.trains == .lora
        let source: ModelSource
        do { source = try ModelSource(isLowRank ? base : checkpoint ?? base) } catch {
            throw TrainingError.key(path: path, key: "model", problem: "\(error)")
        }
        let loaded = try source.open { line in if !quiet { Terminal.note(line) } }
        let c = loaded.model.configuration
        layers = c.layerCount
        func wrong(_ key: String, _ problem: String) -> TrainingError {
            .key(path: path, key: key, problem: problem)
        }
        guard configuration.sequenceLength <= c.contextLength else {
            throw wrong(
                "sequence_length",
                "\(configuration.sequenceLength) is longer than the model's context "
                    + "of \(c.contextLength)")
        }
        var split: Split?
        if let argument = configuration.split {
            let (chosen, written) = try SplitSource.resolve(
                argument: argument, alternative: nil, layers: c.layerCount,
                fingerprint: loaded.checkpoint.fingerprint, allowMismatch: checkpoint != nil)
            split = chosen
            if configuration.json["iterations"] == nil {
                guard let written else {
                    throw wrong(
                        "iterations", "is missing: how often the think block runs, such as 3")
                }
                configuration.iterations = .fixed(written)
            }
        }
        self.split = split
        if configuration.precision == .bf16, !Arithmetic.bf16.isAvailable, !quiet {
            Terminal.note("train: precision bf16: this CPU does not multiply it; computing in f32")
        }
        let arithmetic: Arithmetic =
            configuration.precision == .bf16 && Arithmetic.bf16.isAvailable ? .bf16 : .f32
        let model = TrainableModel(loaded.model, arithmetic: arithmetic)
        loaded.checkpoint.forgetPages()
        model.prepare(
            configuration.trains, lora: configuration.lora, split: split,
            seed: configuration.seed)
        let optimizer = Optimizer(model, settings: configuration.optimizer)
        if let checkpoint, let state {
            try optimizer.restore(from: checkpoint, steps: state.optimizerSteps, values: true)
        } else if !configuration.resetOptimizer,
            Paths.kind(Paths.join(base, "optimizer.safetensors")) == .file,
            let earlier = try? TrainingState(path: Paths.join(base, "trainer.json"))
        {
            try optimizer.restore(from: base, steps: earlier.optimizerSteps, values: true)
            if !quiet { Terminal.note("train: takes the optimizer's moments of \(base)") }
        }
        var settings = Trainer.Settings()
        settings.clipNorm = configuration.clipNorm
        settings.zLoss = configuration.zLoss
        settings.backpropagated = configuration.backpropagatedPasses
        settings.microBatch = configuration.microBatchSize
        settings.length = configuration.sequenceLength
        let depth =
            try split?.plan(iterations: configuration.iterations.maximum).steps.count
            ?? c.layerCount
        let memory = TrainingMemory(
            model, configuration: configuration, executed: depth)
        settings.kept = memory.kept
        trainer = Trainer(model, optimizer, settings)
        files = try TrainingCheckpoint(
            model, source: loaded.checkpoint, createdBy: Product.createdBy)
        let opened = try TrainingFiles(loaded, configuration)
        fingerprints = opened.streams.map { [$0.path, $0.fingerprint] }
        var data = try opened.data()
        if let state {
            guard state.data == fingerprints, state.drawn.count == fingerprints.count else {
                let changed = fingerprints.first { !state.data.contains($0) }?[0] ?? "data"
                throw TrainingError.resume(
                    path: checkpoint ?? "",
                    problem: "was trained on other data than \(changed) now holds; "
                        + "give the files that it began with, or another out")
            }
            data.restore(state.drawn)
        }
        self.data = data
        heldOut = try opened.heldOut()
        self.configuration = configuration
        let count = model.trained.reduce(0) { $0 + $1.count }
        summary =
            "train: \(count) of \(loaded.model.parameterCount) parameters, "
            + "\(arithmetic == .bf16 ? "bf16" : "f32") products, keeps \(settings.kept.rawValue), about "
            + "\(AvailableMemory.text(memory.bytes))"
    }

    /// The folder of weights that `model` names: a run's is its latest checkpoint.
    private static func folder(of model: String) -> String {
        guard Paths.kind(model) == .directory,
            Paths.kind(Paths.join(model, "config.json")) == .missing
        else { return model }
        return TrainingCheckpoint.latest(in: model) ?? model
    }

    /// - Throws: `PlanError`.
    func plan(iterations: Int) throws -> LayerPlan {
        try split?.plan(iterations: iterations) ?? .identity(layers: layers)
    }

    /// Mean cross-entropy on held-out text, where it is due after `step` steps.
    func validation(after step: Int) throws -> Double? {
        guard let validation = configuration.validation, step % validation.every == 0 else {
            return nil
        }
        let k = configuration.iterations.recommended(steps: step)
        return try trainer.loss(heldOut, try plan(iterations: k)).crossEntropy
    }
}

/// What a training holds in memory, and what it therefore keeps of a pass.
struct TrainingMemory {
    let kept: KeptActivations
    /// About, of all.
    let bytes: Int

    /// - Parameter executed: layers of the longest plan.
    init(_ model: TrainableModel, configuration: TrainingConfiguration, executed: Int) {
        let rows = configuration.microBatchSize * configuration.sequenceLength
        let fixed = model.stateBytes + model.scratchBytes(rows: rows)
        let all = fixed + executed * rows * model.keptBytesPerRow
        let inputs =
            fixed + rows * (model.keptBytesPerRow + executed * 4 * model.configuration.hiddenSize)
        let limit = configuration.memoryLimit ?? AvailableMemory.bytes.map { $0 / 10 * 9 } ?? .max
        switch configuration.keep {
        case .activations: kept = .activations
        case .inputs: kept = .inputs
        case .auto: kept = all <= limit ? .activations : .inputs
        }
        bytes = kept == .activations ? all : inputs
    }
}

/// The data files of a training.
private struct TrainingFiles {
    let streams: [TokenStream]
    private let configuration: TrainingConfiguration
    private let loaded: LoadedModel
    private let separator: Int32?

    init(_ loaded: LoadedModel, _ configuration: TrainingConfiguration) throws {
        self.loaded = loaded
        self.configuration = configuration
        separator = Self.separator(loaded)
        guard !configuration.documentAttention || separator != nil else {
            throw TrainingError.key(
                path: configuration.model, key: "document_attention",
                problem: "needs an eos_token_id in config.json, which ends documents")
        }
        streams = try configuration.data.map {
            try Self.stream($0.path, loaded, separator: Self.separator(loaded))
        }
    }

    /// The id that ends a document.
    private static func separator(_ loaded: LoadedModel) -> Int32? {
        let config = loaded.checkpoint.config
        let value = config["eos_token_id"] ?? config["text_config"]?["eos_token_id"]
        let id = value?.intValue ?? value?.arrayValue?.first?.intValue
        return id.flatMap { Int32(exactly: $0) }.flatMap {
            $0 >= 0 && $0 < loaded.model.configuration.vocabularySize ? $0 : nil
        }
    }

    private static func stream(
        _ path: String, _ loaded: LoadedModel, separator: Int32?
    ) throws -> TokenStream {
        let vocabulary = loaded.model.configuration.vocabularySize
        if [".u16", ".u32", ".npy"].contains(where: path.lowercased().hasSuffix) {
            let stream = try TokenStream(tokenFile: path, vocabularySize: vocabulary)
            try stream.check()
            return stream
        }
        let documents = try CorpusReader(
            tokenizer: loaded.lazyTokenizer, vocabularySize: vocabulary, sequenceLength: 1 << 40,
            bos: .never
        ).read(path: path)
        return TokenStream(
            documents: documents, separator: separator, path: path, vocabularySize: vocabulary)
    }

    func data() throws -> TrainingData {
        let mixture = try TokenMixture(
            zip(streams, configuration.data).map { .init(stream: $0, weight: $1.weight) },
            length: configuration.sequenceLength, shuffles: configuration.shuffle,
            seed: configuration.seed)
        return try TrainingData(
            mixture, lossMask: configuration.lossMask, filter: configuration.repetitionFilter,
            separator: configuration.documentAttention ? separator : nil)
    }

    /// The first windows of the validation data, in whole micro-batches.
    func heldOut() throws -> [TrainingBatch] {
        guard let validation = configuration.validation else { return [] }
        let stream = try Self.stream(validation.data, loaded, separator: separator)
        let mixture = try TokenMixture(
            [.init(stream: stream)], length: configuration.sequenceLength, shuffles: false,
            seed: 0)
        var data = try TrainingData(
            mixture, separator: configuration.documentAttention ? separator : nil)
        let size = configuration.microBatchSize
        let windows = min(validation.sequences, stream.count / configuration.sequenceLength)
        return try (0..<max(1, windows / size)).map { _ in try data.next(size) }
    }
}
