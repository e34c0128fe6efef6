import Checkpoints
import Export
import Files
import Foundation
import Models
import Plans
import Tensors

/// What a training has to know besides weights and moments to go on as if it had never stopped.
public struct TrainingState: Sendable, Equatable {
    /// Steps done.
    public var step: Int
    /// Steps that the optimizer's moments have seen.
    public var optimizerSteps: Int
    /// Windows drawn of each data file.
    public var drawn: [Int]
    /// Path and fingerprint of each data file.
    public var data: [[String]]
    /// As read.
    public var configuration: JSON

    public init(
        step: Int, optimizerSteps: Int, drawn: [Int], data: [[String]], configuration: JSON
    ) {
        self.step = step
        self.optimizerSteps = optimizerSteps
        self.drawn = drawn
        self.data = data
        self.configuration = configuration
    }

    static let schema = "etd-trainer/v1"

    /// What is drawn by chance (the order of windows, k) follows from the configuration's seed and from
    /// these numbers: there is no other state.
    func json(createdBy: String) -> JSON {
        [
            "schema": .string(Self.schema), "step": .number(step),
            "optimizer_steps": .number(optimizerSteps),
            "drawn": .array(drawn.map { .number($0) }),
            "data": .array(data.map { ["path": .string($0[0]), "fingerprint": .string($0[1])] }),
            "configuration": configuration, "created_by": .string(createdBy),
        ]
    }

    /// - Throws: `TrainingError.resume` for what is no such file.
    public init(path: String) throws(TrainingError) {
        let json: JSON
        do { json = try JSON.read(path: path) } catch { throw .file(error) }
        guard json["schema"]?.stringValue == Self.schema, let step = json["step"]?.intValue,
            let steps = json["optimizer_steps"]?.intValue, step >= 0, steps >= 0,
            let drawn = json["drawn"]?.arrayValue?.compactMap(\.intValue),
            drawn.allSatisfy({ $0 >= 0 }), let data = json["data"]?.arrayValue,
            let configuration = json["configuration"]
        else { throw .resume(path: path, problem: "is not the state of a training") }
        self.init(
            step: step, optimizerSteps: steps, drawn: drawn,
            data: data.map {
                [$0["path"]?.stringValue ?? "", $0["fingerprint"]?.stringValue ?? ""]
            },
            configuration: configuration)
    }
}

/// Checkpoints of a training: Hugging Face folders with `optimizer.safetensors` and `trainer.json` beside the
/// weights. A folder has its name only when it is whole.
public struct TrainingCheckpoint {
    /// The model's own files, whose names, types and companions a checkpoint keeps.
    private let source: Checkpoint
    private let stored: StoredParameters
    private let createdBy: String
    static let optimizerFile = "optimizer.safetensors"
    static let stateFile = "trainer.json"

    /// - Throws: `TrainingError.model`, `.file` for a GGUF file.
    public init(
        _ model: TrainableModel, source: Checkpoint, createdBy: String
    ) throws(TrainingError) {
        guard source.format == .safetensors else {
            throw .file(
                .invalid(
                    path: source.path,
                    problem: "is a GGUF file, which checkpoints cannot be written as; train the "
                        + "Hugging Face folder that it was made from"))
        }
        self.source = source
        self.createdBy = createdBy
        do { stored = try StoredParameters(model, in: source) } catch { throw .model(error) }
    }

    public static func name(step: Int) -> String { "checkpoint-\(step)" }

    /// The folder of the latest whole checkpoint in a run, nil without one.
    public static func latest(in run: String) -> String? {
        let names = (try? Paths.names(in: run)) ?? []
        let steps = names.compactMap { name -> Int? in
            guard name.hasPrefix("checkpoint-") else { return nil }
            return Int(name.dropFirst("checkpoint-".count))
        }
        return steps.sorted(by: >).map { Paths.join(run, name(step: $0)) }.first {
            Paths.kind(Paths.join($0, stateFile)) == .file
        }
    }

