/// The list of layers that a pass executes, in order.
///
/// `7-4*3-5`, a skipped layer, a repeated window and the whole model are all plans. Key/value slots,
/// taps and costs count *executed* steps, not layers: for k > 1 a layer runs several times, and each
/// run has keys and values of its own.
public struct LayerPlan: Sendable, Equatable {
    public struct Step: Sendable, Equatable {
        public var layer: Int
        /// The think block's pass, from 1; nil outside the think block.
        public var iteration: Int?

        public init(layer: Int, iteration: Int? = nil) {
            self.layer = layer
            self.iteration = iteration
        }
    }

    public var steps: [Step]

    /// The most layers that a plan executes: far above any use, far below what exhausts memory.
    public static let mostSteps = 65_536

    public init(steps: [Step]) { self.steps = steps }

    /// Every layer once: the base model.
    public static func identity(layers: Int) -> LayerPlan {
        LayerPlan(steps: (0..<layers).map { Step(layer: $0) })
    }

    /// `encoder` layers, the next `think` layers `iterations` times, the last `decoder` layers.
    ///
    /// With one iteration this is the identity plan, so k = 1 is the base model to the last bit.
    /// - Throws: `ModelError.invalidPlan` if the parts do not sum to `layers`, the think block is empty,
    ///   `iterations` is below 1, or more than `mostSteps` layers would be executed.
    public static func split(
        encoder: Int, think: Int, decoder: Int, iterations: Int, layers: Int
    ) throws(ModelError) -> LayerPlan {
        guard encoder >= 0, think >= 1, decoder >= 0, encoder + think + decoder == layers else {
            throw .invalidPlan(
                problem: "split \(encoder)-\(think)-\(decoder) does not cut \(layers) layers into "
                    + "three parts with a think block; the parts must sum to \(layers)")
        }
        guard iterations >= 1 else {
            throw .invalidPlan(problem: "--iterations must be at least 1, not \(iterations)")
        }
        guard iterations > 1 else { return identity(layers: layers) }
        let most = max(0, mostSteps - encoder - decoder) / think
        guard iterations <= most else {
            throw .invalidPlan(
                problem: "--iterations \(iterations) of \(think) layers makes a plan of more than "
                    + "\(mostSteps) executed layers; at most \(most) iterations fit")
        }
        var steps = (0..<encoder).map { Step(layer: $0) }
        for iteration in 1...iterations {
            steps += (encoder..<encoder + think).map { Step(layer: $0, iteration: iteration) }
        }
        steps += (encoder + think..<layers).map { Step(layer: $0) }
        return LayerPlan(steps: steps)
    }
}
