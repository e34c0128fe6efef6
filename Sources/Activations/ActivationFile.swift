import Files
import Foundation
import Tensors

/// A finished dump, read as it is asked for: opening reads no activations.
///
/// Not for use from several threads at once.
public final class ActivationFile {
    /// One data set of `/activations`.
    public struct Site: Sendable, Equatable {
        /// Such as `resid` or `q@think2`.
        public var name: String
        /// The layer, for `resid` the boundary, of each row.
        public var layers: [Int]
        public var tokens: Int
        /// Dimensions of one position's values: [d], or [heads, head dimension].
        public var shape: [Int]
        public var encoding: ActivationEncoding
        /// The largest |x| of each row.
        public var maxAbs: [Float]
        /// Bytes in the file; 0 in a virtual dump.
        public var storedBytes: Int

        /// Values of one position.
        public var width: Int { shape.reduce(1, *) }
    }

    public let path: String
    public let header: DumpHeader
    public let sites: [Site]
    /// `/tokens`, `/documents` and `/labels`; empty in a file of moments only.
    public let table: DumpTable
    /// Names of attention patterns' groups, such as `attn_pattern`, with their documents.
    public let patterns: [(name: String, documents: [Int])]
    package let file: HDF5File
    package let activations: HDF5Group?
    private var sets: [String: HDF5DataSet] = [:]
    private var scratch: [UInt8] = []

    /// - Throws: `.invalid` for what is no complete dump, `.missingPart` for a virtual dump without all
    ///   of its shards, `.file`, `.hdf5`.
    public init(path: String) throws(ActivationError) {
        self.path = path
        file = try HDF5File.open(path)
        header = try DumpHeader.read(file.root)
        guard file.root.has("activations") else {
            activations = nil
            sites = []
            table = file.root.has("tokens") ? try DumpTable.read(file.root) : DumpTable()
            patterns = []
            return
        }
        let group = try file.root.group("activations")
        activations = group
        let table = try DumpTable.read(file.root)
        var sites: [Site] = []
        var patterns: [(name: String, documents: [Int])] = []
        var sets: [String: HDF5DataSet] = [:]
        for name in try group.members() {
            if group.isGroup(name) {
                let documents = try group.group(name).members().compactMap(Int.init).sorted()
                patterns.append((name, documents))
                continue
            }
            let set = try group.dataSet(name)
            try Self.checkParts(of: set)
            sites.append(try Self.site(name, set, rows: table.ids.count))
            sets[name] = set
        }
        self.table = table
        self.sites = sites.sorted { Self.order($0.name) < Self.order($1.name) }
        self.patterns = patterns
        self.sets = sets
    }

    /// The residual stream first, then as the sites come in a layer.
    package static func order(_ name: String) -> (Int, Int) {
        let parts = name.split(separator: "@")
        let known = ["resid", "q", "k", "v", "attn_out", "resid_mid", "mlp_out"]
        let place = known.firstIndex(of: String(parts.first ?? "")) ?? known.count
        let iteration = parts.count > 1 ? Int(parts[1].dropFirst("think".count)) ?? 0 : 0
        return (place, iteration)
    }

    static func site(
        _ name: String, _ set: HDF5DataSet, rows: Int?
    ) throws(ActivationError) -> Site {
        let layers = try set.values("layers", as: Int64.self).map(Int.init)
        let text = try set.text("encoding")
        guard let encoding = ActivationEncoding(rawValue: text), try set.holds(encoding.type) else {
            throw .invalid(
                path: set.path,
                problem: "\(set.name) has encoding \(text.quotedForMessage), which it does not hold"
            )
        }
        try checkLayers(layers, set.name, path: set.path)
        guard set.shape.count >= 3, set.shape[0] == layers.count,
            rows == nil || set.shape[1] == rows
        else {
            throw .invalid(
                path: set.path,
                problem: "\(set.name) has shape \(set.shape), with \(layers.count) layers and "
                    + "\(rows ?? 0) tokens")
        }
        // Rows are read in pieces of many values; a width beyond this is none of a model's.
        guard let width = set.shape[2...].checkedProduct, width < 1 << 24 else {
            throw .invalid(
                path: set.path,
                problem: "\(set.name) has shape \(set.shape), with more values for a position than "
                    + "any model has")
        }
        let largest = try set.values("max_abs", as: Float.self)
        guard largest.count == layers.count else {
            throw .invalid(
                path: set.path, problem: "\(set.name): max_abs has \(largest.count) values")
        }
        return Site(
            name: name, layers: layers, tokens: set.shape[1], shape: Array(set.shape[2...]),
            encoding: encoding, maxAbs: largest, storedBytes: set.storedBytes)
    }

