import Corpus
import Files
import Foundation

/// Everything that a training is told, as its YAML file and `--set` say it. The keys are those of
/// `docs/training.md`.
public struct TrainingConfiguration: Sendable, Equatable {
    public struct Data: Sendable, Equatable {
        public var path: String
        public var weight: Double
    }

    public enum Trains: String, Sendable, CaseIterable {
        case all, think, lora
    }

    public struct LowRank: Sendable, Equatable {
        public var rank: Int
        public var alpha: Double
        public var targets: [String]
        public static let targets = ["q", "k", "v", "o", "gate", "up", "down"]

        public init(rank: Int, alpha: Double, targets: [String] = Self.targets) {
            self.rank = rank
            self.alpha = alpha
            self.targets = targets
        }
    }

    public enum Keep: String, Sendable, CaseIterable {
        case activations, inputs, auto
    }

    public enum Precision: String, Sendable, CaseIterable {
        case f32, bf16
    }

    public struct Validation: Sendable, Equatable {
        public var data: String
        public var every: Int
        public var sequences: Int
    }

    public var model: String
    /// Such as `3-2-3`, or a split file; nil trains the plain model.
    public var split: String?
    public var iterations: IterationRule
    public var data: [Data]
    public var sequenceLength: Int
    public var batchSize: Int
    public var microBatchSize: Int
    public var steps: Int
    public var shuffle: Bool
    public var optimizer: OptimizerSettings
    public var schedule: Schedule
    public var clipNorm: Double?
    public var zLoss: Double
    public var precision: Precision
    public var seed: UInt64
    public var out: String
    public var checkpointEvery: Int
    public var trains: Trains
    public var lora: LowRank?
    public var backpropagatedPasses: Int?
    public var keep: Keep
    public var memoryLimit: Int?
    public var validation: Validation?
    public var resetOptimizer: Bool
    public var repetitionFilter: RepetitionFilter?
    public var lossMask: String?
    public var documentAttention: Bool
    /// As it was read: what a checkpoint records, and what a resumed training is compared with.
    public var json: JSON

    static let keys = [
        "model", "split", "iterations", "data", "sequence_length", "batch_size",
        "micro_batch_size", "steps", "shuffle", "optimizer", "schedule", "clip_norm", "z_loss",
        "precision", "seed", "out", "checkpoint_every", "trains", "lora", "backprop_passes", "keep",
        "memory_limit", "router", "validation", "eval", "reset_optimizer", "repetition_filter",
        "loss_mask", "document_attention",
    ]

    /// - Parameters:
    ///   - path: of a YAML file.
    ///   - overrides: each `key=value`, with dots between the parts of a key: `optimizer.lr=1e-4`.
    /// - Throws: `TrainingError.file`, `.key`.
    public init(path: String, overrides: [String] = []) throws(TrainingError) {
        var json: JSON
        do { json = try YAML.read(path: path) } catch { throw .file(error) }
        for override in overrides { json = try Self.set(override, in: json) }
        try self.init(json, path: path)
    }

    /// - Parameter path: named in errors.
    public init(_ json: JSON, path: String) throws(TrainingError) {
        let top = try ConfigurationSection(json, path: path, known: Self.keys)
        for key in ["router", "eval"] where top[key] != nil {
            throw top.error(key, "is not there yet in this version; leave it out")
        }
        self.json = json
        model = try top.text("model", default: nil)
        if let value = top["split"] {
            guard let text = value.stringValue else {
                throw top.error(
                    "split", "expected text such as 3-2-3, not \(value.text(indent: 0))")
            }
            split = text
        } else {
            split = nil
        }
        iterations = try Self.iterations(top)
        guard split != nil || iterations == .fixed(1) else {
            throw top.error("split", "is missing: it says which layers iterate, such as 3-2-3")
        }
        data = try Self.data(top)
        sequenceLength = try top.count("sequence_length", default: nil, in: 2...1 << 24)
        batchSize = try top.count("batch_size", default: nil, in: 1...1 << 24)
        microBatchSize = try top.count("micro_batch_size", default: batchSize, in: 1...1 << 24)
        guard batchSize % microBatchSize == 0 else {
            throw top.error(
                "micro_batch_size", "\(microBatchSize) does not divide batch_size \(batchSize)")
        }
        steps = try top.count("steps", default: nil)
        shuffle = try top.flag("shuffle", default: false)
        optimizer = try Self.optimizer(top)
        schedule = try Self.schedule(top)
        clipNorm =
            top.values["clip_norm"] == .null
            ? nil : try top.number("clip_norm", default: 1, in: 1e-30...1e30)
        zLoss = try top.number("z_loss", default: 0, in: 0...1e3)
        precision = try top.choice("precision", default: .f32)
        seed = UInt64(try top.count("seed", default: 0, in: 0...Int.max))
        out = try top.text("out", default: nil)
        checkpointEvery = try top.count("checkpoint_every", default: 1000)
        trains = try top.choice("trains", default: top["lora"] == nil ? .all : .lora)
        lora = try Self.lowRank(top)
        guard (trains == .lora) == (lora != nil) else {
            throw top.error(
                "lora",
                trains == .lora
                    ? "is missing: {rank: 8, alpha: 16, targets: [q, v]}"
                    : "goes with trains: lora, not with \(trains.rawValue)")
        }
        guard trains != .think || split != nil else {
            throw top.error("trains", "think needs a split")
        }
        backpropagatedPasses =
            top["backprop_passes"] == nil ? nil : try top.count("backprop_passes", default: nil)
        keep = try top.choice("keep", default: .auto)
        memoryLimit = try Self.bytes(top, "memory_limit")
        validation = try top.section("validation", known: ["data", "every", "sequences"]).map {
            section throws(TrainingError) in
            Validation(
                data: try section.text("data", default: nil),
                every: try section.count("every", default: 100),
                sequences: try section.count("sequences", default: 16))
        }
        resetOptimizer = try top.flag("reset_optimizer", default: false)
        repetitionFilter = try top.section(
            "repetition_filter", known: ["max_period", "min_count"]
        ).map { section throws(TrainingError) in
            RepetitionFilter(
                maximumPeriod: try section.count("max_period", default: 13),
                minimumCount: try section.count("min_count", default: 32, in: 2...1 << 30))
        }
        lossMask = top["loss_mask"] == nil ? nil : try top.text("loss_mask", default: nil)
        guard lossMask == nil || data.count == 1 else {
            throw top.error("loss_mask", "goes with one data file, and data names \(data.count)")
        }
        documentAttention = try top.flag("document_attention", default: false)
    }
}
