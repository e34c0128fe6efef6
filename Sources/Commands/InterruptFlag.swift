import Foundation
import Synchronization

/// Ctrl-C as something to look at between two steps, so that what is finished can be kept. A second one
/// ends the process.
enum InterruptFlag {
    private static let raised = Atomic<Bool>(false)

    static var isRaised: Bool { raised.load(ordering: .relaxed) }

    static func watch() {
        // Made here: a signal handler may not be the first to use it.
        raised.store(false, ordering: .relaxed)
        for number in [SIGINT, SIGTERM] {
            let earlier = signal(number) { number in
                InterruptFlag.raised.store(true, ordering: .relaxed)
                signal(number, SIG_DFL)
            }
            // As under nohup.
            if unsafeBitCast(earlier, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self) {
                signal(number, SIG_IGN)
            }
        }
    }
}
