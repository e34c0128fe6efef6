import Evaluation
import Models

extension ScanItem {
    /// The position of the last token that all options share, which is where an answer can be read before
    /// it is given away: behind the space, say, in a tokenizer that makes " 5" two tokens.
    /// - Returns: nil where an option has no token of its own behind it.
    public var readPosition: Int? {
        guard let first = options.first else { return nil }
        let common = options.map { PrefixGroup.commonPrefix(first.tokens, $0.tokens) }.min() ?? 0
        guard options.allSatisfy({ $0.tokens.count > common }) else { return nil }
        return common - 1
    }
}

/// The states of items where their answers are read.
public enum ItemStates {
    /// - Parameters:
    ///   - items: each with a `readPosition`.
    ///   - store: gets the boundary, the item and its state there, [hidden size].
    ///   - isOver: asked between blocks of rows; true ends it.
    ///   - progress: gets the items that went through.
    /// - Returns: whether all items went through.
    /// - Throws: `ModelError`.
    public static func read(
        _ items: [ScanItem], model: Transformer,
        isOver: () -> Bool = { false }, progress: (Int) -> Void = { _ in },
        store: (Int, Int, UnsafePointer<Float>) -> Void
    ) throws -> Bool {
        let passes = try LayerPasses(model: model)
        let order = items.indices.map(\.self)
        // One option is enough: the state stands before the options part.
        let units = ScanUnit.units("", order) { item in Array(items[item].options.prefix(1)) }
        for unit in units {
            guard !isOver() else { return false }
            for batch in unit.batches(model) {
                var rows: [(row: Int, item: Int)] = []
                var first = 0
                for (text, places) in zip(batch.texts, batch.places) {
                    for (request, place) in places {
                        let item = unit.members[place.member]
                        let position = (items[item].readPosition ?? 0) + 1
                        let own = text.targets.filter { $0.request == request }
                        let row = own[position - items[item].options[0].firstScored].row
                        rows.append((first + row, item))
                    }
                    first += text.rows
                }
                var states = passes.embed(batch.texts)
                for boundary in 0...passes.layers {
                    for place in rows {
                        store(boundary, place.item, states.pointer + place.row * passes.width)
                    }
                    guard boundary < passes.layers else { break }
                    states = try passes.run(
                        boundary..<boundary + 1, batch.texts, from: states)
                }
                for text in batch.texts { text.rest() }
            }
            progress(unit.members.reduce(0) { $0 + items[$1].rows })
        }
        return true
    }
}
