import Foundation
import OrderedCollections

/// Why a text is not JSON this package reads, and where.
public struct JSONError: Error, Equatable, CustomStringConvertible {
    public let line: Int
    public let column: Int
    public let problem: String

    public var description: String { "line \(line), column \(column): \(problem)" }
}

extension JSON {
    /// Nesting beyond this is refused: no checkpoint needs it, and the parser recurses.
    public static let maximumDepth = 256

    /// Reads one JSON value.
    ///
    /// Stricter than most readers where it matters (duplicate keys, invalid UTF-8, unpaired
    /// surrogates and deep nesting are errors) and laxer in one point: `NaN` and `Infinity` are
    /// numbers, since Python writes them into configurations.
    /// - Throws: `JSONError`.
    public static func parse(_ bytes: UnsafeRawBufferPointer) throws(JSONError) -> JSON {
        var parser = JSONParser(bytes: bytes)
        return try parser.document()
    }

    public static func parse(_ text: String) throws(JSONError) -> JSON {
        try parse(Array(text.utf8))
    }

    public static func parse(_ bytes: [UInt8]) throws(JSONError) -> JSON {
        var result: Result<JSON, JSONError>?
        bytes.withUnsafeBytes { buffer in
            result = Result { () throws(JSONError) in try parse(buffer) }
        }
        return try result!.get()
    }
}

private struct JSONParser {
    let bytes: UnsafeRawBufferPointer
    var position = 0

    init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    mutating func document() throws(JSONError) -> JSON {
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
        let value = try self.value(depth: 0)
        skipSpace()
        if position < bytes.count { throw error("unexpected text after the value") }
        return value
    }

    func error(_ problem: String, at offset: Int? = nil) -> JSONError {
        let end = min(offset ?? position, bytes.count)
        var line = 1
        var start = 0
        for index in 0..<end where bytes[index] == 0x0A {
            line += 1
            start = index + 1
        }
        return JSONError(line: line, column: end - start + 1, problem: problem)
    }

    mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return
            }
        }
    }

    mutating func value(depth: Int) throws(JSONError) -> JSON {
        skipSpace()
        guard position < bytes.count else {
            throw error("the text ends where a value should stand")
        }
        if depth > JSON.maximumDepth {
            throw error("nested deeper than \(JSON.maximumDepth) levels")
        }
        switch bytes[position] {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "N"): return try word("NaN", .double(.nan))
        case UInt8(ascii: "I"): return try word("Infinity", .double(.infinity))
        default: return try number()
        }
    }

    mutating func word(_ word: StaticString, _ value: JSON) throws(JSONError) -> JSON {
        guard bytes.count - position >= word.utf8CodeUnitCount,
            memcmp(bytes.baseAddress! + position, word.utf8Start, word.utf8CodeUnitCount) == 0
        else { throw error("not a JSON value") }
        position += word.utf8CodeUnitCount
        return value
    }

    mutating func object(depth: Int) throws(JSONError) -> JSON {
        position += 1
        var members: OrderedDictionary<String, JSON> = [:]
        skipSpace()
        if take(UInt8(ascii: "}")) { return .object(members) }
        while true {
            skipSpace()
            guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else {
                throw error("expected a key in double quotes")
            }
            let start = position
            let key = try string()
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw error("expected ':' after a key") }
            let value = try self.value(depth: depth + 1)
            if members.updateValue(value, forKey: key) != nil {
                throw error("duplicate key \(key.quotedForMessage)", at: start)
            }
            skipSpace()
            if take(UInt8(ascii: ",")) { continue }
            if take(UInt8(ascii: "}")) { return .object(members) }
            throw error("expected ',' or '}' in an object")
        }
    }

    mutating func array(depth: Int) throws(JSONError) -> JSON {
        position += 1
        var values: [JSON] = []
        skipSpace()
        if take(UInt8(ascii: "]")) { return .array(values) }
        while true {
            values.append(try value(depth: depth + 1))
            skipSpace()
            if take(UInt8(ascii: ",")) { continue }
            if take(UInt8(ascii: "]")) { return .array(values) }
            throw error("expected ',' or ']' in an array")
        }
    }

    mutating func take(_ byte: UInt8) -> Bool {
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    mutating func number() throws(JSONError) -> JSON {
        let start = position
        _ = take(UInt8(ascii: "-"))
        if position < bytes.count, bytes[position] == UInt8(ascii: "I") {
            _ = try word("Infinity", .null)
            return .double(-.infinity)
        }
        let digits = countDigits()
        guard digits > 0 else { throw error("not a JSON value", at: start) }
        if digits > 1, bytes[position - digits] == UInt8(ascii: "0") {
            throw error("a number with a leading zero", at: start)
        }
        var isInteger = true
        if take(UInt8(ascii: ".")) {
            isInteger = false
            guard countDigits() > 0 else { throw error("a number with nothing after its point") }
        }
        if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") {
            isInteger = false
            position += 1
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            guard countDigits() > 0 else { throw error("a number with an empty exponent") }
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isInteger, let value = Int64(text) { return .int(value) }
        guard let value = Double(text) else { throw error("not a number", at: start) }
        return .double(value)
    }

    mutating func countDigits() -> Int {
        let start = position
        while position < bytes.count, bytes[position] >= 0x30, bytes[position] <= 0x39 {
            position += 1
        }
        return position - start
    }

    mutating func string() throws(JSONError) -> String {
        let opening = position
        position += 1
        var run = position
        // Only a string with escapes pays for an intermediate copy.
        var unescaped: [UInt8]?
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") {
                let text: String?
                if var whole = unescaped {
                    whole += bytes[run..<position]
                    text = String(validating: whole, as: UTF8.self)
                } else {
                    text = String(validating: bytes[run..<position], as: UTF8.self)
                }
                guard let text else { throw error("a string that is not UTF-8", at: opening) }
                position += 1
                return text
            }
            if byte < 0x20 { throw error("an unescaped control character in a string") }
            guard byte == UInt8(ascii: "\\") else {
                position += 1
                continue
            }
            var whole = unescaped ?? []
            unescaped = nil
            whole += bytes[run..<position]
            try escape(into: &whole)
            unescaped = whole
            run = position
        }
        throw error("a string without its closing quote", at: opening)
    }

    mutating func escape(into out: inout [UInt8]) throws(JSONError) {
        let start = position
        guard position + 1 < bytes.count else { throw error("a string without its closing quote") }
        position += 2
        switch bytes[start + 1] {
        case UInt8(ascii: "\""): out.append(0x22)
        case UInt8(ascii: "\\"): out.append(0x5C)
        case UInt8(ascii: "/"): out.append(0x2F)
        case UInt8(ascii: "b"): out.append(0x08)
        case UInt8(ascii: "f"): out.append(0x0C)
        case UInt8(ascii: "n"): out.append(0x0A)
        case UInt8(ascii: "r"): out.append(0x0D)
        case UInt8(ascii: "t"): out.append(0x09)
        case UInt8(ascii: "u"):
            var code = try hex4()
            if code >= 0xD800, code < 0xDC00 {
                guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else {
                    throw error("an unpaired surrogate in a string", at: start)
                }
                let low = try hex4()
                guard low >= 0xDC00, low < 0xE000 else {
                    throw error("an unpaired surrogate in a string", at: start)
                }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else {
                throw error("an unpaired surrogate in a string", at: start)
            }
            out += UTF8.encode(scalar)!
        default: throw error("an unknown escape in a string", at: start)
        }
    }

    mutating func hex4() throws(JSONError) -> UInt32 {
        guard position + 4 <= bytes.count else { throw error("an incomplete \\u escape") }
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = Character(Unicode.Scalar(bytes[position])).hexDigitValue else {
                throw error("an incomplete \\u escape")
            }
            code = code << 4 | UInt32(digit)
            position += 1
        }
        return code
    }
}
