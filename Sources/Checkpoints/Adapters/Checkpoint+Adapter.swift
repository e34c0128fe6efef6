import CKernels
import Files
import OrderedCollections
import Tensors

extension LoRAAdapter {
    /// Opens the base model: a path as it is given, one beside the adapter, or what `find` knows.
    func openBase(_ find: (String) -> String?) throws(CheckpointError) -> Checkpoint {
        var places = [base]
        if !base.hasPrefix("/") {
            places.append(Paths.join(path, base))
            places.append(Paths.join(Paths.directory(of: path), base))
        }
        let place = places.first { Paths.kind($0) != .missing } ?? find(base)
        guard let place else {
            throw .adapter(
                path: Paths.join(path, Self.configName),
                problem:
                    "base_model_name_or_path names \(base.quotedForMessage), which is not here; "
                    + "fetch it, or set the field to the folder that holds the base model")
        }
        let base = try Checkpoint.open(place)
        guard base.format == .safetensors, base.basePath == nil else {
            throw .adapter(
                path: path,
                problem:
                    "its base \(place) is no Hugging Face folder of a whole model, which is what "
                    + "an adapter can be merged into")
        }
        return base
    }
}

extension Checkpoint {
    /// The base model with an adapter merged into its weights, W + s·B·A (Hu et al., arXiv 2106.09685),
    /// computed in f32. Merged weights are held in memory, the others stay mapped. With `layer_replication` each copy of
    /// a layer is a layer of its own, and what no adapter changes shares its bytes.
    /// - Parameter rounds: whether merged weights get the type of the base's, as PEFT's
    ///   `merge_and_unload` gives them.
    /// - Throws: `CheckpointError.adapter` for one that is not of this base.
    convenience init(
        adapter: LoRAAdapter, on base: Checkpoint, rounds: Bool
    ) throws(CheckpointError) {
        var contents: [(file: MappedFile, entries: [StoredEntry])] = []
        let layout = try adapter.layout(of: base)
        let names = Set(layout.map(\.name))
        // PEFT names modules of transformers' classes; some files leave out the outermost module's name.
        func stored(_ name: String) -> String {
            var rest = name[...]
            while !names.contains(String(rest)), let dot = rest.firstIndex(of: ".") {
                rest = rest[rest.index(after: dot)...]
            }
            return names.contains(String(rest)) ? String(rest) : name
        }
        let factors = Dictionary(
            adapter.factors.map { (stored($0.key), $0.value) }, uniquingKeysWith: { $1 })
        let replaced = Dictionary(
            adapter.replaced.map { (stored($0.key), $0.value) }, uniquingKeysWith: { $1 })
        var waiting = Set(factors.keys).union(replaced.keys)
        var merged: [(file: MappedFile, entries: [StoredEntry])] = []
        var kept: [StoredEntry] = []
        for (name, entry) in layout {
            if let whole = replaced[name] {
                waiting.remove(name)
                merged.append(try adapter.replacement(whole, for: entry, name: name))
            } else if let pair = factors[name] {
                waiting.remove(name)
                merged.append(try adapter.merge(pair, into: entry, name: name, rounds: rounds))
            } else {
                kept.append(entry.named(name))
            }
        }
        if let name = waiting.min() {
            throw .adapter(
                path: Paths.join(adapter.path, LoRAAdapter.weightsName),
                problem:
                    "changes \(name.quotedForMessage), which \(base.path) does not have: this is "
                    + "the adapter of another base model")
        }
        // The base's mappings live as long as this checkpoint: its entries point into them.
        for (index, mapping) in base.mappings.enumerated() {
            contents.append((mapping, index == 0 ? kept : []))
        }
        try self.init(
            path: adapter.path, format: .safetensors, contents: contents + merged,
            config: adapter.config(of: base), metadata: GGUFMetadata(), basePath: base.path)
    }
}

extension LoRAAdapter {
    /// The base layer of each layer that runs; nil without replication.
    private var steps: [Int]? { layerRanges?.flatMap { Array($0) } }

    /// The base's entries under the names that they have here, layers in order.
    fileprivate func layout(
        of base: Checkpoint
    ) throws(CheckpointError) -> [(name: String, entry: StoredEntry)] {
        guard let steps else { return base.entries.map { ($0.name, $0) } }
        var (before, after) = ([(String, StoredEntry)](), [(String, StoredEntry)]())
        var layers: [Int: [(LayerName, StoredEntry)]] = [:]
        for entry in base.entries {
            if let name = LayerName(entry.name) {
                layers[name.layer, default: []].append((name, entry))
            } else if layers.isEmpty {
                before.append((entry.name, entry))
            } else {
                after.append((entry.name, entry))
            }
        }
        var middle: [(String, StoredEntry)] = []
        for (position, layer) in steps.enumerated() {
            guard let entries = layers[layer] else {
                throw .adapter(
                    path: Paths.join(path, Self.configName),
                    problem: "layer_replication names layer \(layer), and \(base.path) has "
                        + "\(layers.count) layers")
            }
            for (name, entry) in entries { middle.append((name.at(position), entry)) }
        }
        return (before + middle + after).map { (name: $0.0, entry: $0.1) }
    }

