import Files
import Foundation

/// Where the ids of a token file stand and how wide they are.
///
/// `.u16` and `.u32` are little-endian ids and nothing else. A `.npy` is NumPy's format, a list of unsigned or
/// signed integers of 2, 4 or 8 bytes, or, without NumPy's header, what OLMo calls so: ids alone, of 2 bytes
/// where the vocabulary has at most 65,536, else of 4.
struct TokenFileLayout: Equatable {
    /// Bytes before the first id.
    var start: Int
    /// Bytes of an id.
    var width: Int

    private static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)

    /// - Throws: `CorpusError.unreadable` for a NumPy array that is no list of ids.
    init(path: String, bytes: UnsafeRawBufferPointer, vocabularySize: Int) throws(CorpusError) {
        let name = path.lowercased()
        guard name.hasSuffix(".npy") else {
            self.init(start: 0, width: name.hasSuffix(".u16") ? 2 : 4)
            return
        }
        guard bytes.starts(with: Self.magic) else {
            self.init(start: 0, width: vocabularySize <= 1 << 16 ? 2 : 4)
            return
        }
        func wrong(_ problem: String) -> CorpusError {
            .unreadable(path: path, problem: "NumPy file: \(problem)")
        }
        guard bytes.count >= 12 else { throw wrong("ends within its header") }
        let isLong = bytes[6] >= 2
        let size = isLong ? 4 : 2
        let length = (0..<size).reduce(0) { $0 | Int(bytes[8 + $1]) << (8 * $1) }
        let start = 8 + size + length
        guard start <= bytes.count else { throw wrong("ends within its header") }
        let header = String(decoding: bytes[8 + size..<start], as: UTF8.self)
        guard let type = header.firstMatch(of: /'descr': *'([<|>=]?)([a-z])([0-9]+)'/),
            let shape = header.firstMatch(of: /'shape': *\(([0-9]*),? *\)/)
        else { throw wrong("is no one-dimensional array of numbers; save the ids as one list") }
        let width = Int(type.3) ?? 0
        guard "ui".contains(type.2), [2, 4, 8].contains(width), type.1 != ">" else {
            throw wrong("holds \(type.0), not little-endian whole numbers of 2, 4 or 8 bytes")
        }
        guard Int(shape.1) == (bytes.count - start) / width else {
            throw wrong("has \((bytes.count - start) / width) numbers, its header says \(shape.1)")
        }
        self.init(start: start, width: width)
    }

    private init(start: Int, width: Int) {
        self.start = start
        self.width = width
    }
}
