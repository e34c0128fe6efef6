import Activations
import ArgumentParser
import Files
import Foundation
import ModelStore
import Models
import Plans
import Probing

extension ProbeDepth: ExpressibleByArgument {}

/// `--probes` and what is probed.
public struct LinearProbeOptions: ParsableArguments {
    public static let standardExamples = 1000

    @Option(
        help: ArgumentHelp(
            "Linear probes: ridge, full (logistic ones too) or none.",
            discussion: """
                Not part of a run that does not ask for them, since thousands of examples go through \
                the model: any of the --probe options, or probes among --passes, asks for ridge.
                """))
    public var probes: ProbeDepth?

    @Option(
        help: ArgumentHelp(
            "Only these tasks, separated by commas, each NAME or NAME:DIFFICULTY.",
            discussion: """
                Default: all that `etd-analyze tasks` lists; with --probe-data or --probe-dump none. `all` stands for \
                all of them.
                """, valueName: "task,…"),
        transform: ChosenTasks.init)
    public var probeTasks: ChosenTasks?

    @Option(
        help: ArgumentHelp(
            "Examples of each task. Default: 1000.",
            discussion: "Three fifths for fitting, a fifth each for choosing and for testing.",
            valueName: "n"))
    public var probeExamples: Int?

    @Option(
        help: ArgumentHelp(
            "A task of your own: lines with text, label and, optionally, position.",
            discussion: """
                position is the character, from 0, whose token is read; default the last. Also read: \
                item (what the control task labels) and split (train, validation or test). May be \
                given several times.
                """, valueName: "file.jsonl"))
    public var probeData: [String] = []

    @Option(
        help: ArgumentHelp(
            "Tasks whose labels and states stand in a dump of this model: no model runs for them.",
            discussion: """
                Made by `dump --labels` with resid at all boundaries, of the same plan. One task for each \
                of /labels, of at most --probe-examples documents (their last stored position) or labelled \
                tokens. May be given several times.
                """, valueName: "dump.h5"))
    public var probeDump: [String] = []

    @Option(
        help: ArgumentHelp(
            "Seed of tasks, control labels and resamples. Default: 0.", valueName: "n"))
    public var probeSeed: UInt64?

    @Option(
        help: ArgumentHelp(
            "Also write what the probes read into this directory.",
            discussion: """
                For each task NAME.npy, float32 [boundaries, examples, d], and NAME.jsonl, whose lines \
                are the examples in the same order.
                """, valueName: "dir"))
    public var probeFeatures: String?

    public init() {}

    public func validate() throws {
        try OptionRange.check(probeExamples, "--probe-examples", to: OptionRange.examples)
        if probes == ProbeDepth.none, isAskedFor {
            throw ValidationError(
                "--probes none leaves nothing to do for the other --probe options")
        }
    }

    private var isAskedFor: Bool {
        probeTasks != nil || probeExamples != nil || !probeData.isEmpty || !probeDump.isEmpty
            || probeSeed != nil
            || probeFeatures != nil
    }

    /// What to fit, `passes` saying whether the pass was named.
    public func depth(named: Bool) -> ProbeDepth {
        probes ?? (named || isAskedFor ? .ridge : .none)
    }

    public var seed: UInt64 { probeSeed ?? 0 }

    /// The tasks with their examples.
    func tasks() throws -> [ProbeTaskData] {
        let chosen =
            try probeTasks?.tasks
            ?? (probeData.isEmpty && probeDump.isEmpty ? ChosenTasks("all").tasks : [])
        var tasks: [ProbeTaskData] = []
        for (task, difficulty) in chosen {
            tasks.append(
                try .generated(
                    task, difficulty: difficulty, count: probeExamples ?? Self.standardExamples,
                    seed: seed))
        }
        for path in probeData {
            let task = try ProbeDataReader.read(path: path)
            guard !tasks.contains(where: { $0.name == task.name }) else {
                throw CommandError.flag(
                    name: "--probe-data \(path)",
                    problem: "another task is called \(task.name) already; rename the file")
            }
            tasks.append(task)
        }
        return tasks
    }
}

