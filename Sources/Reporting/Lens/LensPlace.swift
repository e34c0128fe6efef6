import Files

extension LensTable {
    /// Where a boundary of a looped plan stands: what has run last.
    public struct Place: Sendable, Equatable {
        public enum Part: Sendable, Equatable {
            case embedding, encoder, decoder
            /// The think block's pass, from 1.
            case think(pass: Int)
        }

        public var part: Part
        /// The layer whose output this is; nil for the embedding.
        public var layer: Int?

        public init(part: Part, layer: Int?) {
            self.part = part
            self.layer = layer
        }

        /// `encoder`, `pass 2`, ...: also the name of the band.
        var band: String {
            switch part {
            case .embedding: "embedding"
            case .encoder: "encoder"
            case .decoder: "decoder"
            case .think(let pass): "pass \(pass)"
            }
        }

        /// `pass 2, layer 12`.
        var text: String { band + (layer.map { ", layer \($0)" } ?? "") }

        /// Classes of the page's row: neighbouring passes differ.
        var style: Markup {
            switch part {
            case .embedding: "embedding"
            case .encoder: "encoder"
            case .decoder: "decoder"
            case .think(let pass): pass % 2 == 1 ? "think odd" : "think even"
            }
        }

        /// Members of a row of the JSON.
        var json: [(String, JSON)] {
            var pass: Int?
            var name = band
            if case .think(let number) = part {
                pass = number
                name = "think"
            }
            return [
                ("part", .string(name)), ("pass", pass.map { .number($0) } ?? .null),
                ("layer", layer.map { .number($0) } ?? .null),
            ]
        }
    }
}
