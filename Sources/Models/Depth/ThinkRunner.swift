import Foundation
import Plans
import Tensors

/// Runs blocks of rows whose think block is damped, or stops for each token when its rule says so.
///
/// Rows that have halted leave the passes that follow: those run over the others alone. As with
/// `BlockRunner`, whose layers these are, a row's bytes depend on its own text alone. Not for use from
/// several threads at once.
public final class ThinkRunner {
    public let runner: BlockRunner
    public let thinking: Thinking
    private let halter: (any Halter)?
    /// States [rows, d] of the whole block: after the last pass that each row ran, and before it.
    private let current: FloatBuffer
    private let before: FloatBuffer
    /// Seconds in the rule, and in all blocks.
    public private(set) var seconds: (rule: Double, all: Double) = (0, 0)
    /// Rows that ran a pass, each pass counted.
    public private(set) var passRows = 0

    private var width: Int { runner.model.configuration.hiddenSize }

    /// - Parameter router: the checkpoint's.
    /// - Throws: `ModelError.invalidPlan` for a split of another model, `.haltingRule` for a rule that
    ///   it cannot follow.
    public convenience init(
        runner: BlockRunner, thinking: Thinking, router: Router?
    ) throws(ModelError) {
        try self.init(
            runner: runner, thinking: thinking,
            halter: thinking.rule?.halter(for: runner.model, router: router))
    }

    /// - Parameter halter: decides in place of the rule.
    package init(
        runner: BlockRunner, thinking: Thinking, halter: (any Halter)?
    ) throws(ModelError) {
        let layers = runner.model.configuration.layerCount
        guard thinking.split.layers == layers else {
            throw .invalidPlan(
                problem: "\(PlanError.split(thinking.split, layers: layers))")
        }
        self.runner = runner
        self.thinking = thinking
        self.halter = halter
        current = FloatBuffer(count: runner.capacity * runner.model.configuration.hiddenSize)
        before = FloatBuffer(count: runner.capacity * runner.model.configuration.hiddenSize)
    }

    /// A cache for a text that runs here.
    /// - Throws: as `KeyValueCache.init`.
    public func cache(
        capacity: Int? = nil, keepsAll: Bool = false
    ) throws(ModelError) -> KeyValueCache {
        try KeyValueCache(
            model: runner.model, capacity: capacity, keepsAll: keepsAll, thinking: thinking)
    }

    /// Tokens of one text that a block can take: with `shared` one, since each has to have thought before
    /// the next begins.
    public var rowsPerText: Int { thinking.policy == .shared ? 1 : runner.capacity }

    /// Runs one block. The runner's `states` are then the final ones.
    /// - Parameter segments: as of `BlockRunner.run`, no branches, their caches made by `cache`; at most
    ///   `rowsPerText` rows each.
    /// - Returns: how often the think block ran for each row.
    /// - Throws: as `BlockRunner.run`; the caches then hold what they held.
    @discardableResult
    public func run(_ segments: [BlockRunner.Segment]) throws(ModelError) -> [Int] {
        let clock = ContinuousClock()
        let start = clock.now
        defer { seconds.all += Self.seconds(clock.now - start) }
        let t = thinking
        for segment in segments {
            guard case .cache(let cache, _) = segment.origin else {
                preconditionFailure("branches do not think for themselves; fork the cache")
            }
            precondition(
                cache.plan == t.plan && cache.depth?.thinking == (t.policy == nil ? nil : t),
                "the cache was made for other passes")
            precondition(segment.tokens.count <= rowsPerText, "too many rows of a text")
        }
        let always: [Int] =
            t.policy == nil
            ? Array(t.plan.steps.indices)
            : Array(t.encoder) + Array(t.pass(1)) + Array(t.decoder)
        let places = try runner.place(segments, t.plan, always)
        let rows = places.last?.rows.upperBound ?? 0
        let hidden = runner.buffers.hidden.pointer
        for (segment, place) in zip(segments, places) {
            runner.model.embed(
                segment.tokens, from: place.position,
                into: hidden + place.rows.lowerBound * width)
        }
        try runner.passBoundary(t.plan.place(.resid, step: nil), places, nobody)
        try run(t.encoder, places)
        let passes: [Int]
        var held: [[Int: Int]] = Array(repeating: [:], count: places.count)
        switch t.mode {
        case .damped(let damping):
            try damp(damping, places, rows)
            passes = Array(repeating: t.passes, count: rows)
            passRows += rows * t.passes
        case .adaptive(_, let policy):
            passes = try think(policy, places, rows, &held)
        }
        hidden.update(from: current.pointer, count: rows * width)
        try run(t.decoder, places)
        for (index, place) in places.enumerated() {
            place.cache.depth?.append(
                passes[place.rows],
                states: UnsafePointer(current.pointer) + place.rows.lowerBound * width)
            place.cache.advance(by: place.rows.count, held: held[index], deeper: t.deeper)
        }
        return passes
    }

