/// Minimises a smooth function by L-BFGS (Nocedal 1980; Nocedal and Wright 2006, algorithms 7.4 and 7.5)
/// with a backtracking search for Armijo's condition. For convex functions.
struct LBFGS {
    private static let memory = 10

    private(set) var point: [Double]
    /// The largest gradient component at which the search is done.
    let tolerance: Double
    let iterations: Int

    init(start: [Double], tolerance: Double, iterations: Int) {
        point = start
        self.tolerance = tolerance
        self.iterations = iterations
    }

    /// - Parameter evaluate: gives the value and writes the gradient.
    /// - Returns: the value at `point`, where the search ended.
    mutating func minimise(_ evaluate: ([Double], inout [Double]) -> Double) -> Double {
        var gradient = [Double](repeating: 0, count: point.count)
        var value = evaluate(point, &gradient)
        var steps: [[Double]] = []
        var changes: [[Double]] = []
        var next = point
        var nextGradient = gradient
        for _ in 0..<iterations {
            // A NaN is no end: no step is found from there, and the value that is given is NaN.
            if gradient.allSatisfy({ $0.magnitude <= tolerance }) { break }
            var direction = Self.direction(gradient, steps, changes)
            var slope = Self.dot(direction, gradient)
            if !(slope < 0) {
                // Rounding spoiled the memory: start again downhill.
                steps = []
                changes = []
                direction = gradient.map { -$0 }
                slope = Self.dot(direction, gradient)
            }
            var length =
                steps.isEmpty ? 1 / max(1, Self.dot(gradient, gradient).squareRoot()) : 1
            var nextValue = value
            var found = false
            for _ in 0..<40 {
                for index in point.indices {
                    next[index] = point[index] + length * direction[index]
                }
                nextValue = evaluate(next, &nextGradient)
                if nextValue <= value + 1e-4 * length * slope {
                    found = true
                    break
                }
                length *= 0.5
            }
            guard found else { break }
            var step = next
            var change = nextGradient
            for index in point.indices {
                step[index] -= point[index]
                change[index] -= gradient[index]
            }
            if Self.dot(step, change) > 1e-12 * Self.dot(change, change) {
                steps.append(step)
                changes.append(change)
                if steps.count > Self.memory {
                    steps.removeFirst()
                    changes.removeFirst()
                }
            }
            swap(&point, &next)
            swap(&gradient, &nextGradient)
            value = nextValue
        }
        return value
    }

    /// -H·g with H the inverse Hessian as the kept steps know it (two-loop recursion).
    private static func direction(
        _ gradient: [Double], _ steps: [[Double]], _ changes: [[Double]]
    ) -> [Double] {
        var q = gradient
        var weights: [Double] = []
        for (step, change) in zip(steps, changes).reversed() {
            let weight = dot(step, q) / dot(step, change)
            weights.append(weight)
            for index in q.indices { q[index] -= weight * change[index] }
        }
        if let step = steps.last, let change = changes.last {
            let scale = dot(step, change) / dot(change, change)
            for index in q.indices { q[index] *= scale }
        }
        for (pair, weight) in zip(zip(steps, changes), weights.reversed()) {
            let other = dot(pair.1, q) / dot(pair.0, pair.1)
            for index in q.indices { q[index] += (weight - other) * pair.0[index] }
        }
        for index in q.indices { q[index] = -q[index] }
        return q
    }

    private static func dot(_ a: [Double], _ b: [Double]) -> Double {
        a.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
                var sum = 0.0
                for index in a.indices { sum += a[index] * b[index] }
                return sum
            }
        }
    }
}