    /// Above any model's number of layers.
    private static let mostLayers = 65_536

    /// Each layer, for `resid` each boundary, has one row.
    package static func checkLayers(
        _ layers: [Int], _ name: String, path: String
    ) throws(ActivationError) {
        var seen: Set<Int> = []
        if let layer = layers.first(where: { !(0...mostLayers).contains($0) }) {
            throw .invalid(
                path: path, problem: "\(name) has a row for layer \(layer), which no model has")
        }
        for layer in layers where !seen.insert(layer).inserted {
            throw .invalid(
                path: path, problem: "\(name) has two rows for layer \(layer); make the dump again")
        }
    }

    /// A virtual data set reads as NaN where a file is missing, so that is asked for.
    private static func checkParts(of set: HDF5DataSet) throws(ActivationError) {
        for source in set.sources {
            let part = Paths.join(Paths.directory(of: set.path), source.file)
            guard Paths.kind(part) == .file else {
                throw .missingPart(path: set.path, part: source.file)
            }
            let root = try HDF5File.open(part).root
            guard try root.integer("complete") == 1 else {
                throw .invalid(path: part, problem: "is not complete; make the dump again")
            }
            // The library would follow whatever the part refers to in turn.
            var names = source.dataSet.split(separator: "/").map(String.init)
            guard let last = names.popLast() else {
                throw .invalid(path: set.path, problem: "\(set.name) refers to no data set")
            }
            var group = root
            for name in names { group = try group.group(name) }
            guard try !group.dataSet(last).isVirtual else {
                throw .invalid(
                    path: part,
                    problem: "\(source.dataSet) refers to further files; make the dump again")
            }
        }
    }

    public func site(_ name: String) throws(ActivationError) -> Site {
        guard let site = sites.first(where: { $0.name == name }) else {
            throw .noSuchSite(path: path, name: name, known: sites.map(\.name))
        }
        return site
    }

    package func dataSet(_ name: String) throws(ActivationError) -> HDF5DataSet {
        guard let set = sets[name] else {
            throw .noSuchSite(path: path, name: name, known: sites.map(\.name))
        }
        return set
    }

