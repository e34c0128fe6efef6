import Analysis
import Corpus
import Models

/// What a tuned lens learns from, and what it never sees.
public struct LensText: Sendable {
    public var training: [Document]
    /// The last documents of the data, at least one.
    public var heldOut: [Document]

    /// Keeps out as many documents from the end as hold a twentieth of the tokens that are used.
    /// - Parameter tokens: that training asks for.
    /// - Throws: `LensTrainingError.tooFewDocuments` for fewer than two.
    public init(_ documents: [Document], tokens: Int) throws(LensTrainingError) {
        guard documents.count >= 2 else { throw .tooFewDocuments(found: documents.count) }
        let wanted = min(tokens, Self.tokens(documents)) / 20
        var kept = 0
        var first = documents.count
        while first > 1, first == documents.count || kept < wanted {
            first -= 1
            kept += documents[first].tokens.count - documents[first].addedTokens
        }
        training = Array(documents[..<first])
        heldOut = Array(documents[first...])
    }

    /// Positions of documents, added ones left out.
    public static func tokens(_ documents: [Document]) -> Int {
        documents.reduce(0) { $0 + $1.tokens.count - $1.addedTokens }
    }
}

/// The plain and the tuned lens on the same text.
public struct LensComparison: Sendable, Equatable {
    /// Mean KL(p_L‖p_l) over positions in nats, by boundary.
    public var plain: [Double]
    public var tuned: [Double]

    /// - Parameter progress: called with the number of tokens that went through since the last call.
    public init(
        model: Transformer, lens: TunedLens, documents: [Document],
        progress: (Int) -> Void = { _ in }
    ) throws(LensTrainingError) {
        let boundaries = model.configuration.layerCount + 1
        var sums = Array(repeating: (plain: 0.0, tuned: 0.0), count: boundaries)
        var count = 0.0
        var added = 0
        let tap = LensTap(
            model: model, plan: .identity(layers: model.configuration.layerCount), tuned: lens
        ) { position, plain, tuned in
            guard position >= added else { return }
            count += 1
            for boundary in 0..<boundaries {
                sums[boundary].plain += plain[boundary].klFromFinal
                sums[boundary].tuned += tuned[boundary].klFromFinal
            }
        }
        do {
            let loop = try DocumentLoop(
                model: model, longest: documents.map(\.tokens.count).max() ?? 1, taps: [tap])
            for (index, document) in documents.enumerated() {
                added = document.addedTokens
                try loop.run(document, index: index) { positions, _ in progress(positions.count) }
            }
        } catch { throw LensTrainingError(error) }
        plain = sums.map { $0.plain / max(1, count) }
        tuned = sums.map { $0.tuned / max(1, count) }
    }
}
