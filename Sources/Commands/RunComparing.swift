import Activations
import Analysis
import Files
import Foundation
import Records
import Reporting
import Selection
import Statistics

/// `etd-analyze compare`: from run folders to a comparison.
public struct RunComparing {
    /// Documents from which on differences have a band: fewer say too little of their own spread.
    static let leastDocuments = 8
    static let mostRuns = 4

    let folders: [String]
    let html: String?
    let json: Bool
    let overwrite: Bool

    public init(folders: [String], html: String?, json: Bool, overwrite: Bool) {
        self.folders = folders
        self.html = html
        self.json = json
        self.overwrite = overwrite
    }

    /// Reads the runs, writes the page where one is asked for.
    /// - Returns: what to print.
    public func run(style: TerminalStyle) throws -> String {
        let page = try html.map { try Output($0, overwrite: overwrite) }
        let comparison = try Self.compare(folders)
        if let page {
            try page.write(ComparePage.page(comparison, createdBy: Product.createdBy).utf8)
        }
        return json
            ? comparison.json.text() + "\n" : CompareTable.text(comparison, style: style)
    }

    static func compare(_ folders: [String]) throws -> RunComparison {
        let runs = try folders.map { folder in
            let path = Paths.join(folder, RunDirectory.layers)
            guard Paths.kind(path) != .missing else {
                throw CommandError.notARun(path: folder, missing: RunDirectory.layers)
            }
            let split = Paths.join(folder, RunDirectory.split)
            return RunComparison.Run(
                name: folder, layers: try LayersRecord.read(path: path),
                split: Paths.kind(split) == .missing ? nil : try SplitRecord.read(path: split))
        }
        let evidence = try folders.map { folder in
            let path = Paths.join(folder, RunDirectory.evidence)
            return Paths.kind(path) == .missing ? nil : try EvidenceFile.read(path)
        }
        var notes: [String] = []
        for (run, file) in zip(runs, evidence).dropFirst() {
            notes += Self.notes(runs[0], evidence[0], run, file)
        }
        let metrics = MeasuringPass.all.flatMap(\.declaration.metrics)
        var rows: [RunComparison.Row] = []
        for metric in metrics {
            let estimates = runs.map { run in
                metric.place == .layer
                    ? run.layers.layers.map { $0.metrics[metric.name] }
                    : run.layers.boundaries.map { $0.metrics[metric.name] }
            }
            let tables = evidence.map { file in
                (metric.place == .layer ? file?.probe.layers : file?.probe.boundaries)?
                    .first { $0.name == metric.name }
            }
            row(
                metric.name, metric.title, metric.place, metric.unit,
                values: estimates.map { $0.map { $0?.mean } },
                errors: estimates.map { $0.map { $0?.standardError } }, into: &rows
            ) { index in
                guard let a = evidence[0], let b = evidence[index], a.sha256 == b.sha256,
                    let own = tables[0], let other = tables[index]
                else { return nil }
                return Self.band(own, a, other, b)
            }
        }
        for (name, title, unit) in [
            ("read_bits", "READ", "bits"), ("use", "USE", "nats"),
            ("use_knowledge", "USE of knowledge", "nats"),
        ] {
            let values = runs.map { $0.layers.layers.map { $0.scores[name] ?? nil } }
            row(
                name, title, .layer, unit, values: values,
                errors: values.map { $0.map { _ in nil } }, into: &rows
            ) { _ in nil }
        }
        guard !rows.isEmpty else {
            throw CommandError.flag(
                name: "RUN",
                problem: "the runs have no metric in common; probe both with the same --passes")
        }
        return RunComparison(runs: runs, rows: rows, notes: notes)
    }

    /// Adds a row of what every run has.
    private static func row(
        _ name: String, _ title: String, _ place: Metric.Place, _ unit: String,
        values: [[Double?]], errors: [[Double?]], into rows: inout [RunComparison.Row],
        band: (Int) -> MeanBand?
    ) {
        guard values.allSatisfy({ $0.contains { $0 != nil } }) else { return }
        let differences = values.indices.dropFirst().map { index in
            var difference = RunComparison.Difference(
                correlation: correlation(values[0], values[index], place))
            if values[index].count == values[0].count {
                difference.values = zip(values[index], values[0]).map { own, first in
                    own.flatMap { own in first.map { own - $0 } }
                }
                if let band = band(index), band.means.count == difference.values.count {
                    difference.low = band.bandLow
                    difference.high = band.bandHigh
                }
            }
            return difference
        }
        rows.append(
            RunComparison.Row(
                name: name, title: title, place: place, unit: unit, values: values, errors: errors,
                differences: differences))
    }

