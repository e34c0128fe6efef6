import Checkpoints
import Files
import Models
import Plans

/// A checkpoint and the plan that an export shall run: the split with its think block `iterations` times.
public struct ExportJob: Sendable {
    public let checkpoint: Checkpoint
    public let configuration: ModelConfiguration
    public let split: Split
    public let iterations: Int
    /// What runs, in order.
    public let plan: LayerPlan
    /// What made the export, for the model card: the product's name and version.
    public let createdBy: String
    let layers: StoredLayers

    /// - Parameters:
    ///   - configuration: of the checkpoint's model.
    ///   - split: sums to the model's layers.
    /// - Throws: `ExportError.model` for an unknown architecture or a plan that cannot be.
    public init(
        checkpoint: Checkpoint, configuration: ModelConfiguration, split: Split, iterations: Int,
        createdBy: String
    ) throws(ExportError) {
        self.checkpoint = checkpoint
        self.configuration = configuration
        self.split = split
        self.iterations = iterations
        self.createdBy = createdBy
        do {
            plan = try LayerPlan.split(
                encoder: split.encoder, think: split.think, decoder: split.decoder,
                iterations: iterations, layers: configuration.layerCount)
        } catch { throw .model(.invalidPlan(problem: error.description)) }
        do { layers = try StoredLayers(checkpoint) } catch { throw .model(error) }
    }

    /// `7-4*3-5`, also for one iteration.
    public var notation: String { "\(split.encoder)-\(split.think)*\(iterations)-\(split.decoder)" }

    /// Layers that the plan executes.
    var executed: Int { plan.steps.count }

    /// The tensors of the unrolled checkpoint: those before the layers, each executed step's, the rest;
    /// buffers are left out.
    var unrolledTensors: [WrittenTensor] {
        var before: [WrittenTensor] = []
        var after: [WrittenTensor] = []
        var byLayer: [[(rest: String, source: StoredTensor)]] = Array(
            repeating: [], count: configuration.layerCount)
        var sawLayer = false
        // A fixed number of passes has no use for a router, and other software no name for it.
        for (name, tensor) in checkpoint.tensors where !StoredRouter.isPart(name) {
            switch layers.place(of: name) {
            case .layer(let layer, let rest):
                sawLayer = true
                if layer < byLayer.count { byLayer[layer].append((rest, tensor)) }
            case .outside:
                let written = WrittenTensor(name: name, source: tensor)
                if sawLayer { after.append(written) } else { before.append(written) }
            case .buffer: break
            }
        }
        let steps = plan.steps.enumerated().flatMap { position, step in
            byLayer[step.layer].map {
                WrittenTensor(
                    name: layers.name(layer: position, rest: $0.rest), source: $0.source)
            }
        }
        return before + steps + after
    }

    /// Whether all layers attend alike: the same window, the same rotary embedding.
    var isUniform: Bool { configuration.attention.allSatisfy { $0 == configuration.attention[0] } }

    /// Fails unless `exported` means this model with the plan's layers, each as it was.
    func compare(_ exported: ModelConfiguration, format: String) throws(ExportError) {
        var expected = configuration
        expected.layerCount = executed
        expected.attention = plan.steps.map { configuration.attention[$0.layer] }
        expected.assumptions = []
        var found = exported
        found.assumptions = []
        guard found != expected else { return }
        var problem = "read back, the export would not be this model"
        if let step = zip(found.attention, expected.attention).enumerated()
            .first(where: { $1.0 != $1.1 })?.offset
        {
            problem =
                "layer \(step) of the export (layer \(plan.steps[step].layer) of the model) would "
                + "attend otherwise than it does here, because this family places its sliding layers "
                + "by a fixed pattern"
            if let period = period {
                problem += "; a think block of a multiple of \(period) layers keeps the pattern"
            }
        } else if found.attentionScale != expected.attentionScale {
            problem =
                "this family chooses the scale of its attention scores by the number of layers, and "
                + "\(executed) layers get another than \(configuration.layerCount)"
        }
        throw .impossible(
            path: checkpoint.path, format: "\(format) of \(notation)", problem: problem)
    }

    /// The period at which layers attend fully, if they do so at one.
    var period: Int? {
        guard !isUniform,
            let first = configuration.attention.firstIndex(where: { $0.window == nil })
        else { return nil }
        let holds = configuration.attention.enumerated().allSatisfy {
            (($0 + 1) % (first + 1) == 0) == ($1.window == nil)
        }
        return holds ? first + 1 : nil
    }
}
