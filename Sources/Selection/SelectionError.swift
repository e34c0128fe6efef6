import Files
import Plans
import Records

/// What can be wrong with a request for a split.
public enum SelectionError: Error, Equatable, CustomStringConvertible {
    /// What was written is no split, or none of this model.
    case plan(PlanError)
    case file(FileError)
    /// A split file made for a model of another depth.
    case layerCount(path: String, actual: Int, expected: Int)
    /// A split file made for other weights.
    case fingerprint(path: String, actual: String, expected: String)
    /// A split file that proposes no split, and the alternatives it lists.
    case abstained(path: String, reason: String, alternatives: [Split])
    /// `number` counts from 1.
    case noSuchAlternative(path: String, number: Int, available: [Split])
    /// An alternative was asked for, but the split was written out.
    case alternativeOfNotation(text: String)
    case sensitivity(actual: Double)
    /// Distances of another length than the model has layers.
    case distanceCount(what: String, actual: Int, expected: Int)

    public var description: String {
        switch self {
        case .plan(.notation(let text, let problem)):
            "--split \(Self.oneLine(text).isEmpty ? "\"\"" : Self.oneLine(text)): \(problem); write three layer counts such as 7-4-5, "
                + "or 7-4*3-5 to run the think block three times, or name a split file"
        case .plan(let error): "--split \(error)"
        case .file(let error): error.description
        case .layerCount(let path, let actual, let expected):
            "\(path): made for a model of \(actual) layers, but this one has \(expected); "
                + "give a split of \(expected) layers, such as one probed from this model"
        case .fingerprint(let path, let actual, let expected):
            "\(path): made for other weights (fingerprint \(actual.prefix(12)), this model has "
                + "\(expected.prefix(12))); probe this model, or pass --allow-mismatch"
        case .abstained(let path, let reason, let alternatives):
            if alternatives.isEmpty {
                "\(path): proposes no split and lists no alternatives (\(Self.oneLine(reason))); "
                    + "write one with --split"
            } else {
                "\(path): proposes no split (\(Self.oneLine(reason))); take one with "
                    + "--alternative n: \(Self.list(alternatives))"
            }
        case .noSuchAlternative(let path, let number, let available):
            available.isEmpty
                ? "\(path): --alternative \(number): the file lists no alternatives; write a split "
                    + "with --split"
                : "\(path): --alternative \(number): there are \(available.count), counted from 1: "
                    + Self.list(available)
        case .alternativeOfNotation(let text):
            "--alternative: takes one from a split file, but --split is the written-out \(text); "
                + "leave out --alternative or name the file"
        case .sensitivity(let actual):
            "Kneedle's sensitivity S is \(actual); give a finite number, 0 or above"
        case .distanceCount(let what, let actual, let expected):
            "\(what): \(actual) angular distances for a model of \(expected) layers; give one for "
                + "each layer"
        }
    }

    private static func list(_ splits: [Split]) -> String {
        splits.enumerated().map { "\($0.offset + 1) = \($0.element.notation)" }
            .joined(separator: ", ")
    }

    private static func oneLine(_ text: String) -> String {
        text.split(whereSeparator: \.isNewline).joined(separator: " ")
    }
}