    /// Reads one layer's values of consecutive stored tokens as f32.
    /// - Parameters:
    ///   - layer: a layer, for `resid` a boundary, that the site has.
    ///   - out: [tokens.count, width].
    /// - Throws: `.noSuchSite`, `.noSuchLayer`, `.outOfRange`, `.hdf5`.
    public func read(
        _ name: String, layer: Int, tokens: Range<Int>, into out: UnsafeMutablePointer<Float>
    ) throws(ActivationError) {
        let site = try site(name)
        guard let row = site.layers.firstIndex(of: layer) else {
            throw .noSuchLayer(path: path, site: name, layer: layer, known: site.layers)
        }
        guard tokens.lowerBound >= 0, tokens.upperBound <= site.tokens else {
            throw .outOfRange(path: path, site: name, tokens: tokens, stored: site.tokens)
        }
        let set = try dataSet(name)
        let trailing = [Int](repeating: 0, count: site.shape.count)
        let isPlain = site.encoding == .float32
        // Pieces end where chunks do, so that none is read twice.
        let chunk = set.chunk.map { min($0[1], Self.mostChunkRows) } ?? 1024
        let step = max(chunk, (1 << 20) / max(1, site.width * site.encoding.size) / chunk * chunk)
        if !isPlain, scratch.count < step * site.width * site.encoding.size {
            scratch = [UInt8](repeating: 0, count: step * site.width * site.encoding.size)
        }
        var token = tokens.lowerBound
        while token < tokens.upperBound {
            let end = min(tokens.upperBound, (token / step + 1) * step)
            let start = [row, token] + trailing
            let count = [1, end - token] + site.shape
            let target = out + (token - tokens.lowerBound) * site.width
            if isPlain {
                try set.readStored(into: target, start: start, count: count)
            } else {
                var failure: ActivationError?
                scratch.withUnsafeMutableBytes { raw in
                    do throws(ActivationError) {
                        try set.readStored(into: raw.baseAddress!, start: start, count: count)
                        // On this thread, where the piece is warm: spread over all, or beside the
                        // next reading, it was slower (docs/performance.md).
                        site.encoding.decode(
                            raw.baseAddress!, into: target, count: (end - token) * site.width)
                    } catch {
                        failure = error
                    }
                }
                if let failure { throw failure }
            }
            token = end
        }
    }

    /// Of a chunk that is read whole; the chunks of dumps are below (`DumpLayout.chunkRows`).
    private static let mostChunkRows = 1 << 16

    /// The same in an array of its own: [tokens.count, width].
    public func values(
        _ name: String, layer: Int, tokens: Range<Int>? = nil
    ) throws(ActivationError) -> [Float] {
        let site = try site(name)
        let tokens = tokens ?? 0..<site.tokens
        var values = [Float](repeating: 0, count: max(0, tokens.count) * site.width)
        try read(name, layer: layer, tokens: tokens, into: &values)
        return values
    }

    /// The layers of one document's patterns, and its T.
    public func patternShape(
        _ name: String, document: Int
    ) throws(ActivationError) -> (layers: [Int], length: Int) {
        guard let activations, activations.isGroup(name) else {
            throw .noSuchSite(path: path, name: name, known: patterns.map(\.name))
        }
        let set = try activations.group(name).dataSet("\(document)")
        let layers = try set.values("layers", as: Int64.self).map(Int.init)
        try Self.checkLayers(layers, set.name, path: path)
        guard set.shape.count == 4, set.shape[0] == layers.count, set.shape[2] == set.shape[3]
        else {
            throw .invalid(path: path, problem: "\(set.name) has shape \(set.shape)")
        }
        return (layers, set.shape[3])
    }

    /// Attention weights of one document and layer: [heads, T, T].
    public func pattern(
        document: Int, layer: Int, name: String = "attn_pattern"
    ) throws(ActivationError) -> [Float] {
        guard let activations, activations.isGroup(name) else {
            throw .noSuchSite(path: path, name: name, known: patterns.map(\.name))
        }
        let set = try activations.group(name).dataSet("\(document)")
        let layers = try set.values("layers", as: Int64.self).map(Int.init)
        guard set.shape.count == 4, let row = layers.firstIndex(of: layer) else {
            throw .noSuchLayer(path: path, site: set.name, layer: layer, known: layers)
        }
        let text = try set.text("encoding")
        guard let encoding = ActivationEncoding(rawValue: text), try set.holds(encoding.type) else {
            throw .invalid(path: path, problem: "\(set.name) has encoding \(text.quotedForMessage)")
        }
        let count = try set.size(of: Array(set.shape[1...]), bytes: encoding.size + 4)
        var raw = [UInt8](repeating: 0, count: count * encoding.size)
        var values = [Float](repeating: 0, count: count)
        try set.readStored(
            into: &raw, start: [row, 0, 0, 0], count: [1] + set.shape[1...])
        encoding.decode(&raw, into: &values, count: count)
        return values
    }
}
