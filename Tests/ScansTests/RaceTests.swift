// Races, interruptions, evidence: which windows see which items, and what is kept.

import Activations
import Corpus
import Files
import Foundation
import Models
import Plans
import Scans
import TestSupport
import Testing

@Suite struct RaceTests {
    private func race(_ races: Bool, items: Int = 150) throws -> (Scan.Job, Transformer) {
        let golden = try ScanGolden.named("llama-deep")
        let model = try golden.model()
        let windows = try ScanWindow.grid(
            kinds: ScanKind.allCases, lengths: [1, 2], ranges: [], iterations: [2, 3],
            layers: model.configuration.layerCount)
        return (
            Scan.Job(
                windows: windows,
                items: randomItems(
                    items, vocabulary: model.configuration.vocabularySize, seed: 11),
                documents: [golden.text, Document(tokens: [4, 9, 3])], races: races, seed: 7),
            model
        )
    }

    /// The rule written out again, on the values of a scan of every window on every item.
    @Test func whoLeavesIsBehind() throws {
        let (job, model) = try race(true)
        let raced = try Scan.run(job, model: model)
        let whole = try Scan.run(try race(false).0, model: model)
        #expect(Set(raced.search).isDisjoint(with: raced.confirmation))
        #expect(Set(raced.search + raced.confirmation) == Set(job.items.indices))
        let names = { (items: [Int]) in Set(items.compactMap { job.items[$0].group }) }
        #expect(names(raced.search).isDisjoint(with: names(raced.confirmation)))
        func mean(_ window: Int, _ items: ArraySlice<Int>) -> Double {
            items.reduce(0) { $0 + (whole.margins[window][$1] ?? .nan) } / Double(items.count)
        }
        var alive = Set(job.windows.indices)
        var seen = 0
        for end in [16, 32, 64, raced.search.count] {
            for window in job.windows.indices {
                for item in raced.search[seen..<end] {
                    let expected = alive.contains(window) ? whole.margins[window][item] : nil
                    #expect(raced.margins[window][item] == expected)
                }
            }
            seen = end
            let items = raced.search[..<end]
            for kind in ScanKind.allCases {
                let members = alive.filter { job.windows[$0].kind == kind }
                let best = try #require(members.max { mean($0, items) < mean($1, items) })
                let ranked = members.sorted { (-mean($0, items), $0) < (-mean($1, items), $1) }
                for window in members {
                    let differences = items.map {
                        (whole.margins[window][$0] ?? 0) - (whole.margins[best][$0] ?? 0)
                    }
                    let n = Double(differences.count)
                    let mean = differences.reduce(0, +) / n
                    let variance = differences.reduce(0) { $0 + pow($1 - mean, 2) } / (n - 1)
                    if mean + 1.96 * sqrt(variance / n) < 0 { alive.remove(window) }
                }
                // At most half go on, but eight may.
                for (rank, window) in ranked.filter(alive.contains).enumerated()
                where rank >= max(8, members.count / 2) { alive.remove(window) }
            }
        }
        #expect(alive.count < job.windows.count)
        let best = ScanKind.allCases.flatMap { kind in
            alive.filter { job.windows[$0].kind == kind }
                .sorted { mean($0, raced.search[...]) > mean($1, raced.search[...]) }.prefix(5)
        }
        let confirmed = job.windows.indices.filter { window in
            best.contains {
                job.windows[$0].kind == job.windows[window].kind
                    && job.windows[$0].layers == job.windows[window].layers
            }
        }
        #expect(confirmed.count > best.count, "other k of the best are confirmed too")
        #expect(raced.confirmed == confirmed.sorted())
        for window in job.windows.indices {
            for item in raced.confirmation {
                let expected = confirmed.contains(window) ? whole.margins[window][item] : nil
                #expect(raced.margins[window][item] == expected)
            }
            #expect(raced.nll[window] == whole.nll[window])
        }
        #expect(raced.executions < whole.executions)
        #expect(raced.rows.count(where: { $0.stage == "confirm" }) == confirmed.count)
        #expect(whole.rows.allSatisfy { $0.stage == "search" && $0.items == 150 })
    }

