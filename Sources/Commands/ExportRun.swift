import Export
import Files
import Reporting

/// `etd export` from options to files.
public struct ExportRun {
    var model: String
    var split: SplitOptions
    var format: ExportFormat
    var out: String
    var overwrite: Bool
    var quiet: Bool

    public init(
        model: String, split: SplitOptions, format: ExportFormat, out: String, overwrite: Bool,
        quiet: Bool
    ) {
        self.model = model
        self.split = split
        self.format = format
        self.out = out
        self.overwrite = overwrite
        self.quiet = quiet
    }

    public func run() throws {
        // Loading is total: what cannot run here is not handed on.
        let loaded = try ModelOptions.source(model).open(roundsMerged: true) { [quiet] in
            if !quiet { Terminal.note($0) }
        }
        guard let (split, iterations) = try split.chosen(for: loaded) else {
            throw CommandError.flag(name: "--split", problem: "is missing")
        }
        let job = try ExportJob(
            checkpoint: loaded.checkpoint, configuration: loaded.model.configuration, split: split,
            iterations: iterations, createdBy: Product.createdBy)
        var progress: ProgressReporter?
        do {
            // In whole MiB, which people can read.
            var bytes = 0
            try format.export(job, to: out, overwrite: overwrite) { written, total in
                if progress == nil {
                    progress = ProgressReporter(
                        label: "writing", total: (total >> 20) + 1, unit: "MiB", quiet: quiet)
                }
                let before = bytes >> 20
                bytes += written
                progress?.advance(by: (bytes >> 20) - before)
            }
        } catch {
            progress?.abandon()
            throw error
        }
        progress?.finish()
        guard !quiet else { return }
        let layers = "\(job.configuration.layerCount) layers, \(job.plan.steps.count) executed"
        Terminal.note("\(out): \(format.name) of \(job.notation), \(layers)")
    }
}
