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
    ///   - onWindow: gets a window's place in `windows` and its values, NaN for texts whose states overflow;
    ///     false ends it.
    /// - Throws: `ModelError` for everything else.
    func run(
        _ windows: [ScanWindow], _ texts: [ScanText], _ boundaries: [States],
        onWindow: (Int, [[Int: Double]]) -> Bool
    ) throws(ModelError) {
        var order: [Range<Int>] = []
        var members: [Range<Int>: [Int]] = [:]
        for (index, window) in windows.enumerated() {
            if members[window.layers] == nil { order.append(window.layers) }
            members[window.layers, default: []].append(index)
        }
        for layers in order {
            var loop = Loop(
                passes: passes, texts: texts, layers: layers,
                before: boundaries[layers.lowerBound], after: boundaries[layers.upperBound])
            let sorted = (members[layers] ?? []).sorted {
                (windows[$0].iterations ?? 0, $0) < (windows[$1].iterations ?? 0, $1)
            }
            for index in sorted {
                let values: [[Int: Double]]
                do {
                    values = try loop.logProbabilities(windows[index])
                } catch {
                    values = try apart(windows[index], texts, boundaries, error)
                }
                guard onWindow(index, values) else { return }
            }
        }
    }

    /// Each text alone, when together they could not be finished: one that overflows must not take its
    /// neighbours along.
    private func apart(
        _ window: ScanWindow, _ texts: [ScanText], _ boundaries: [States], _ error: ModelError
    ) throws(ModelError) -> [[Int: Double]] {
        switch error {
        case .nonFinite, .nonFiniteLogit: break
        default: throw error
        }
        guard texts.count > 1 else {
            return texts.map { text in
                Dictionary(text.targets.map { ($0.request, Double.nan) }) { first, _ in first }
            }
        }
        var values: [[Int: Double]] = []
        var row = 0
        func slice(_ states: States, _ text: ScanText) -> States {
            let part = States(uninitialized: text.rows * passes.width)
            part.pointer.update(
                from: states.pointer + row * passes.width, count: text.rows * passes.width)
            return part
        }
        for text in texts {
            var loop = Loop(
                passes: passes, texts: [text], layers: window.layers,
                before: slice(boundaries[window.start], text),
                after: slice(boundaries[window.layers.upperBound], text))
            do {
                values += try loop.logProbabilities(window)
            } catch {
                values += try apart(window, [text], [], error)
            }
            row += text.rows
        }
        return values
    }

    /// One window of layers on its way through ever more iterations.
    private struct Loop {
        let passes: LayerPasses
        let texts: [ScanText]
        let layers: Range<Int>
        /// x and g(x).
        let before: States
        let after: States
        /// g applied 1, 2, … times.
        private var looped: [States]
        /// After the window and 0, 1, … half steps.
        private var halved: [States]

        init(
            passes: LayerPasses, texts: [ScanText], layers: Range<Int>, before: States,
            after: States
        ) {
            self.passes = passes
            self.texts = texts
            self.layers = layers
            self.before = before
            self.after = after
            looped = [after]
            halved = [after]
        }

        mutating func logProbabilities(
            _ window: ScanWindow
        ) throws(ModelError) -> [[Int: Double]] {
            let behind = try states(window)
            let last = try passes.run(
                layers.upperBound..<passes.layers, texts, from: behind)
            return try passes.logProbabilities(texts, last)
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
