import Files
import Plans
import Records

extension Selector {
    /// The window whose naive repetition helps the search items most.
    static let loops = loops(
        name: "loops", title: "Loop scan", kinds: ["loop"],
        explanation:
            "Mean change of the search items' margin when the window runs k times in a row; the "
            + "greatest of those that stay in the race. Harsh on frozen models.",
        source: .etd)

    /// The same with half and damped repetitions.
    static let gentleLoops = loops(
        name: "gentle_loops", title: "Half and damped loops", kinds: ["half", "damped"],
        explanation: "The same when the window moves the state half-way or by Euler sub-steps.",
        source: .arxiv("damped looping (2026)", "2605.23872"))

    private static func loops(
        name: String, title: String, kinds: Set<String>, explanation: String, source: Citation
    ) -> Selector {
        @Sendable func ranked(_ view: EvidenceView) -> [(SavedEvidence.Window, Double)] {
            kinds.sorted().flatMap { view.raced($0) }.filter(\.stays).map { ($0.window, $0.change) }
                .sorted { $0.1 > $1.1 }
        }
        return Selector(
            name: name, title: title, explanation: explanation,
            reads: kinds.sorted().map { .scans($0) },
            predicts: "other items of the same tasks, weakly: the best of many flatters",
            source: source,
            split: { view in
                ranked(view).first.map { Windows(layers: view.layers).split($0.0.layers) }
            },
            values: { view in
                .array(
                    ranked(view).prefix(5).map { window, change in
                        [
                            "kind": .string(window.kind), "start": .number(window.start),
                            "length": .number(window.length),
                            "iterations": .number(window.iterations),
                            "margin_delta": .number(change),
                            "margin_delta_confirm": .number(
                                view.marginChange(window, confirmation: true)),
                            "nll_delta": .number(view.textChange(window)),
                        ]
                    })
            })
    }

    /// The window whose passes settle: each moves the state less than the one before.
    static let dynamics = Selector(
        name: "dynamics", title: "Loop dynamics",
        explanation: """
            ‖T^K h - T^(K-1) h‖ / ‖T h - h‖ for the last pass K that was followed; the window for which it lies \
            furthest below those of its length.
            """,
        reads: [.dynamics], predicts: "stability under looping; not gain", source: .etd,
        split: { view in split(settling(view), view) },
        values: { view in
            [
                "z": .number(settling(view)?.z),
                "windows": .array(
                    view.evidence.dynamics.map { window in
                        [
                            "start": .number(window.start), "length": .number(window.length),
                            "ratio": .number(ratio(window)),
                        ]
                    }),
            ]
        })

    private static func ratio(_ window: SavedEvidence.Dynamics) -> Double? {
        guard let first = window.change.first, let last = window.change.last, first > 0,
            last.isFinite, window.change.count > 1
        else { return nil }
        return last / first
    }

    private static func settling(_ view: EvidenceView) -> (window: Range<Int>, z: Double)? {
        let known = Dictionary(
            view.evidence.dynamics.compactMap { window in
                ratio(window).map { (window.start..<window.start + window.length, $0) }
            }
        ) { first, _ in first }
        return Windows(layers: view.layers).standout { known[$0].map { -$0 } }
    }
}
