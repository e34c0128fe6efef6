import Activations
import Files

// What `inspect` says of `evidence.h5`.

extension Inspection {
    static func isEvidence(_ path: String) -> Bool {
        guard isDump(path), let file = try? HDF5File.open(path) else { return false }
        return (try? file.root.text("schema")) == EvidenceFile.schema
    }

    static func evidence(_ path: String) throws -> [Section] {
        let file = try EvidenceFile.read(path)
        var sections = [
            Section(
                title: "evidence",
                facts: [
                    ("path", .string(path)), ("schema", .string(EvidenceFile.schema)),
                    ("documents", .number(file.tokens.count)),
                    ("tokens", .number(Int(file.tokens.reduce(0, +)))),
                ])
        ]
        for (title, probe) in [("", file.probe), ("base: ", file.base)] where !probe.isEmpty {
            for (name, tables) in [("layers", probe.layers), ("boundaries", probe.boundaries)]
            where !tables.isEmpty {
                sections.append(
                    Section(
                        title: title + name,
                        facts: [
                            ("places", .number(tables[0].places)),
                            ("metrics", .array(tables.map { .string($0.name) })),
                        ]))
            }
            if let blocks = probe.blocks {
                sections.append(
                    Section(
                        title: title + "blocks",
                        facts: [
                            ("metric", .string(blocks.name)),
                            ("pairs of boundaries", .number(blocks.pairs.count)),
                        ]))
            }
            if !probe.jackknife.isEmpty {
                sections.append(
                    Section(
                        title: title + "jackknife over 20 blocks",
                        facts: [("metrics", .array(probe.jackknife.map { .string($0.name) }))]))
            }
        }
        for scan in file.scans {
            sections.append(
                Section(
                    title: "scan: \(scan.kind)",
                    facts: [
                        ("windows", .number(scan.windows.count)),
                        ("items", .number(scan.margins.first?.count ?? 0)),
                        ("documents", .number(scan.nll.first?.count ?? 0)),
                    ]))
        }
        return sections
    }
}
