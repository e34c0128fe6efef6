import Corpus
import Models
import Plans
import Statistics

/// How far work has come, in token passes: a token through half of the model's layers, which is what it costs
/// in a looped or skipped window on average.
public enum ScanProgress: Sendable {
    case done(Int)
    /// More work than was known; less where negative.
    case planned(Int)
}

extension ScanItem {
    /// Tokens that run for the item: what its options share, and each option's own.
    public var rows: Int {
        guard let first = options.first else { return 0 }
        let shared = options.dropFirst().reduce(first.tokens.count - 1) { shared, option in
            let same = zip(first.tokens, option.tokens.dropLast()).prefix { $0 == $1 }.count
            return min(shared, same)
        }
        return shared + options.reduce(0) { $0 + $1.tokens.count - 1 - shared }
    }
}

extension Scan.Job {
    /// Token passes of one window over a document. Every row needs the unembedding, in contrast to an item's.
    func passes(_ document: Document, model: Transformer) -> Int {
        let layers = model.configuration.layerCount
        let head = Double(
            2 * model.configuration.vocabularySize * model.configuration.hiddenSize)
        guard let plan = try? LayerPlan(layers: 0..<layers) else {
            return document.tokens.count - 1
        }
        let half = (model.flopsPerToken(plan) - head) / 2
        let share = half > 0 ? head / half : 0
        return Int(Double(document.tokens.count - 1) * (1 + share))
    }

    /// Token passes of the documents under every window.
    public func textPasses(model: Transformer) -> Int {
        windows.count * documents.reduce(0) { $0 + passes($1, model: model) }
    }

    /// Token passes of the whole scan where no window is dropped.
    func allPasses(search: [Int], confirmation: [Int], model: Transformer) -> Int {
        func rows(_ chosen: [Int]) -> Int { chosen.reduce(0) { $0 + items[$1].rows } }
        let confirmed = ScanKind.allCases.reduce(0) { sum, kind in
            sum
                + min(
                    RaceRule.mostConfirmed,
                    windows.count { $0.kind == kind && !pinned.contains($0) })
        }
        return windows.count * rows(search) + (confirmed + pinned.count) * rows(confirmation)
            + textPasses(model: model)
    }
}
