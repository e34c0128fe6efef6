// `etd-analyze lens`: table, JSON and page of one prompt.

import Files
import Foundation
import TestSupport
import Testing

@Suite struct LensTests {
    private static let prompt = "the thin"
    private static let ids = ["the", " ", "th", "in"].map(TinyModel.id)

    private func json(_ model: TinyModel, _ arguments: String...) throws -> JSON {
        let result = try CommandRunner(analyze)(
            ["lens", "--model", model.path, "--prompt", Self.prompt, "--json"] + arguments)
        try #require(result.code == 0, "\(result)")
        #expect(result.errors.isEmpty)
        return try JSON.parse(result.output)
    }

    private func cells(_ lens: JSON, boundary: Int) -> [JSON] {
        lens["rows"]?.arrayValue?[boundary]["cells"]?.arrayValue ?? []
    }

    @Test func theLastRowIsTheModelsOutput() throws {
        let model = try TinyModel()
        let lens = try json(model)
        #expect(lens["schema"] == "etd-lens/v1")
        let prompt = lens["prompt"]?.arrayValue ?? []
        #expect(prompt.compactMap { $0["id"]?.intValue } == Self.ids)
        #expect(prompt.compactMap { $0["text"]?.stringValue } == ["the", " ", "th", "in"])
        let rows = try #require(lens["rows"]?.arrayValue)
        #expect(rows.compactMap { $0["boundary"]?.intValue } == [0, 1, 2, 3, 4])

        for (position, cell) in cells(lens, boundary: 4).enumerated() {
            let prefix = Array(Self.ids.prefix(position + 1))
            // Two ids or more: a token behind the prefix, whose logits are not asked for.
            let last: [Double]
            if position == 0 {
                try model.write(line(["tokens": .ids(prefix)]), to: "one.jsonl")
                last = []
            } else {
                let scores = try Scores(model, [["tokens": .ids(prefix)]], ["--last-logits"])
                last = (scores.lines[0]["last_logits"]?.arrayValue ?? []).compactMap(\.doubleValue)
            }
            #expect(cell["final_rank"] == 1)
            #expect(abs(cell["kl_to_final"]?.doubleValue ?? 1) < 1e-9)
            guard !last.isEmpty else { continue }
            let logs = logSoftmax(last)
            let order = logs.indices.sorted { (-logs[$0], $0) < (-logs[$1], $1) }
            let top = try #require(cell["top"]?.arrayValue)
            #expect(top.compactMap { $0["id"]?.intValue } == Array(order.prefix(5)))
            for candidate in top {
                let id = try #require(candidate["id"]?.intValue)
                let probability = try #require(candidate["probability"]?.doubleValue)
                #expect(abs(probability - exp(logs[id])) < 1e-5)
            }
            let entropy = -logs.reduce(0) { $0 + exp($1) * $1 }
            #expect(abs(try #require(cell["entropy"]?.doubleValue) - entropy) < 1e-4)
        }
    }

    @Test func aLoopedPlanHasARowForEachExecutedLayer() throws {
        let model = try TinyModel()
        let base = try json(model)
        let once = try json(model, "--split", "1-2-1", "--iterations", "1")
        #expect(once["rows"] == base["rows"])
        let looped = try json(model, "--split", "1-2-1", "--iterations", "3")
        // h_0, one encoder layer, two layers three times, one decoder layer.
        #expect(looped["rows"]?.arrayValue?.count == 9)
        // Encoder and first pass are the base model's; final ranks and KL look at another end.
        for boundary in 0...3 {
            for (a, b) in zip(cells(looped, boundary: boundary), cells(base, boundary: boundary)) {
                // Not to the bit: the rows of both are parts of products of different sizes.
                let (top, other) = (a["top"]?.arrayValue ?? [], b["top"]?.arrayValue ?? [])
                #expect(top.count == 5 && top.map { $0["id"] } == other.map { $0["id"] })
                let entropies = [a, b].compactMap { $0["entropy"]?.doubleValue }
                #expect(entropies.count == 2 && abs(entropies[0] - entropies[1]) < 1e-5)
            }
        }
    }

