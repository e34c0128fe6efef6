import Files
import Foundation
import Synchronization

/// Where progress is written. Standard error in the product; tests put a list in its place.
public struct ProgressOutput: Sendable {
    public var isTerminal: Bool
    /// Columns, asked for at every redraw since windows change size.
    public var width: @Sendable () -> Int
    public var write: @Sendable (String) -> Void

    public init(
        isTerminal: Bool, width: @escaping @Sendable () -> Int,
        write: @escaping @Sendable (String) -> Void
    ) {
        self.isTerminal = isTerminal
        self.width = width
        self.write = write
    }

    public static let standardError = ProgressOutput(
        isTerminal: isatty(STDERR_FILENO) == 1
            && ProcessInfo.processInfo.environment["TERM"] != "dumb",
        width: { TerminalStyle.width(descriptor: STDERR_FILENO) },
        write: { text in
            // Progress that cannot be written is not worth stopping the work for.
            try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
        })
}

/// Tells a waiting person how far a long job is: on a terminal one line, redrawn at most ten times a
/// second; elsewhere a plain line now and then; nothing when quiet.
///
/// Safe to call from several threads at once.
public final class ProgressReporter: Sendable {
    private struct State {
        var total: Int
        var done = 0
        /// Done before this job began: counts for the bar, not for the rate.
        var skipped = 0
        var pace = Pace()
        /// Stands at the line's end.
        var note = ""
        /// Time and amount of the last line written; nil before the first.
        var shown: (time: Double, done: Int)?
        var isFinished = false
    }

    private let label: String
    private let unit: String
    private let output: ProgressOutput?
    private let now: @Sendable () -> Double
    private let start: Double
    private let state: Mutex<State>

    /// Seconds between redraws on a terminal.
    static let redrawInterval = 0.1
    /// Without a terminal: a line after this many seconds, if a tenth more is done…
    static let lineInterval = 10.0
    /// … or after this many, whatever is done: long jobs should not look dead.
    static let longLineInterval = 60.0

    /// - Parameters:
    ///   - total: How many units the job has; 0 when unknown, then there is no bar and no ETA.
    ///   - unit: In the plural, such as `tokens`.
    ///   - now: Seconds on a clock that never goes back.
    public init(
        label: String, total: Int, unit: String, quiet: Bool,
        output: ProgressOutput = .standardError,
        now: @escaping @Sendable () -> Double = { ProcessInfo.processInfo.systemUptime }
    ) {
        self.label = TerminalText.visible(label)
        state = Mutex(State(total: max(0, total)))
        self.unit = unit
        self.output = quiet ? nil : output
        self.now = now
        start = now()
    }

    /// Says that `count` units were done by an earlier run.
    public func skip(_ count: Int) {
        state.withLock { state in
            state.done += max(0, count)
            state.skipped += max(0, count)
        }
    }

    /// Says that there are `count` more units than was known; fewer where negative.
    public func plan(_ count: Int) {
        state.withLock { $0.total = max(0, $0.total + count) }
    }

    /// Adds `count` finished units. After `finish` it does nothing.
    /// - Parameter note: a few words to show beside the numbers from now on; nil leaves them.
    public func advance(by count: Int, note: String? = nil) {
        guard let output else { return }
        // Written while locked: lines of two threads must not mix, nor an old one follow a new one.
        state.withLock { state in
            guard !state.isFinished else { return }
            state.done += max(0, count)
            if let note { state.note = TerminalText.visible(note) }
            let time = now()
            state.pace.add(max(0, count), at: time - start)
            let last = state.shown ?? (time: start, done: state.skipped)
            let waited = time - last.time
            if output.isTerminal {
                guard state.shown == nil || waited >= Self.redrawInterval else { return }
                output.write("\r" + line(state, time).bar(width: output.width()) + "\u{1B}[K")
            } else {
                let tenth = (state.done - last.done) * 10 >= max(1, state.total)
                guard
                    waited >= Self.longLineInterval || waited >= Self.lineInterval && tenth
                else { return }
                output.write(line(state, time).plain + "\n")
            }
            state.shown = (time, state.done)
        }
    }

    /// Writes the closing line, with the whole time. Only the first call does anything.
    public func finish() {
        guard let output else { return }
        state.withLock { state in
            guard !state.isFinished else { return }
            state.isFinished = true
            let text = line(state, now()).closing
            output.write(output.isTerminal ? "\r\(text)\u{1B}[K\n" : text + "\n")
        }
    }

    /// Ends it without a closing line, for a job that failed: what is left to say is why. Takes a bar
    /// off the terminal.
    public func abandon() {
        guard let output else { return }
        state.withLock { state in
            guard !state.isFinished else { return }
            state.isFinished = true
            if output.isTerminal, state.shown != nil { output.write("\r\u{1B}[K") }
        }
    }