extension LinearProbeOptions {
    /// The tasks of `--probe-dump`.
    /// - Parameter others: the run's other tasks, whose names are taken.
    func storedTasks(
        _ loaded: LoadedModel, _ plan: LayerPlan, besides others: [ProbeTaskData]
    ) throws -> [DumpTask] {
        var names = Set(others.map(\.name))
        var tasks: [DumpTask] = []
        for path in probeDump {
            func wrong(_ problem: String) -> CommandError {
                .flag(name: "--probe-dump \(path)", problem: problem)
            }
            let file = try ActivationFile(path: path)
            let fingerprint = loaded.checkpoint.fingerprint
            guard file.header.fingerprint == fingerprint else {
                throw wrong(
                    "was made with other weights: fingerprint \(file.header.fingerprint), but "
                        + "--model has \(fingerprint)")
            }
            guard file.header.settings["plan"] == .array(plan.steps.map { .number($0.layer) })
            else {
                throw wrong(
                    "was made with another plan of layers; give the --split and --iterations it was "
                        + "made with")
            }
            // Whether every boundary is there shows now, and not after other tasks have run.
            for place in plan.places(.resid) {
                let stored = file.sites.first { $0.name == place.dataSet }
                guard stored?.layers.contains(place.number) == true else {
                    throw wrong(
                        "lacks boundary \(place.number) of \(place.dataSet); dump resid without "
                            + "--layers")
                }
            }
            for task in try DumpTask.read(file, most: probeExamples ?? Self.standardExamples) {
                guard names.insert(task.data.name).inserted else {
                    throw wrong("another task is called \(task.data.name) already")
                }
                tasks.append(task)
            }
        }
        return tasks
    }
}

/// The value of `--probe-tasks`.
public struct ChosenTasks: Sendable {
    public let tasks: [(task: GeneratedTask, difficulty: Int)]

    @Sendable public init(_ text: String) throws { try self.init(text, argument: "--probe-tasks") }

    /// - Parameter argument: what the text was given as, for the error.
    /// - Throws: `ValidationError`, which names the nearest task for a wrong name.
    public init(_ text: String, argument: String) throws {
        if text == "all" {
            tasks = ProbeTasks.all.map { ($0, $0.difficulty.standard) }
            return
        }
        do {
            tasks = try ProbeTasks.parse(text)
        } catch {
            throw ValidationError("\(argument): \(error.description)")
        }
    }
}

/// The files of `--probe-features`.
enum FeatureFiles {
    static func prepare(_ directory: String) throws {
        do {
            try FileManager.default.createDirectory(
                atPath: Output.resolved(directory), withIntermediateDirectories: true)
        } catch let error as FileError {
            throw error
        } catch {
            throw FileError.system(
                path: "--probe-features \(directory)", operation: "create the directory",
                reason: Terminal.reason(error))
        }
    }

    /// The features and the examples of a task.
    static func outputs(
        _ task: String, in directory: String, overwrite: Bool
    ) throws(FileError) -> (features: Output, examples: Output) {
        (
            try Output("\(directory)/\(task).npy", overwrite: overwrite),
            try Output("\(directory)/\(task).jsonl", overwrite: overwrite)
        )
    }

    static func write(
        _ task: ProbeTaskData, _ store: FeatureStore, to directory: String, overwrite: Bool
    ) throws {
        let (features, examples) = try outputs(task.name, in: directory, overwrite: overwrite)
        let shape = "(\(store.boundaries), \(store.rows), \(store.width))"
        var header = "{'descr': '<f4', 'fortran_order': False, 'shape': \(shape), }"
        // NumPy's format 1.0: magic, version and header length make ten bytes; all is a multiple of 64.
        header += String(repeating: " ", count: 63 - (10 + header.utf8.count) % 64) + "\n"
        let length = UInt16(header.utf8.count)
        var start: [UInt8] = [0x93] + Array("NUMPY".utf8) + [1, 0]
        start += [UInt8(length & 0xFF), UInt8(length >> 8)] + Array(header.utf8)
        try start.withUnsafeBytes {
            try features.write(parts: [$0, UnsafeRawBufferPointer(store.values)])
        }
        try examples.write(task.examples.map { $0.json.text(indent: 0) + "\n" }.joined().utf8)
    }
}
