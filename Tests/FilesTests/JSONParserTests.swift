import Files
import Foundation
import Testing

/// Reading JSON: by hand what the parser does otherwise than Foundation, and Foundation's own reader
/// as the oracle for what both do.
struct JSONParserTests {
    private static let good: [(String, JSON)] = [
        ("null", .null), ("true", true), (" \t\r\n false ", false), ("0", 0), ("-0", 0),
        ("-12", -12), ("9223372036854775807", .int(.max)), ("-9223372036854775808", .int(.min)),
        ("9223372036854775808", .double(9_223_372_036_854_775_808)), ("1.5", 1.5),
        ("1e3", .double(1000)), ("-2.5E-3", -0.0025), ("1E+2", .double(100)),
        ("1e400", .double(.infinity)), ("Infinity", .double(.infinity)),
        ("-Infinity", .double(-.infinity)), (#""""#, ""), (#""a""#, "a"), ("[]", []), ("{}", [:]),
        ("[1,[2,{}]]", [1, [2, [:]]]), (#"{"b":1,"a":{"c":null}}"#, ["b": 1, "a": ["c": nil]]),
        (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"), (#""\u0041\u00e9\uD83D\ude00""#, "Aé😀"),
        (#""\u0000""#, "\u{0}"), ("\"\u{7F}é😀\"", "\u{7F}é😀"), ("\u{FEFF}1", 1),
    ]

    @Test(arguments: good)
    func values(text: String, expected: JSON) throws {
        #expect(try JSON.parse(text) == expected)
    }

    @Test func notANumberIsANumber() throws {
        #expect(try JSON.parse("NaN").doubleValue?.isNaN == true)
    }

    @Test func keysKeepTheirOrder() throws {
        let keys = (0..<200).map { "k\($0 * 7919 % 200)" }
        let text = "{" + keys.map { "\"\($0)\":0" }.joined(separator: ",") + "}"
        #expect(try JSON.parse(text).objectValue.map { Array($0.keys) } == keys)
    }

    /// Text, line and column of the error, part of the problem.
    private static let bad: [(String, Int, Int, String)] = [
        ("", 1, 1, "ends where a value"), ("[1,", 1, 4, "ends where a value"),
        ("nul", 1, 1, "not a JSON value"), ("'a'", 1, 1, "not a JSON value"),
        ("-", 1, 1, "not a JSON value"), ("+1", 1, 1, "not a JSON value"),
        ("01", 1, 1, "leading zero"), ("-012", 1, 1, "leading zero"), ("1.", 1, 3, "its point"),
        ("1e", 1, 3, "empty exponent"), ("1e+", 1, 4, "empty exponent"),
        ("1 2", 1, 3, "unexpected text"), ("{}\n}", 2, 1, "unexpected text"),
        ("[1 2]", 1, 4, "in an array"), ("[1,]", 1, 4, "not a JSON value"),
        ("{1:2}", 1, 2, "double quotes"), (#"{"a"}"#, 1, 5, "':'"),
        (#"{"a":1,}"#, 1, 8, "double quotes"), (#"{"a":1 "b":2}"#, 1, 8, "in an object"),
        (#"{"a":1,\#n "a":2}"#, 2, 2, #"duplicate key "a""#),
        (#"{"a\nb":1,"a\nb":2}"#, 1, 11, #"duplicate key "a\u{a}b""#),
        (#""a"#, 1, 1, "closing"),
        (#""a\"#, 1, 3, "closing"), ("\"a\nb\"", 1, 3, "control character"),
        (#""\x""#, 1, 2, "unknown escape"), (#""\u12""#, 1, 4, "incomplete"),
        (#""\u12g4""#, 1, 6, "incomplete"), (#""\ud800""#, 1, 2, "surrogate"),
        (#""\udc00""#, 1, 2, "surrogate"), (#""\ud800\u0041""#, 1, 2, "surrogate"),
        (#""\ud800x""#, 1, 2, "surrogate"),
    ]

    @Test(arguments: bad.indices)
    func errorsSayWhere(index: Int) throws {
        let (text, line, column, problem) = Self.bad[index]
        let error = try #require(throws: JSONError.self) { try JSON.parse(text) }
        #expect(error.problem.contains(problem), "\(error)")
        #expect(error.line == line, "\(error)")
        #expect(error.column == column, "\(error)")
        #expect(error.description.hasPrefix("line \(line), column \(column): "))
    }

    @Test(arguments: [[0x22, 0xFF, 0x22], [0x22, 0xC3, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22]])
    func stringsMustBeUTF8(bytes: [UInt8]) throws {
        let error = try #require(throws: JSONError.self) { try JSON.parse(bytes) }
        #expect(error.problem.contains("not UTF-8"))
    }

    @Test func nestingIsBounded() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        _ = try JSON.parse(nested(JSON.maximumDepth + 1))
        #expect(throws: JSONError.self) { try JSON.parse(nested(JSON.maximumDepth + 2)) }
        #expect(throws: JSONError.self) { try JSON.parse(String(repeating: "[", count: 1_000_000)) }
        #expect(throws: JSONError.self) {
            try JSON.parse(String(repeating: #"{"a":"#, count: 100_000))
        }
    }

    @Test func everyPrefixOfATextIsAnError() throws {
        let text = Array(#"{"a":[1.5e3,true,"\u00e9x\ud83d\ude00é"],"b":{"c":null}}"#.utf8)
        for end in 0..<text.count {
            #expect(throws: JSONError.self, "\(end) bytes") {
                try JSON.parse(Array(text[..<end]))
            }
        }
        _ = try JSON.parse(text)
    }

    @Test func readsAsFoundationDoes() throws {
        let text = #"""
            {"numbers":[0,-1,0.1,1e-7,123456789012345,2.2250738585072014e-308,1.7976931348623157e308],
             "text":"Grüße \u4e16\u754c \ud83d\ude00 \"quoted\" \\ \/ \n",
             "nested":[[],{},[{"a":[null,true,false]}]]}
            """#
        let object = try JSONSerialization.jsonObject(with: Data(text.utf8))
        let foundation = try #require(object as? NSDictionary)
        let json = try JSON.parse(text)
        let numbers = try #require(foundation["numbers"] as? [Double])
        #expect(json["numbers"]?.arrayValue?.compactMap(\.doubleValue) == numbers)
        let words = try #require(foundation["text"] as? String)
        #expect(json["text"]?.stringValue.map { Array($0.utf8) } == Array(words.utf8))
        let again = try JSONSerialization.jsonObject(with: Data(json.text().utf8))
        #expect(foundation == again as? NSDictionary)
    }
}
