import Activations
import ArgumentParser

extension DumpHeader.Shard {
    /// Reads `2/8`.
    /// - Throws: `ValidationError`.
    @Sendable public init(argument text: String) throws {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map { Int($0) }
        guard parts.count == 2, let index = parts[0], let count = parts[1], count <= 1_000_000,
            index >= 1, index <= count
        else {
            throw ValidationError(
                "expected i/n with i from 1 to n, such as 2/8, not \"\(text)\"")
        }
        self.init(index: index, count: count)
    }

    /// Its documents.
    /// - Throws: `CommandError.flag` where it has none.
    func chosen(of documents: Int) throws -> Range<Int> {
        let range = self.documents(of: documents)
        guard !range.isEmpty else {
            throw CommandError.flag(
                name: "--shard \(self)",
                problem: "the data has only \(documents) documents; give fewer shards")
        }
        return range
    }
}
