/// Which positions of a document are stored or measured.
public enum PositionSelection: Sendable, Equatable, CustomStringConvertible {
    case all
    case last
    /// 0, N, 2N, …
    case every(Int)

    /// How many of the first `positions` positions of a document of `length` tokens are chosen.
    public func count(before position: Int, of length: Int) -> Int {
        switch self {
        case .all: position
        case .last: position >= length ? 1 : 0
        case .every(let step): (position + step - 1) / step
        }
    }

    /// The position of chosen row `row` of a document of `length` tokens.
    public func position(_ row: Int, of length: Int) -> Int {
        switch self {
        case .all: row
        case .last: length - 1
        case .every(let step): row * step
        }
    }

    public var description: String {
        switch self {
        case .all: "all"
        case .last: "last"
        case .every(let step): "every:\(step)"
        }
    }

    /// The chosen positions among those of a block.
    public func positions(in block: Range<Int>, of length: Int) -> [Int] {
        let rows =
            count(
                before: block.lowerBound, of: length)..<count(
                before: block.upperBound, of: length)
        return rows.map { position($0, of: length) }
    }
}
