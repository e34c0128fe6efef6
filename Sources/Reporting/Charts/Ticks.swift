import Files
import Foundation

/// Where an axis carries labels: multiples of 1, 2 or 5 times a power of ten.
package struct Ticks: Sendable, Equatable {
    package var values: [Double]
    package var step: Double

    /// Ticks that enclose [low, high]: the first is at or below `low`, the last at or above `high`.
    ///
    /// - Parameter target: the number of intervals aimed at; the result has at most 2·target + 2.
    /// A range of no width, or too thin for doubles to divide, is widened around its middle.
    package static func enclosing(_ low: Double, _ high: Double, target: Int) -> Ticks {
        // Beyond this a difference could overflow; no measured value gets near.
        let limit = 1e300
        var (low, high) = (min(max(low, -limit), limit), min(max(high, -limit), limit))
        if low > high { swap(&low, &high) }
        let magnitude = max(abs(low), abs(high))
        if high - low <= magnitude * 1e-9 || high - low < 1e-290 {
            let margin = magnitude < 1e-280 ? 1 : magnitude * 0.1
            low -= margin
            high += margin
        }
        let step = niceStep(atLeast: (high - low) / Double(max(1, target)))
        // A hair of tolerance, so that 0.30000000000000004 does not cost one more interval.
        let first = floor(low / step + 1e-6)
        let last = ceil(high / step - 1e-6)
        return Ticks(
            values: stride(from: first, through: last, by: 1).map { $0 * step }, step: step)
    }

    /// Whole numbers inside [low, high], for layer and boundary indices; what lies beyond ±2^53 counts
    /// as that, the last whole number whose neighbours a `Double` tells apart.
    package static func integers(_ low: Int, _ high: Int, target: Int) -> Ticks {
        let limit = 1 << 53
        let (low, high) = (min(max(low, -limit), limit), min(max(high, -limit), limit))
        guard low < high else { return Ticks(values: [Double(low)], step: 1) }
        let rough = Double(high - low) / Double(max(1, target))
        let step = max(1, Int(nearest: niceStep(atLeast: rough)))
        let first = Int(nearest: (Double(low) / Double(step)).rounded(.up)) * step
        return Ticks(
            values: stride(from: first, through: high, by: step).map(Double.init),
            step: Double(step))
    }

    /// Powers of ten that enclose [low, high], both above 0; with few of them also 2 and 5 times.
    package static func logarithmic(_ low: Double, _ high: Double) -> Ticks {
        let first = Int(nearest: floor(log10(max(low, 1e-300)) + 1e-9))
        let last = max(first + 1, Int(nearest: ceil(log10(min(max(high, 1e-299), 1e300)) - 1e-9)))
        let every = max(1, (last - first + 5) / 6)
        let factors: [Double] = last - first <= 2 ? [1, 2, 5] : [1]
        var values: [Double] = []
        for exponent in stride(from: first, through: last, by: every) {
            for factor in factors where exponent < last || factor == 1 {
                values.append(factor * pow(10, Double(exponent)))
            }
        }
        // With a wide stride the last power may be missed, and the axis must reach past `high`.
        if let end = values.last, end < high * (1 - 1e-9) {
            values.append(pow(10, Double(first + ((last - first) / every + 1) * every)))
        }
        return Ticks(values: values, step: 0)
    }

    private static func niceStep(atLeast rough: Double) -> Double {
        let power = pow(10, floor(log10(rough)))
        for factor in [1.0, 2, 5] where factor * power >= rough * (1 - 1e-9) {
            return factor * power
        }
        return 10 * power
    }
}

/// Maps values to positions along one side of a chart.
package struct AxisScale: Sendable {
    package var low: Double
    package var high: Double
    package var start: Double
    package var end: Double
    package var logarithmic = false

    package func position(_ value: Double) -> Double {
        let fraction: Double
        if logarithmic {
            let (a, b) = (log10(low), log10(high))
            fraction = (log10(max(value, low / 10)) - a) / (b - a)
        } else {
            fraction = high == low ? 0.5 : value / (high - low) - low / (high - low)
        }
        return start + (end - start) * min(max(fraction, -10), 10)
    }
}