    /// Writes `run/checkpoint-<step>`.
    /// - Parameter split: with the k that the checkpoint recommends, for `config.json`'s `etd` section.
    /// - Throws: `TrainingError.file`, as on a full disk; nothing of the name is there then, and earlier
    ///   checkpoints are as they were.
    public func write(
        _ model: TrainableModel, _ optimizer: Optimizer, _ state: TrainingState,
        split: (split: Split, iterations: Int)?, to run: String
    ) throws(TrainingError) {
        let path = Paths.join(run, Self.name(step: state.step))
        do {
            let folder = try TemporaryFolder(for: path, overwrite: true) { _ in true }
            try writeWeights(model, to: folder.file("model.safetensors"))
            var config = source.config.objectValue ?? [:]
            if let (split, iterations) = split {
                config["etd"] = [
                    "encoder": .number(split.encoder), "think": .number(split.think),
                    "decoder": .number(split.decoder), "iterations": .number(iterations),
                    "kv_policy": .null, "router": .null,
                ]
            }
            try AtomicFile.write(.object(config), to: folder.file("config.json"))
            try Companions.copy(of: source, to: folder.path)
            // What an hf-etd folder's config.json names.
            let code = "modeling_etd.py"
            if let path = source.file(named: code) {
                try AtomicFile.write(try MappedFile.contents(path: path), to: folder.file(code))
            }
            try writeOptimizer(model, optimizer, to: folder.file(Self.optimizerFile))
            try AtomicFile.write(
                state.json(createdBy: createdBy), to: folder.file(Self.stateFile))
            try folder.commit()
        } catch { throw .file(error) }
    }

    private func writeWeights(_ model: TrainableModel, to path: String) throws(FileError) {
        var encoded: [EncodedTensor] = []
        var copied: [WrittenTensor] = []
        for (name, tensor) in source.tensors {
            guard stored.names.contains(name) else {
                copied.append(WrittenTensor(name: name, source: tensor))
                continue
            }
            encoded.append(
                EncodedTensor(name: name, type: Self.writtenType(tensor.type), shape: tensor.shape)
                {
                    stored.values(of: name, count: tensor.count) { model.merged($0) }
                        ?? FloatBuffer(count: tensor.count)
                })
        }
        try SafetensorsWriter.write(encoded: encoded, copied: copied, path: path)
    }

    private static func writtenType(_ type: ElementType) -> ElementType {
        type == .bf16 || type == .f16 ? type : .f32
    }

    /// Moments, and master values where the checkpoint's own do not hold them all.
    private func writeOptimizer(
        _ model: TrainableModel, _ optimizer: Optimizer, to path: String
    ) throws(FileError) {
        let isExact = source.tensors.values.allSatisfy { $0.type == .f32 }
        let tensors = optimizer.entries.flatMap { entry -> [EncodedTensor] in
            let parameter = entry.parameter
            func tensor(_ suffix: String, _ buffer: FloatBuffer) -> EncodedTensor {
                EncodedTensor(
                    name: parameter.name + suffix, type: .f32,
                    shape: parameter.isVector
                        ? [parameter.columns] : [parameter.rows, parameter.columns],
                    values: { buffer })
            }
            let needsMaster = !isExact || parameter.kind == .adapter
            return [tensor(".mean", entry.mean)]
                + [entry.square.map { tensor(".square", $0) }].compactMap(\.self)
                + (needsMaster ? [tensor(".master", parameter.values)] : [])
        }
        try SafetensorsWriter.write(encoded: tensors, path: path)
    }
}

extension Optimizer {
    /// Takes moments, and with `values` master values, from a checkpoint's folder.
    /// - Throws: `TrainingError.resume` for parameters that are missing there or have another size.
    public func restore(
        from folder: String, steps: Int, values: Bool
    ) throws(TrainingError) {
        let path = Paths.join(folder, TrainingCheckpoint.optimizerFile)
        let archive: TensorArchive
        do { archive = try TensorArchive(path: path) } catch { throw .checkpoint(error) }
        func fill(_ name: String, _ buffer: FloatBuffer) throws(TrainingError) {
            guard let tensor = archive.tensors[name], tensor.count == buffer.count else {
                throw .resume(
                    path: path,
                    problem: "has no \(name) of this size; it is of another training "
                        + "(reset_optimizer: true begins with moments at zero)")
            }
            tensor.decode(0..<tensor.count, into: buffer.values)
        }
        for entry in entries {
            try fill(entry.parameter.name + ".mean", entry.mean)
            if let square = entry.square { try fill(entry.parameter.name + ".square", square) }
            let master = entry.parameter.name + ".master"
            if values, archive.tensors[master] != nil {
                try fill(master, entry.parameter.values)
            }
        }
        restore(steps: steps)
    }
}
