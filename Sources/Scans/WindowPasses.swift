import Models
import Tensors

/// Texts through the model with windows of its layers skipped or repeated, every state that windows have
/// in common computed once.
struct WindowPasses {
    let passes: LayerPasses

    /// The states of `texts` at every boundary of the model as it is, 0 to L.
    func boundaries(_ texts: [ScanText]) throws(ModelError) -> [States] {
        var states = [passes.embed(texts)]
        for layer in 0..<passes.layers {
            states.append(try passes.run(layer..<layer + 1, texts, from: states[layer]))
        }
        return states
    }

    /// log P by text and request under each of `windows`, in any order.
    ///
    /// Windows of the same layers share the window's passes: the first is the model's own, and k + 1
    /// goes on from k.
    /// - Parameters:
    ///   - boundaries: what `boundaries(_:)` gave.
    ///   - effects: what is measured of each window beside that; the texts then have no branches.
    ///   - onWindow: gets a window's place in `windows` and its values, NaN for texts whose states overflow;
    ///     false ends it.
    /// - Throws: `ModelError` for everything else.
    func run(
        _ windows: [ScanWindow], _ texts: [ScanText], _ boundaries: [States],
        effects: [TextEffect?] = [], onWindow: (Int, [Found]) -> Bool
    ) throws(ModelError) {
        var order: [Range<Int>] = []
        var members: [Range<Int>: [Int]] = [:]
        for (index, window) in windows.enumerated() {
            if members[window.layers] == nil { order.append(window.layers) }
            members[window.layers, default: []].append(index)
        }
        for layers in order {
            var loop = Loop(
                passes: passes, texts: texts, layers: layers, boundaries: boundaries)
            let sorted = (members[layers] ?? []).sorted {
                (windows[$0].iterations ?? 0, $0) < (windows[$1].iterations ?? 0, $1)
            }
            for index in sorted {
                let effect = effects.isEmpty ? nil : effects[index]
                let found: [Found]
                do {
                    found = try loop.measure(windows[index], effect)
                } catch {
                    found = try apart(windows[index], effect, texts, boundaries, error)
                }
                guard onWindow(index, found) else { return }
            }
        }
    }

    /// What is known of one text under a window.
    struct Found {
        /// log P by request.
        var logProbabilities: [Int: Double]
        /// As many as the effect has.
        var effect: [Double] = []
    }

    /// Each text alone, when together they could not be finished: one that overflows must not take its
    /// neighbours along.
    private func apart(
        _ window: ScanWindow, _ effect: TextEffect?, _ texts: [ScanText], _ boundaries: [States],
        _ error: ModelError
    ) throws(ModelError) -> [Found] {
        switch error {
        case .nonFinite, .nonFiniteLogit: break
        default: throw error
        }
        guard texts.count > 1 else {
            let undefined = [Double](
                repeating: .nan, count: effect?.count(layers: passes.layers) ?? 0)
            return texts.map { text in
                Found(
                    logProbabilities: Dictionary(
                        text.targets.map { ($0.request, Double.nan) }
                    ) { first, _ in first },
                    effect: undefined)
            }
        }
        var found: [Found] = []
        var row = 0
        for text in texts {
            let own = boundaries.map { states in
                let part = States(uninitialized: text.rows * passes.width)
                part.pointer.update(
                    from: states.pointer + row * passes.width, count: text.rows * passes.width)
                return part
            }
            var loop = Loop(
                passes: passes, texts: [text], layers: window.layers, boundaries: own)
            do {
                found += try loop.measure(window, effect)
            } catch {
                found += try apart(window, effect, [text], [], error)
            }
            row += text.rows
        }
        return found
    }

    /// One window of layers on its way through ever more iterations.
    private struct Loop {
        let passes: LayerPasses
        let texts: [ScanText]
        let layers: Range<Int>
        /// Of the model as it is.
        let boundaries: [States]
        /// x and g(x).
        private var before: States { boundaries[layers.lowerBound] }
        private var after: States { boundaries[layers.upperBound] }
        /// g applied 1, 2, … times.
        private var looped: [States]
        /// After the window and 0, 1, … half steps.
        private var halved: [States]

        init(
            passes: LayerPasses, texts: [ScanText], layers: Range<Int>, boundaries: [States]
        ) {
            self.passes = passes
            self.texts = texts
            self.layers = layers
            self.boundaries = boundaries
            looped = [boundaries[layers.upperBound]]
            halved = looped
        }

