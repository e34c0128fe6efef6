import Activations
import Analysis
import Checkpoints
import Commands
import Files
import Foundation
import Models
import Records
import Reporting

// What is shown of files from elsewhere: `inspect` and `report`.

extension FuzzTarget {
    /// A run as one object of its three files, `{"layers": …, "split": …, "run": …}`: each is inspected,
    /// and what can be read of the first two becomes a report.
    static func report(_ input: UnsafeRawBufferPointer) throws {
        let files = try JSON.parse(input)
        var refusal: (any Error)?
        func read<Record>(_ name: String, _ reader: (JSON, String) throws -> Record) -> Record? {
            guard let json = files[name] else { return nil }
            do {
                check(try Inspection(record: json, path: name + ".json"))
                return try reader(json, name + ".json")
            } catch {
                refusal = error
                return nil
            }
        }
        let layers = read("layers") { try LayersRecord.read($0, path: $1) }
        let split = read("split") { try SplitRecord.read($0, path: $1) }
        let run = read("run") { try RunRecord.read($0, path: $1) }
        if let layers, let split {
            _ = HTMLReport.page(
                layers: layers, split: split, run: run, passes: MeasuringPass.all.map(\.declaration)
            )
            let style = TerminalStyle(color: false)
            checkVisible(
                TerminalSummary.text(
                    layers: layers, split: split, passes: MeasuringPass.all.map(\.declaration),
                    style: style))
            // What is written must be what is read.
            _ = try LayersRecord.read(layers.json, path: "again")
            _ = layers.csv
        }
        if let refusal { throw refusal }
        if layers == nil, split == nil, run == nil {
            throw FileError.invalid(path: "input", problem: "holds none of layers, split and run")
        }
    }

    /// A model's summary, as `inspect` shows it.
    static func inspect(_ model: Transformer, _ checkpoint: Checkpoint) {
        check(Inspection(configuration: model, of: checkpoint))
    }

    /// Both forms, which hold nothing that moves a cursor; the JSON one reads back.
    private static func check(_ inspection: Inspection) {
        checkVisible(inspection.text)
        checkVisible(inspection.jsonText)
        precondition((try? JSON.parse(Array(inspection.jsonText.utf8))) != nil)
    }

    private static func checkVisible(_ text: String) {
        for line in text.split(separator: "\n") {
            precondition(
                Substring(String(line).visible) == line, "not cleaned: \(line.debugDescription)")
        }
    }
}

// MARK: - Dumps

extension FuzzTarget {
    /// A dump whose content the input gives, written by HDF5 and read back. The library's own reader is
    /// not what is fuzzed: the input never reaches it as a file.
    ///
    /// `{"attributes": {name: text or [integers]}, "tables": {"tokens/id": [integers], …},
    /// "sites": {name: {"shape": […], "layers": […], "encoding": text, "max_abs": […]}},
    /// "moments": {name: {"layers": […], "width": n, "rows": n}}}`
    static func dump(_ input: UnsafeRawBufferPointer) throws {
        let content = try JSON.parse(input)
        let path = NSTemporaryDirectory() + "/etd-fuzz-\(getpid()).h5"
        defer { unlink(path) }
        try DumpMaker(content).write(to: path)
        // A dump is refused at its first fault; some faults only a look at every value finds.
        check(try Inspection(dump: path, check: false))
        check(try Inspection(dump: path, check: true))
    }
}

/// Writes a dump of any content that HDF5 can hold.
private struct DumpMaker {
    let content: JSON
    /// Beyond these a dump only takes time.
    private static let mostValues = 1 << 16
    private static let mostMembers = 8

    init(_ content: JSON) { self.content = content }

    func write(to path: String) throws {
        let file = try HDF5File.create(path)
        for (name, value) in members(content["attributes"]) { try set(file.root, name, value) }
        try tables(file.root)
        if let sites = content["sites"] {
            let group = try file.root.makeGroup("activations")
            for (name, site) in members(sites) { try write(name, site, to: group) }
        }
        if let moments = content["moments"] {
            let group = try file.root.makeGroup("moments")
            for (name, site) in members(moments) { try moment(name, site, to: group) }
        }
        try file.close()
    }