    /// Spearman's of two curves; the longer one is read at the depths of the shorter one.
    static func correlation(_ a: [Double?], _ b: [Double?], _ place: Metric.Place) -> Double? {
        let (short, long) = a.count <= b.count ? (a, b) : (b, a)
        var pairs: [(Double, Double)] = []
        for (index, value) in short.enumerated() {
            let depth = RunComparison.depth(index, of: short.count, place)
            if let value, let other = at(depth, long, place) { pairs.append((value, other)) }
        }
        return RankCorrelation.spearman(pairs.map(\.0), pairs.map(\.1))
    }

    /// A curve at a relative depth, straight between its places; its end value beyond them.
    private static func at(_ depth: Double, _ curve: [Double?], _ place: Metric.Place) -> Double? {
        let count = curve.count
        let exact =
            place == .layer ? depth * Double(count) - 0.5 : depth * Double(max(1, count - 1))
        let clamped = min(max(0, exact), Double(count - 1))
        let low = Int(clamped.rounded(.down))
        let share = clamped - Double(low)
        guard let first = curve[low] else { return nil }
        guard share > 1e-9 else { return first }
        return curve[low + 1].map { first + share * ($0 - first) }
    }

    /// B less A by place with a band for all places together. A run's mean is a ratio of sums over documents;
    /// each document's part in the difference of two such means is linearised (Cochran 1977, 6.4), and the parts
    /// are resampled.
    static func band(
        _ a: EvidenceFile.Table, _ fileA: EvidenceFile, _ b: EvidenceFile.Table,
        _ fileB: EvidenceFile
    ) -> MeanBand? {
        guard a.places == b.places, a.places > 0 else { return nil }
        let places = a.places
        let documents = a.sums.count / places
        guard documents >= leastDocuments, b.sums.count == a.sums.count else { return nil }
        func parts(_ table: EvidenceFile.Table, _ file: EvidenceFile) -> [[Double]]? {
            let counts =
                table.counts
                ?? file.tokens.flatMap { [Double](repeating: Double($0), count: places) }
            guard counts.count == table.sums.count else { return nil }
            var parts = [[Double]](
                repeating: [Double](repeating: 0, count: places), count: documents)
            for place in 0..<places {
                let indices = (0..<documents).map { $0 * places + place }
                let whole = indices.reduce(0) { $0 + counts[$1] }
                let mean = indices.reduce(0) { $0 + table.sums[$1] } / whole
                guard whole > 0, mean.isFinite else { return nil }
                for (document, index) in indices.enumerated() {
                    parts[document][place] =
                        mean + Double(documents) * (table.sums[index] - mean * counts[index])
                        / whole
                }
            }
            return parts
        }
        guard let own = parts(a, fileA), let other = parts(b, fileB) else { return nil }
        return MeanBand(
            zip(own, other).map { first, second in zip(first, second).map { $1 - $0 } }, seed: 0)
    }

    private static func notes(
        _ first: RunComparison.Run, _ own: EvidenceFile?, _ run: RunComparison.Run,
        _ file: EvidenceFile?
    ) -> [String] {
        var notes: [String] = []
        let (a, b) = (first.layers, run.layers)
        if a.model.fingerprint != b.model.fingerprint {
            notes.append(
                "\(run.name) is of another model than \(first.name)"
                    + (a.layers.count == b.layers.count
                        ? "."
                        : ": \(b.layers.count) layers run, not \(a.layers.count). "
                            + "Curves are set against relative depth."))
        } else if a.layers.count != b.layers.count {
            notes.append(
                "\(run.name) runs \(b.layers.count) layers, \(first.name) \(a.layers.count): curves "
                    + "are set against relative depth.")
        }
        if a.precision != b.precision {
            notes.append("\(run.name) is in \(b.precision), \(first.name) in \(a.precision).")
        }
        guard let own, let file else {
            notes.append(
                "A run has no evidence.h5, so differences to \(run.name) have no intervals; probe it "
                    + "again for values by document.")
            return notes
        }
        if own.sha256 != file.sha256 {
            notes.append(
                "\(run.name) is of another text than \(first.name): differences have no intervals.")
        } else if own.sha256.count < leastDocuments {
            notes.append(
                "\(own.sha256.count) documents are too few for intervals of differences; "
                    + "\(leastDocuments) are enough (a shorter --sequence-length, more --data).")
        }
        return notes
    }
}
