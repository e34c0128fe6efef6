import Files
import OrderedCollections
import Plans
import Records

extension Verdict {
    public static let method = "verdict"

    /// The split file that says it.
    /// - Parameter cost: of a split.
    public func record(
        _ evidence: SavedEvidence, cost: (Split) -> [SplitRecord.Cost], createdBy: String
    ) -> SplitRecord {
        let view = EvidenceView(evidence)
        let best = train.candidates.first
        let split = train.abstention == nil ? best?.split : nil
        let frozenSplit = frozen.recommended.map { window in
            Split(
                encoder: window.start, think: window.length,
                decoder: evidence.layers - window.start - window.length)
        }
        var record = SplitRecord(
            architecture: evidence.model.architecture, layers: evidence.layers,
            fingerprint: evidence.model.fingerprint, method: Self.method, split: split,
            recommendedIterations: frozenSplit != nil && frozenSplit == split
                ? frozen.recommended?.iterations : nil,
            maximumIterations: split.flatMap(mostIterations),
            confidence: split == nil ? nil : train.confidence,
            abstention: split == nil ? train.abstention : nil,
            alternatives: alternatives(besides: split, view),
            evidence: OrderedDictionary(
                uniqueKeysWithValues: Selector.all.compactMap { selector in
                    selector(view).map { (selector.name, $0) }
                }),
            cost: (split ?? best?.split).map(cost) ?? [], createdBy: createdBy)
        record.verdict = json
        return record
    }

    /// Splits whose cost a reader wants to know: the best candidates, and the recommended window.
    public func priced(layers: Int) -> [Split] {
        var splits = train.candidates.prefix(5).map(\.split)
        if let window = frozen.recommended {
            let own = Split(
                encoder: window.start, think: window.length,
                decoder: layers - window.start - window.length)
            if !splits.contains(own) { splits.append(own) }
        }
        return splits
    }

    /// The greatest k within the overhead; nil where it has no limit.
    private func mostIterations(_ split: Split) -> Int? {
        guard limits.overhead.isFinite else { return nil }
        let more = (limits.overhead - 1) * Double(split.layers) / Double(split.think)
        return 1 + Int(more + 1e-9)
    }

    /// The other candidates; without any, what selectors propose.
    private func alternatives(
        besides split: Split?, _ view: EvidenceView
    ) -> [SplitRecord.Alternative] {
        let others = train.candidates.filter { $0.split != split }.map { candidate in
            SplitRecord.Alternative(
                split: candidate.split,
                scores: candidate.parts.merging(["score": candidate.score]) { $1 })
        }
        if !others.isEmpty { return others }
        var seen: Set<Split> = []
        return Selector.all.compactMap { selector in
            selector.winner(view).flatMap { split in
                split.encoder > 0 && split.decoder > 0 && seen.insert(split).inserted
                    ? SplitRecord.Alternative(split: split, scores: [:]) : nil
            }
        }
    }

    private var json: JSON {
        func counts(_ counts: [Int: Int]) -> JSON {
            .object(
                JSON.Object(
                    uniqueKeysWithValues: counts.sorted { $0.key < $1.key }.map {
                        (String($0.key), JSON.number($0.value))
                    }))
        }
        return [
            "frozen": [
                "recommended": frozen.recommended.map(Self.json) ?? .null,
                "upper_bound": .number(frozen.upperBound), "reason": .string(frozen.reason),
                "confirmed": .array(frozen.confirmed.map(Self.json)),
                "k_curve": .array(frozen.curve.map(Self.json)),
            ],
            "train": [
                "parts": .array(train.parts.map(JSON.string)),
                "confidence": .number(train.confidence), "reason": .text(train.abstention),
                "note": .string("unproven until trained"),
                "candidates": .array(
                    train.candidates.map { candidate in
                        [
                            "notation": .string(candidate.split.notation),
                            "score": .number(candidate.score),
                            "parts": .object(
                                JSON.Object(
                                    uniqueKeysWithValues: candidate.parts.sorted {
                                        $0.key < $1.key
                                    }.map { ($0.key, JSON.number($0.value)) })),
                        ]
                    }),
                "first_layers": counts(train.starts), "last_layers": counts(train.ends),
                "rivals": .array(
                    train.rivals.map { rival in
                        [
                            "kind": .string(rival.kind), "start": .number(rival.start),
                            "length": .number(rival.length),
                            "iterations": .number(rival.iterations),
                            "difference": .number(rival.difference), "low": .number(rival.low),
                            "high": .number(rival.high),
                        ]
                    }),
            ],
            "sweeps": .array(
                sweeps.map { sweep in
                    [
                        "selector": .string(sweep.selector), "setting": .string(sweep.setting),
                        "text": .text(sweep.text), "proposal": .text(sweep.split?.notation),
                    ]
                }),
            "max_overhead": .number(limits.overhead.isFinite ? limits.overhead : nil),
            "max_text_cost": .number(limits.textCost.isFinite ? limits.textCost : nil),
            "front": .array(
                front.map { offer in
                    [
                        "kind": .string(offer.kind), "start": .number(offer.start),
                        "length": .number(offer.length), "iterations": .number(offer.iterations),
                        "overhead": .number(offer.overhead),
                        "margin_delta": .number(offer.change),
                        "confirmed": .bool(offer.isConfirmed),
                    ]
                }),
            "resamples": .number(resamples),
            "stability": .object(
                JSON.Object(
                    uniqueKeysWithValues: stability.map { name, own in
                        (
                            name,
                            [
                                "same": .number(own.same), "within_one_layer": .number(own.near),
                                "first_layers": counts(own.starts),
                                "last_layers": counts(own.ends),
                            ]
                        )
                    })),
            "missing": .object(
                JSON.Object(
                    uniqueKeysWithValues: missing.map { title, needs in
                        (title, .array(needs.map { .string("\($0)") }))
                    })),
        ]
    }

    private static func json(_ window: Confirmed) -> JSON {
        [
            "kind": .string(window.kind), "start": .number(window.start),
            "length": .number(window.length), "iterations": .number(window.iterations),
            "items": .number(window.items), "margin_delta": .number(window.change),
            "low": .number(window.low), "high": .number(window.high),
            "accuracy_delta": .number(window.accuracy?.change),
            "accuracy_low": .number(window.accuracy?.low),
            "accuracy_high": .number(window.accuracy?.high),
            "nll_delta": .number(window.text), "overhead": .number(window.overhead),
        ]
    }
}
