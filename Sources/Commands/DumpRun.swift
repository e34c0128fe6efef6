import Activations
import Corpus
import Files
import Foundation
import ModelStore
import Models
import Plans
import Records
import Reporting
import Tensors
import Tokenizers

/// `etd-analyze dump`: runs documents through the model and stores what the layers hold.
public struct DumpRun {
    var model: ModelOptions
    var data: DataOptions
    var split: SplitOptions
    var dump: DumpOptions
    var out: String
    var overwrite: Bool
    var quiet: Bool

    public init(
        model: ModelOptions, data: DataOptions, split: SplitOptions, dump: DumpOptions, out: String,
        overwrite: Bool, quiet: Bool
    ) {
        self.model = model
        self.data = data
        self.split = split
        self.dump = dump
        self.out = out
        self.overwrite = overwrite
        self.quiet = quiet
    }

    /// What stands at `--out` in the end.
    public struct Summary {
        public var documents: Int
        public var rows: Int
        public var bytes: Int
        /// Parts that an earlier run had finished.
        public var kept: Int
    }

    public func run() throws -> Summary {
        if dump.virtual, try !Output(out, overwrite: true).isFile {
            throw CommandError.flag(
                name: "--virtual", problem: "\(out) is no file beside which parts can stay")
        }
        return try StreamedFile.make(out, overwrite: overwrite) { path in
            var run = self
            run.out = path
            return try run.makeFile()
        }
    }

    private func makeFile() throws -> Summary {
        model.apply(quiet: quiet)
        let loaded = try model.open(quiet: quiet)
        let plan = try split.plan(for: loaded)
        try check(loaded, plan)
        let all = cut(try data.documents(of: loaded, tokens: dump.tokens))
        let header = try header(loaded, plan, all)
        let documents = try shard(of: all)
        if dump.moments { return try runMoments(loaded, plan, header, documents) }
        let sites = DumpLayout.sites(
            dump.sites, plan: plan, layers: dump.layers, configuration: loaded.model.configuration)
        let layout = DumpLayout(
            sites: sites, encoding: dump.dtype.encoding,
            deflate: dump.compression == 0 ? nil : dump.compression, positions: dump.positions,
            heads: loaded.model.configuration.headCount, lengths: documents.map(\.tokens.count),
            partBytes: dump.partSize << 20)
        if sites.contains(where: \.isPattern), let longest = layout.lengths.max(), longest > 512 {
            throw CommandError.flag(
                name: "--sites attn_pattern",
                problem:
                    "a document has \(longest) tokens, and patterns are stored for at most 512; "
                    + "give --sequence-length 512")
        }
        let table = try table(
            documents, layout, tokenizer: dump.text ? loaded.requiredTokenizer() : nil,
            labels: dump.labels ? DumpLabels.read(all, path: data.data) : [])

        let target = try DumpTarget(
            path: out, command: command(header, layout), overwrite: overwrite)
        var kept = layout.partCount
        if try !target.endEarlierRun(keepParts: dump.virtual) {
            let finished = try target.finishedParts(layout)
            kept = finished.count
            do {
                try pass(loaded, plan, documents, layout, target, finished: finished)
            } catch {
                try giveUp(target, layout, after: error)
                throw error
            }
            try target.join(layout, header: header, table: table, virtual: dump.virtual)
        }
        let size = try FileManager.default.attributesOfItem(atPath: out)[.size] as? Int
        return Summary(
            documents: documents.count, rows: layout.rows, bytes: size ?? 0, kept: kept)
    }

    /// Leaves finished parts for the run that continues, and nothing where there are none or where the
    /// same command must fail again.
    private func giveUp(
        _ target: DumpTarget, _ layout: DumpLayout, after error: any Error
    ) throws {
        if case .overflow = error as? ActivationError {
            try target.discard()
        } else if try target.finishedParts(layout).isEmpty {
            try target.discard()
        }
    }

    private func pass(
        _ loaded: LoadedModel, _ plan: LayerPlan, _ documents: [Document], _ layout: DumpLayout,
        _ target: DumpTarget, finished: Set<Int>
    ) throws {
        let wanted = Set(0..<layout.partCount).subtracting(finished)
        guard !wanted.isEmpty else { return }
        let writer = DumpWriter(
            layout: layout, folder: target.folder, signature: target.signature)
        let tap = DumpTap(layout: layout, plan: plan, writer: writer, wanted: wanted)
        let needed = documents.indices.filter(tap.needs)
        let progress = ProgressReporter(
            label: "dumping", total: needed.reduce(0) { $0 + documents[$1].tokens.count },
            unit: "tokens", quiet: quiet)
        do {
            let loop = try DocumentLoop(
                model: loaded.model, plan: plan,
                longest: needed.map { documents[$0].tokens.count }.max() ?? 1, taps: [tap])
            for index in needed {
                try loop.run(documents[index], index: index) { positions, _ in
                    progress.advance(by: positions.count)
                }
            }
            try writer.finish()
        } catch {
            progress.abandon()
            let failure = tap.failure
            do {
                try writer.finish()
            } catch let reason where failure == nil {
                throw reason
            } catch {}
            if let failure { throw failure }
            if let error = error as? ModelError {
                throw CommandError.pass(path: loaded.checkpoint.path, problem: error.description)
            }
            throw error
        }
        progress.finish()
    }

