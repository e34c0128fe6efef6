/// The list of layers that a pass executes, in order.
///
/// `7-4*3-5`, a skipped layer, a repeated window and the whole model are all plans. Key/value slots,
/// taps and costs count *executed* steps, not layers: for k > 1 a layer runs several times, and each
/// run has keys and values of its own.
public struct LayerPlan: Sendable, Hashable {
    /// Layers that run one after the other, as often as `iterations` says. A loop has 2 or more.
    public struct Part: Sendable, Hashable {
        public let layers: [Int]
        public let iterations: Int

        public init(_ layers: some Sequence<Int>, iterations: Int = 1) {
            self.layers = Array(layers)
            self.iterations = iterations
        }
    }

    public struct Step: Sendable, Hashable {
        public let layer: Int
        /// The pass of the loop that the step is in, from 1; nil outside a loop.
        public let iteration: Int?
    }

    /// The most layers that a pass executes: a bound on what a mistyped k can ask for.
    public static let maximumSteps = 65_536

    /// In order, none of them empty; two parts without a loop never follow one another.
    public let parts: [Part]
    /// What runs, in order.
    public let steps: [Step]

    /// - Throws: `PlanError.negativeLayer`, `.iterations` for a part that runs less than once,
    ///   `.tooManySteps`.
    public init(parts given: [Part]) throws(PlanError) {
        var count: Int? = 0
        for part in given {
            if let layer = part.layers.first(where: { $0 < 0 }) { throw .negativeLayer(layer) }
            guard part.iterations >= 1 else { throw .iterations(part.iterations) }
            let executed = part.layers.count.multipliedReportingOverflow(by: part.iterations)
            let sum = count?.addingReportingOverflow(executed.partialValue)
            count = executed.overflow || sum?.overflow != false ? nil : sum?.partialValue
        }
        guard let count, count <= Self.maximumSteps else { throw .tooManySteps(count) }
        self.init(unchecked: given)
    }

    private init(unchecked given: [Part]) {
        var parts: [Part] = []
        for part in given where !part.layers.isEmpty {
            if part.iterations == 1, let last = parts.last, last.iterations == 1 {
                parts[parts.count - 1] = Part(last.layers + part.layers)
            } else {
                parts.append(part)
            }
        }
        self.parts = parts
        steps = parts.flatMap { part in
            (1...part.iterations).flatMap { iteration in
                part.layers.map {
                    Step(layer: $0, iteration: part.iterations > 1 ? iteration : nil)
                }
            }
        }
    }

    /// `layers` once each, in that order: a skipped layer, another order, a truncated model.
    /// - Throws: `PlanError`.
    public init(layers: some Sequence<Int>) throws(PlanError) {
        try self.init(parts: [Part(layers)])
    }

    /// Every layer once: the base model.
    public static func identity(layers: Int) -> LayerPlan {
        LayerPlan(unchecked: [Part(0..<layers)])
    }

    /// `encoder` layers, the next `think` layers `iterations` times, the last `decoder` layers.
    ///
    /// With one iteration this is the identity plan, so k = 1 is the base model to the last bit.
    /// - Throws: `PlanError.split` if the parts do not sum to `layers` or the think block is empty,
    ///   `.iterations` if `iterations` is below 1, `.tooManySteps`.
    public static func split(
        encoder: Int, think: Int, decoder: Int, iterations: Int, layers: Int
    ) throws(PlanError) -> LayerPlan {
        let split = Split(encoder: encoder, think: think, decoder: decoder)
        guard encoder >= 0, think >= 1, decoder >= 0, split.layers == layers else {
            throw .split(split, layers: layers)
        }
        return try split.plan(iterations: iterations)
    }

    /// The split and the number of passes, if the plan is one: every layer in order, one loop. The
    /// identity plan is no split, since it does not say where the think block is.
    public var split: (split: Split, iterations: Int)? {
        guard let loop = parts.firstIndex(where: { $0.iterations > 1 }) else { return nil }
        guard parts.count(where: { $0.iterations > 1 }) == 1,
            parts.flatMap(\.layers) == Array(0..<parts.reduce(0) { $0 + $1.layers.count })
        else { return nil }
        func size(_ parts: ArraySlice<Part>) -> Int { parts.reduce(0) { $0 + $1.layers.count } }
        return (
            Split(
                encoder: size(parts[..<loop]), think: parts[loop].layers.count,
                decoder: size(parts[(loop + 1)...])), parts[loop].iterations
        )
    }
}

extension Split {
    /// The plan that runs the think block `iterations` times.
    /// - Throws: `PlanError`.
    public func plan(iterations: Int) throws(PlanError) -> LayerPlan {
        try LayerPlan(parts: [
            .init(0..<encoder), .init(thinkRange, iterations: iterations),
            .init(encoder + think..<layers),
        ])
    }
}
