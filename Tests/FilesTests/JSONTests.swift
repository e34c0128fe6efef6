import Files
import Foundation
import TestSupport
import Testing

/// Writing JSON, and asking values what they are.
struct JSONTests {
    @Test func layoutOfTheWrittenFiles() {
        let json: JSON = [
            "name": "a", "values": [1, 2.5, nil], "rows": [[1, 2], ["x": true]], "none": [:],
            "empty": [],
        ]
        #expect(
            json.text() == """
                {
                  "name": "a",
                  "values": [1, 2.5, null],
                  "rows": [
                    [1, 2],
                    {
                      "x": true
                    }
                  ],
                  "none": {},
                  "empty": []
                }
                """)
        #expect(
            json.text(indent: 0)
                == #"{"name":"a","values":[1,2.5,null],"rows":[[1,2],{"x":true}],"none":{},"empty":[]}"#
        )
    }

    @Test func stringsAreEscaped() throws {
        let hostile = "\u{0}\u{1F}\u{7F}\"\\\n\r\t/é😀\u{2028}e\u{301}"
        let text = JSON.string(hostile).text()
        #expect(text == "\"\\u0000\\u001f\\u007f\\\"\\\\\\n\\r\\t/é😀\u{2028}e\u{301}\"")
        let back = try #require(try JSON.parse(text).stringValue)
        #expect(Array(back.utf8) == Array(hostile.utf8))
        let object = try JSONSerialization.jsonObject(
            with: Data(text.utf8), options: .fragmentsAllowed)
        #expect((object as? String).map { Array($0.utf8) } == Array(hostile.utf8))
    }

    /// Every double comes back as itself, through this reader and through the C library's.
    @Test func doublesComeBack() throws {
        var state: UInt64 = 1
        var values = [
            0.1, -0.0, .leastNonzeroMagnitude, 2.2250738585072014e-308, .greatestFiniteMagnitude,
            1e22,
        ]
        for _ in 0..<2000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            values.append(Double(bitPattern: state))
        }
        for value in values where value.isFinite {
            let text = JSON.double(value).text()
            #expect(try JSON.parse(text).doubleValue?.bitPattern == value.bitPattern, "\(text)")
            #expect(strtod(text, nil).bitPattern == value.bitPattern, "\(text)")
        }
    }

    @Test func whatIsNotFiniteIsNull() {
        let values: JSON = [.double(.nan), .double(.infinity), .double(-.infinity)]
        #expect(values.text() == "[null, null, null]")
        #expect(JSON.number(Double.nan) == .null)
        #expect(JSON.number(Double?.none) == .null)
        #expect(JSON.number(Int?.none) == .null)
        #expect(JSON.number(3) == .int(3))
        #expect(JSON.number(0.5) == .double(0.5))
        #expect(JSON.text(nil) == .null)
        #expect(JSON.text("x") == "x")
    }

    @Test func accessors() {
        let object: JSON = ["a": 1, "n": nil]
        #expect(object["a"] == 1)
        #expect(object["n"] == nil && object["b"] == nil)
        #expect(JSON.int(1)["a"] == nil)
        #expect(JSON.double(1000).intValue == 1000)
        #expect(JSON.double(0.5).intValue == nil && JSON.double(1e30).intValue == nil)
        #expect(JSON.double(.nan).intValue == nil)
        #expect(JSON.int(2).doubleValue == 2)
        #expect(JSON.bool(true).intValue == nil && JSON.int(1).boolValue == nil)
        #expect(JSON.string("1").doubleValue == nil && JSON.int(1).stringValue == nil)
        #expect(JSON.array([]).objectValue == nil && object.arrayValue == nil)
        let all: [JSON] = [nil, true, 1, 1.5, "s", [], [:]]
        #expect(
            all.map(\.kind) == [
                "null", "a boolean", "a number", "a number", "a string", "an array", "an object",
            ])
    }

    @Test func readingFiles() throws {
        let scratch = try ScratchDirectory()
        let good = try scratch.write(#"{"a":1}"#.utf8, to: "good.json")
        #expect(try JSON.read(path: good) == ["a": 1])
        let bad = try scratch.write("{\n\"a\":x}".utf8, to: "bad.json")
        let error = try #require(throws: FileError.self) { try JSON.read(path: bad) }
        #expect(error.description == "\(bad): not valid JSON: line 2, column 5: not a JSON value")
        let empty = try scratch.write([], to: "empty.json")
        #expect(throws: FileError.self) { try JSON.read(path: empty) }
        let missing = try #require(throws: FileError.self) {
            try JSON.read(path: scratch.file("none.json"))
        }
        #expect(missing.description.contains("cannot open: No such file"))
    }
}
