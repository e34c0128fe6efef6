import ArgumentParser
import Scans

extension ScanKind: ExpressibleByArgument {}

/// Kinds of windows as people list them: `skip,loop`.
public struct ScanKindList: ExpressibleByArgument, Equatable, Sendable {
    public var values: [ScanKind]

    public init(values: [ScanKind]) { self.values = values }

    public var defaultValueDescription: String {
        values.map(\.rawValue).joined(separator: ",")
    }

    public init?(argument: String) {
        values = []
        for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
            guard let kind = ScanKind(rawValue: String(part)) else { return nil }
            if !values.contains(kind) { values.append(kind) }
        }
    }
}

/// Windows by their first and last layer: `9-17,3-4,6`.
public struct WindowList: ExpressibleByArgument, Equatable, Sendable {
    public var ranges: [ClosedRange<Int>]

    public init(ranges: [ClosedRange<Int>]) { self.ranges = ranges }

    public init?(argument: String) {
        ranges = []
        for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { text in
                text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(text) : nil
            }
            guard (1...2).contains(ends.count), let first = ends[0],
                let last = ends[ends.count - 1],
                first <= last
            else { return nil }
            ranges.append(first...last)
        }
    }
}

/// A stretch of time as people write it: `90s`, `10min`, `2h`, `1h30min`.
public struct TimeBudget: ExpressibleByArgument, Equatable, Sendable {
    public var seconds: Double

    public init?(argument: String) {
        var rest = argument[...]
        seconds = 0
        repeat {
            let digits = rest.prefix { "0123456789.".contains($0) }
            rest = rest[digits.endIndex...]
            let unit = rest.prefix { $0.isLetter }
            rest = rest[unit.endIndex...]
            let factors = ["s": 1.0, "sec": 1, "m": 60, "min": 60, "h": 3600]
            guard let value = Double(digits), value.isFinite, let factor = factors[String(unit)]
            else { return nil }
            seconds += value * factor
        } while !rest.isEmpty
        guard seconds > 0 else { return nil }
    }
}

/// What `etd-analyze scan` scans.
public struct ScanOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "What is done to a window: skip, loop, half, damped, heun, rk4, listed with commas.",
            discussion: """
                skip: it does not run. loop: it runs k times in a row. half: once, then x ← x + (g(x) - x)/2 \
                for each further iteration. damped: k times x ← x + (g(x) - x)/k. \
                heun, rk4: the same k steps by Heun's or the Runge-Kutta method, at two and four passes \
                a step.
                """, valueName: "kinds"))
    public var kinds = ScanKindList(values: ScanKind.usual)

    @Option(
        help: ArgumentHelp(
            "Lengths of windows, such as 1..6. Default: 1..4, without --windows.",
            valueName: "numbers"))
    public var lengths: NumberList?

    @Option(
        help: ArgumentHelp(
            "k of every kind but skip, such as 2..4.", valueName: "numbers"))
    public var iterations = NumberList(values: [2])

    @Option(
        help: ArgumentHelp(
            "Windows by first and last layer, such as 9-17,3-4, beside those of --lengths.",
            valueName: "windows"))
    public var windows: WindowList?

    @Option(
        help: ArgumentHelp(
            "Also loop this split, such as 7-4*4-5, and what it must beat.",
            discussion: """
                Rivals are the same block as far before and behind it as it is long, one wide block in the middle \
                that runs twice and costs as many layers, and the whole stack twice. No race drops them, and \
                they go to confirmation.
                """, valueName: "split"))
    public var rivals: String?

    @Option(
        help: ArgumentHelp(
            "Items with options, a line of JSON each.",
            discussion: """
                {"context", "options": […], "gold"} or, without a tokenizer, {"context_tokens", \
                "options_tokens": [[…]], "gold"}; gold is the right option's index. Items with the same \
                "group" stay together when items are divided; "task" names what --gate judges together. \
                OLMES request files and lm-evaluation-harness's samples are read too.
                """, valueName: "file"))
    public var items: String?

    @Option(
        help: ArgumentHelp(
            "Items of the project's own tasks, separated by commas, beside or in place of --items.",
            discussion: """
                NAME or NAME:DIFFICULTY of `etd-analyze tasks`, knowledge, or all. A task without a \
                difficulty comes at the level that the gate finds; tasks that the model does not do are \
                listed and left out.
                """, valueName: "task,…"))
    public var itemTasks: String?

    @Option(help: ArgumentHelp("Items of each task of --item-tasks.", valueName: "n"))
    public var itemCount = 200

    @Flag(
        help: """
            Also put the items of --items through the gate, task by task: those that the model does not do \
            are left out.
            """)
    public var gate = false

    @Option(
        help: ArgumentHelp(
            "Stop after this time, such as 90s, 10min or 1h30min.",
            discussion: """
                What was reached is written, and the same command goes on from there.
                """, valueName: "time"))
    public var budget: TimeBudget?

    @Flag(
        inversion: .prefixedNo,
        help: """
            Windows that are clearly behind see only the first items, and the best go to items that no \
            other window has seen; --no-racing: every window sees every item.
            """)
    public var racing = true

    @Option(
        help: ArgumentHelp(
            "Passes up to which each looped window's states are followed on the text; 0: not at all.",
            discussion:
                "How far each pass moves the state, and whether it goes on in the same direction.",
            valueName: "k"))
    public var dynamics = 4

    @Option(help: ArgumentHelp("Divides the items for the race.", valueName: "n"))
    public var seed: UInt64 = 0

    public init() {}
}
