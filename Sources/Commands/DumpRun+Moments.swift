import Activations
import Analysis
import Corpus
import Files
import Foundation
import ModelStore
import Models
import Plans
import Reporting

// `dump --moments`: sums instead of activations. They add up exactly and in any order, so a killed run
// goes on from the last sums it saved, and shards merge to the bytes of one run.

extension DumpRun {
    func runMoments(
        _ loaded: LoadedModel, _ plan: LayerPlan, _ header: DumpHeader, _ documents: [Document]
    ) throws -> Summary {
        let layout = DumpLayout(
            sites: DumpLayout.sites(
                dump.sites, plan: plan, layers: dump.layers,
                configuration: loaded.model.configuration),
            encoding: .float32, deflate: nil, positions: .all,
            heads: loaded.model.configuration.headCount, lengths: documents.map(\.tokens.count),
            partBytes: 0)
        let target = try DumpTarget(path: out, command: command(header, nil), overwrite: overwrite)
        let state = try MomentsState(layout, plan, target)
        var kept = 0
        if try !target.endEarlierRun(keepParts: false) {
            kept = min(documents.count, try state.restore())
            do {
                try sum(loaded, plan, documents, state, from: kept)
                try target.complete(keepParts: false) { file throws(ActivationError) in
                    try header.write(to: file.root)
                    try state.write(to: file.root, deflate: header.deflate)
                    try file.root.set("complete", 1)
                }
            } catch {
                let isHopeless = error is AnalysisError
                if isHopeless || !state.hasSaved { try target.discard() }
                if isHopeless {
                    throw CommandError.pass(
                        path: loaded.checkpoint.path, problem: "\(error)")
                }
                throw error
            }
        }
        let size = try FileManager.default.attributesOfItem(atPath: out)[.size] as? Int
        return Summary(
            documents: documents.count,
            rows: documents.reduce(0) { $0 + $1.tokens.count - $1.addedTokens }, bytes: size ?? 0,
            kept: kept)
    }

    private func sum(
        _ loaded: LoadedModel, _ plan: LayerPlan, _ documents: [Document], _ state: MomentsState,
        from first: Int
    ) throws {
        let left = documents[first...]
        guard !left.isEmpty else { return }
        let progress = ProgressReporter(
            label: "summing", total: left.reduce(0) { $0 + $1.tokens.count }, unit: "tokens",
            quiet: quiet)
        do {
            let loop = try DocumentLoop(
                model: loaded.model, plan: plan, longest: left.map(\.tokens.count).max() ?? 1,
                taps: [state.tap])
            for (index, document) in zip(left.indices, left) {
                try loop.run(document, index: index) { positions, _ in
                    progress.advance(by: positions.count)
                }
                if index + 1 < documents.count {
                    try state.saveIfDue(documents: index + 1, always: dump.partSize == 0)
                }
            }
            try loop.finish()
        } catch {
            progress.abandon()
            if let error = error as? ModelError {
                throw CommandError.pass(path: loaded.checkpoint.path, problem: error.description)
            }
            throw error
        }
        progress.finish()
    }
}

/// The sums of a run, and where they are saved while it runs.
private final class MomentsState {
    let tap: MomentsTap
    private let sites: [MomentsFile.Site]
    /// Where the tap keeps each row of each site.
    private var places: [DumpLayout.Target: StatePlace] = [:]
    private let target: DumpTarget
    private(set) var hasSaved = false
    /// Saving takes at most a twentieth of the time: seconds from the end of one to the next.
    private var interval = 30.0
    private var clock = Stopwatch()

    private var path: String { target.file(DumpTarget.momentsName) }

    init(_ layout: DumpLayout, _ plan: LayerPlan, _ target: DumpTarget) throws {
        self.target = target
        sites = layout.sites.map {
            MomentsFile.Site(name: $0.name, layers: $0.layers, width: $0.width)
        }
        for (place, row) in layout.targets(plan) {
            places[row] = place
        }
        let wanted = Set(places.values)
        tap = MomentsTap(sites: Set(layout.sites.map(\.site))) { wanted.contains($0) }
    }

    func write(
        to root: HDF5Group, deflate: Int?, exactOnly: Bool = false
    ) throws(ActivationError) {
        try MomentsFile.write(sites, to: root, deflate: deflate, exactOnly: exactOnly) {
            (site, row) throws(ActivationError) in
            places[DumpLayout.Target(set: site, row: row)].flatMap { tap.moments[$0] }
        }
    }

    func saveIfDue(documents: Int, always: Bool) throws {
        guard always || clock.seconds >= interval else { return }
        // Never sums that have become worthless.
        try tap.check()
        clock = Stopwatch()
        let temporary = try DumpTarget.temporary(path)
        let file = try HDF5File.create(temporary.path)
        try file.root.set("command", target.signature)
        try file.root.set("documents", Int64(documents))
        try write(to: file.root, deflate: nil, exactOnly: true)
        try file.root.set("complete", 1)
        try DumpTarget.seal(file, temporary, replacing: true)
        hasSaved = true
        interval = max(30, 20 * clock.seconds)
        clock = Stopwatch()
    }

    /// Takes up what an earlier run of the same command has saved.
    /// - Returns: how many documents are summed already.
    func restore() throws -> Int {
        guard Paths.kind(path) != .missing else { return 0 }
        let file = try HDF5File.open(path)
        let saved = try MomentsFile(file.root)
        guard try file.root.integer("complete") == 1,
            try file.root.text("command") == target.signature,
            saved.sites.sorted(by: { $0.name < $1.name })
                == sites.sorted(by: { $0.name < $1.name })
        else {
            throw ActivationError.invalid(
                path: path,
                problem: "is not this dump's state; remove it, and the same command starts anew")
        }
        var found: [StatePlace: Moments] = [:]
        for (row, place) in places {
            let site = sites[row.set]
            let moments = try saved.moments(site, row: row.row)
            if moments.count > 0 { found[place] = moments }
        }
        tap.restore(found)
        hasSaved = true
        return max(0, try file.root.integer("documents"))
    }
}
