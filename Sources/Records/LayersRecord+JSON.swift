import Files
import OrderedCollections

extension LayersRecord {
    public var json: JSON {
        var members: JSON.Object = [
            "schema": .string(Self.schema),
            "model": model.json,
            "data": data.json,
            "precision": .string(precision),
            "layers": .array(layers.map(\.json)),
            "boundaries": .array(boundaries.map(\.json)),
        ]
        if let plan { members["plan"] = .string(plan) }
        if let shard { members["shard"] = .string(shard) }
        if let lensPositions { members["lens_positions"] = .string(lensPositions) }
        for (name, matrix) in matrices {
            members[name] = .array(matrix.map { row in .array(row.map { .number($0) }) })
        }
        if let base {
            members["base"] = [
                "layers": .array(base.layers.map(\.json)),
                "boundaries": .array(base.boundaries.map(\.json)),
            ]
        }
        if let sinks { members["sinks"] = sinks.json }
        if let tunedLens { members["tuned_lens"] = tunedLens.json }
        if let probes { members["probes"] = probes.json }
        if let relevance { members["relevance"] = relevance.json }
        return .object(members)
    }

    /// - Throws: `FileError` naming the file and the missing or wrong member.
    public static func read(path: String) throws(FileError) -> LayersRecord {
        try read(try JSON.read(path: path), path: path)
    }

    /// The same of what stands in the file at `path`.
    public static func read(_ json: JSON, path: String) throws(FileError) -> LayersRecord {
        let reader = try RecordReader(json, path: path, schema: schema)
        var record = LayersRecord(
            model: try ModelRecord(reader.member("model")),
            data: try DataRecord(reader.member("data")),
            precision: try reader.string("precision"),
            layers: try layers(reader), boundaries: try boundaries(reader),
            matrices: try matrices(reader),
            plan: reader.json["plan"]?.stringValue,
            base: reader.json["base"] == nil ? nil : try base(reader.member("base")),
            lensPositions: reader.json["lens_positions"]?.stringValue,
            sinks: reader.json["sinks"] == nil ? nil : try SinksRecord(reader.member("sinks")),
            probes: reader.json["probes"] == nil
                ? nil : try ProbesRecord(reader.member("probes")),
            tunedLens: reader.json["tuned_lens"] == nil
                ? nil : try TunedLensRecord(reader.member("tuned_lens")))
        record.shard = reader.json["shard"]?.stringValue
        if reader.json["relevance"]?.objectValue != nil {
            record.relevance = try RelevanceRecord(reader.member("relevance"))
        }
        return record
    }

    private static func layers(_ reader: RecordReader) throws(FileError) -> [Layer] {
        try reader.elements("layers") { (element) throws(FileError) in
            Layer(
                index: try element.int("index"), step: try element.step(),
                metrics: element.estimates(), heads: element.heads(),
                scores: (element.json["scores"]?.objectValue ?? [:]).reduce(into: [:]) {
                    $0[$1.key] = .some($1.value.doubleValue)
                })
        }
    }

    private static func boundaries(_ reader: RecordReader) throws(FileError) -> [Boundary] {
        try reader.elements("boundaries") { (element) throws(FileError) in
            Boundary(
                index: try element.int("index"), step: try element.step(),
                metrics: element.estimates(),
                tuned: element.json["tuned"] == nil
                    ? [:] : try element.member("tuned").estimates())
        }
    }

    private static func base(_ reader: RecordReader) throws(FileError) -> Base {
        Base(layers: try layers(reader), boundaries: try boundaries(reader))
    }

    /// Every member that is a matrix.
    private static func matrices(
        _ reader: RecordReader
    ) throws(FileError) -> OrderedDictionary<String, [[Double?]]> {
        var matrices: OrderedDictionary<String, [[Double?]]> = [:]
        for (name, value) in reader.json.objectValue ?? [:] {
            guard let rows = value.arrayValue, rows.first?.arrayValue != nil else { continue }
            matrices[name] = try reader.matrix(name)
        }
        return matrices
    }
}

extension LayersRecord.Layer {
    fileprivate var json: JSON {
        var members: JSON.Object = ["index": .number(index)]
        step?.add(to: &members)
        LayersRecord.add(metrics, heads, to: &members)
        members["scores"] = .object(
            JSON.Object(
                uniqueKeysWithValues: scores.sorted { $0.key < $1.key }
                    .map { ($0.key, JSON.number($0.value)) }))
        return .object(members)
    }
}

extension LayersRecord.Boundary {
    fileprivate var json: JSON {
        var members: JSON.Object = ["index": .number(index)]
        step?.add(to: &members)
        LayersRecord.add(metrics, to: &members)
        if !tuned.isEmpty {
            var readings: JSON.Object = [:]
            LayersRecord.add(tuned, to: &readings)
            members["tuned"] = .object(readings)
        }
        return .object(members)
    }
}

extension LayersRecord.Step {
    fileprivate func add(to members: inout JSON.Object) {
        members["layer"] = .number(layer)
        members["iteration"] = .number(iteration)
    }
}

extension LayersRecord {
    /// The ending of the name of the heads' values.
    static let headsEnding = "_heads"

