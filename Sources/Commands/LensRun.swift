import Analysis
import Corpus
import Files
import Foundation
import Models
import Plans
import Reporting
import Tokenizers

/// `etd-analyze lens`: the logit lens of one prompt.
public struct LensRun {
    var model: ModelOptions
    var split: SplitOptions
    var lens: TunedLensOptions
    var prompt: String
    var candidates: Int
    var quiet: Bool

    public init(
        model: ModelOptions, split: SplitOptions, lens: TunedLensOptions, prompt: String,
        candidates: Int, quiet: Bool
    ) {
        self.model = model
        self.split = split
        self.lens = lens
        self.prompt = prompt
        self.candidates = candidates
        self.quiet = quiet
    }

    public func table() throws -> LensTable {
        model.apply(quiet: quiet)
        let loaded = try model.open(quiet: quiet)
        let plan = try split.plan(for: loaded)
        let tuned = try lens.lens(for: loaded)
        let tokenizer = try loaded.requiredTokenizer()
        let prefix = BOSPolicy.auto.prefix(before: .text, { tokenizer }) ?? []
        let ids = prefix + (try tokenizer.encode(prompt, addSpecialTokens: false))
        guard !ids.isEmpty else {
            throw CommandError.flag(name: "--prompt", problem: "holds no token; give some text")
        }
        let context = loaded.model.configuration.contextLength
        guard ids.count <= context else {
            throw CommandError.flag(
                name: "--prompt",
                problem: "its \(ids.count) tokens do not fit the model's context of \(context); "
                    + "shorten it")
        }
        var readings: [[LogitLens.Reading]] = []
        var tunedReadings: [[LogitLens.Reading]] = []
        let tap = LensTap(model: loaded.model, plan: plan, tuned: tuned?.lens) { _, plain, tuned in
            readings.append(plain)
            tunedReadings.append(tuned)
        }
        do {
            try DocumentLoop(model: loaded.model, plan: plan, longest: ids.count, taps: [tap])
                .run([Document(tokens: ids)])
        } catch {
            throw CommandError.pass(path: loaded.checkpoint.path, problem: "\(error)")
        }

        func token(_ id: Int32) -> LensTable.Token {
            LensTable.Token(
                id: Int(id), text: tokenizer.decode([id], skipSpecialTokens: false))
        }
        let places = Self.places(plan)
        func rows(_ readings: [[LogitLens.Reading]]) -> [LensTable.Row] {
            (0...plan.steps.count).map { boundary in
                LensTable.Row(
                    boundary: boundary,
                    cells: readings.map { reading in
                        cell(reading[boundary], final: reading[reading.count - 1], token)
                    }, place: places?[boundary])
            }
        }
        return LensTable(
            model: loaded.checkpoint.path, prompt: ids.map(token), rows: rows(readings),
            tunedRows: tuned == nil ? [] : rows(tunedReadings), tunedLens: lens.tuned)
    }

    /// Where each boundary of a looped plan stands; nil where no layer runs in a think block.
    private static func places(_ plan: LayerPlan) -> [LensTable.Place]? {
        guard plan.steps.contains(where: { $0.iteration != nil }) else { return nil }
        var places = [LensTable.Place(part: .embedding, layer: nil)]
        var hasThought = false
        for step in plan.steps {
            let part: LensTable.Place.Part
            if let pass = step.iteration {
                part = .think(pass: pass)
                hasThought = true
            } else {
                part = hasThought ? .decoder : .encoder
            }
            places.append(LensTable.Place(part: part, layer: step.layer))
        }
        return places
    }

    private func cell(
        _ reading: LogitLens.Reading, final: LogitLens.Reading,
        _ token: (Int32) -> LensTable.Token
    ) -> LensTable.Cell {
        let place = final.topIDs.first.flatMap { reading.topIDs.firstIndex(of: $0) }
        return LensTable.Cell(
            top: zip(reading.topIDs, reading.topLogProbabilities).prefix(candidates).map {
                LensTable.Candidate(token: token($0), probability: exp($1))
            },
            entropy: reading.entropy, klToFinal: reading.klToFinal,
            finalRank: place.map { $0 + 1 },
            finalProbability: place.map { exp(reading.topLogProbabilities[$0]) })
    }
}
