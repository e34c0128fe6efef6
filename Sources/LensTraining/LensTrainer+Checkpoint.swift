import Checkpoints
import Files
import Foundation
import Tensors

/// A half-done training on disk: translators with their moments and units, and how far it is. What goes on
/// from it has the bytes of a training that was never interrupted.
extension LensTrainer {
    static let checkpointSchema = "etd-tuned-lens-training/v2"

    /// The parts of a boundary's translator that a checkpoint holds, by name.
    private func parts(_ boundary: Int, _ translator: Translator) -> [TensorArchive.Part] {
        let width = translator.width
        func part(_ name: String, _ buffer: FloatBuffer) -> TensorArchive.Part {
            TensorArchive.Part(
                name: "\(boundary).\(name)",
                shape: buffer.count == width ? [width] : [width, width], values: buffer.pointer)
        }
        return [
            part("weight", translator.weight.values), part("weight.mean", translator.weight.mean),
            part("weight.square", translator.weight.square),
            part("bias", translator.bias.values), part("bias.mean", translator.bias.mean),
            part("bias.square", translator.bias.square),
            part("inverse_scale", translator.inverseScale),
        ]
    }

    /// Writes a checkpoint, under a temporary name first.
    /// - Parameter identity: everything that the result depends on, by name.
    public func save(to path: String, identity: [String: String]) throws(LensTrainingError) {
        var metadata = [
            "schema": Self.checkpointSchema, "step": "\(cursor.step)", "epoch": "\(cursor.epoch)",
            "place": "\(cursor.place)", "position": "\(cursor.position)",
            "tokens": "\(cursor.tokens)", "loss": cursor.loss.map { "\($0)" } ?? "",
        ]
        for (name, value) in identity { metadata["identity." + name] = value }
        for (boundary, translator) in translators.enumerated() {
            metadata["\(boundary).output_scale"] = "\(translator.outputScale)"
        }
        do {
            try TensorArchive.write(
                translators.enumerated().flatMap { parts($0, $1) }, metadata: metadata,
                to: Output(path, overwrite: true))
        } catch { throw .file(error) }
    }

    /// Takes up a training where a checkpoint left it.
    /// - Throws: `LensTrainingError.otherTraining` if `identity` differs from what it was saved with,
    ///   `.damaged` if it cannot be read.
    public func restore(from path: String, identity: [String: String]) throws(LensTrainingError) {
        let archive: TensorArchive
        do { archive = try TensorArchive(path: path) } catch {
            throw .damaged(path: path, problem: "\(error)")
        }
        let metadata = archive.metadata
        guard metadata["schema"] == Self.checkpointSchema else {
            throw .damaged(path: path, problem: "is not a half-done training of a tuned lens")
        }
        for (name, value) in identity.sorted(by: { $0.key < $1.key }) {
            let found = metadata["identity." + name] ?? "none"
            guard found == value else {
                throw .otherTraining(path: path, difference: "\(name) \(found), not \(value)")
            }
        }
        func number(_ key: String) throws(LensTrainingError) -> Int {
            guard let value = metadata[key].flatMap({ Int($0) }),
                (0..<1 << 53).contains(value)
            else {
                throw .damaged(path: path, problem: "its metadata gives no number as \(key)")
            }
            return value
        }
        let width = model.configuration.hiddenSize
        func fill(_ buffer: FloatBuffer, _ name: String) throws(LensTrainingError) {
            guard let stored = archive.tensors[name], stored.count == buffer.count,
                stored.type == .f32, stored.firstNonFinite() == nil
            else {
                throw .damaged(path: path, problem: "the tensor \(name) is missing or unusable")
            }
            stored.decode(0..<stored.count, into: buffer.values)
        }
        var restored: [Translator] = []
        for boundary in 0..<model.configuration.layerCount {
            guard let scale = metadata["\(boundary).output_scale"].flatMap({ Float($0) }),
                scale.isFinite
            else {
                throw .damaged(
                    path: path, problem: "its metadata gives no number as \(boundary).output_scale")
            }
            let inverse = FloatBuffer(count: width)
            try fill(inverse, "\(boundary).inverse_scale")
            let translator = Translator(inverseScale: inverse, outputScale: scale)
            for (name, parameter) in [("weight", translator.weight), ("bias", translator.bias)] {
                try fill(parameter.values, "\(boundary).\(name)")
                try fill(parameter.mean, "\(boundary).\(name).mean")
                try fill(parameter.square, "\(boundary).\(name).square")
            }
            restored.append(translator)
        }
        cursor = Cursor(
            step: try number("step"), epoch: try number("epoch"), place: try number("place"),
            position: try number("position"), tokens: try number("tokens"),
            loss: metadata["loss"].flatMap { Double($0) })
        guard cursor.place <= documents.count else {
            throw .damaged(path: path, problem: "its place lies beyond the data")
        }
        translators = restored
    }
}
