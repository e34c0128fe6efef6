import Files
import Foundation
import Tensors

/// Puts pieces of a dump together: the parts of one run, or shards.
package enum DumpJoin {
    /// A piece, whose rows stand at `rows` in the whole.
    package struct Piece {
        var activations: HDF5Group
        var rows: Range<Int>
        /// What is added to a document's number in the names of patterns.
        var firstDocument = 0
        /// Keeps the file open.
        var file: HDF5File
    }

    /// Writes `/activations` of the whole, one layer after the other, so that reading a layer is
    /// reading the file in order.
    static func write(
        _ sites: [ActivationFile.Site], patterns: [String], pieces: [Piece], rows: Int,
        deflate: Int?, to root: HDF5Group
    ) throws(ActivationError) {
        let activations = try root.makeGroup("activations")
        let widest = sites.map { $0.width * $0.encoding.size }.max() ?? 4
        let chunk = DumpLayout.chunkRows(rows: rows, widest: widest)
        for site in sites {
            let whole = try activations.makeDataSet(
                site.name,
                HDF5Layout(
                    type: site.encoding.type, shape: [site.layers.count, rows] + site.shape,
                    chunk: [1, chunk] + site.shape, extendable: [1], deflate: deflate))
            var largest = [Float](repeating: 0, count: site.layers.count)
            var sets: [HDF5DataSet] = []
            for piece in pieces {
                let set = try piece.activations.dataSet(site.name)
                sets.append(set)
                let values = try set.values("max_abs", as: Float.self)
                for (row, value) in values.enumerated() where row < largest.count {
                    largest[row] = .propagatingMaximum(largest[row], value)
                }
            }
            for row in site.layers.indices {
                for start in stride(from: 0, to: rows, by: chunk) {
                    try copy(
                        Array(zip(pieces.map(\.rows), sets)), row: row,
                        rows: start..<min(rows, start + chunk), site, to: whole, chunk: chunk)
                }
            }
            try DumpAttributes.set(
                on: whole, layers: site.layers, largest: largest, site.encoding)
        }
        for name in patterns {
            let group = try activations.makeGroup(name)
            for piece in pieces where piece.activations.isGroup(name) {
                let source = try piece.activations.group(name)
                for document in try source.members().compactMap(Int.init).sorted() {
                    try copy(
                        source.dataSet("\(document)"), to: group,
                        as: "\(piece.firstDocument + document)", deflate: deflate)
                }
            }
        }
    }

    /// One document's patterns, chunk by chunk as they are stored.
    private static func copy(
        _ source: HDF5DataSet, to group: HDF5Group, as name: String, deflate: Int?
    ) throws(ActivationError) {
        let text = try source.text("encoding")
        let shape = source.shape
        guard let encoding = ActivationEncoding(rawValue: text), try source.holds(encoding.type),
            shape.count == 4, let chunk = source.chunk, chunk[0] == 1, chunk[3] == shape[3],
            source.isFiltered == (deflate != nil)
        else {
            throw .invalid(
                path: source.path, problem: "\(source.name) is not stored as patterns are")
        }
        let whole = try group.makeDataSet(
            name,
            HDF5Layout(type: encoding.type, shape: shape, chunk: chunk, deflate: deflate))
        for row in 0..<shape[0] {
            for head in stride(from: 0, to: shape[1], by: chunk[1]) {
                for query in stride(from: 0, to: shape[2], by: chunk[2]) {
                    let place = [row, head, query, 0]
                    let bytes = try source.readChunk(at: place)
                    try bytes.withUnsafeBytesThrowing { raw throws(ActivationError) in
                        try whole.writeChunk(at: place, raw.baseAddress!, count: raw.count)
                    }
                }
            }
        }
        try DumpAttributes.set(
            on: whole, layers: try source.values("layers", as: Int64.self).map(Int.init),
            largest: try source.values("max_abs", as: Float.self), encoding)
    }

    /// One chunk: as it is stored where it stands in one piece as it shall stand here, else gathered
    /// from the values of those that hold some of it. Either way it is written at once, so that the same
    /// content is the same file however it was cut.
    private static func copy(
        _ pieces: [(rows: Range<Int>, set: HDF5DataSet)], row: Int, rows: Range<Int>,
        _ site: ActivationFile.Site, to whole: HDF5DataSet, chunk: Int
    ) throws(ActivationError) {
        let trailing = [Int](repeating: 0, count: site.shape.count)
        let holding = pieces.filter { $0.rows.overlaps(rows) }
        if let only = holding.first, holding.count == 1, only.set.chunk == [1, chunk] + site.shape,
            (rows.lowerBound - only.rows.lowerBound) % chunk == 0,
            // What stands behind its rows in a chunk is nothing but zeros.
            rows.count == chunk || only.rows.upperBound == rows.upperBound
        {
            let bytes = try only.set.readChunk(
                at: [row, rows.lowerBound - only.rows.lowerBound] + trailing)
            try bytes.withUnsafeBytesThrowing { raw throws(ActivationError) in
                try whole.writeChunk(
                    at: [row, rows.lowerBound] + trailing, raw.baseAddress!, count: raw.count)
            }
            return
        }
        let size = site.width * site.encoding.size
        var bytes = [UInt8](repeating: 0, count: rows.count * size)
        for piece in holding {
            let part = piece.rows.clamped(to: rows)
            var failure: ActivationError?
            bytes.withUnsafeMutableBytes { raw in
                do throws(ActivationError) {
                    try piece.set.readStored(
                        into: raw.baseAddress! + (part.lowerBound - rows.lowerBound) * size,
                        start: [row, part.lowerBound - piece.rows.lowerBound] + trailing,
                        count: [1, part.count] + site.shape)
                } catch {
                    failure = error
                }
            }
            if let failure { throw failure }
        }
        try whole.writeStored(
            bytes, start: [row, rows.lowerBound] + trailing, count: [1, rows.count] + site.shape)
    }
}

