import ArgumentParser
import Files
import ModelStore
import Models
import Plans
import Records
import Reporting
import Scans
import Statistics

/// `etd-analyze cache-map` from options to file.
public struct CacheMapRun {
    static let file = "cache-map.json"
    static let schema = "etd-cache-map/v1"

    var model: ModelOptions
    var data: DataOptions
    var split: SplitOptions
    var tolerance: Double
    var out: String
    var overwrite: Bool
    var quiet: Bool

    public init(
        model: ModelOptions, data: DataOptions, split: SplitOptions, tolerance: Double,
        out: String, overwrite: Bool, quiet: Bool
    ) {
        self.model = model
        self.data = data
        self.split = split
        self.tolerance = tolerance
        self.out = out
        self.overwrite = overwrite
        self.quiet = quiet
    }

    public func run() throws {
        var data = data
        // A text has to fit one block, in which its passes are compared.
        let longest = BlockRunner.blockLength
        if let length = data.sequenceLength, !(2...longest ~= length) {
            throw ValidationError(
                "--sequence-length is \(length); a text of a cache map has 2 to \(longest) tokens")
        }
        let (path, _, lock) = try RunDirectory.prepare(
            out, files: [Self.file], overwrite: overwrite)
        defer { withExtendedLifetime(lock) {} }
        model.apply(quiet: quiet)
        let loaded = try model.open(quiet: quiet)
        data.sequenceLength =
            data.sequenceLength ?? min(128, loaded.model.configuration.contextLength)
        guard let (cut, iterations) = try split.chosen(for: loaded) else { return }
        guard iterations > 1 else {
            throw ValidationError(
                "--iterations 1 has one pass, whose keys are its own; give 2 or more")
        }
        let documents = try data.read(for: loaded).documents.filter { $0.tokens.count >= 2 }
        guard !documents.isEmpty else {
            throw CommandError.flag(
                name: "--data", problem: "no document has two tokens or more")
        }
        let progress = ProgressReporter(
            label: "mapping the cache", total: documents.count, unit: "documents", quiet: quiet)
        var results: [(CacheMap.Change?, CacheMap.Values)] = []
        var map = try CacheMap(model: loaded.model, split: cut, iterations: iterations)
        do {
            try map.run(
                documents, onGroup: { progress.advance(by: $0) },
                onChange: { results.append(($0, $1)) })
        } catch {
            progress.abandon()
            throw CommandError.pass(path: loaded.checkpoint.path, problem: "\(error)")
        }
        progress.finish()
        let summary = Summary(map: map, results: results, tolerance: tolerance)
        try Output(path + "/" + Self.file, overwrite: true).write(
            (json(summary, map, loaded, cut, iterations).text() + "\n").utf8)
        try writeSplit(summary.proposal)
        if !quiet { summary.tell() }
    }

    private func json(
        _ summary: Summary, _ map: CacheMap, _ loaded: LoadedModel, _ cut: Split,
        _ iterations: Int
    ) throws -> JSON {
        [
            "schema": .string(Self.schema),
            "model": try loaded.record(hashed: false).json,
            "notation": .string(try cut.plan(iterations: iterations).notation),
            "iterations": .number(iterations),
            "precision": .string(model.arithmetic.rawValue),
            "data": [
                "path": .string(data.data ?? DefaultText.name),
                "documents": .number(summary.documents), "tokens": .number(summary.tokens),
            ],
            "tolerance": .number(tolerance),
            "base": [
                "nll": .number(summary.nll), "margin": .number(summary.margin),
                "kv_bytes_per_token": .number(map.bytes(nil)),
            ],
            "changes": .array(summary.rows.map(\.json)),
            "proposal": summary.proposal,
            "created_by": .string("etd-analyze \(Product.version)"),
        ]
    }

    /// Puts the proposal into the split file that `--split` names; a notation has none.
    private func writeSplit(_ proposal: JSON) throws {
        guard let argument = split.split, (try? SplitNotation(argument)) == nil else { return }
        let file =
            Paths.kind(argument) == .directory ? Paths.join(argument, RunDirectory.split) : argument
        guard case .object(var members) = try JSON.read(path: file) else { return }
        members["cache"] = proposal
        try Output(file, overwrite: true).write((JSON.object(members).text() + "\n").utf8)
        if !quiet { Terminal.note("\(file): its cache says what is proposed") }
    }

