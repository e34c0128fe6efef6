import ArgumentParser
import Plans

/// Bounds of whole numbers among the options, so that sums and products of them stay whole numbers and
/// a slip of the finger is no run without end.
public enum OptionRange {
    /// Of tokens, windows and documents: above any text.
    public static let text = 1_000_000_000_000
    /// Of examples of one task, which stand in memory.
    public static let examples = 10_000_000
    public static let threads = 4096
    /// Of iterations: a think block of one layer could run as often.
    public static let iterations = LayerPlan.maximumSteps
    /// Of one part of a dump, in MiB.
    public static let partSize = 1 << 20

    /// - Throws: `ValidationError`, which is wrong usage, unless `value` is nil or from `least` to `most`.
    public static func check(
        _ value: Int?, _ name: String, from least: Int = 1, to most: Int
    ) throws {
        guard let value else { return }
        if value < least {
            let bound = least == 0 ? "0 or more" : "at least \(least)"
            throw ValidationError("\(name) must be \(bound), not \(value)")
        }
        if value > most {
            throw ValidationError("\(name) must be at most \(most), not \(value)")
        }
    }
}
