import Corpus
import Foundation
import Models
import Plans
import Records
import Tensors

/// The geometry of the states at every boundary: dimensions of their covariance, prompt entropy and
/// curvature of documents, and CKA between boundaries. A tap on `resid`.
package final class BoundaryGeometry: Tap {
    private let boundaries: Int
    package let moments = MomentsTap(sites: [.resid])
    private let shape: DocumentShape
    private let alignment: KernelAlignment

    /// - Parameter documents: all that will be run; only their lengths matter.
    package init(boundaries: Int, width: Int, documents: [Document]) {
        self.boundaries = boundaries
        shape = DocumentShape(
            boundaries: boundaries, width: width,
            longest: documents.map { $0.tokens.count - $0.addedTokens }.max() ?? 1)
        alignment = KernelAlignment(
            boundaries: boundaries, width: width,
            tokens: documents.reduce(0) { $0 + $1.tokens.count - $1.addedTokens })
    }

    package func wants(_ site: Site) -> Bool { site == .resid }

    package func begin(_ document: Document, index: Int) {
        moments.begin(document, index: index)
        shape.begin(document, index: index)
        alignment.begin(document, index: index)
    }

    package func observe(_ activation: Activation) {
        moments.observe(activation)
        shape.observe(activation)
        alignment.observe(activation)
    }

    package func end() {
        shape.end()
        alignment.end()
    }

    /// By name, for each boundary. Values of the whole run have no standard error.
    /// - Throws: `AnalysisError.momentsOutOfRange`.
    package func metrics() throws(AnalysisError) -> [[String: Estimate]] {
        try moments.check()
        var dimensions = [Spectrum.Dimensions?](repeating: nil, count: boundaries)
        let sums = (0..<boundaries).map { moments.moments[.init(site: .resid, index: $0)] }
        dimensions.withUnsafeMutableBufferPointer { places in
            nonisolated(unsafe) let places = places
            Parallel.forEach(boundaries) { places[$0] = sums[$0]?.dimensions() }
        }
        return (0..<boundaries).map { boundary in
            var metrics = shape.estimates(boundary: boundary)
            metrics[Metric.effectiveRank.name] = Estimate(
                mean: dimensions[boundary]?.effectiveRank, standardError: nil)
            metrics[Metric.participationRatio.name] = Estimate(
                mean: dimensions[boundary]?.participationRatio, standardError: nil)
            return metrics
        }
    }

    package func alignments() -> [[Double?]] { alignment.alignments() }
}
