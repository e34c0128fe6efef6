import Analysis
import ArgumentParser
import Files

/// The value of `--passes`.
public struct ChosenPasses: Sendable {
    /// Runs the model and measures nothing.
    private static let none = "none"
    /// The name of linear probes, which run on examples of their own.
    private static let probes = "probes"

    public var measuring = MeasuringPass.standard
    public var includesProbes = false

    /// Those of a run that names no passes.
    public init() {}

    /// - Throws: `ValidationError` for a name that none has.
    @Sendable public init(_ text: String) throws {
        measuring = []
        if text == Self.none { return }
        for name in text.split(separator: ",", omittingEmptySubsequences: false).map(String.init) {
            if name == Self.probes {
                includesProbes = true
            } else if let pass = MeasuringPass.named(name) {
                measuring.append(pass)
            } else {
                let known = MeasuringPass.all.map(\.name) + [Self.probes]
                throw ValidationError(
                    "no pass \"\(name)\""
                        + (NearestName.of(name, among: known).map { "; did you mean \"\($0)\"?" }
                            ?? "; there are \(known.joined(separator: ", "))"))
            }
        }
    }

    public func contains(_ pass: MeasuringPass) -> Bool {
        measuring.contains { $0.name == pass.name }
    }

    /// One line for each pass, for `--help`.
    public static var help: String {
        (MeasuringPass.all.map { pass in
            "\(pass.name)\(pass.isStandard ? "" : "*") (\(pass.declaration.summary))"
        } + ["\(probes)* (linear probes)"]).joined(separator: ", ")
            + ". All but those with * by default; none runs the model and measures nothing."
    }
}

extension StandardErrorBound {
    /// Reads `kl_to_final 0.02`.
    /// - Throws: `ValidationError`.
    @Sendable public init(argument: String) throws {
        let parts = argument.split(whereSeparator: { $0 == " " || $0 == "=" })
        let metrics = MeasuringPass.all.flatMap(\.declaration.metrics)
        guard parts.count == 2, let bound = Double(parts[1]), bound > 0, bound.isFinite else {
            throw ValidationError(
                "\"\(argument)\" is not a metric and a bound, such as \"kl_to_final 0.02\"")
        }
        let name = String(parts[0])
        guard metrics.contains(where: { $0.name == name }) else {
            throw ValidationError(
                "no metric \"\(name)\""
                    + (NearestName.of(name, among: metrics.map(\.name)).map {
                        "; did you mean \"\($0)\"?"
                    } ?? "; there are \(metrics.map(\.name).joined(separator: ", "))"))
        }
        self.init(metric: name, bound: bound)
    }
}
