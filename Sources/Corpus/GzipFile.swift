import CZlib
import Foundation

/// Whole gzip files, through zlib.
enum GzipFile {
    /// - Throws: `CorpusError.unreadable` for a file that is missing, damaged or cut off.
    static func contents(_ path: String) throws(CorpusError) -> [UInt8] {
        errno = 0
        guard let file = gzopen(path, "rb") else {
            throw .unreadable(
                path: path, problem: "cannot open: \(String(cString: strerror(errno)))")
        }
        defer { gzclose_r(file) }
        var contents: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let count = gzread(file, &chunk, UInt32(chunk.count))
            if count > 0 { contents += chunk[..<Int(count)] }
            if count == chunk.count { continue }
            var status: Int32 = 0
            let message = gzerror(file, &status)
            guard count >= 0, status == Z_OK else {
                let reason = message.map { String(cString: $0) } ?? "unknown"
                throw .unreadable(path: path, problem: "damaged gzip file: \(reason)")
            }
            if count == 0 { return contents }
        }
    }
}