    fileprivate static func add(
        _ metrics: Metrics, _ heads: OrderedDictionary<String, [Double?]> = [:],
        to members: inout JSON.Object
    ) {
        for (name, estimate) in metrics {
            members[name] = .number(estimate.mean)
            members[name + "_se"] = .number(estimate.standardError)
            if let values = heads[name] {
                members[name + headsEnding] = .array(values.map { .number($0) })
            }
        }
    }

    /// One row per layer, then the columns of the boundary the layer writes to (index + 1),
    /// prefixed `boundary_`; empty cells for undefined values. Row -1 is boundary 0, the embedding. Rows
    /// of a looped model also name layer and iteration.
    public var csv: String {
        let layerNames = Array(layers.first?.metrics.keys ?? [])
        let boundaryNames = Array(boundaries.first?.metrics.keys ?? [])
        let tunedNames = Array(boundaries.first?.tuned.keys ?? [])
        let scores = (layers.first?.scores.keys).map { $0.sorted() } ?? []
        let isLooped = layers.contains { $0.step != nil } || boundaries.contains { $0.step != nil }
        let places = isLooped ? ["step", "layer", "iteration"] : ["layer"]
        let header =
            places + layerNames.flatMap { [$0, $0 + "_se"] } + scores
            + boundaryNames.flatMap { ["boundary_" + $0, "boundary_" + $0 + "_se"] }
            + tunedNames.flatMap { ["boundary_tuned_" + $0, "boundary_tuned_" + $0 + "_se"] }
        func cells(_ names: [String], _ metrics: Metrics?) -> [String] {
            names.flatMap { name in
                [metrics?[name]?.mean, metrics?[name]?.standardError].map { value in
                    (value ?? nil).map { "\($0)" } ?? ""
                }
            }
        }
        func place(_ index: Int, _ step: Step?) -> [String] {
            guard isLooped else { return ["\(index)"] }
            return ["\(index)", step.map { "\($0.layer)" } ?? ""]
                + [step?.iteration.map { "\($0)" } ?? ""]
        }
        var lines = [header.joined(separator: ",")]
        if let embedding = boundaries.first {
            let blank = [String](repeating: "", count: layerNames.count * 2 + scores.count)
            lines.append(
                (place(-1, nil) + blank + cells(boundaryNames, embedding.metrics)
                    + cells(tunedNames, embedding.tuned)).joined(separator: ","))
        }
        for (position, layer) in layers.enumerated() {
            let boundary = position + 1 < boundaries.count ? boundaries[position + 1] : nil
            let scoreCells = scores.map { name in (layer.scores[name] ?? nil).map { "\($0)" } ?? ""
            }
            lines.append(
                (place(layer.index, layer.step) + cells(layerNames, layer.metrics) + scoreCells
                    + cells(boundaryNames, boundary?.metrics)
                    + cells(tunedNames, boundary?.tuned)).joined(separator: ","))
        }
        return lines.joined(separator: "\n") + "\n"
    }
}

extension ModelRecord {
    public var json: JSON {
        var members: JSON.Object = [
            "path": .string(path),
            "architecture": .string(architecture),
            "layers": .number(layers),
            "hidden_size": .number(hiddenSize),
            "vocab_size": .number(vocabularySize),
            "parameters": .number(parameters),
            "fingerprint": .string(fingerprint),
        ]
        if let sha256 {
            members["sha256"] = .object(
                JSON.Object(
                    uniqueKeysWithValues: sha256.sorted { $0.key < $1.key }
                        .map { ($0.key, JSON.string($0.value)) }))
        }
        return .object(members)
    }

    init(_ reader: RecordReader) throws(FileError) {
        self.init(
            path: try reader.string("path"), architecture: try reader.string("architecture"),
            layers: try reader.layers("layers"), hiddenSize: try reader.int("hidden_size"),
            vocabularySize: try reader.int("vocab_size"), parameters: try reader.int("parameters"),
            fingerprint: try reader.string("fingerprint"),
            sha256: reader.json["sha256"]?.objectValue?.reduce(into: [:]) {
                $0[$1.key] = $1.value.stringValue
            })
    }
}

extension TunedLensRecord {
    public var json: JSON {
        [
            "path": .string(path), "sha256": .string(sha256), "tokens": .number(tokens),
            "data": .string(data), "precision": .string(precision),
        ]
    }

    init(_ reader: RecordReader) throws(FileError) {
        self.init(
            path: try reader.string("path"), sha256: try reader.string("sha256"),
            tokens: try reader.int("tokens"), data: try reader.string("data"),
            precision: try reader.string("precision"))
    }
}

extension DataRecord {
    public var json: JSON {
        [
            "path": .string(path),
            "documents": .number(documents),
            "tokens": .number(tokens),
            "sequence_length": .number(sequenceLength),
            "bos": .string(bos),
        ]
    }

    init(_ reader: RecordReader) throws(FileError) {
        self.init(
            path: try reader.string("path"), documents: try reader.int("documents"),
            tokens: try reader.int("tokens"), sequenceLength: try reader.int("sequence_length"),
            bos: try reader.string("bos"))
    }
}
