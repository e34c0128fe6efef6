import Foundation

/// What the eigenvalues of a covariance or a Gram matrix say. Natural logarithms.
public enum Spectrum {
    public struct Dimensions: Sendable, Equatable {
        /// exp of the entropy of the normalised eigenvalues (Roy and Vetterli 2007): 1 where one
        /// direction holds all variance, d where all hold the same.
        public var effectiveRank: Double
        /// (Σλ)² / Σλ²: the same question with less weight on small eigenvalues; never above the
        /// effective rank.
        public var participationRatio: Double
    }

    /// Both from eigenvalues that are not negative but for rounding, which counts as zero.
    /// - Returns: nil where none is positive.
    public static func dimensions(_ eigenvalues: [Double]) -> Dimensions? {
        guard let entropy = entropy(eigenvalues) else { return nil }
        let values = eigenvalues.filter { $0 > 0 }
        let largest = values.max() ?? 1
        // Scaled, so that squares neither overflow nor vanish.
        let sum = values.reduce(0) { $0 + $1 / largest }
        let squares = values.reduce(0) { $0 + ($1 / largest) * ($1 / largest) }
        return Dimensions(effectiveRank: exp(entropy), participationRatio: sum * sum / squares)
    }

    /// -Σ p ln p with p = λ/Σλ, in nats: the matrix-based entropy of order 1.
    /// - Returns: nil where no eigenvalue is positive, or one is not finite.
    public static func entropy(_ eigenvalues: [Double]) -> Double? {
        guard eigenvalues.allSatisfy(\.isFinite) else { return nil }
        let total = eigenvalues.reduce(0) { $0 + max(0, $1) }
        guard total > 0 else { return nil }
        let entropy = eigenvalues.reduce(0.0) { sum, value in
            let share = value / total
            return share > 0 ? sum - share * log(share) : sum
        }
        return max(0, entropy)
    }
}