    /// `config.json` of the base with the layers that run.
    fileprivate func config(of base: Checkpoint) -> JSON {
        guard let steps, var config = base.config.objectValue else { return base.config }
        let layers = config["num_hidden_layers"]?.intValue
        config["num_hidden_layers"] = .number(steps.count)
        if let types = config["layer_types"]?.arrayValue, types.count == layers {
            config["layer_types"] = .array(steps.map { types[$0] })
        }
        config["etd"] = nil
        return .object(config)
    }

    fileprivate func replacement(
        _ whole: StoredTensor, for entry: StoredEntry, name: String
    ) throws(CheckpointError) -> (file: MappedFile, entries: [StoredEntry]) {
        guard whole.shape == entry.shape else { throw shape(name, whole.shape, entry) }
        return memory(name, whole.type, entry.shape, whole.bytes)
    }

    fileprivate func merge(
        _ factors: Factors, into entry: StoredEntry, name: String, rounds: Bool
    ) throws(CheckpointError) -> (file: MappedFile, entries: [StoredEntry]) {
        let (rank, inputs, outputs) = (
            factors.a.shape[0], factors.a.shape[1], factors.b.shape[0]
        )
        let expected = isTurned ? [inputs, outputs] : [outputs, inputs]
        guard entry.shape == expected, let type = entry.type else {
            throw shape(name, expected, entry)
        }
        let (a, b) = (factors.a.decoded(), factors.b.decoded())
        let values = FloatBuffer(count: inputs * outputs)
        let source = StoredTensor(
            name: name, type: type, shape: entry.shape, bytes: entry.bytes,
            file: MappedFile(path: path, contents: UnsafeRawBufferPointer(start: nil, count: 0)))
        source.decode(
            0..<inputs * outputs,
            into: UnsafeMutableBufferPointer(start: values.pointer, count: inputs * outputs))
        nonisolated(unsafe) let weight = values.pointer
        // Rows are outputs, or inputs where the weight is turned round: row i gets its factor's row
        // times the other factor.
        let (rows, columns) = isTurned ? (inputs, outputs) : (outputs, inputs)
        let isTurned = isTurned
        let scale = factors.scale
        Parallel.forEach(rows) { row in
            var sums = [Float](repeating: 0, count: columns)
            for k in 0..<rank {
                let factor = isTurned ? a[k * inputs + row] : b[row * rank + k]
                for column in 0..<columns {
                    sums[column] +=
                        factor * (isTurned ? b[column * rank + k] : a[k * inputs + column])
                }
            }
            let out = weight + row * columns
            for column in 0..<columns { out[column] += scale * sums[column] }
        }
        return encoded(name, rounds ? type : .f32, entry.shape, values)
    }

    /// Values as bf16 or f16, else as f32.
    private func encoded(
        _ name: String, _ type: ElementType, _ shape: [Int], _ values: FloatBuffer
    ) -> (file: MappedFile, entries: [StoredEntry]) {
        let count = values.count
        guard type == .bf16 || type == .f16 else {
            return memory(
                name, .f32, shape, UnsafeRawBufferPointer(start: values.pointer, count: count * 4))
        }
        var halves = [UInt16](repeating: 0, count: count)
        halves.withUnsafeMutableBufferPointer { halves in
            guard let out = halves.baseAddress else { return }
            if type == .bf16 {
                etd_round_bf16(values.pointer, out, count)
            } else {
                etd_round_f16(values.pointer, out, count)
            }
        }
        return halves.withUnsafeBytes { memory(name, type, shape, $0) }
    }

    private func memory(
        _ name: String, _ type: ElementType, _ shape: [Int], _ bytes: UnsafeRawBufferPointer
    ) -> (file: MappedFile, entries: [StoredEntry]) {
        let file = MappedFile(path: Paths.join(path, Self.weightsName), contents: bytes)
        let entry = StoredEntry(
            name: name, typeName: type.description, type: type, shape: shape, bytes: file.bytes)
        return (file, [entry])
    }

    private func shape(_ name: String, _ shape: [Int], _ entry: StoredEntry) -> CheckpointError {
        .adapter(
            path: Paths.join(path, Self.weightsName),
            problem:
                "changes \(name.quotedForMessage) as \(shape), and the base has \(entry.shape): "
                + "this is the adapter of another base model")
    }
}

/// A tensor's name with the number of its layer, `….layers.3.…`, as the families that PEFT repeats have it.
private struct LayerName {
    let layer: Int
    private let before: Substring
    private let after: Substring

    init?(_ name: String) {
        guard let mark = name.range(of: "layers.") else { return nil }
        let digits = name[mark.upperBound...].prefix { $0.isASCII && $0.isNumber }
        guard mark.lowerBound == name.startIndex || name[..<mark.lowerBound].hasSuffix("."),
            let layer = Int(digits), name[digits.endIndex...].hasPrefix(".")
        else { return nil }
        self.layer = layer
        before = name[..<mark.upperBound]
        after = name[digits.endIndex...]
    }

    func at(_ position: Int) -> String { "\(before)\(position)\(after)" }
}

extension StoredEntry {
    fileprivate func named(_ name: String) -> StoredEntry {
        StoredEntry(name: name, typeName: typeName, type: type, shape: shape, bytes: bytes)
    }
}