    private func line(_ state: State, _ time: Double) -> ProgressLine {
        var line = ProgressLine(
            label: label, done: state.done, total: state.total, unit: unit, elapsed: time - start)
        line.skipped = state.skipped
        line.pace = state.pace.rate
        line.note = state.note
        return line
    }
}

/// How fast a job goes of late: sums of units and of seconds that forget alike, with a time constant of a
/// minute or a fifth of the job so far, whichever is longer. At a constant speed it is that speed; when
/// other work has taken part of the machine for a while, an estimate by it recovers, where the mean of
/// the whole job does not.
struct Pace {
    private var units = 0.0
    private var seconds = 0.0
    private var last = 0.0

    /// - Parameter elapsed: Seconds since the job began.
    mutating func add(_ count: Int, at elapsed: Double) {
        let step = max(0, elapsed - last)
        let kept = exp(-step / max(60, elapsed / 5))
        units = units * kept + Double(count)
        seconds = seconds * kept + step
        last = max(last, elapsed)
    }

    /// Units a second; nil before anything can be said.
    var rate: Double? { units > 0 && seconds > 0.05 ? units / seconds : nil }
}

/// The text of one moment of a job. Knows no terminal.
package struct ProgressLine: Sendable {
    package var label: String
    package var done: Int
    /// 0 when unknown.
    package var total: Int
    package var unit: String
    /// Seconds.
    package var elapsed: Double
    /// Units among `done` that took none of that time.
    package var skipped = 0
    /// Units a second of late, by which the time left is reckoned; nil: the mean rate.
    package var pace: Double?
    package var note = ""

    package init(label: String, done: Int, total: Int, unit: String, elapsed: Double) {
        self.label = label
        self.done = done
        self.total = total
        self.unit = unit
        self.elapsed = max(0, elapsed)
    }

    package var fraction: Double? {
        total > 0 ? min(1, Double(done) / Double(total)) : nil
    }

    /// Mean units a second; nil before anything can be said.
    package var rate: Double? {
        done > skipped && elapsed > 0.05 ? Double(done - skipped) / elapsed : nil
    }

    /// Seconds left at the pace of late.
    package var remaining: Double? {
        guard total > 0, let rate = pace ?? rate else { return nil }
        return Double(max(0, total - done)) / rate
    }

    /// `probe ━━━━━━━───  68 %  4,178/6,144 tokens  32.8 tokens/s  2:07  ETA 1:00`, at most
    /// `width` - 1 columns: the bar shrinks first, then parts fall off the end.
    package func bar(width: Int) -> String {
        let room = max(1, width - 1)
        let amount = NumberText.grouped(done) + (total > 0 ? "/\(NumberText.grouped(total))" : "")
        var parts = fraction.map { ["\(Int(nearest: $0 * 100)) %"] } ?? []
        parts.append("\(amount) \(unit)")
        if let rate = pace ?? rate {
            parts.append("\(NumberText.significant(rate, digits: 3)) \(unit)/s")
        }
        parts.append(Self.clock(elapsed))
        if let remaining { parts.append("ETA \(Self.clock(remaining))") }
        if !note.isEmpty { parts.insert(note, at: parts.count > 1 ? 2 : 1) }
        let numbers = parts.joined(separator: "  ")
        let space = room - TerminalText.width(label) - TerminalText.width(numbers) - 3
        var line = label + " "
        if let fraction, space >= 5 {
            let length = min(30, space)
            let filled = Int(nearest: fraction * Double(length))
            line += String(repeating: "━", count: filled)
            line += String(repeating: "─", count: length - filled) + "  "
        }
        return TerminalText.truncated(line + numbers, to: room)
    }

    /// A line for a log file.
    package var plain: String {
        let share = fraction.map { " (\(Int(nearest: $0 * 100)) %)" } ?? ""
        let of = total > 0 ? " of \(NumberText.grouped(total))" : ""
        let left = remaining.map { ", \(NumberText.duration($0)) left" } ?? ""
        return "\(label): \(NumberText.grouped(done))\(of) \(unit)\(share), "
            + NumberText.duration(elapsed) + left + (note.isEmpty ? "" : ", \(note)")
    }

    package var closing: String {
        let speed = rate.map { " (\(NumberText.significant($0, digits: 3)) \(unit)/s)" } ?? ""
        return
            "\(label): \(NumberText.grouped(done - skipped)) \(unit) in "
            + NumberText.duration(elapsed) + speed + (note.isEmpty ? "" : ", \(note)")
    }

    /// `0:07`, `12:40`, `3:05:00`.
    static func clock(_ seconds: Double) -> String {
        let whole = Int(nearest: min(max(0, seconds), 1e12).rounded())
        return whole < 3600
            ? String(format: "%d:%02d", whole / 60, whole % 60)
            : String(format: "%d:%02d:%02d", whole / 3600, whole / 60 % 60, whole % 60)
    }
}
