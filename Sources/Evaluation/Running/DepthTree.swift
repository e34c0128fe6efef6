import Models
import Plans
import Tensors

/// One plan with several ends: the encoder once, the think block again and again, and behind each wanted pass a
/// decoder of its own. What depths have in common runs once, and each executed step has its slot in the cache, so
/// that a depth's values have the bytes of its own plan.
///
/// It is an intervention: where a decoder ends it keeps the states and puts back those of the think block's last
/// pass.
final class DepthTree: Intervention {
    let plan: LayerPlan
    /// Passes of the think block at each depth, ascending; 1 is the base model.
    let iterations: [Int]

    /// By boundary: what is kept there.
    private let thoughts: Set<Int>
    private let ends: [Int: Int]
    private var thought: FloatBuffer
    private var finals: [FloatBuffer]
    /// The block's first row at the boundary at hand.
    private var base: UnsafeMutablePointer<Float>?

    /// - Parameter iterations: at least one, each 1 or more.
    /// - Throws: `PlanError.tooManySteps`.
    init(
        split: Split, iterations wanted: Set<Int>, model: Transformer
    ) throws(PlanError) {
        iterations = wanted.sorted()
        var layers = Array(0..<split.encoder)
        var (thoughts, ends): (Set<Int>, [Int: Int]) = ([], [:])
        for pass in 1...(iterations.last ?? 1) {
            layers += split.thinkRange
            guard let depth = iterations.firstIndex(of: pass) else { continue }
            thoughts.insert(layers.count)
            layers += split.encoder + split.think..<split.layers
            ends[layers.count] = depth
        }
        plan = try LayerPlan(layers: layers)
        (self.thoughts, self.ends) = (thoughts, ends)
        let count = BlockRunner.blockLength * model.configuration.hiddenSize
        thought = FloatBuffer(count: count)
        finals = iterations.map { _ in FloatBuffer(count: count) }
    }

    /// The block's last states at a depth, [rows, d].
    func states(_ depth: Int) -> UnsafePointer<Float> { UnsafePointer(finals[depth].pointer) }

    func wants(_ site: Site) -> Bool { site == .resid }

    func edit(_ activation: EditableActivation) throws(ModelError) {
        if activation.sequence == 0 { base = activation.values }
        guard let base else { return }
        let offset = activation.values - base
        let count = activation.positions.count * activation.width
        let boundary = activation.place.index
        if thoughts.contains(boundary) {
            (thought.pointer + offset).update(from: activation.values, count: count)
        }
        guard let depth = ends[boundary] else { return }
        (finals[depth].pointer + offset).update(from: activation.values, count: count)
        // Behind the last decoder nothing follows.
        if depth + 1 < iterations.count {
            activation.values.update(from: thought.pointer + offset, count: count)
        }
    }
}
