import CKernels
import Dispatch
import Foundation
import Synchronization

/// Threads that wait for work: each spins for some microseconds, so that a loop of short products need not
/// wake it every time, and then sleeps, so that a shared machine does not stall.
///
/// One job at a time. A job is over when its items are taken and those who took them have finished: a
/// worker that wakes too late finds the job closed, and nobody waits for it.
final class WorkerPool: Sendable {
    static let shared = WorkerPool()

    /// Looks at a condition that takes about 50 µs together, on CPUs whose pause takes 140 cycles.
    private static let spins = 1000

    /// The job's state in one word: the number of workers inside, whether others may enter, whether the
    /// caller sleeps until all have left, and above these which job it is.
    private enum State {
        static let open: UInt64 = 1 << 16
        static let waiting: UInt64 = 1 << 17
        static let job: UInt64 = 1 << 32

        static func inside(_ state: UInt64) -> UInt64 { state & 0xFFFF }
    }

    private struct Job {
        let body: UnsafePointer<(Int) -> Void>
        let count: Int
        /// The most workers that may enter.
        let workers: UInt64
    }

    private let busy = Atomic<Bool>(false)
    private let state = Atomic<UInt64>(0)
    private let next = Atomic<Int>(0)
    private let sleepers = Atomic<Int>(0)
    private let wakes = DispatchSemaphore(value: 0)
    private let left = DispatchSemaphore(value: 0)
    /// Written by the caller alone, while `busy` is its own and before the job opens.
    nonisolated(unsafe) private var job: Job?
    nonisolated(unsafe) private var started = 0

    /// Calls `body` for each index in `0..<count` on this thread and up to `workers` others. Returns false,
    /// and has called nothing, where another job runs: this one is inside it, or another thread's.
    func run(_ count: Int, workers: Int, _ body: (Int) -> Void) -> Bool {
        guard
            busy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
        else { return false }
        defer { busy.store(false, ordering: .releasing) }
        while started < min(workers, 0xFFFF) { start() }
        withoutActuallyEscaping(body) { body in
            withUnsafePointer(to: body) { body in
                job = Job(body: body, count: count, workers: UInt64(workers))
                next.store(0, ordering: .relaxed)
                // Nobody is inside between jobs, so nobody else writes the state.
                let number = state.load(ordering: .relaxed) / State.job &+ 1
                state.store(number &* State.job | State.open, ordering: .sequentiallyConsistent)
                for _ in 0..<min(workers, sleepers.load(ordering: .sequentiallyConsistent)) {
                    wakes.signal()
                }
                takeItems(body, count)
                close()
            }
        }
        return true
    }

    private func takeItems(_ body: UnsafePointer<(Int) -> Void>, _ count: Int) {
        while true {
            let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
            if index >= count { return }
            body.pointee(index)
        }
    }

    /// Lets nobody enter any more, and returns when all have left.
    private func close() {
        var now = state.bitwiseXor(State.open, ordering: .acquiringAndReleasing).newValue
        for _ in 0..<Self.spins where State.inside(now) > 0 {
            pause()
            now = state.load(ordering: .acquiring)
        }
        guard State.inside(now) > 0 else { return }
        now = state.bitwiseOr(State.waiting, ordering: .acquiringAndReleasing).oldValue
        if State.inside(now) > 0 { left.wait() }
    }

    private func start() {
        started += 1
        let thread = Thread { [self] in
            var last: UInt64 = 0
            while true {
                last = nextJob(after: last)
                guard let job = enter(last) else { continue }
                takeItems(job.body, job.count)
                let before = state.wrappingSubtract(1, ordering: .acquiringAndReleasing).oldValue
                if State.inside(before) == 1, before & State.waiting != 0 { left.signal() }
            }
        }
        thread.name = "etd worker"
        thread.stackSize = 8 << 20
        thread.start()
    }

    /// The number of a job that is open and not `last`.
    private func nextJob(after last: UInt64) -> UInt64 {
        func found() -> UInt64? {
            let now = state.load(ordering: .sequentiallyConsistent)
            return now & State.open != 0 && now / State.job != last ? now / State.job : nil
        }
        while true {
            for _ in 0..<Self.spins {
                if let number = found() { return number }
                pause()
            }
            // Counted before it looks again: who opens a job after that look sees the count.
            sleepers.wrappingAdd(1, ordering: .sequentiallyConsistent)
            let number = found()
            if number == nil { wakes.wait() }
            sleepers.wrappingSubtract(1, ordering: .sequentiallyConsistent)
            if let number { return number }
        }
    }

    /// Joins job `number` if it is still open and has room.
    private func enter(_ number: UInt64) -> Job? {
        var now = state.load(ordering: .acquiring)
        while now & State.open != 0, now / State.job == number {
            // Whoever reads the job while it is open reads this one: it is written before it opens, and the
            // exchange fails if it was closed in between.
            guard let job, State.inside(now) < job.workers else { return nil }
            let (exchanged, original) = state.weakCompareExchange(
                expected: now, desired: now + 1, ordering: .acquiringAndReleasing)
            if exchanged { return job }
            now = original
        }
        return nil
    }

    private func pause() { etd_pause() }
}