        mutating func measure(
            _ window: ScanWindow, _ effect: TextEffect?
        ) throws(ModelError) -> [Found] {
            var states = try states(window)
            var effects = [[Double]](repeating: [], count: texts.count)
            switch effect {
            case .dynamics(let count): effects = try dynamics(count)
            case .later:
                let skipped = [Double](repeating: .nan, count: layers.upperBound)
                effects = [[Double]](repeating: skipped, count: texts.count)
            case nil: break
            }
            for layer in layers.upperBound..<passes.layers {
                let next = try passes.run(layer..<layer + 1, texts, from: states)
                if effect == .later {
                    let changes = TextEffect.contributionChanges(
                        texts, width: passes.width,
                        base: (boundaries[layer], boundaries[layer + 1]),
                        other: (states, next))
                    for (text, change) in changes.enumerated() { effects[text].append(change) }
                }
                states = next
            }
            if effect == .later {
                let distances = try passes.outputDistances(
                    texts, boundaries[passes.layers], states)
                for (text, distance) in distances.enumerated() { effects[text].append(distance) }
            }
            return zip(try passes.logProbabilities(texts, states), effects).map {
                Found(logProbabilities: $0, effect: $1)
            }
        }

        /// T^k h for k = 0 … `count`, compared step by step. Where a text alone overflows, what follows is
        /// undefined; the loss at fewer iterations still stands.
        private mutating func dynamics(_ count: Int) throws(ModelError) -> [[Double]] {
            var steps = [before]
            while steps.count <= count {
                do throws(ModelError) {
                    steps.append(try loop(steps.count))
                } catch .nonFinite where texts.count == 1 {
                    break
                }
            }
            return TextEffect.dynamics(texts, width: passes.width, steps: steps, count: count)
        }

        private mutating func states(_ window: ScanWindow) throws(ModelError) -> States {
            let count = window.iterations ?? 1
            switch window.kind {
            case .skip: return before
            case .loop: return try loop(count)
            case .half:
                while halved.count < count {
                    let x = halved[halved.count - 1]
                    // The first half step starts where the loop's second pass does.
                    let moved =
                        try halved.count == 1 ? loop(2) : passes.run(layers, texts, from: x)
                    halved.append(Self.mix(x, moved, by: 2))
                }
                return halved[count - 1]
            case .damped:
                guard count > 1 else { return after }
                var x = Self.mix(before, after, by: count)
                for _ in 1..<count {
                    x = Self.mix(x, try passes.run(layers, texts, from: x), by: count)
                }
                return x
            case .heun: return try solved(count, stages: [1], weights: [1, 1])
            case .rk4: return try solved(count, stages: [0.5, 0.5, 1], weights: [1, 2, 2, 1])
            }
        }

        /// `count` steps of an explicit Runge-Kutta method of size 1/count on dx/dt = g(x) - x.
        /// - Parameters:
        ///   - stages: how far along the slope before it each slope but the first is taken.
        ///   - weights: of the slopes, up to a factor.
        private func solved(
            _ count: Int, stages: [Float], weights: [Float]
        ) throws(ModelError) -> States {
            let step = 1 / Float(count)
            let whole = weights.reduce(0, +)
            var x = before
            for number in 0..<count {
                var point = x
                let next = States(uninitialized: x.count)
                next.pointer.update(from: x.pointer, count: x.count)
                for (stage, weight) in weights.enumerated() {
                    let isFirst = number == 0 && stage == 0
                    let moved = try isFirst ? after : passes.run(layers, texts, from: point)
                    let stretch = stage < stages.count ? step * stages[stage] : 0
                    let following = States(uninitialized: x.count)
                    for index in 0..<x.count {
                        let slope = moved.pointer[index] - point.pointer[index]
                        next.pointer[index] += step * weight / whole * slope
                        following.pointer[index] = x.pointer[index] + stretch * slope
                    }
                    point = following
                }
                x = next
            }
            return x
        }

        private mutating func loop(_ count: Int) throws(ModelError) -> States {
            while looped.count < count {
                looped.append(try passes.run(layers, texts, from: looped[looped.count - 1]))
            }
            return looped[count - 1]
        }

        /// x + (g - x)/count.
        private static func mix(_ x: States, _ g: States, by count: Int) -> States {
            let out = States(uninitialized: x.count)
            for index in 0..<x.count {
                out.pointer[index] =
                    x.pointer[index] + (g.pointer[index] - x.pointer[index]) / Float(count)
            }
            return out
        }
    }
}
