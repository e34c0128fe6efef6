import Checkpoints
import Files
import Foundation
import TestSupport
import Testing

/// What `scripts/goldens/checkpoints.py` wrote.
enum Goldens {
    static func path(_ name: String) -> String { Locations.golden("checkpoints/\(name)").path }

    static func json(_ name: String) throws -> JSON { try JSON.read(path: path(name)) }

    static func bytes(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(filePath: path(name))))
    }
}

extension JSON {
    /// The bytes of a base64 member.
    func bytes(_ key: String) throws -> [UInt8] {
        let text = try #require(self[key]?.stringValue)
        return Array(try #require(Data(base64Encoded: text)))
    }

    /// The 32-bit words of a base64 member, little-endian.
    func words(_ key: String) throws -> [UInt32] {
        let bytes = try bytes(key)
        return stride(from: 0, to: bytes.count, by: 4).map { start in
            bytes[start..<start + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
        }
    }
}

/// Bit patterns, with one pattern for every NaN: which NaN comes out of an operation is not defined.
func canonicalBits(_ values: [Float]) -> [UInt32] {
    values.map { $0.isNaN ? 0x7FC0_0000 : $0.bitPattern }
}

/// The error of opening `path`, which must fail.
func openingError(_ path: String) throws -> CheckpointError {
    do {
        _ = try Checkpoint.open(path)
    } catch {
        return error
    }
    throw MissingError()
}

struct MissingError: Error, CustomStringConvertible {
    var description: String { "the file opened, and should not have" }
}

/// That a message is one line and names everything a reader needs.
func expectOneLine(
    _ error: CheckpointError, naming parts: String...,
    at location: SourceLocation = #_sourceLocation
) {
    let text = error.description
    let isOneLine = !text.contains { $0.isNewline }
    #expect(isOneLine, sourceLocation: location)
    for part in parts {
        #expect(text.contains(part), "\(text)", sourceLocation: location)
    }
}

/// A few bytes of a fixture, encoded.
func littleEndian<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
}

func hexadecimalSHA256(_ bytes: some Collection<UInt8>) -> String {
    SHA256.hexadecimal(of: bytes)
}
