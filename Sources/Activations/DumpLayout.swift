import CKernels
import Corpus
import Models
import Plans

/// How activations are stored.
public enum ActivationEncoding: String, Sendable, CaseIterable {
    case float32, float16
    /// Stored as unsigned 16-bit integers: HDF5 has no bfloat16.
    case bfloat16

    package var type: HDF5Type {
        switch self {
        case .float32: .float32
        case .float16: .float16
        case .bfloat16: .uint16
        }
    }

    /// Bytes of a value.
    public var size: Int { self == .float32 ? 4 : 2 }

    /// Rounds to nearest even. `out` holds `count` values of `size` bytes.
    package func encode(_ x: UnsafePointer<Float>, into out: UnsafeMutableRawPointer, count: Int) {
        switch self {
        case .float32: out.copyMemory(from: x, byteCount: count * 4)
        case .float16: etd_round_f16(x, out.assumingMemoryBound(to: UInt16.self), count)
        case .bfloat16: etd_round_bf16(x, out.assumingMemoryBound(to: UInt16.self), count)
        }
    }

    package func decode(_ x: UnsafeRawPointer, into out: UnsafeMutablePointer<Float>, count: Int) {
        // The element types of weights: `ElementType` of the module Tensors.
        let code: Int32 =
            switch self {
            case .float32: 0
            case .float16: 1
            case .bfloat16: 2
            }
        etd_decode(code, x, out, count)
    }

    /// What is left of a value that was stored.
    package func rounded(_ value: Float) -> Float {
        var value = value
        var stored: UInt64 = 0
        withUnsafeMutableBytes(of: &stored) { encode(&value, into: $0.baseAddress!, count: 1) }
        withUnsafeBytes(of: &stored) { decode($0.baseAddress!, into: &value, count: 1) }
        return value
    }

    /// NaN, where a virtual data set has no content.
    package var missing: [UInt8] {
        switch self {
        case .float32: [0, 0, 0xC0, 0x7F]
        case .float16: [0, 0x7E]
        case .bfloat16: [0xC0, 0x7F]
        }
    }
}

/// One data set of a dump: a site, or a site of one pass of the think block.
public struct DumpSite: Sendable, Equatable {
    public var site: Site
    /// The think block's pass, from 1; nil outside a loop.
    public var iteration: Int?
    /// The layer or boundary of each row.
    public var layers: [Int]
    /// Dimensions of one position's values; empty for `attn_pattern`, whose depend on the document.
    public var shape: [Int]

    public var name: String { StatePlace.dataSet(site, iteration: iteration) }
    /// Values of one position.
    public var width: Int { shape.reduce(1, *) }
    public var isPattern: Bool { site.layout == .pattern }
}

/// What a dump holds and how it is cut into chunks and parts: a function of the command alone, so that a
/// continued dump is cut as an uninterrupted one.
public struct DumpLayout: Sendable {
    public var sites: [DumpSite]
    public var encoding: ActivationEncoding
    /// Shuffle and deflate at this level; nil for none.
    public var deflate: Int?
    public var positions: PositionSelection
    /// Attention heads, which a pattern has per layer.
    public var heads: Int
    /// Tokens of each document.
    public var lengths: [Int]
    /// The first stored row of each document, and after them the number of all rows.
    public var offsets: [Int]
    /// Tokens of a chunk, and of a part: a whole number of chunks.
    public var chunkRows: Int
    public var partRows: Int

    /// - Parameters:
    ///   - lengths: tokens of each document.
    ///   - partBytes: about how large a part is; more where there would be very many.
    public init(
        sites: [DumpSite], encoding: ActivationEncoding, deflate: Int?,
        positions: PositionSelection, heads: Int, lengths: [Int], partBytes: Int
    ) {
        self.sites = sites
        self.encoding = encoding
        self.deflate = deflate
        self.positions = positions
        self.heads = heads
        self.lengths = lengths
        var offsets = [0]
        for length in lengths {
            offsets.append(offsets.last! + positions.count(before: length, of: length))
        }
        self.offsets = offsets
        let rows = offsets.last!
        let stored = sites.filter { !$0.isPattern }
        let widest = stored.map { $0.width * encoding.size }.max() ?? 4
        chunkRows = Self.chunkRows(rows: rows, widest: widest)
        // Patterns are not cut by rows, but a part should not hold too many of them either.
        let patterns = sites.filter(\.isPattern).reduce(0) { $0 + $1.layers.count } * heads
        let longest = lengths.max() ?? 0
        let rowBytes =
            stored.reduce(0) { $0 + $1.layers.count * $1.width * encoding.size }
            + patterns * longest * encoding.size
        let bytes = max(partBytes, rows * rowBytes / 200)
        partRows = max(1, bytes / max(1, chunkRows * rowBytes)) * chunkRows
    }

    public var rows: Int { offsets.last! }
    public var partCount: Int { (rows + partRows - 1) / partRows }

    /// The rows of part `part`.
    public func rows(ofPart part: Int) -> Range<Int> {
        part * partRows..<min(rows, (part + 1) * partRows)
    }

    /// Tokens of a chunk: a power of two, at most half a megabyte of the widest site, which stays within
    /// readers' default caches, and no more than there are.
    package static func chunkRows(rows: Int, widest: Int) -> Int {
        var chunk = 1
        while chunk < 1024, chunk < rows, chunk * 2 * widest <= 1 << 19 { chunk *= 2 }
        return chunk
    }

    /// Where the values of a step's sites go: row `row` of data set `set`.
    package struct Target: Hashable {
        package var set: Int
        package var row: Int

        package init(set: Int, row: Int) {
            self.set = set
            self.row = row
        }
    }

    /// Where the values of each place of a plan go; nothing for those that are not stored.
    package func targets(_ plan: LayerPlan) -> [StatePlace: Target] {
        var found: [StatePlace: Target] = [:]
        for site in Set(sites.map(\.site)) {
            for place in plan.places(site) {
                for (set, candidate) in sites.enumerated() where candidate.name == place.dataSet {
                    if let row = candidate.layers.firstIndex(of: place.number) {
                        found[place] = Target(set: set, row: row)
                    }
                }
            }
        }
        return found
    }

    /// The data sets of `sites` under a plan: those outside the think block's passes, and for each pass
    /// those inside. Of the residual stream, a row is a boundary: the state after layer l is l + 1, the
    /// embedding 0; each executed boundary is stored once. In the order in which a reader lists them.
    /// - Parameter layers: layers, for `resid` boundaries; nil for all.
    public static func sites(
        _ sites: [Site], plan: LayerPlan, layers: Set<Int>?, configuration: ModelConfiguration
    ) -> [DumpSite] {
        let c = configuration
        func shape(_ site: Site) -> [Int] {
            switch site.layout {
            case .state: [c.hiddenSize]
            case .queryHeads: [c.headCount, c.headDimension]
            case .keyValueHeads: [c.keyValueHeadCount, c.headDimension]
            case .pattern: []
            }
        }
        return sites.flatMap { site in
            Dictionary(grouping: plan.places(site), by: \.iteration).compactMap {
                iteration, places in
                var numbers = Set(places.map(\.number))
                if let layers { numbers.formIntersection(layers) }
                guard !numbers.isEmpty else { return nil }
                return DumpSite(
                    site: site, iteration: iteration, layers: numbers.sorted(), shape: shape(site))
            }
        }.sorted { ActivationFile.order($0.name) < ActivationFile.order($1.name) }
    }
}
