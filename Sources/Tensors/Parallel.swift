import Dispatch
import Foundation
import Synchronization

/// The one owner of parallelism: everything that runs on several cores runs through `forEach`.
///
/// Work is cut into items whose borders depend on shapes and positions only. Which thread takes an item
/// is left to chance; what the item computes is not, so results are the same bytes for every number of
/// threads.
public enum Parallel {
    private static let chosenThreads = Atomic<Int>(0)

    /// How many threads work at once. Defaults to the number of cores the system gives this process.
    public static var threads: Int {
        get {
            let chosen = chosenThreads.load(ordering: .relaxed)
            return chosen > 0 ? chosen : defaultThreads
        }
        set { chosenThreads.store(max(1, newValue), ordering: .relaxed) }
    }

    private static let defaultThreads = max(
        1, ProcessInfo.processInfo.activeProcessorCount)

    /// Calls `body` once for each index in `0..<count`, on up to `threads` threads, and returns when
    /// all calls have. Items are handed out in order, so put large ones first.
    public static func forEach(_ count: Int, _ body: (Int) -> Void) {
        let workers = min(threads, count)
        guard workers > 1 else {
            for index in 0..<count { body(index) }
            return
        }
        let next = Atomic<Int>(0)
        withoutActuallyEscaping(body) { escaping in
            // The closure cannot outlive this call: concurrentPerform returns when all work is done.
            nonisolated(unsafe) let body = escaping
            DispatchQueue.concurrentPerform(iterations: workers) { _ in
                while true {
                    let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
                    if index >= count { return }
                    body(index)
                }
            }
        }
    }
}