    private let nobody = BlockRunner.Attachments(taps: [], interventions: [])

    private static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
    }

    private func run(_ steps: Range<Int>, _ places: [BlockRunner.Place]) throws(ModelError) {
        for step in steps { try runner.run(step: step, thinking.plan, places, nobody) }
    }

    // MARK: - Adaptive depth

    /// Passes until every row has halted. Leaves each row's last state in `current`.
    /// - Parameter held: gets, for each place, what slots of deeper passes now hold.
    private func think(
        _ policy: KeyValuePolicy, _ places: [BlockRunner.Place], _ rows: Int,
        _ held: inout [[Int: Int]]
    ) throws(ModelError) -> [Int] {
        let hidden = runner.buffers.hidden.pointer
        var passes = [Int](repeating: 1, count: rows)
        var running = Array(0..<rows)
        var positions = [Int](repeating: 0, count: rows)
        for place in places {
            for row in place.rows { positions[row] = place.position(ofRow: row) }
        }
        halter?.begin(rows: rows)
        before.pointer.update(from: hidden, count: rows * width)
        try run(thinking.pass(1), places)
        current.pointer.update(from: hidden, count: rows * width)
        passRows += rows
        for pass in 1...max(1, thinking.passes) {
            if pass > 1 {
                // What the rule compares with, close together.
                for (index, row) in running.enumerated() { copy(current, row, to: before, index) }
                try runPass(pass, policy, places, running, &held)
                for row in running { passes[row] = pass }
            }
            guard pass < thinking.passes else { break }
            let halted = try ask(pass, running, positions)
            running = zip(running, halted).filter { !$0.1 }.map(\.0)
            if running.isEmpty { break }
        }
        return passes
    }

    private func copy(_ from: FloatBuffer, _ row: Int, to: FloatBuffer, _ index: Int) {
        (to.pointer + index * width).update(from: from.pointer + row * width, count: width)
    }

    /// Which of the running rows halt after `pass`; their states before it are the first in `before`.
    private func ask(
        _ pass: Int, _ running: [Int], _ positions: [Int]
    ) throws(ModelError) -> [Bool] {
        guard let halter else { return running.map { _ in false } }
        let clock = ContinuousClock()
        let start = clock.now
        defer { seconds.rule += Self.seconds(clock.now - start) }
        // The layers are between two passes, so their memory is free.
        let hidden = runner.buffers.hidden
        for (index, row) in running.enumerated() { copy(current, row, to: hidden, index) }
        return try halter.halts(
            PassRows(
                pass: pass, rows: running, positions: running.map { positions[$0] },
                before: UnsafePointer(before.pointer), after: UnsafePointer(hidden.pointer),
                width: width))
    }

    /// One pass from the second on, over the running rows and what they need. New states go to `current`.
    private func runPass(
        _ pass: Int, _ policy: KeyValuePolicy, _ places: [BlockRunner.Place], _ running: [Int],
        _ held: inout [[Int: Int]]
    ) throws(ModelError) {
        let steps = thinking.pass(pass)
        passRows += running.count
        var parts: [Part] = []
        for (text, place) in places.enumerated() {
            let own = running[
                running.lowerBound(
                    of: place.rows.lowerBound)..<running.lowerBound(of: place.rows.upperBound)]
            guard let last = own.last else { continue }
            let end = place.position(ofRow: last) + 1
            let slots = steps.map { place.cache.slots[$0].count }
            switch policy {
            case .recompute:
                let first = slots.first ?? 0
                for step in steps {
                    place.cache.slots[step].prepare(first..<end)
                    held[text][step] = end
                }
                parts.append(
                    Part(place: place, positions: Array(first..<end), firstKey: nil, held: []))
            case .last:
                let first = place.position(ofRow: own.first ?? last)
                for step in steps {
                    let known = held[text][step] ?? place.cache.slots[step].count
                    place.cache.fill(
                        step: step, from: step - thinking.split.think, known..<end, seenFrom: first)
                    held[text][step] = end
                }
                parts.append(
                    Part(
                        place: place, positions: own.map(place.position(ofRow:)), firstKey: nil,
                        held: []))
            case .skip:
                let first = slots.first ?? 0
                for step in steps {
                    place.cache.slots[step].prepare(first..<first + own.count)
                    held[text][step] = first + own.count
                }
                let positions = own.map(place.position(ofRow:))
                let keyed = (place.cache.depth?.keyed(step: steps.lowerBound) ?? []) + positions
                parts.append(Part(place: place, positions: positions, firstKey: first, held: keyed))
            case .shared:
                for step in thinking.pass(1) { place.cache.slots[step].prepare(place.positions) }
                parts.append(
                    Part(place: place, positions: Array(place.positions), firstKey: nil, held: []))
            }
        }
        try run(parts, policy == .shared ? thinking.pass(1) : steps, Set(running))
    }

    /// Tokens of one text that go through a pass.
    private struct Part {
        let place: BlockRunner.Place
        let positions: [Int]
        let firstKey: Int?
        let held: [Int]
    }

    /// Runs parts in as many blocks as they fill: what `recompute` has put off may be longer than one.
    private func run(
        _ parts: [Part], _ steps: Range<Int>, _ running: Set<Int>
    ) throws(ModelError) {
        let hidden = runner.buffers.hidden.pointer
        var places: [BlockRunner.Place] = []
        /// Rows of the block, by row of this one; nil for tokens of earlier blocks.
        var rows: [Int?] = []
        func flush() throws(ModelError) {
            guard !places.isEmpty else { return }
            try run(steps, places)
            for (index, row) in rows.enumerated() {
                guard let row, running.contains(row) else { continue }
                copy(runner.buffers.hidden, index, to: current, row)
            }
            places = []
            rows = []
        }
        for part in parts {
            var rest = part.positions[...]
            while !rest.isEmpty {
                if rows.count == runner.capacity { try flush() }
                let piece = rest.prefix(runner.capacity - rows.count)
                let offset = piece.startIndex
                rest = rest.dropFirst(piece.count)
                var place = BlockRunner.Place(
                    rows: rows.count..<rows.count + piece.count, position: piece.first ?? 0,
                    cache: part.place.cache, trunk: nil)
                place.chosen = BlockRunner.ChosenRows(
                    positions: Array(piece), firstKey: part.firstKey.map { $0 + offset },
                    held: part.held)
                places.append(place)
                for position in piece {
                    let row = position - part.place.position
                    let target = hidden + rows.count * width
                    if row >= 0 {
                        let source = part.place.rows.lowerBound + row
                        target.update(from: current.pointer + source * width, count: width)
                        rows.append(source)
                    } else if let states = part.place.cache.depth?.states {
                        states.withUnsafeBufferPointer {
                            guard let base = $0.baseAddress else { return }
                            target.update(from: base + position * width, count: width)
                        }
                        rows.append(nil)
                    }
                }
            }
        }
        try flush()
    }

    // MARK: - Damping

    /// `substeps` steps of an explicit Runge-Kutta method of size `factor` on dx/dt = g(x) - x. Each
    /// evaluation of g is a pass with slots of its own. Leaves the result in `current`.
    private func damp(
        _ damping: Damping, _ places: [BlockRunner.Place], _ rows: Int
    ) throws(ModelError) {
        let count = rows * width
        let slopes = damping.method.slopes
        let whole = slopes.reduce(0) { $0 + $1.weight }
        let step = damping.factor
        let (x, point, hidden) = (
            current.pointer, before.pointer, runner.buffers.hidden.pointer
        )
        try ScratchPool.shared.withFloats(count) { next throws(ModelError) in
            x.update(from: hidden, count: count)
            var pass = 1
            for _ in 0..<damping.substeps {
                next.update(from: x, count: count)
                point.update(from: x, count: count)
                for (stage, slope) in slopes.enumerated() {
                    hidden.update(from: point, count: count)
                    try run(thinking.pass(pass), places)
                    pass += 1
                    // x + (g - x) would round: a whole step along one slope is g itself.
                    if slopes.count == 1, step == 1 {
                        next.update(from: hidden, count: count)
                        break
                    }
                    let share = step * slope.weight / whole
                    let stretch = stage + 1 < slopes.count ? step * slopes[stage + 1].stretch : 0
                    for index in 0..<count {
                        let change = hidden[index] - point[index]
                        next[index] += share * change
                        point[index] = x[index] + stretch * change
                    }
                }
                x.update(from: next, count: count)
            }
        }
    }
}

extension KeyValueCache {
    /// Keys and values for `positions` of a step's slot from another one's, for a row at `first` and
    /// those after it.
    func fill(step: Int, from source: Int, _ positions: Range<Int>, seenFrom first: Int) {
        let size = KeyValuePage.positions
        // Whole pages, since what is masked is still multiplied by 0.
        let reach = windows[step].map { max(0, first - $0 + 1) / size * size } ?? 0
        let needed = max(positions.lowerBound, reach)..<positions.upperBound
        guard !needed.isEmpty else { return }
        slots[step].prepare(needed)
        slots[step].copy(needed, from: slots[source])
    }
}
