import CKernels
import Foundation
import Plans
import Tensors

/// Runs blocks of rows through the layers of a plan. Knows rows, plans and caches; nothing of documents,
/// texts or what the states are for.
///
/// Holds the scratch of one block and the rotary tables; what a text has behind it is its cache's. In
/// f32 and bf16 a row's bytes depend on its own text alone: neither on the rows beside it, nor on how
/// the text was cut into blocks, nor on the number of threads. Not for use from several threads at once.
public final class BlockRunner {
    /// Positions that go through all steps together, at most.
    public static let blockLength = 512

    /// Rows of one text.
    public struct Segment {
        enum Origin {
            /// They follow what the cache holds, and it takes them in.
            case cache(KeyValueCache, textLength: Int?)
            /// They follow the rows of an earlier segment of the block, and nothing of them is kept.
            case branch(of: Int)
        }

        let tokens: ArraySlice<Int32>
        let origin: Origin

        /// Rows that follow what `cache` holds, and that it takes in.
        /// - Parameter textLength: positions that the text has when all its blocks have run. Matters
        ///   only where rotary frequencies depend on the text's length.
        public init(
            _ tokens: some Collection<Int32>, cache: KeyValueCache, textLength: Int? = nil
        ) {
            self.tokens = ArraySlice(tokens)
            origin = .cache(cache, textLength: textLength)
        }

        private init(tokens: ArraySlice<Int32>, origin: Origin) {
            self.tokens = tokens
            self.origin = origin
        }

        /// A continuation of segment `trunk` of the block, which has a cache and may have no rows. No
        /// branch sees another, and nothing of it is kept.
        public static func branch(
            _ tokens: some Collection<Int32>, of trunk: Int = 0
        ) -> Segment { Segment(tokens: ArraySlice(tokens), origin: .branch(of: trunk)) }
    }

    /// Rows of the block that belong to one text.
    struct Place {
        /// Rows of the block.
        let rows: Range<Int>
        /// Of the first row.
        let position: Int
        /// Of the text, or of the one that it branches off.
        let cache: KeyValueCache
        /// The place that it branches off; nil for a text of its own.
        let trunk: Int?
        /// Where some of the text's rows run alone; nil where all from `position` on do.
        var chosen: ChosenRows?

        /// Without `chosen` rows.
        var positions: Range<Int> { position..<position + rows.count }

        func position(ofRow row: Int) -> Int {
            if let chosen { return chosen.positions[row - rows.lowerBound] }
            return position + row - rows.lowerBound
        }

        /// Where a row's key and value stand in the slot.
        func key(ofRow row: Int) -> Int {
            if let first = chosen?.firstKey { return first + row - rows.lowerBound }
            return position(ofRow: row)
        }
    }

    /// Rows of a text that run while others do not.
    struct ChosenRows {
        /// Ascending.
        let positions: [Int]
        /// Where the first row's key stands in slots that hold no keys of the others; nil where keys
        /// stand at their positions.
        let firstKey: Int?
        /// The positions of all keys in such slots, the rows' own included; empty otherwise.
        let held: [Int]

        /// The first key that each row sees in a layer with this window; nil where positions say it.
        func lowest(window: Int?) -> [Int]? {
            guard firstKey != nil else { return nil }
            guard let window else { return Array(repeating: 0, count: positions.count) }
            return positions.map { held.lowerBound(of: $0 - window + 1) }
        }
    }

    public let model: Transformer
    /// Rows that a block may have.
    public let capacity: Int
    let buffers: Buffers
    let rotary: RotaryTables
    /// [rows, heads, keys] of the text at hand: made when a site's user first wants it.
    var pattern = FloatBuffer(count: 0)

    /// What one block needs, by rows.
    struct Buffers {
        let hidden, normed, query, key, value, mixed, output, gate, up: FloatBuffer

        init(_ c: ModelConfiguration, rows: Int) {
            hidden = FloatBuffer(count: rows * c.hiddenSize)
            normed = FloatBuffer(count: rows * c.hiddenSize)
            query = FloatBuffer(count: rows * c.headCount * c.headDimension)
            key = FloatBuffer(count: rows * c.keyValueHeadCount * c.headDimension)
            value = FloatBuffer(count: rows * c.keyValueHeadCount * c.headDimension)
            mixed = FloatBuffer(count: rows * c.headCount * c.headDimension)
            output = FloatBuffer(count: rows * c.hiddenSize)
            gate = FloatBuffer(count: c.gatedMLP ? rows * c.intermediateSize : 0)
            up = FloatBuffer(count: rows * c.intermediateSize)
        }
    }

