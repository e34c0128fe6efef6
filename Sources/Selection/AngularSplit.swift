import Plans
import Records

/// What Kneedle says about a model's angular distances, as the ETD paper (arXiv 2510.07358) reads
/// it: the knee of the curve ends the encoder, the knee of the reversed curve starts the decoder.
/// Degenerate answers are kept as they are; `SplitProblem` names them.
public struct AngularSplit: Sendable, Equatable {
    public let layers: Int
    /// The curve over layers 0, 1, …, L-1.
    public let forward: Kneedle.Analysis
    /// The same curve over layers L-1, …, 1, 0.
    public let reversed: Kneedle.Analysis

    /// - Parameter distances: angular distance at the last token, NaN where unknown. [L]
    public init(distances: [Double], kneedle: Kneedle) {
        layers = distances.count
        forward = kneedle.analyze(distances)
        reversed = kneedle.analyze(distances.reversed())
    }

    /// N_E: the knee's layer already belongs to the think block. No knee gives 0.
    public var encoder: Int { forward.knee ?? 0 }

    /// N_D: layers after the think block. No knee gives 0.
    public var decoder: Int { reversed.knee ?? 0 }

    /// The split, degenerate or not; nil when the curve cannot be read at all, or when encoder and
    /// decoder leave no layer between them.
    public var split: Split? {
        guard unreadable == nil, encoder + decoder < layers else { return nil }
        return Split(encoder: encoder, think: layers - encoder - decoder, decoder: decoder)
    }

    /// Why the curve has no shape to read: too short, not finite, or constant.
    public var unreadable: Kneedle.Absence? {
        forward.absence == .neverFalls ? nil : forward.absence
    }
}

/// What makes a proposed split unfit to be used unseen.
public enum SplitProblem: Sendable, Equatable, CustomStringConvertible {
    public enum Part: String, Sendable {
        case encoder
        case think = "think block"
        case decoder
    }

    case unreadable(Kneedle.Absence)
    /// Encoder and decoder together claim every layer, or more.
    case overlap(encoder: Int, decoder: Int, layers: Int)
    case emptyPart(Part)
    case oneLayerPart(Part)
    case overHalf(think: Int, layers: Int)

    public var description: String {
        switch self {
        case .unreadable(let absence): "Kneedle cannot read the angular distances: \(absence)"
        case .overlap(let encoder, let decoder, let layers):
            "the encoder (\(encoder) layers) and the decoder (\(decoder) layers) leave nothing of "
                + "the \(layers) layers to a think block"
        case .emptyPart(let part): "the \(part.rawValue) is empty"
        case .oneLayerPart(let part): "the \(part.rawValue) is a single layer"
        case .overHalf(let think, let layers):
            "the think block is \(think) of \(layers) layers, more than half of the model"
        }
    }

    /// Every condition that holds; none means that the split may be proposed.
    public static func all(in proposal: AngularSplit) -> [SplitProblem] {
        if let absence = proposal.unreadable { return [.unreadable(absence)] }
        guard let split = proposal.split else {
            return [
                .overlap(
                    encoder: proposal.encoder, decoder: proposal.decoder, layers: proposal.layers)
            ]
        }
        return all(in: split)
    }

    /// Every condition that holds; none means that the split may be proposed.
    public static func all(in split: Split) -> [SplitProblem] {
        let parts: [(Part, Int)] = [
            (.encoder, split.encoder), (.think, split.think), (.decoder, split.decoder),
        ]
        var problems = parts.compactMap { part, size -> SplitProblem? in
            switch size {
            case 0: .emptyPart(part)
            case 1: .oneLayerPart(part)
            default: nil
            }
        }
        if split.think * 2 > split.layers {
            problems.append(.overHalf(think: split.think, layers: split.layers))
        }
        return problems
    }
}