    // MARK: What to store

    private func check(_ loaded: LoadedModel, _ plan: LayerPlan) throws {
        let c = loaded.model.configuration
        if c.parallelResidual, dump.sites.contains(.residMid) {
            throw CommandError.pass(
                path: loaded.checkpoint.path,
                problem: ModelError.noSuchSite(site: .residMid, architecture: c.architecture)
                    .description)
        }
        guard let layers = dump.layers else { return }
        let onlyBoundaries = dump.sites == [.resid]
        let last = onlyBoundaries || dump.sites.contains(.resid) ? c.layerCount : c.layerCount - 1
        if let wrong = layers.sorted().first(where: { $0 > last }) {
            throw CommandError.flag(
                name: "--layers",
                problem:
                    "\(wrong) is beyond the last \(last == c.layerCount ? "boundary" : "layer"), "
                    + "\(last)")
        }
        for site in dump.sites {
            let found = DumpLayout.sites([site], plan: plan, layers: layers, configuration: c)
            if found.isEmpty {
                throw CommandError.flag(
                    name: "--layers", problem: "leaves nothing of \(site.rawValue) to store")
            }
        }
    }

    /// The documents within the budget.
    private func cut(_ documents: [Document]) -> [Document] {
        guard var left = dump.tokens else { return documents }
        var kept: [Document] = []
        for var document in documents where left > 0 {
            document.tokens = Array(document.tokens.prefix(left))
            left -= document.tokens.count
            kept.append(document)
        }
        return kept
    }

    private func shard(of documents: [Document]) throws -> [Document] {
        guard let shard = dump.shard else { return documents }
        let range = try shard.chosen(of: documents.count)
        return Array(documents[range])
    }

    private func header(
        _ loaded: LoadedModel, _ plan: LayerPlan, _ documents: [Document]
    ) throws -> DumpHeader {
        var hash = SHA256()
        for document in documents { hash.update(Self.hash(document).utf8) }
        let record = DataRecord(
            path: data.data ?? DefaultText.name, documents: documents.count,
            tokens: documents.reduce(0) { $0 + $1.tokens.count },
            sequenceLength: data.sequenceLength(of: loaded), bos: data.bos.rawValue)
        var described = record.json.objectValue ?? [:]
        described["sha256"] = .string(hash.hexadecimal())
        var settings: JSON.Object = [
            "sites": .array(dump.sites.map { .string($0.rawValue) }),
            "layers": dump.layers.map { .array($0.sorted().map { .number($0) }) } ?? .null,
            "positions": .string(dump.positions.description),
            "dtype": .string(dump.dtype.rawValue),
            "compression": .string(dump.compressionText),
            "precision": .string(model.arithmetic.rawValue),
            "plan": .array(plan.steps.map { .number($0.layer) }),
        ]
        if dump.moments { settings["moments"] = true }
        return DumpHeader(
            model: try loaded.record(hashed: false).json, tokenizer: try loaded.tokenizerHash(),
            data: .object(described), createdBy: Product.createdBy,
            settings: .object(settings), shard: dump.shard)
    }

    /// What decides the parts' content.
    func command(_ header: DumpHeader, _ layout: DumpLayout?) -> JSON {
        var command = header.settings.objectValue ?? [:]
        command["model"] = header.model
        command["tokenizer_sha256"] = .string(header.tokenizer)
        command["data"] = header.data
        command["created_by"] = .string(header.createdBy)
        command["shard"] = header.shard.map { .string($0.description) } ?? .null
        command["part_rows"] = .number(layout?.partRows)
        command["virtual"] = .bool(dump.virtual)
        command["text"] = .bool(dump.text)
        command["labels"] = .bool(dump.labels)
        return .object(command)
    }

    private func table(
        _ documents: [Document], _ layout: DumpLayout, tokenizer: Tokenizer?,
        labels: [DumpLabels.Task]
    ) throws -> DumpTable {
        var table = DumpTable()
        for (index, document) in documents.enumerated() {
            let rows = layout.offsets[index]..<layout.offsets[index + 1]
            table.offsets.append(Int64(rows.lowerBound))
            table.lengths.append(Int64(rows.count))
            table.sha256.append(Self.hash(document))
            for row in 0..<rows.count {
                let position = layout.positions.position(row, of: document.tokens.count)
                table.ids.append(document.tokens[position])
                table.documents.append(Int32(index))
                table.positions.append(Int32(position))
            }
        }
        if let tokenizer {
            table.texts = documents.map {
                tokenizer.decode(
                    Array($0.tokens.dropFirst($0.addedTokens)), skipSpecialTokens: false)
            }
        }
        table.labels = labels.map { $0.stored(documents, layout) }
        return table
    }

    /// SHA-256 of a document's ids as little-endian 32-bit integers.
    private static func hash(_ document: Document) -> String {
        var hash = SHA256()
        document.tokens.map(\.littleEndian).withUnsafeBytes { hash.update($0) }
        return hash.hexadecimal()
    }
}