    /// - Parameter rows: the most rows of a block; `blockLength` when nil.
    public init(model: Transformer, rows: Int? = nil) {
        self.model = model
        capacity = min(rows ?? Self.blockLength, Self.blockLength)
        buffers = Buffers(model.configuration, rows: capacity)
        rotary = RotaryTables(model.configuration)
    }

    /// The raw states [rows, d] that the last block ended with, valid until the next one.
    public var states: UnsafePointer<Float> { UnsafePointer(buffers.hidden.pointer) }

    /// What looks at a block and writes to it.
    struct Attachments {
        var taps: [any Tap]
        var interventions: [any Intervention]

        func wants(_ site: Site) -> Bool {
            taps.contains { $0.wants(site) } || interventions.contains { $0.wants(site) }
        }
    }

    /// Runs one block through `steps` of the plan that the segments' caches share. No text sees another.
    ///
    /// - Parameters:
    ///   - segments: together at most `capacity` rows. Their caches then hold these positions.
    ///   - steps: a range of the plan's steps; all when nil. The caches' slots of these steps must hold
    ///     what came before.
    ///   - states: the raw states [rows, d] at the boundary before the first step, such as a pass that
    ///     stopped there has left; what is embedded when nil. Bytes are those of the whole pass.
    ///   - onBoundary: called with each boundary from the first to the last of `steps`, and the raw states
    ///     [rows, d], valid only during the call.
    /// - Throws: `ModelError.tokenOutOfRange`, `.tooLong`, `.nonFinite` naming the layer, `.noSuchSite`
    ///   if a tap or an intervention wants what the layers do not have, `.cacheGap` if a cache lacks the
    ///   positions before, and what taps and interventions throw. The caches then hold what they held.
    public func run(
        _ segments: [Segment], steps: Range<Int>? = nil, from states: UnsafePointer<Float>? = nil,
        taps: [any Tap] = [], interventions: [any Intervention] = [],
        onBoundary: (_ boundary: Int, _ states: UnsafePointer<Float>) throws(ModelError) -> Void = {
            _, _ in
        }
    ) throws(ModelError) {
        guard case .cache(let cache, _)? = segments.first?.origin else { return }
        let plan = cache.plan
        let steps = steps ?? plan.steps.indices
        let attached = Attachments(taps: taps, interventions: interventions)
        if model.configuration.parallelResidual, attached.wants(.residMid) {
            throw .noSuchSite(site: .residMid, architecture: model.configuration.architecture)
        }
        let places = try place(segments, plan, steps)
        let width = model.configuration.hiddenSize
        let rows = places.last?.rows.upperBound ?? 0
        if let states {
            buffers.hidden.pointer.update(from: states, count: rows * width)
        } else {
            for (segment, place) in zip(segments, places) {
                model.embed(
                    segment.tokens, from: place.position,
                    into: buffers.hidden.pointer + place.rows.lowerBound * width)
            }
        }
        let first = steps.lowerBound
        let start = plan.place(.resid, step: first == 0 ? nil : first - 1)
        try passBoundary(start, places, attached)
        try onBoundary(first, self.states)
        for step in steps {
            try run(step: step, plan, places, attached)
            try onBoundary(step + 1, self.states)
        }
        for place in places where place.trunk == nil {
            place.cache.advance(by: place.rows.count, steps: steps)
        }
    }

    /// One step over the rows of `places`, whose states stand in the block's memory, one after the other.
    func run(
        step: Int, _ plan: LayerPlan, _ places: [Place], _ attached: Attachments
    ) throws(ModelError) {
        try run(model.layers[plan.steps[step].layer], step: step, plan, places, attached)
        try passBoundary(plan.place(.resid, step: step), places, attached)
    }

