import Records
import Tensors

/// A mean over positions whose standard error comes from documents.
///
/// With S_d the sum and n_d the number of values in document d: m = ΣS_d/Σn_d and
/// se = √(D/(D-1)·Σ(S_d - m·n_d)²)/Σn_d over the D documents that have values (the ratio estimator's
/// error, since positions of one document are not independent).
///
/// Keeps means and central second moments of (S_d, n_d) (Welford's update), so memory does not grow and
/// nothing is lost when the documents' sums are large and alike.
public struct DocumentMean: Sendable {
    private var documents = 0.0
    private var meanSum = 0.0
    private var meanCount = 0.0
    private var sumSquares = 0.0
    private var countSquares = 0.0
    private var products = 0.0

    public init() {}

    /// Takes in one document; a document without values is no document.
    public mutating func add(sum: Double, count: Double) {
        guard count > 0 else { return }
        documents += 1
        let sumDelta = sum - meanSum
        let countDelta = count - meanCount
        meanSum += sumDelta / documents
        meanCount += countDelta / documents
        sumSquares += sumDelta * (sum - meanSum)
        countSquares += countDelta * (count - meanCount)
        products += sumDelta * (count - meanCount)
    }

    public var estimate: Estimate {
        guard documents > 0 else { return Estimate(mean: nil, standardError: nil) }
        let mean = meanSum / meanCount
        guard documents > 1 else { return Estimate(mean: mean, standardError: nil) }
        // The residuals S_d - m·n_d have mean 0, so their sum of squares is this combination.
        let squares = sumSquares - 2 * mean * products + mean * mean * countSquares
        let error =
            (Double.propagatingMaximum(0, squares) * documents / (documents - 1)).squareRoot()
            / (documents * meanCount)
        return Estimate(mean: mean, standardError: error)
    }
}