    /// Names that a group can hold.
    private func members(_ json: JSON?) -> [(key: String, value: JSON)] {
        Array(
            (json?.objectValue ?? [:]).filter { Paths.isPlainName($0.key) }
                .prefix(Self.mostMembers))
    }

    private func integers(_ json: JSON?) -> [Int64] {
        (json?.arrayValue ?? []).prefix(Self.mostValues).map { Int64($0.intValue ?? 0) }
    }

    private func set(_ object: HDF5Object, _ name: String, _ value: JSON) throws {
        switch value {
        case .string(let text): try object.set(name, text)
        case .int(let value): try object.set(name, value)
        case .array: try object.set(name, integers(value))
        // An object stands for its text, as headers hold JSON.
        default: try object.set(name, value.text(indent: 0))
        }
    }

    private func tables(_ root: HDF5Group) throws {
        var groups: [String: HDF5Group] = [:]
        for (name, value) in (content["tables"]?.objectValue ?? [:]).prefix(12) {
            let parts = name.split(separator: "/").map(String.init)
            guard parts.count == 2 else { continue }
            let group = try groups[parts[0]] ?? root.makeGroup(parts[0])
            groups[parts[0]] = group
            let texts = (value.arrayValue ?? []).compactMap(\.stringValue)
            let set =
                texts.isEmpty
                ? try group.write(parts[1], integers(value))
                : try group.write(parts[1], texts: texts)
            if parts[0] == "labels" { try set.set("per", "document") }
        }
    }

    private func write(_ name: String, _ site: JSON, to group: HDF5Group) throws {
        let shape = integers(site["shape"]).prefix(5).map { Int($0) }
        guard !shape.isEmpty, shape.allSatisfy({ $0 >= 0 }) else { return }
        let type: HDF5Type =
            switch site["encoding"]?.stringValue {
            case "float16": .float16
            case "bfloat16": .uint16
            default: .float32
            }
        // A chunk of one element: what was never written takes no room, whatever the shape.
        let isSmall = shape.checkedProduct.map { $0 <= Self.mostValues } ?? false
        let set = try group.makeDataSet(
            name, HDF5Layout(type: type, shape: shape, chunk: isSmall ? nil : shape.map { _ in 1 }))
        try set.set("layers", integers(site["layers"]))
        try set.set("encoding", site["encoding"]?.stringValue ?? "")
        try set.set(
            "max_abs",
            (site["max_abs"]?.arrayValue ?? []).prefix(64).map { Float($0.doubleValue ?? 0) })
    }

    private func moment(_ name: String, _ site: JSON, to group: HDF5Group) throws {
        let group = try group.makeGroup(name)
        let layers = integers(site["layers"])
        let width = site["width"]?.intValue ?? 0
        try group.set("layers", layers)
        try group.set("width", Int64(width))
        let rows = max(0, min(4, site["rows"]?.intValue ?? 0))
        let columns = (1...64).contains(width) ? width : 1
        let places = (columns + 1) * (columns + 2) / 2
        for name in ["exact_products_high", "exact_products_low"] {
            try group.write(
                name, [Int64](repeating: 0, count: rows * places), shape: [rows, places])
        }
        for name in ["exact_norms_high", "exact_norms_low"] {
            try group.write(name, [Int64](repeating: 0, count: rows * 2), shape: [rows, 2])
        }
        try group.write("count", [Int64](repeating: 0, count: rows))
        for (name, shape) in [
            ("norm_range", [rows, 2]), ("mean", [rows, columns]), ("variance", [rows, columns]),
            ("norm_mean", [rows]), ("effective_rank", [rows]), ("participation_ratio", [rows]),
        ] {
            let number = site[name]?.doubleValue ?? 0
            try group.write(
                name, [Double](repeating: number, count: shape.reduce(1, *)), shape: shape)
        }
    }
}
