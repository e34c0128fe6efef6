import Files
import OrderedCollections

/// The value types of GGUF metadata; raw values as in the file.
public enum GGUFType: UInt32, Sendable {
    case uint8 = 0
    case int8 = 1
    case uint16 = 2
    case int16 = 3
    case uint32 = 4
    case int32 = 5
    case float32 = 6
    case bool = 7
    case string = 8
    case array = 9
    case uint64 = 10
    case int64 = 11
    case float64 = 12

    /// Bytes of one value; for strings and arrays, the fewest that one can take.
    var minimumBytes: Int {
        switch self {
        case .uint8, .int8, .bool: 1
        case .uint16, .int16: 2
        case .uint32, .int32, .float32: 4
        case .uint64, .int64, .float64, .string: 8
        case .array: 12
        }
    }
}

/// One value of GGUF metadata. Integers of all widths become one of two cases.
public enum GGUFValue: Sendable {
    /// A signed integer, or an unsigned one that fits.
    case int(Int64)
    /// An unsigned integer beyond `Int64.max`.
    case uint(UInt64)
    case float(Float)
    case double(Double)
    case bool(Bool)
    /// Bytes that are not UTF-8 are replaced; `GGUFMetadata.bytes(_:)` has them as they are.
    case string(String)
    case array(GGUFArray)
}

/// An array of GGUF metadata. Its elements stay in the file until they are asked for.
public struct GGUFArray: @unchecked Sendable {
    public let elementType: GGUFType
    public let count: Int
    // The encoded elements, checked when the file was opened: strings end within it, booleans are 0
    // or 1. The mapping is read-only, so sharing it between threads is safe.
    let encoded: UnsafeRawBufferPointer
    let file: MappedFile

    /// The elements of an array of integers of any width; nil for another type or a value beyond Int.
    public func ints() -> [Int]? {
        switch elementType {
        case .uint8: integers(of: UInt8.self)
        case .int8: integers(of: Int8.self)
        case .uint16: integers(of: UInt16.self)
        case .int16: integers(of: Int16.self)
        case .uint32: integers(of: UInt32.self)
        case .int32: integers(of: Int32.self)
        case .uint64: integers(of: UInt64.self)
        case .int64: integers(of: Int64.self)
        default: nil
        }
    }

    /// The elements of an array of f32, or of f64 rounded to f32; nil for another type.
    public func floats() -> [Float]? {
        switch elementType {
        case .float32:
            (0..<count).map { Float(bitPattern: load(UInt32.self, at: $0)) }
        case .float64:
            (0..<count).map { Float(Double(bitPattern: load(UInt64.self, at: $0))) }
        default: nil
        }
    }

    public func bools() -> [Bool]? {
        elementType == .bool ? encoded.map { $0 != 0 } : nil
    }

    /// The elements of an array of strings, bytes that are not UTF-8 replaced.
    ///
    /// Swift compares strings by canonical equivalence: two different tokens may be equal as
    /// `String`. Use `byteStrings` where they are keys.
    public func strings() -> [String]? {
        guard elementType == .string else { return nil }
        var strings: [String] = []
        strings.reserveCapacity(count)
        forEachString { strings.append(String(decoding: $0, as: UTF8.self)) }
        return strings
    }

    /// The elements of an array of strings, byte for byte.
    public func byteStrings() -> [[UInt8]]? {
        guard elementType == .string else { return nil }
        var strings: [[UInt8]] = []
        strings.reserveCapacity(count)
        forEachString { strings.append(Array($0)) }
        return strings
    }

    private func forEachString(_ body: (UnsafeRawBufferPointer) -> Void) {
        var position = 0
        for _ in 0..<count {
            let length = Int(
                UInt64(
                    littleEndian: encoded.loadUnaligned(
                        fromByteOffset: position, as: UInt64.self)))
            position += 8
            body(UnsafeRawBufferPointer(rebasing: encoded[position..<position + length]))
            position += length
        }
    }

    private func load<T: FixedWidthInteger>(_ type: T.Type, at index: Int) -> T {
        T(
            littleEndian: encoded.loadUnaligned(
                fromByteOffset: index * MemoryLayout<T>.size, as: T.self))
    }

    private func integers<T: FixedWidthInteger>(of type: T.Type) -> [Int]? {
        var values: [Int] = []
        values.reserveCapacity(count)
        for index in 0..<count {
            guard let value = Int(exactly: load(type, at: index)) else { return nil }
            values.append(value)
        }
        return values
    }
}

/// The key/value table of a GGUF file, in the file's order; empty for safetensors.
///
/// The typed getters give nil both for a missing key and for a value of another type; the subscript
/// tells the two apart.
public struct GGUFMetadata: Sendable {
    struct Entry: Sendable {
        let type: GGUFType
        let value: GGUFValue
        /// The bytes of a string value, as they are in the file.
        let bytes: [UInt8]?
    }

    var entries: OrderedDictionary<String, Entry> = [:]

    public var keys: [String] { Array(entries.keys) }
    public var count: Int { entries.count }
    public var isEmpty: Bool { entries.isEmpty }

    public subscript(key: String) -> GGUFValue? { entries[key]?.value }

    /// The type that the file gives the value.
    public func type(_ key: String) -> GGUFType? { entries[key]?.type }

    /// A string, bytes that are not UTF-8 replaced.
    public func string(_ key: String) -> String? {
        if case .string(let value) = self[key] { value } else { nil }
    }

    /// A string's bytes as they are in the file.
    public func bytes(_ key: String) -> [UInt8]? { entries[key]?.bytes }

    /// An integer of any width that fits `Int`.
    public func int(_ key: String) -> Int? {
        if case .int(let value) = self[key] { Int(exactly: value) } else { nil }
    }

    /// A number of any type.
    public func double(_ key: String) -> Double? {
        switch self[key] {
        case .int(let value): Double(value)
        case .uint(let value): Double(value)
        case .float(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }

    public func bool(_ key: String) -> Bool? {
        if case .bool(let value) = self[key] { value } else { nil }
    }

    public func array(_ key: String) -> GGUFArray? {
        if case .array(let value) = self[key] { value } else { nil }
    }

    /// See `GGUFArray.strings()`, and its warning about comparing them.
    public func strings(_ key: String) -> [String]? { array(key)?.strings() }
    public func byteStrings(_ key: String) -> [[UInt8]]? { array(key)?.byteStrings() }
    public func ints(_ key: String) -> [Int]? { array(key)?.ints() }
    public func floats(_ key: String) -> [Float]? { array(key)?.floats() }
    public func bools(_ key: String) -> [Bool]? { array(key)?.bools() }
}
