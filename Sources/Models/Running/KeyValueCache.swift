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
    private let windows: [Int?]

    /// - Parameter capacity: the most positions; the model's context when nil.
    /// - Throws: `ModelError.tooLong` if `capacity` exceeds the context, `.invalidPlan` if the plan
    ///   names a layer that the model lacks.
    public init(
        model: Transformer, plan: LayerPlan? = nil, capacity: Int? = nil, keepsAll: Bool = false
    ) throws(ModelError) {
        let c = model.configuration
        let capacity = capacity ?? c.contextLength
        guard capacity <= c.contextLength else {
            throw .tooLong(tokens: capacity, context: c.contextLength)
        }
        let plan = plan ?? .identity(layers: c.layerCount)
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
    }

    private init(fork other: KeyValueCache) {
        plan = other.plan
        capacity = other.capacity
        keepsAll = other.keepsAll
        length = other.length
        slots = other.slots
        windows = other.windows
    }

    /// A cache that holds the same text and goes its own way from here.
    public func fork() -> KeyValueCache { KeyValueCache(fork: self) }

    /// Whether everything that a text of `length` positions would still look at is there.
    public func canRewind(to length: Int) -> Bool {
        guard 0...self.length ~= length else { return false }
        return zip(slots, windows).allSatisfy { slot, window in
            length == 0 || slot.holds(from: window.map { length - $0 + 1 } ?? 0)
        }
    }

    /// Forgets the positions from `length` on, so that a text that begins alike can go on from there.
    /// What then runs has the same bytes as if all of it had run anew, but not in a model whose rotary
    /// frequencies depend on the length of the text (`RotaryParameters.dependsOnLength`).
    /// - Precondition: `canRewind(to:)`.
    public func rewind(to length: Int) {
        precondition(canRewind(to: length), "rewind to a position that is not held")
        self.length = length
        for index in slots.indices { slots[index].count = min(slots[index].count, length) }
    }

    /// Bytes of the pages, those shared with forks included.
    public var byteCount: Int { slots.reduce(0) { $0 + $1.byteCount } }

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