    /// Every beginning of the search has its share of each right option, and the seed still draws the items.
    @Test func everyRoundHasItsShareOfEachAnswer() throws {
        var (job, model) = try race(true)
        for index in job.items.indices { job.items[index].group = nil }
        let search = try Scan.run(job, model: model).search
        let all = Dictionary(grouping: search) { job.items[$0].gold }
        #expect(all.count > 1)
        for end in 1...search.count {
            let seen = Dictionary(grouping: search[..<end]) { job.items[$0].gold }
            for (gold, members) in all {
                let expected = Double(members.count * end) / Double(search.count)
                #expect(abs(Double(seen[gold]?.count ?? 0) - expected) <= 1)
            }
        }
        #expect(search != search.sorted())
    }

    /// Rivals see every item, whatever they do, and are confirmed beside the best.
    @Test func noRaceDropsRivals() throws {
        var (job, model) = try race(true)
        let whole = try Scan.run(try race(false).0, model: model)
        let worst = try #require(
            job.windows.indices.min { first, second in
                func mean(_ window: Int) -> Double {
                    whole.margins[window].compactMap(\.self).reduce(0, +)
                }
                return mean(first) < mean(second)
            })
        job.pinned = [job.windows[worst]]
        let raced = try Scan.run(job, model: model)
        #expect(raced.confirmed.contains(worst))
        #expect(raced.margins[worst].allSatisfy { $0 != nil })
        job.pinned = []
        #expect(try Scan.run(job, model: model).confirmed.contains(worst) == false)
    }

    @Test func rivalsOfASplit() throws {
        func names(_ encoder: Int, _ think: Int, _ decoder: Int, _ k: Int) throws -> [String] {
            try ScanWindow.rivals(
                of: Split(encoder: encoder, think: think, decoder: decoder), iterations: k,
                layers: encoder + think + decoder
            ).map(\.description)
        }
        // 2-12*2-2 costs the twelve layers of 7-4*4-5.
        #expect(
            try names(7, 4, 5, 4) == [
                "loop 7-10 ×4", "loop 3-6 ×4", "loop 11-14 ×4", "loop 2-13 ×2", "loop 0-15 ×2",
            ])
        // At the ends of the model, and where rivals are the split itself.
        #expect(
            try names(1, 4, 1, 2) == [
                "loop 1-4 ×2", "loop 0-3 ×2", "loop 2-5 ×2", "loop 0-5 ×2",
            ])
        #expect(throws: ScanError.self) { try names(7, 4, 5, 1) }
        #expect(throws: ScanError.self) {
            try ScanWindow.rivals(
                of: Split(encoder: 1, think: 1, decoder: 1), iterations: 2, layers: 4)
        }
    }

    /// Means, standard errors and differences by their formulas.
    @Test func rowsSayWhatTheValuesSay() throws {
        let (job, model) = try race(false, items: 12)
        let result = try Scan.run(job, model: model)
        func check(_ value: Double?, _ expected: Double) {
            #expect(abs((value ?? .nan) - expected) < 1e-12)
        }
        for (index, row) in result.rows.enumerated() {
            let own = result.margins[index].compactMap(\.self)
            #expect(own.count == 12)
            let changes = zip(own, result.baseMargins).map { $0 - $1 }
            let mean = changes.reduce(0, +) / 12
            let squares = changes.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
            check(row.change.margin.mean, mean)
            check(row.change.margin.standardError, sqrt(squares / 11 / 12))
            check(row.values.accuracy.mean, Double(own.count { $0 > 0 }) / 12)
            let tokens = job.documents.map { Double($0.tokens.count - 1) }
            let losses = result.nll[index].compactMap(\.self)
            let rate = (losses[0] + losses[1]) / (tokens[0] + tokens[1])
            check(row.values.nll.mean, rate)
            let rests = zip(losses, tokens).map { pow($0 - rate * $1, 2) }
            check(
                row.values.nll.standardError,
                sqrt(2 * (rests[0] + rests[1])) / (tokens[0] + tokens[1]))
        }
    }

    /// Residuals of a least-squares line: over the fitted windows their sum is 0, and so is that with the text's.
    @Test func residualsAreWhatTextDoesNotExplain() throws {
        let (job, model) = try race(false, items: 20)
        let rows = try Scan.run(job, model: model).rows
        for kind in ScanKind.allCases {
            for iterations in kind == .skip ? [nil] : [2, 3] as [Int?] {
                let own = rows.filter { $0.kind == kind.rawValue && $0.iterations == iterations }
                let fitted = own.filter { ($0.change.nll.mean ?? 9) < 0.8 }
                #expect(fitted.count >= 3)
                let rests = try fitted.map { try #require($0.residual) }
                let texts = try fitted.map { try #require($0.change.nll.mean) }
                #expect(abs(rests.reduce(0, +)) < 1e-9)
                #expect(abs(zip(rests, texts).reduce(0) { $0 + $1.0 * $1.1 }) < 1e-9)
                #expect(rests.contains { abs($0) > 1e-6 })
            }
        }
    }

    @Test(arguments: [false, true])
    func aScanGoesOnWhereItWasStopped(_ races: Bool) throws {
        let (job, model) = try race(races, items: 60)
        let whole = try Scan.run(job, model: model)
        let scratch = try ScratchDirectory()
        let path = scratch.file("journal")
        var stops = 0
        var result: Scan.Result
        repeat {
            var asked = 0
            result = try Scan.run(job, model: model, journalAt: path, key: "k") {
                asked += 1
                return asked > 40
            }
            stops += result.stopped ? 1 : 0
            if result.stopped {
                let file = try Data(contentsOf: URL(filePath: path))
                // A killed process can leave half a line.
                try (file + Data("{\"unit\":\"te".utf8)).write(to: URL(filePath: path))
                #expect(result.rows.count < whole.rows.count || result.notRun == 0)
            }
        } while result.stopped && stops < 50
        #expect(stops > 2 && stops < 50)
        #expect(result.margins == whole.margins)
        #expect(result.nll == whole.nll)
        #expect(result.baseMargins == whole.baseMargins && result.confirmed == whole.confirmed)
        #expect(result.rows == whole.rows)
        #expect(throws: ScanError.self) {
            try Scan.run(job, model: model, journalAt: path, key: "another")
        }
    }

    @Test func aScanThatHadNoTimeForTheBaseSaysSo() throws {
        let (job, model) = try race(false, items: 4)
        #expect(throws: ScanError.budget(measured: "0 of 2 blocks of rows")) {
            try Scan.run(job, model: model, isOver: { true })
        }
        // Time for the base alone: one window runs, the others are counted.
        var asked = 0
        let result = try Scan.run(job, model: model) {
            asked += 1
            return asked > 2
        }
        #expect(result.stopped)
        #expect(result.notRun == job.windows.count - 1)
        #expect(result.rows.count == 1)
    }

    @Test func evidenceComesBack() throws {
        let scratch = try ScratchDirectory()
        let path = scratch.file("evidence.h5")
        let evidence = EvidenceFile(
            sha256: [String(repeating: "a", count: 64), String(repeating: "b", count: 64)],
            tokens: [5, 7], scored: [4, 6], stages: [0, 1, 0],
            scans: [
                .init(kind: "base", windows: [[0, 0, 0]], margins: [[1, 2, 3]], nll: [[4, 5]]),
                .init(
                    kind: "loop", windows: [[0, 1, 2], [3, 2, 4]],
                    margins: [[0.5, -1, 2], [1e-30, 3, 4]], nll: [[7, 8], [9, 10]]),
            ])
        try evidence.write(to: path, replacing: false)
        #expect(try EvidenceFile.read(path) == evidence)
        #expect(throws: ActivationError.self) { try evidence.write(to: path, replacing: false) }
        try scratch.write([1, 2, 3], to: "no.h5")
        #expect(throws: ActivationError.self) { try EvidenceFile.read(scratch.file("no.h5")) }
    }
}
