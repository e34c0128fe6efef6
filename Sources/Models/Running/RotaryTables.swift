import Tensors

/// The rotary tables of a model's layers: one for each kind of embedding, as long as the longest text so
/// far.
final class RotaryTables {
    private let tables: [RotaryTable]
    private let ofLayer: [Int?]

    init(_ configuration: ModelConfiguration) {
        var kinds: [RotaryParameters] = []
        ofLayer = configuration.attention.map { attention in
            guard let parameters = attention.rotary else { return nil }
            if let known = kinds.firstIndex(of: parameters) { return known }
            kinds.append(parameters)
            return kinds.count - 1
        }
        tables = kinds.map { RotaryTable($0, positions: 0) }
    }

    /// The table of a layer; nil where positions are learned.
    func table(ofLayer layer: Int) -> RotaryTable? { ofLayer[layer].map { tables[$0] } }

    /// Makes sure of `positions` in every table.
    /// - Parameter textLength: positions of the whole text, on which some frequencies depend.
    func prepare(_ positions: Range<Int>, textLength: Int) {
        for table in tables { table.prepare(positions, textLength: textLength) }
    }
}
