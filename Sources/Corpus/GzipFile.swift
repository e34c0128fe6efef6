import CZlib
import Foundation

/// A gzip file that is unpacked as it is read, through zlib.
final class GzipFile {
    private let path: String
    private let file: gzFile

    /// - Throws: `CorpusError.unreadable` for a file that cannot be opened.
    init(_ path: String) throws(CorpusError) {
        self.path = path
        errno = 0
        guard let file = gzopen(path, "rb") else {
            throw .unreadable(
                path: path, problem: "cannot open: \(String(cString: strerror(errno)))")
        }
        self.file = file
    }

    deinit { gzclose_r(file) }

    /// The next bytes; 0 at the end.
    /// - Throws: `CorpusError.unreadable` for a file that is damaged or cut off.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(CorpusError) -> Int {
        let count = gzread(file, buffer.baseAddress, UInt32(buffer.count))
        if count == buffer.count { return Int(count) }
        var status: Int32 = 0
        let message = gzerror(file, &status)
        guard count >= 0, status == Z_OK else {
            let reason = message.map { String(cString: $0) } ?? "unknown"
            throw .unreadable(path: path, problem: "damaged gzip file: \(reason)")
        }
        return Int(count)
    }
}
