import Activations
import Analysis
import Files
import Foundation
import Tensors

// What `inspect` says of an activation dump or of moments.

extension Inspection {
    /// Whether the file begins as HDF5 files do, or is called as one.
    static func isDump(_ path: String) -> Bool {
        if path.hasSuffix(".h5") || path.hasSuffix(".hdf5") { return true }
        guard let file = FileHandle(forReadingAtPath: path) else { return false }
        defer { try? file.close() }
        return (try? file.read(upToCount: 8))
            == Data([0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A])
    }

    /// - Parameter check: reads every value.
    static func dump(_ path: String, check: Bool) throws -> [Section] {
        let file = try ActivationFile(path: path)
        var sections = [Section(title: "dump", facts: try facts(file))]
        if !file.sites.isEmpty || !file.patterns.isEmpty {
            sections.append(Section(title: "sites", facts: try sites(file)))
            let reader = DumpReader(file: file, check: check)
            for site in file.sites { sections.append(try survey(site, reader)) }
            if check { try reader.checkPatterns() }
        }
        if file.file.root.has(MomentsFile.groupName) {
            let moments = try MomentsFile(file.file.root)
            for site in moments.sites { sections.append(try survey(site, moments, check: check)) }
        }
        if check { sections[0].facts.append(("checked", "every value is a number in its range")) }
        return sections
    }

    private static func facts(_ file: ActivationFile) throws -> [(String, JSON)] {
        let header = file.header
        let size = try FileManager.default.attributesOfItem(atPath: file.path)[.size] as? Int
        var facts: [(String, JSON)] = [
            ("path", .string(file.path)), ("schema", .string(DumpHeader.schema)),
            ("bytes", .number(size)),
        ]
        for name in ["path", "architecture", "layers", "hidden_size"] {
            facts.append(
                ("model \(name)".replacing(" path", with: ""), header.model[name] ?? .null))
        }
        facts += [
            ("fingerprint", .string(header.fingerprint)),
            ("tokenizer_sha256", header.tokenizer.isEmpty ? .null : .string(header.tokenizer)),
            ("data", header.data["path"] ?? .null),
            ("data sha256", header.data["sha256"] ?? .null),
            ("shard", header.shard.map { .string("\($0)") } ?? .null),
        ]
        if file.activations != nil {
            facts += [
                ("documents", .number(file.table.offsets.count)),
                ("stored tokens", .number(file.table.ids.count)),
                ("texts", .bool(file.table.texts != nil)),
                ("labels", .array(file.table.labels.map { .string($0.task) })),
            ]
        } else {
            facts += [
                ("documents of all shards", header.data["documents"] ?? .null),
                ("tokens of all shards", header.data["tokens"] ?? .null),
            ]
        }
        for (name, value) in header.settings.objectValue ?? [:] { facts.append((name, value)) }
        facts.append(("created_by", .string(header.createdBy)))
        return facts
    }

    private static func sites(_ file: ActivationFile) throws -> [(String, JSON)] {
        var facts = file.sites.map { site -> (String, JSON) in
            let shape = ([site.layers.count, site.tokens] + site.shape).map(String.init)
            return (
                site.name,
                [
                    "shape": .string("[\(shape.joined(separator: ", "))]"),
                    "layers": .string(ActivationError.ranges(site.layers)),
                    "encoding": .string(site.encoding.rawValue),
                    "max_abs": .number(Double(site.maxAbs.reduce(0, Float.propagatingMaximum))),
                    "bytes": site.storedBytes == 0
                        ? .string("in the parts' folder") : .number(site.storedBytes),
                ]
            )
        }
        for (name, documents) in file.patterns {
            let longest = try documents.map { document in
                try file.patternShape(name, document: document).length
            }.max()
            facts.append(
                (
                    name,
                    [
                        "documents": .number(documents.count),
                        "longest": .number(longest),
                    ]
                ))
        }
        return facts
    }

    private static func rows(_ name: String) -> String {
        "\(name) by \(name.hasPrefix("resid") && !name.hasPrefix("resid_mid") ? "boundary" : "layer")"
    }

    /// Norms and the first look, a line per layer.
    private static func survey(
        _ site: ActivationFile.Site, _ reader: DumpReader
    ) throws -> Section {
        var facts: [(String, JSON)] = []
        for (row, layer) in site.layers.enumerated() {
            guard let found = try reader.survey(site, row: row).findings() else { continue }
            var line: JSON.Object = [
                "norm": rounded(found.norm.mean), "norm_min": rounded(found.norm.least),
                "norm_max": rounded(found.norm.most), "max_abs": rounded(Double(site.maxAbs[row])),
                "rows": .number(found.rows),
            ]
            line["outlier_dimensions"] = outliers(found.outliers)
            if let massive = found.massive {
                line["massive_at_position_0"] = [
                    "dimension": .number(massive.dimension), "value": rounded(massive.value),
                    "largest_elsewhere": rounded(massive.elsewhere),
                    "median": rounded(found.medianMagnitude),
                ]
            }
            facts.append(("\(layer)", .object(line)))
        }
        return Section(title: rows(site.name), facts: facts)
    }

    private static func survey(
        _ site: MomentsFile.Site, _ file: MomentsFile, check: Bool
    ) throws -> Section {
        var facts: [(String, JSON)] = []
        func one(_ name: String, _ row: Int) throws -> Double {
            try file.values(name, site, row: row).first ?? .nan
        }
        for (row, layer) in site.layers.enumerated() {
            let range = try file.values("norm_range", site, row: row)
            let mean = try file.values("mean", site, row: row)
            let variance = try file.values("variance", site, row: row)
            guard range.count == 2, mean.count == site.width, variance.count == site.width else {
                throw ActivationError.invalid(
                    path: file.path,
                    problem: "moments/\(site.name) has data sets of different widths")
            }
            if check { try compare(site, row, mean, file) }
            let rms = zip(mean, variance).map {
                ($0 * $0 + .propagatingMaximum(0, $1)).squareRoot()
            }
            facts.append(
                (
                    "\(layer)",
                    [
                        "count": .number(Int(exactly: try one("count", row)) ?? 0),
                        "norm": rounded(try one("norm_mean", row)), "norm_min": rounded(range[0]),
                        "norm_max": rounded(range[1]),
                        "effective_rank": rounded(try one("effective_rank", row)),
                        "participation_ratio": rounded(try one("participation_ratio", row)),
                        "outlier_dimensions": outliers(DumpSurvey.outliers(rms).found),
                    ]
                ))
        }
        return Section(title: "moments of \(rows(site.name))", facts: facts)
    }

    /// That the sums are sums, and that the mean follows from them.
    private static func compare(
        _ site: MomentsFile.Site, _ row: Int, _ mean: [Double], _ file: MomentsFile
    ) throws {
        let moments = try file.moments(site, row: row)
        guard moments.count == 0 || moments.mean == mean else {
            throw ActivationError.invalid(
                path: file.path,
                problem: "the mean of moments/\(site.name) at layer \(site.layers[row]) does not "
                    + "follow from its sums: the file is damaged; make it again")
        }
    }

    /// The first eight, and how many there are.
    private static func outliers(_ found: [(dimension: Int, times: Double)]) -> JSON {
        .array(
            found.prefix(8).map {
                ["dimension": .number($0.dimension), "times_median": rounded($0.times)]
            })
    }

    /// Four digits: these lines are read by people.
    private static func rounded(_ value: Double) -> JSON {
        guard value.isFinite else { return .null }
        return .number(Double(String(format: "%.4g", value)))
    }
}
