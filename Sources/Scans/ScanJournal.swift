import Files
import Foundation

/// What a scan has measured so far, a line for each unit, so that the same command goes on where a run
/// was stopped or killed. JSON writes numbers so that they come back to the last bit.
final class ScanJournal {
    private static let schema = "etd-scan-journal/v1"

    private let path: String
    private let handle: FileHandle
    /// By unit; within it by window (-1: the model as it is) and member.
    private(set) var units: [String: [Int: [Double]]]

    /// Opens the journal at `path`, or begins one.
    /// - Parameter key: of what is scanned and how; another key's journal is refused.
    /// - Throws: `ScanError.journal`, `FileError`.
    init(path: String, key: String) throws {
        var units: [String: [Int: [Double]]] = [:]
        var kept: [UInt8] = []
        if Paths.kind(path) != .missing {
            let content = [UInt8](try MappedFile.contents(path: path))
            // A line that a killed run has not finished.
            let end = content.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
            kept = Array(content[..<end])
            let lines = kept.split(separator: 0x0A)
            for (index, line) in lines.enumerated() {
                guard let json = try? JSON.parse(Array(line)) else {
                    throw Self.damaged(path, index)
                }
                if index == 0 {
                    guard json["schema"]?.stringValue == Self.schema else {
                        throw Self.damaged(path, index)
                    }
                    guard json["key"]?.stringValue == key else {
                        throw ScanError.journal(
                            path: path,
                            problem: "holds the beginning of another scan (other options, model, "
                                + "items or text); give that command to go on with it, choose "
                                + "another --out, or --overwrite")
                    }
                } else {
                    try Self.take(json, index, path, into: &units)
                }
            }
        }
        if kept.isEmpty {
            let header: JSON = ["schema": .string(Self.schema), "key": .string(key)]
            kept = Array((header.text(indent: 0) + "\n").utf8)
        }
        try AtomicFile.write(kept, to: path)
        guard let handle = FileHandle(forWritingAtPath: path) else {
            throw FileError.system(path: path, operation: "open", reason: "it cannot be written")
        }
        handle.seekToEndOfFile()
        self.handle = handle
        self.path = path
        self.units = units
    }

    deinit { try? handle.close() }

    private static func damaged(_ path: String, _ index: Int) -> ScanError {
        .journal(
            path: path,
            problem: "line \(index + 1) is damaged; remove the file, or --overwrite, to begin anew")
    }

    private static func take(
        _ json: JSON, _ index: Int, _ path: String, into units: inout [String: [Int: [Double]]]
    ) throws(ScanError) {
        guard let unit = json["unit"]?.stringValue, let windows = json["windows"]?.objectValue
        else { throw damaged(path, index) }
        for (name, values) in windows {
            guard let window = Int(name), let values = values.arrayValue else {
                throw damaged(path, index)
            }
            units[unit, default: [:]][window] = values.map { $0.doubleValue ?? .nan }
        }
    }

    func record(_ unit: String, _ windows: [Int: [Double]]) throws(FileError) {
        units[unit, default: [:]].merge(windows) { $1 }
        let members = windows.sorted { $0.key < $1.key }.map {
            (String($0.key), JSON.array($0.value.map { .number($0) }))
        }
        let line: JSON = [
            "unit": .string(unit), "windows": .object(.init(uniqueKeysWithValues: members)),
        ]
        do {
            try handle.write(contentsOf: Data((line.text(indent: 0) + "\n").utf8))
        } catch {
            throw .system(path: path, operation: "write", reason: "\(error.localizedDescription)")
        }
    }
}
