import Activations
import Analysis
import Files

/// `shard.h5` of a probe's shard: which part of the text it saw, and the exact sums that `merge` adds up.
/// Everything else that a merge needs stands in the shard's `evidence.h5` and `layers.json`.
struct ShardFile {
    static let name = "shard.h5"
    static let schema = "etd-shard/v1"
    private static let site = "resid"

    var shard: DumpHeader.Shard
    var place: ProbeOptions.Shard
    /// nil without the geometry.
    var sums: ShardSums?

    /// - Throws: `ActivationError`.
    func write(to path: String, boundaries: Int, width: Int) throws {
        let temporary = try TemporaryFile(for: path)
        let file = try HDF5File.create(temporary.path)
        let root = file.root
        try root.set("schema", Self.schema)
        try root.set("index", Int64(shard.index))
        try root.set("count", Int64(shard.count))
        try root.set("first_document", Int64(place.first))
        try root.set("text_documents", Int64(place.textDocuments))
        try root.set("text_tokens", Int64(place.textTokens))
        if let sums {
            try root.set("blocks", sums.blocks.map { Int64($0.block) })
            let site = MomentsFile.Site(
                name: Self.site, layers: Array(0..<boundaries), width: width)
            for (number, block) in sums.blocks.enumerated() {
                try MomentsFile.write(
                    [site], to: root.makeGroup("block\(number)"), deflate: nil, exactOnly: true
                ) { _, row in block.moments[row] }
            }
            let tokens = sums.sampleBlocks.count
            if tokens > 0 {
                try root.write("sample", sums.sample, shape: [tokens, boundaries, width])
                try root.write("sample_blocks", sums.sampleBlocks)
            }
        }
        try root.set("complete", 1)
        try file.close()
        try temporary.commit(replacing: true)
    }

    /// - Throws: `ActivationError`, `.invalid` for what is no shard of a model of this size.
    init(path: String, boundaries: Int, width: Int) throws {
        let root = try HDF5File.open(path).root
        func wrong(_ problem: String) -> ActivationError {
            .invalid(path: path, problem: "\(problem); make the shard again")
        }
        guard try root.text("schema") == Self.schema, try root.integer("complete") == 1 else {
            throw wrong("is no whole shard of a probe")
        }
        shard = DumpHeader.Shard(
            index: try root.integer("index"), count: try root.integer("count"))
        place = ProbeOptions.Shard(
            first: try root.integer("first_document"),
            textDocuments: try root.integer("text_documents"),
            textTokens: try root.integer("text_tokens"))
        guard try root.hasAttribute("blocks") else { return }
        var blocks: [(block: Int, moments: [Moments?])] = []
        for (number, block) in try root.values("blocks", as: Int64.self).enumerated() {
            let moments = try MomentsFile(root.group("block\(number)"))
            guard let site = moments.sites.first, site.width == width,
                site.layers == Array(0..<boundaries)
            else { throw wrong("its sums are of another model") }
            let rows = try site.layers.map { row -> Moments? in
                let sums = try moments.moments(site, row: row)
                return sums.count > 0 ? sums : nil
            }
            blocks.append((Int(block), rows))
        }
        var (sample, sampleBlocks) = ([Float](), [Int32]())
        if root.has("sample") {
            sample = try root.dataSet("sample").read(as: Float.self)
            sampleBlocks = try root.dataSet("sample_blocks").read(as: Int32.self)
        }
        guard sample.count == sampleBlocks.count * boundaries * width else {
            throw wrong("its sample has \(sample.count) values for \(sampleBlocks.count) tokens")
        }
        sums = ShardSums(blocks: blocks, sample: sample, sampleBlocks: sampleBlocks)
    }

    init(shard: DumpHeader.Shard, place: ProbeOptions.Shard, sums: ShardSums?) {
        self.shard = shard
        self.place = place
        self.sums = sums
    }
}
