import Files
import Foundation

/// Reads the tensors of a golden `.safetensors` file. Apart from the product's reader on purpose: a
/// test must not take its expectations through the code it tests.
public struct TensorFixture {
    private let data: [UInt8]
    private let header: JSON
    private let start: Int

    public init(_ url: URL) throws {
        data = [UInt8](try Data(contentsOf: url))
        let length = data.prefix(8).enumerated().reduce(0) {
            $0 + Int($1.element) << (8 * $1.offset)
        }
        start = 8 + length
        header = try JSON.parse(Array(data[8..<start]))
    }

    public func has(_ name: String) -> Bool { header[name] != nil }

    /// The values and shape of an F32 tensor.
    public func floats(_ name: String) throws -> (values: [Float], shape: [Int]) {
        guard let entry = header[name], entry["dtype"]?.stringValue == "F32",
            let shape = entry["shape"]?.arrayValue?.compactMap(\.intValue),
            let offsets = entry["data_offsets"]?.arrayValue?.compactMap(\.intValue)
        else { throw FixtureError.missing(name) }
        let bytes = data[(start + offsets[0])..<(start + offsets[1])]
        let values = stride(from: bytes.startIndex, to: bytes.endIndex, by: 4).map { index in
            Float(
                bitPattern: UInt32(data[index]) | UInt32(data[index + 1]) << 8
                    | UInt32(data[index + 2]) << 16 | UInt32(data[index + 3]) << 24)
        }
        return (values, shape)
    }

    /// The values of an I64 tensor.
    public func integers(_ name: String) throws -> [Int] {
        guard let entry = header[name], entry["dtype"]?.stringValue == "I64",
            let offsets = entry["data_offsets"]?.arrayValue?.compactMap(\.intValue)
        else { throw FixtureError.missing(name) }
        let bytes = data[(start + offsets[0])..<(start + offsets[1])]
        return stride(from: bytes.startIndex, to: bytes.endIndex, by: 8).map { index in
            Int(
                truncatingIfNeeded: (0..<8).reduce(UInt64(0)) {
                    $0 | UInt64(data[index + $1]) << (8 * $1)
                })
        }
    }

    public enum FixtureError: Error {
        case missing(String)
    }
}