    /// Differences from the plain loop, by change.
    private struct Summary {
        struct Row {
            let change: CacheMap.Change
            let bytes: Int
            let saved: Int
            /// Mean, and the pointwise 95 % interval over documents; upper end of a band for all changes.
            let nll, margin: (mean: Double, low: Double, high: Double)
            let upperBound: Double

            var json: JSON {
                [
                    "source": .string(change.source?.rawValue ?? "shared"),
                    "layer": .number(change.layer),
                    "nll_delta": .number(nll.mean), "nll_delta_low": .number(nll.low),
                    "nll_delta_high": .number(nll.high), "nll_delta_bound": .number(upperBound),
                    "margin_delta": .number(margin.mean), "margin_delta_low": .number(margin.low),
                    "margin_delta_high": .number(margin.high),
                    "kv_bytes_per_token": .number(bytes),
                    "kv_bytes_saved_per_token": .number(saved),
                ]
            }
        }

        let rows: [Row]
        let nll, margin: Double
        let documents, tokens: Int
        let tolerance: Double

        init(
            map: CacheMap, results: [(CacheMap.Change?, CacheMap.Values)], tolerance: Double
        ) {
            self.tolerance = tolerance
            let base = results.first { $0.0 == nil }?.1 ?? CacheMap.Values()
            let changed = results.compactMap { change, values in change.map { ($0, values) } }
            documents = base.losses.count
            tokens = base.losses.reduce(0) { $0 + $1.count }
            func mean(_ values: [[Double]]) -> Double {
                values.reduce(0) { $0 + $1.reduce(0, +) }
                    / Double(values.reduce(0) { $0 + $1.count })
            }
            nll = mean(base.losses)
            margin = mean(base.margins)
            func band(_ of: (CacheMap.Values) -> [[Double]]) -> MeanBand {
                var items: [[Double]] = []
                var groups: [Int] = []
                for (text, line) in of(base).enumerated() {
                    for token in line.indices {
                        items.append(changed.map { of($0.1)[text][token] - line[token] })
                        groups.append(text)
                    }
                }
                return MeanBand(items, groups: groups, seed: 20)
            }
            let (losses, margins) = (band(\.losses), band(\.margins))
            rows = changed.enumerated().map { index, item in
                Row(
                    change: item.0, bytes: map.bytes(item.0),
                    saved: map.bytes(nil) - map.bytes(item.0),
                    nll: (losses.means[index], losses.low[index], losses.high[index]),
                    margin: (margins.means[index], margins.low[index], margins.high[index]),
                    upperBound: losses.upperBound[index])
            }
        }

        /// Whether a change costs at most the tolerance, for all changes together at 95 %. One text has
        /// no spread, and says nothing.
        private func passes(_ row: Row) -> Bool { documents > 1 && row.upperBound <= tolerance }

        /// The policy that can be run: `shared` if it stays within the tolerance, else slots for every
        /// pass. Layers that could do with one slot are named, each by itself.
        var proposal: JSON {
            let shared = rows.first { $0.change.source == nil }
            let isEnough = shared.map(passes) ?? false
            var layers: [Int: String] = [:]
            for row in rows where passes(row) {
                guard let layer = row.change.layer, let source = row.change.source else { continue }
                if layers[layer] == nil { layers[layer] = source.rawValue }
            }
            return [
                "kv_policy": .string(isEnough ? "shared" : "recompute"),
                "tolerance": .number(tolerance),
                "nll_delta": .number(isEnough ? shared?.nll.mean : 0),
                "nll_delta_bound": .number(isEnough ? shared?.upperBound : 0),
                "kv_bytes_saved_per_token": .number(isEnough ? shared?.saved ?? 0 : 0),
                "layers_that_could_share": .object(
                    .init(
                        uniqueKeysWithValues: layers.sorted { $0.key < $1.key }.map {
                            ("\($0.key)", JSON.string($0.value))
                        })),
            ]
        }

        func tell() {
            func text(_ value: Double) -> String { "\((value * 10000).rounded() / 10000)" }
            for row in rows where row.change.layer == nil {
                let name =
                    row.change.source.map { "every pass has the \($0.rawValue) one's keys" }
                    ?? "policy shared"
                Terminal.note(
                    "\(name): \(text(row.nll.mean)) nats (\(text(row.nll.low)) to "
                        + "\(text(row.nll.high))), \(row.saved) bytes a token saved")
            }
            Terminal.note("proposed: \(proposal["kv_policy"]?.stringValue ?? "")")
        }
    }
}
