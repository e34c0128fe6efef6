import Files

extension LayersRecord {
    public var json: JSON {
        var members: JSON.Object = [
            "schema": .string(Self.schema),
            "model": model.json,
            "data": data.json,
            "precision": .string(precision),
            "layers": .array(
                layers.map { layer in
                    var members = Self.members(layer.metrics, order: Metric.perLayer)
                    members.updateValue(
                        .number(layer.index), forKey: "index", insertingAt: 0)
                    members["scores"] = .object(
                        JSON.Object(
                            uniqueKeysWithValues: layer.scores.sorted { $0.key < $1.key }
                                .map { ($0.key, JSON.number($0.value)) }))
                    return .object(members)
                }),
            "boundaries": .array(
                boundaries.map { boundary in
                    var members = Self.members(boundary.metrics, order: Metric.perBoundary)
                    members.updateValue(.number(boundary.index), forKey: "index", insertingAt: 0)
                    if !boundary.tuned.isEmpty {
                        members["tuned"] = .object(
                            Self.members(boundary.tuned, order: Metric.lens))
                    }
                    return .object(members)
                }),
        ]
        if let cka {
            members["cka"] = .array(cka.map { row in .array(row.map { .number($0) }) })
        }
        if let sinks { members["sinks"] = sinks.json }
        if let tunedLens { members["tuned_lens"] = tunedLens.json }
        if let probes { members["probes"] = probes.json }
        return .object(members)
    }

    private static func members(
        _ metrics: [String: Estimate], order: [Metric]
    ) -> JSON.Object {
        let known = Metric.withTwins(order).map(\.name)
        let others = metrics.keys.filter { !known.contains($0) }.sorted()
        var members: JSON.Object = [:]
        for name in known + others {
            guard let estimate = metrics[name] else { continue }
            members[name] = .number(estimate.mean)
            members[name + "_se"] = .number(estimate.standardError)
        }
        return members
    }

    /// - Throws: `FileError` naming the file and the missing or wrong member.
    public static func read(path: String) throws(FileError) -> LayersRecord {
        try read(try JSON.read(path: path), path: path)
    }

    /// The same of what stands in the file at `path`.
    public static func read(_ json: JSON, path: String) throws(FileError) -> LayersRecord {
        let reader = try RecordReader(json, path: path, schema: schema)
        return LayersRecord(
            model: try ModelRecord(reader.member("model")),
            data: try DataRecord(reader.member("data")),
            precision: try reader.string("precision"),
            layers: try reader.elements("layers") { (element) throws(FileError) in
                Layer(
                    index: try element.int("index"), metrics: element.estimates(),
                    scores: (element.json["scores"]?.objectValue ?? [:]).reduce(into: [:]) {
                        $0[$1.key] = .some($1.value.doubleValue)
                    })
            },
            boundaries: try reader.elements("boundaries") { (element) throws(FileError) in
                Boundary(
                    index: try element.int("index"), metrics: element.estimates(),
                    tuned: element.json["tuned"] == nil
                        ? [:] : try element.member("tuned").estimates())
            },
            cka: try reader.matrix("cka"),
            sinks: reader.json["sinks"] == nil ? nil : try SinksRecord(reader.member("sinks")),
            probes: reader.json["probes"] == nil
                ? nil : try ProbesRecord(reader.member("probes")),
            tunedLens: reader.json["tuned_lens"] == nil
                ? nil : try TunedLensRecord(reader.member("tuned_lens")))
    }

    /// One row per layer, then the columns of the boundary the layer writes to (index + 1),
    /// prefixed `boundary_`; empty cells for undefined values. Row -1 is boundary 0, the embedding.
    public var csv: String {
        let layerNames = Self.columns(layers.first?.metrics ?? [:], order: Metric.perLayer)
        let boundaryNames = Self.columns(
            boundaries.first?.metrics ?? [:], order: Metric.perBoundary)
        let tunedNames = Self.columns(boundaries.first?.tuned ?? [:], order: Metric.lens)
        let scores = (layers.first?.scores.keys).map { $0.sorted() } ?? []
        let header =
            ["layer"] + layerNames.flatMap { [$0, $0 + "_se"] } + scores
            + boundaryNames.flatMap { ["boundary_" + $0, "boundary_" + $0 + "_se"] }
            + tunedNames.flatMap { ["boundary_tuned_" + $0, "boundary_tuned_" + $0 + "_se"] }
        func cells(_ names: [String], _ metrics: [String: Estimate]?) -> [String] {
            names.flatMap { name in
                [metrics?[name]?.mean, metrics?[name]?.standardError].map { value in
                    (value ?? nil).map { "\($0)" } ?? ""
                }
            }
        }
        var lines = [header.joined(separator: ",")]
        if let embedding = boundaries.first {
            let blank = [String](repeating: "", count: layerNames.count * 2 + scores.count)
            lines.append(
                (["-1"] + blank + cells(boundaryNames, embedding.metrics)
                    + cells(tunedNames, embedding.tuned)).joined(separator: ","))
        }
        for (position, layer) in layers.enumerated() {
            let boundary = position + 1 < boundaries.count ? boundaries[position + 1] : nil
            let scoreCells = scores.map { name in (layer.scores[name] ?? nil).map { "\($0)" } ?? ""
            }
            lines.append(
                (["\(layer.index)"] + cells(layerNames, layer.metrics) + scoreCells
                    + cells(boundaryNames, boundary?.metrics)
                    + cells(tunedNames, boundary?.tuned)).joined(separator: ","))
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func columns(_ metrics: [String: Estimate], order: [Metric]) -> [String] {
        let known = Metric.withTwins(order).map(\.name).filter { metrics[$0] != nil }
        return known + metrics.keys.filter { !known.contains($0) }.sorted()
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