extension DumpTarget {
    /// Joins the finished parts into the dump, or into a virtual one that refers to them.
    package func join(
        _ layout: DumpLayout, header: DumpHeader, table: DumpTable, virtual: Bool
    ) throws(ActivationError) {
        var pieces: [DumpJoin.Piece] = []
        for part in 0..<layout.partCount {
            let piece = try HDF5File.open(file(Self.partName(part)))
            pieces.append(
                DumpJoin.Piece(
                    activations: try piece.root.group("activations"),
                    rows: layout.rows(ofPart: part), file: piece))
        }
        try complete(keepParts: virtual) { whole throws(ActivationError) in
            let root = whole.root
            try header.write(to: root)
            let sites = layout.sites.filter { !$0.isPattern }.map { site in
                ActivationFile.Site(
                    name: site.name, layers: site.layers, tokens: layout.rows, shape: site.shape,
                    encoding: layout.encoding, maxAbs: [], storedBytes: 0)
            }
            let patterns = layout.sites.filter(\.isPattern).map(\.name)
            if virtual {
                try writeVirtual(sites, pieces, layout, to: root)
            } else {
                try DumpJoin.write(
                    sites, patterns: patterns, pieces: pieces, rows: layout.rows,
                    deflate: layout.deflate, to: root)
            }
            try table.write(to: root)
            try root.set("complete", 1)
        }
    }

    private func writeVirtual(
        _ sites: [ActivationFile.Site], _ pieces: [DumpJoin.Piece], _ layout: DumpLayout,
        to root: HDF5Group
    ) throws(ActivationError) {
        let activations = try root.makeGroup("activations")
        let name = folder.split(separator: "/").last.map(String.init) ?? folder
        for site in sites {
            var largest = [Float](repeating: 0, count: site.layers.count)
            for piece in pieces {
                let values = try piece.activations.dataSet(site.name)
                    .values("max_abs", as: Float.self)
                for (row, value) in values.enumerated() {
                    largest[row] = .propagatingMaximum(largest[row], value)
                }
            }
            let set = try activations.makeVirtualDataSet(
                site.name, type: site.encoding.type,
                shape: [site.layers.count, layout.rows] + site.shape,
                source: "/activations/\(site.name)",
                blocks: (0..<layout.partCount).map { part in
                    let rows = layout.rows(ofPart: part)
                    return (name + "/" + Self.partName(part), rows.lowerBound, rows.count)
                }, fill: site.encoding.missing)
            try DumpAttributes.set(on: set, layers: site.layers, largest: largest, site.encoding)
        }
    }
}
