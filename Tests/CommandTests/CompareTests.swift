// `etd-analyze compare`: differences, intervals, pages, and what it says of runs that do not match.

import Files
import Foundation
import TestSupport
import Testing

@Suite struct CompareTests {
    private let words = String(
        repeating: "the end in the hat and then the cat in the inn with a thin lid\n", count: 4)

    private func probe(_ model: TinyModel, _ out: String, _ more: String...) throws -> String {
        let text = try model.write(words, to: "text.txt")
        let folder = model.file(out)
        try succeed(
            analyze, "probe", ["--model", model.path, "--out", folder, "--data", text] + more)
        return folder
    }

    private func succeed(
        _ program: String, _ command: String, _ arguments: [String]
    ) throws {
        let result = try CommandRunner(program)([command] + arguments)
        try #require(result.code == 0, "\(result)")
    }

    private func compare(_ arguments: String...) throws -> CommandRunner.Result {
        try CommandRunner(analyze)(["compare"] + arguments)
    }

    private func metric(_ json: JSON, _ name: String) throws -> JSON {
        try #require(json["metrics"]?.arrayValue?.first { $0["name"]?.stringValue == name })
    }

    @Test func aRunAgainstItself() throws {
        let model = try TinyModel("llama-deep")
        let run = try probe(model, "run", "--sequence-length", "8")
        let result = try compare(run, run, "--json")
        try #require(result.code == 0, "\(result)")
        let json = try JSON.parse(Array(result.text.utf8))
        let block = try metric(json, "block_influence")
        let difference = try #require(block["differences"]?.arrayValue?.first)
        #expect(difference["spearman"]?.doubleValue == 1)
        for name in ["values", "low", "high"] {
            let values = try #require(difference[name]?.arrayValue)
            #expect(!values.isEmpty && values.allSatisfy { $0.doubleValue == 0 })
        }
        let table = try compare(run, run)
        #expect(table.code == 0 && table.text.contains("B less A") && table.text.contains("0 of "))
    }

    /// The differences are those of layers.json; the page draws them and loads nothing.
    @Test func differencesAreThoseOfTheFiles() throws {
        let model = try TinyModel("llama-deep")
        let one = try probe(model, "one", "--sequence-length", "8", "--precision", "f32")
        let short = try probe(model, "short", "--sequence-length", "8", "--sequences", "9")
        let page = model.file("page.html")
        let result = try compare(one, short, "--json", "--html", page)
        try #require(result.code == 0, "\(result)")
        let json = try JSON.parse(Array(result.text.utf8))
        // Other documents: differences without intervals, and a note that says so.
        let texts = try metric(json, "angular_distance_last")
        let difference = try #require(texts["differences"]?.arrayValue?.first)
        #expect(difference["low"]?.arrayValue?.isEmpty == true)
        #expect(
            json["notes"]?.arrayValue?.contains { note in
                note.stringValue?.contains("another text") == true
            } == true)
        func layers(_ run: String) throws -> [Double] {
            try #require(try JSON.read(path: run + "/layers.json")["layers"]?.arrayValue).map {
                try #require($0["angular_distance_last"]?.doubleValue)
            }
        }
        let expected = zip(try layers(short), try layers(one)).map { $0 - $1 }
        let found = try #require(difference["values"]?.arrayValue).compactMap(\.doubleValue)
        #expect(found.count == expected.count)
        #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-12 })
        let html = try String(contentsOfFile: page, encoding: .utf8)
        #expect(html.contains("<svg") && html.contains("difference-angular_distance_last"))
        #expect(!html.contains("src=") && !html.contains("href="))
        // The page is not replaced without being asked.
        #expect(try compare(one, short, "--html", page).code != 0)
        #expect(try compare(one, short, "--html", page, "--overwrite").code == 0)
    }

    /// Two models on the same documents: a band about each difference of the two layers.json.
    @Test func theSameTextHasBands() throws {
        let model = try TinyModel("llama-gqa")
        let other = try TinyModel("llama-llama3")
        let one = try probe(model, "one", "--sequence-length", "8")
        let second = try probe(other, "second", "--sequence-length", "8")
        let result = try compare(one, second, "--json")
        let json = try JSON.parse(Array(result.text.utf8))
        for name in ["angular_distance_last", "block_influence", "contribution"] {
            func means(_ run: String) throws -> [Double] {
                try #require(try JSON.read(path: run + "/layers.json")["layers"]?.arrayValue).map {
                    try #require($0[name]?.doubleValue)
                }
            }
            let expected = zip(try means(second), try means(one)).map { $0 - $1 }
            let difference = try #require(try metric(json, name)["differences"]?.arrayValue?.first)
            func numbers(_ key: String) -> [Double] {
                (difference[key]?.arrayValue ?? []).compactMap(\.doubleValue)
            }
            let (low, high) = (numbers("low"), numbers("high"))
            try #require(low.count == expected.count && high.count == expected.count)
            // The parts of documents add up to the difference of the two means.
            for (place, value) in expected.enumerated() {
                #expect(
                    abs((low[place] + high[place]) / 2 - value) < 1e-9 && low[place] < high[place])
            }
        }
    }

    /// A looped run of the same documents executes more layers, so curves go by depth.
    @Test func baseLoopedAndAnotherModel() throws {
        let model = try TinyModel("llama-deep")
        let base = try probe(model, "base", "--sequence-length", "8")
        let layers = try #require(
            try JSON.read(path: base + "/layers.json")["model"]?["layers"]?.intValue)
        let looped = try probe(
            model, "looped", "--sequence-length", "8", "--split", "1-1*2-\(layers - 2)")
        let result = try compare(base, looped)
        try #require(result.code == 0, "\(result)")
        #expect(result.text.contains("relative depth"))
        let other = try TinyModel()
        let foreign = try probe(other, "foreign", "--sequence-length", "8")
        let three = try compare(base, looped, foreign)
        #expect(three.code == 0 && three.text.contains("another model"), "\(three)")
        #expect(three.text.contains("C less A"))
    }

    @Test func whatIsNoRunIsRefused() throws {
        let model = try TinyModel()
        let run = try probe(model, "run", "--sequence-length", "8")
        for (arguments, code, problem) in [
            ([run], Int32(64), "two to four"), ([run, run, run, run, run], 64, "two to four"),
            ([run, model.file("nowhere")], 1, "layers.json"),
            ([run, model.path], 1, "layers.json"),
        ] {
            let result = try CommandRunner(analyze)(["compare"] + arguments)
            #expect(result.code == code && result.errors.contains(problem), "\(result)")
        }
    }
}
