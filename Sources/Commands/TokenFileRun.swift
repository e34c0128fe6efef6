import Files
import Foundation
import Tensors
import Tokenizers

/// `etd tokenize --out`: lines of text as a file of ids to train on, each text with the token that ends a
/// document behind it. Lines are tokenized on all threads; the file is that of one thread.
public struct TokenFileRun {
    private let lines: TokenLines
    private let bos: BOSPolicy
    private let out: Output
    /// Bytes of an id.
    private let width: Int
    private static let linesAtATime = 2048

    /// - Throws: `CommandError.flag` for a name that does not say how wide ids are, or ids that do not fit.
    public init(
        tokenizer: Tokenizer, jsonLines: Bool, bos: BOSPolicy, out: String, overwrite: Bool
    ) throws {
        switch out.lowercased() {
        case let name where name.hasSuffix(".u16"): width = 2
        case let name where name.hasSuffix(".u32"): width = 4
        default:
            throw CommandError.flag(
                name: "--out \(out)", problem: "end the name with .u16 or .u32, the width of an id")
        }
        guard width == 4 || tokenizer.vocabularySize <= 1 << 16 else {
            throw CommandError.flag(
                name: "--out \(out)",
                problem:
                    "the tokenizer has \(tokenizer.vocabularySize) tokens, more than 16 bits hold; "
                    + "end the name with .u32")
        }
        self.out = try Output(out, overwrite: overwrite)
        lines = TokenLines(tokenizer: tokenizer, jsonLines: jsonLines)
        self.bos = bos
    }

    /// Reads all of `input`.
    /// - Returns: texts and tokens that were written, ends included.
    public func run(_ input: InputLines) throws -> (texts: Int, tokens: Int) {
        var bytes: [UInt8] = []
        var texts = 0
        while true {
            var batch: [[UInt8]] = []
            while batch.count < Self.linesAtATime, let line = try input.next() {
                batch.append(line)
            }
            guard !batch.isEmpty else { break }
            for ids in try encode(batch, first: texts + 1) {
                for id in ids + [lines.tokenizer.eosToken].compactMap(\.self) {
                    bytes.append(UInt8(truncatingIfNeeded: id))
                    bytes.append(UInt8(truncatingIfNeeded: id >> 8))
                    guard width == 4 else { continue }
                    bytes.append(UInt8(truncatingIfNeeded: id >> 16))
                    bytes.append(UInt8(truncatingIfNeeded: id >> 24))
                }
            }
            texts += batch.count
        }
        try out.write(bytes)
        return (texts, bytes.count / width)
    }

    /// - Parameter first: the number of the first line, from 1.
    private func encode(_ batch: [[UInt8]], first: Int) throws -> [[Int32]] {
        var results = [Result<[Int32], any Error>?](repeating: nil, count: batch.count)
        results.withUnsafeMutableBufferPointer { results in
            nonisolated(unsafe) let results = results
            let chunk = 16
            Parallel.forEach((batch.count + chunk - 1) / chunk) { index in
                for line in index * chunk..<min(batch.count, (index + 1) * chunk) {
                    results[line] = Result {
                        try lines.ids(batch[line], number: first + line, bos: bos)
                    }
                }
            }
        }
        return try results.compactMap { try $0?.get() }
    }
}
