import ArgumentParser

/// Whole numbers as people list them: `2..4`, `1,2,5`, or both mixed.
public struct NumberList: ExpressibleByArgument, Equatable, Sendable {
    /// In the order written, each once.
    public var values: [Int]

    /// More than anyone means; keeps `1..999999999` from filling memory.
    private static let most = 65_536

    public init(values: [Int]) { self.values = values }

    public var defaultValueDescription: String {
        values.map(String.init).joined(separator: ",")
    }

    public init?(argument: String) {
        values = []
        for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
            let numbers: [Int]
            if let dots = part.range(of: "..") {
                guard let low = Self.number(part[..<dots.lowerBound]),
                    let high = Self.number(part[dots.upperBound...]), low <= high,
                    high - low < Self.most
                else { return nil }
                numbers = Array(low...high)
            } else {
                guard let number = Self.number(part) else { return nil }
                numbers = [number]
            }
            for number in numbers where !values.contains(number) { values.append(number) }
        }
    }

    private static func number(_ text: Substring) -> Int? {
        text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(text) : nil
    }
}
