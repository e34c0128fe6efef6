import Activations
import Scans

extension EvidenceFile.SkipEffect {
    /// - Parameter documents: of the file; what lies beyond the effect's is NaN.
    init(_ effect: Scan.Result.SkipEffect, documents: Int? = nil) {
        let total = documents ?? effect.documents
        func padded(_ values: [Double]) -> [Double] {
            guard total != effect.documents, effect.documents > 0 else { return values }
            let rest = [Double](repeating: .nan, count: max(0, total - effect.documents))
            return stride(from: 0, to: values.count, by: effect.documents).flatMap {
                Array(values[$0..<$0 + effect.documents]) + rest
            }
        }
        self.init(
            contributions: .init(
                shape: [effect.layers, effect.layers, total], values: padded(effect.contributions)),
            output: .init(shape: [effect.layers, total], values: padded(effect.output)))
    }
}

extension EvidenceFile.Dynamics {
    init(_ dynamics: Scan.Result.Dynamics) {
        self.init(
            windows: .init(dynamics.windows.map { [Double($0.start), Double($0.length)] }),
            change: .init(
                shape: [dynamics.windows.count, dynamics.passes, dynamics.documents],
                values: dynamics.change),
            cosine: .init(
                shape: [dynamics.windows.count, dynamics.passes - 1, dynamics.documents],
                values: dynamics.cosine))
    }
}