    /// Encoder, every pass and decoder are told apart in the JSON, the table and the page.
    @Test func theRowsOfALoopedPlanAreLabelled() throws {
        let model = try TinyModel()
        let looped = ["--split", "1-2*2-1"]
        let rows = try json(model, looped[0], looped[1])["rows"]?.arrayValue ?? []
        #expect(
            rows.map { $0["part"]?.stringValue } == [
                "embedding", "encoder", "think", "think", "think", "think", "decoder",
            ])
        #expect(rows.map { $0["pass"]?.intValue } == [nil, nil, 1, 1, 2, 2, nil])
        #expect(rows.map { $0["layer"]?.intValue } == [nil, 0, 1, 2, 1, 2, 3])
        let page = model.file("lens.html")
        let lens = ["lens", "--model", model.path, "--prompt", Self.prompt, "--html"]
        let result = try CommandRunner(analyze)(lens + [page] + looped)
        let starts = result.lines.dropFirst().map {
            $0.split(separator: " ").prefix(3).joined(separator: " ")
        }
        #expect(
            starts.map { $0.hasPrefix("──") } == [
                true, false, true, false, false, true, false, false, true, false, true, false,
            ], "\(result)")
        for (index, start) in [
            1: "decoder l3 6", 3: "pass 2 l2", 4: "pass 2 l1", 6: "pass 1 l2", 9: "encoder l0 1",
        ] { #expect(starts[index] == start, "\(result)") }
        #expect(starts[11].hasPrefix("embedding 0"))
        let html = try String(contentsOfFile: page, encoding: .utf8)
        for (label, count) in [
            ("pass 1, layer 1", 1), ("pass 2, layer 2", 1), ("decoder, layer 3", 1),
            ("encoder, layer 0", 1), ("embedding", 1),
        ] {
            #expect(html.components(separatedBy: ">\(label)</span>").count == count + 1)
        }
        #expect(html.components(separatedBy: " edge\"").count == 5)
        // A plan without a think block has none of it.
        let plain = model.file("plain.html")
        _ = try CommandRunner(analyze)(lens + [plain, "--split", "1-2*1-1"])
        #expect(try !String(contentsOfFile: plain, encoding: .utf8).contains("<tr class="))
        #expect(try json(model)["rows"]?.arrayValue?.allSatisfy { $0["part"] == nil } == true)
    }

    @Test func tableAndPage() throws {
        let model = try TinyModel()
        let page = model.file("lens.html")
        let result = try succeed(
            analyze, "lens", "--model", model.path, "--prompt", Self.prompt, "--html", page)
        let lines = result.lines
        #expect(lines.count == 6, "a header and five boundaries: \(result)")
        #expect(
            lines[0].split(separator: " ").map(String.init) == ["the", "␣", "th", "in"])
        #expect(
            lines.dropFirst().map { $0.split(separator: " ").first } == ["4", "3", "2", "1", "0"])
        #expect(!result.text.contains("\u{1B}"))
        let html = try String(contentsOfFile: page, encoding: .utf8)
        #expect(html.hasPrefix("<!DOCTYPE html>") && html.hasSuffix("</html>\n"))
        #expect(!html.contains("<link") && !html.contains("src="))
        #expect(html.contains("KL"))

        let lens = try json(model, "--top-k", "2")
        #expect(cells(lens, boundary: 0).allSatisfy { $0["top"]?.arrayValue?.count == 2 })
    }

    @Test func promptsThatCannotBeRead() throws {
        let model = try TinyModel()
        func lens(_ prompt: String, _ more: String..., naming parts: [String]) throws {
            let result = try CommandRunner(analyze)(
                ["lens", "--model", model.path, "--prompt", prompt] + more)
            expectFailure(result, naming: parts)
        }
        try lens("", naming: ["--prompt"])
        try lens(String(repeating: "a", count: 129), naming: ["--prompt", "129", "128"])
        let nowhere = model.file("no/lens.html")
        try lens("the", "--html", nowhere, naming: [nowhere])
        #expect(names(in: model.scratch.path) == ["model"])
        try FileManager.default.removeItem(atPath: model.path + "/tokenizer.json")
        try lens("the", naming: [model.path, "tokenizer.json"])
    }
}
