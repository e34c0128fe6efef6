import Files

/// Several runs side by side: what `etd-analyze compare` prints, draws and writes.
public struct RunComparison: Sendable {
    public struct Run: Sendable {
        /// The folder, as it was given.
        public var name: String
        public var layers: LayersRecord
        public var split: SplitRecord?

        public init(name: String, layers: LayersRecord, split: SplitRecord?) {
            self.name = name
            self.layers = layers
            self.split = split
        }

        /// Layers that execute: more than the model's in a looped run.
        public var executed: Int { layers.layers.count }

        /// What its model thinks with, in a word.
        public var notation: String { split?.split?.notation ?? "none proposed" }
    }

    /// One metric or score of all runs.
    public struct Row: Sendable {
        public var name: String
        public var title: String
        public var place: Metric.Place
        public var unit: String
        /// By run, then place; nil where undefined.
        public var values: [[Double?]]
        /// By run, as far as it is known.
        public var errors: [[Double?]]
        public var differences: [Difference]

        public init(
            name: String, title: String, place: Metric.Place, unit: String, values: [[Double?]],
            errors: [[Double?]], differences: [Difference]
        ) {
            self.name = name
            self.title = title
            self.place = place
            self.unit = unit
            self.values = values
            self.errors = errors
            self.differences = differences
        }
    }

    /// A later run less the first.
    public struct Difference: Sendable {
        /// Spearman's correlation of the curves; at the same relative depth where the numbers of layers differ.
        public var correlation: Double?
        /// By place; empty where the numbers of places differ.
        public var values: [Double?] = []
        /// A 95 % band of all places together, where both runs have values of the same documents.
        public var low: [Double] = []
        public var high: [Double] = []

        public init(correlation: Double?) { self.correlation = correlation }

        /// Places whose band leaves 0 out; nil without a band.
        public var clear: Int? {
            low.isEmpty ? nil : zip(low, high).count { $0 > 0 || $1 < 0 }
        }

        public var greatest: (place: Int, value: Double)? {
            values.enumerated().compactMap { place, value in value.map { (place, $0) } }
                .max { abs($0.1) < abs($1.1) }
        }

        public var meanSize: Double? {
            let known = values.compactMap(\.self)
            return known.isEmpty ? nil : known.reduce(0) { $0 + abs($1) } / Double(known.count)
        }
    }

    public var runs: [Run]
    public var rows: [Row]
    /// What the reader has to know before he trusts a difference.
    public var notes: [String]

    public init(runs: [Run], rows: [Row], notes: [String]) {
        self.runs = runs
        self.rows = rows
        self.notes = notes
    }

    /// Where a place lies between the input (0) and the output (1).
    public static func depth(_ place: Int, of count: Int, _ kind: Metric.Place) -> Double {
        kind == .layer
            ? (Double(place) + 0.5) / Double(max(1, count))
            : Double(place) / Double(max(1, count - 1))
    }

    public static let schema = "etd-run-comparison/v1"

    public var json: JSON {
        [
            "schema": .string(Self.schema),
            "runs": .array(
                runs.map { run in
                    [
                        "path": .string(run.name), "model": .string(run.layers.model.path),
                        "fingerprint": .string(run.layers.model.fingerprint),
                        "layers": .number(run.layers.model.layers),
                        "plan": .text(run.layers.plan),
                        "precision": .string(run.layers.precision),
                        "tokens": .number(run.layers.data.tokens),
                        "split": .text(run.split?.split?.notation),
                        "confidence": .number(run.split?.confidence),
                    ]
                }),
            "metrics": .array(
                rows.map { row in
                    [
                        "name": .string(row.name), "place": .string(row.place.rawValue),
                        "unit": .string(row.unit),
                        "values": .array(row.values.map(Self.numbers)),
                        "differences": .array(
                            row.differences.map { difference in
                                [
                                    "spearman": .number(difference.correlation),
                                    "values": Self.numbers(difference.values),
                                    "low": Self.numbers(difference.low),
                                    "high": Self.numbers(difference.high),
                                ]
                            }),
                    ]
                }),
            "notes": .array(notes.map(JSON.string)),
        ]
    }

    private static func numbers(_ values: [Double?]) -> JSON {
        .array(values.map { .number($0.flatMap { $0.isFinite ? $0 : nil }) })
    }
}