    /// Rows of each segment, checked, with room in the caches and in the rotary tables.
    /// - Parameter steps: those that all rows run.
    func place(
        _ segments: [Segment], _ plan: LayerPlan, _ steps: some Sequence<Int>
    ) throws(ModelError) -> [Place] {
        var places: [Place] = []
        for segment in segments {
            let row = places.last?.rows.upperBound ?? 0
            let rows = row..<row + segment.tokens.count
            let place: Place
            var textLength: Int?
            switch segment.origin {
            case .cache(let cache, let length):
                precondition(cache.plan == plan, "texts of one block share a plan")
                for step in steps where cache.slots[step].count != cache.length {
                    throw .cacheGap(
                        step: step, held: cache.slots[step].count, position: cache.length)
                }
                place = Place(rows: rows, position: cache.length, cache: cache, trunk: nil)
                textLength = length
            case .branch(let trunk):
                precondition(places[trunk].trunk == nil, "a branch has no branches")
                place = Place(
                    rows: rows, position: places[trunk].positions.upperBound,
                    cache: places[trunk].cache, trunk: trunk)
            }
            let end = place.positions.upperBound
            guard end <= place.cache.capacity else {
                throw .tooLong(tokens: end, context: place.cache.capacity)
            }
            try model.check(segment.tokens, from: place.position)
            rotary.prepare(place.positions, textLength: textLength ?? end)
            places.append(place)
        }
        precondition(
            places.last?.rows.upperBound ?? 0 <= capacity, "more rows than the block has")
        precondition(
            segments.count == 1 || !model.configuration.rotaryDependsOnLength,
            "texts of several lengths have several rotary tables")
        for place in places where place.trunk == nil {
            for step in steps { place.cache.slots[step].prepare(place.positions) }
        }
        return places
    }

    /// A boundary: what is written there is checked before anything looks at it.
    func passBoundary(
        _ boundary: StatePlace, _ places: [Place], _ attached: Attachments
    ) throws(ModelError) {
        let width = model.configuration.hiddenSize
        try edit(boundary, buffers.hidden, width, places, attached)
        try checkFinite(places, boundary)
        try show(boundary, buffers.hidden, width, places, attached)
    }

    /// Hands a site to what wants to write to it, then to what looks.
    func pass(
        _ place: StatePlace, _ buffer: FloatBuffer, _ width: Int, _ places: [Place],
        _ attached: Attachments
    ) throws(ModelError) {
        try edit(place, buffer, width, places, attached)
        try show(place, buffer, width, places, attached)
    }

    private func edit(
        _ place: StatePlace, _ buffer: FloatBuffer, _ width: Int, _ places: [Place],
        _ attached: Attachments
    ) throws(ModelError) {
        for intervention in attached.interventions where intervention.wants(place.site) {
            for (sequence, rows) in places.enumerated() {
                try intervention.edit(
                    EditableActivation(
                        place: place, sequence: sequence, positions: rows.positions, width: width,
                        values: buffer.pointer + rows.rows.lowerBound * width))
            }
        }
    }

    private func show(
        _ place: StatePlace, _ buffer: FloatBuffer, _ width: Int, _ places: [Place],
        _ attached: Attachments
    ) throws(ModelError) {
        for tap in attached.taps where tap.wants(place.site) {
            for (sequence, rows) in places.enumerated() {
                try tap.observe(
                    Activation(
                        place: place, sequence: sequence, positions: rows.positions, width: width,
                        values: UnsafePointer(buffer.pointer) + rows.rows.lowerBound * width))
            }
        }
    }

    private func checkFinite(_ places: [Place], _ boundary: StatePlace) throws(ModelError) {
        let width = model.configuration.hiddenSize
        let rows = places.last?.rows.upperBound ?? 0
        guard etd_all_finite(buffers.hidden.pointer, rows * width) == 0 else { return }
        for place in places {
            for row in place.rows
            where etd_all_finite(buffers.hidden.pointer + row * width, width) == 0 {
                throw .nonFinite(
                    place: boundary.layer.map { "layer \($0)" } ?? "the embedding",
                    position: place.position(ofRow: row))
            }
        }
    }

    /// Row-wise work in chunks of rows, over all threads.
    func forRows(_ rows: Int, _ body: (Int) -> Void) {
        let chunk = 16
        Parallel.forEach((rows + chunk - 1) / chunk) { index in
            for row in index * chunk..<min(rows, (index + 1) * chunk) { body(row) }
        }
    }
}
