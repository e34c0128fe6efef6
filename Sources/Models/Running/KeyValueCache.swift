import Plans

/// Keys and values of one text under one plan: a slot for each *executed* step, since a layer that runs
/// k times has k different sets of keys.
///
/// Grows with the text, page by page; can be rewound, and forked at no cost: forks share pages until
/// one of them writes. A layer with a sliding window keeps the pages that the window reaches, unless
/// `keepsAll`. Not for use from several threads at once.
public final class KeyValueCache {
    public let plan: LayerPlan
    /// The most positions that the text may have.
    public let capacity: Int
    /// Whether pages that a sliding window has passed stay, so that any `rewind` is possible.
    public let keepsAll: Bool
    /// Positions that have run.
    public private(set) var length = 0
    var slots: [KeyValueSlot]
    /// Positions that each slot's layer sees; nil for all.
    let windows: [Int?]
    /// What is remembered of tokens that ran different numbers of passes; nil where all run all of them.
    var depth: DepthRecord?

    /// - Parameters:
    ///   - capacity: the most positions; the model's context when nil.
    ///   - thinking: how tokens of different depths share the cache, whose plan is then
    ///     `thinking.plan`; nil where all tokens run all steps.
    /// - Throws: `ModelError.tooLong` if `capacity` exceeds the context, `.invalidPlan` if the plan
    ///   names a layer that the model lacks.
    public init(
        model: Transformer, plan: LayerPlan? = nil, capacity: Int? = nil, keepsAll: Bool = false,
        thinking: Thinking? = nil
    ) throws(ModelError) {
        let c = model.configuration
        let capacity = capacity ?? c.contextLength
        guard capacity <= c.contextLength else {
            throw .tooLong(tokens: capacity, context: c.contextLength)
        }
        let plan = plan ?? thinking?.plan ?? .identity(layers: c.layerCount)
        for step in plan.steps where step.layer >= c.layerCount {
            throw .invalidPlan(
                problem: "\(PlanError.layerBeyondModel(layer: step.layer, layers: c.layerCount))")
        }
        self.plan = plan
        self.capacity = capacity
        self.keepsAll = keepsAll
        slots = plan.steps.map { _ in
            KeyValueSlot(heads: c.keyValueHeadCount, headDimension: c.headDimension)
        }
        windows = plan.steps.map { model.layers[$0.layer].attention.window }
        depth = thinking.flatMap { DepthRecord($0, width: c.hiddenSize) }
    }

    private init(fork other: KeyValueCache) {
        plan = other.plan
        capacity = other.capacity
        keepsAll = other.keepsAll
        length = other.length
        slots = other.slots
        windows = other.windows
        depth = other.depth
    }

    /// A cache that holds the same text and goes its own way from here.
    public func fork() -> KeyValueCache { KeyValueCache(fork: self) }

    /// Whether everything that a text of `length` positions would still look at is there.
    public func canRewind(to length: Int) -> Bool {
        guard 0...self.length ~= length else { return false }
        return length == 0
            || slots.indices.allSatisfy { step in
                let position = windows[step].map { length - $0 + 1 } ?? 0
                return slots[step].holds(from: place(of: position, step: step))
            }
    }

    /// Forgets the positions from `length` on, so that a text that begins alike can go on from there.
    /// What then runs has the same bytes as if all of it had run anew, but not in a model whose rotary
    /// frequencies depend on the length of the text (`RotaryParameters.dependsOnLength`).
    /// - Precondition: `canRewind(to:)`.
    public func rewind(to length: Int) {
        precondition(canRewind(to: length), "rewind to a position that is not held")
        self.length = length
        for step in slots.indices {
            slots[step].count = min(slots[step].count, place(of: length, step: step))
        }
        depth?.rewind(to: length)
    }

    /// Bytes of the pages, those shared with forks included, and of frozen states.
    public var byteCount: Int {
        slots.reduce(0) { $0 + $1.byteCount } + (depth?.states.count ?? 0) * 4
    }

    /// Where the key of `position`, or of the next one that has a key, stands in a step's slot.
    func place(of position: Int, step: Int) -> Int {
        depth?.keyed(step: step)?.lowerBound(of: position) ?? position
    }

    /// Takes `count` more positions in, whose tokens ran different numbers of passes.
    /// - Parameter held: positions, or places, that slots of deeper passes now have, by step; those of
    ///   steps that all tokens run are not among them.
    func advance(by count: Int, held: [Int: Int], deeper: Range<Int>) {
        length += count
        for step in slots.indices {
            if let held = held[step] {
                slots[step].count = held
            } else if !deeper.contains(step) {
                slots[step].count = length
            }
            guard let window = windows[step], !keepsAll else { continue }
            // The next row that runs there, also to make up for what was put off, is the next one.
            let first = depth?.keyed(step: step) == nil ? slots[step].count : length
            slots[step].drop(before: place(of: first - window + 1, step: step))
        }
    }

    /// Takes `count` more positions in: the slots of `steps` have keys for them now.
    func advance(by count: Int, steps: Range<Int>) {
        length += count
        for index in steps {
            slots[index].count = length
            if let window = windows[index], !keepsAll {
                slots[index].drop(before: length - window + 1)
            }
        }
    }
}
