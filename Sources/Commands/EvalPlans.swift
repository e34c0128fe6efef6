import ArgumentParser
import Evaluation
import Files
import ModelStore
import Models
import Plans
import Records
import Scans
import Selection

/// One depth that `etd eval` asks its questions at.
struct EvalPlan {
    var split: Split?
    /// 1 for the base model.
    var iterations: Int
    var plan: LayerPlan
    /// Where its tokens think on their own account or in damped steps.
    var chosen: ChosenThinking?

    /// `base`, or such as `9-9*2-12`: also the name of its folder.
    var notation: String {
        chosen?.notation ?? (iterations > 1 ? plan.notation : "base")
    }

    /// Every split at every number of iterations, each plan once; one iteration is the base model whatever
    /// the split.
    /// - Parameters:
    ///   - iterations: nil takes what each split says itself.
    ///   - think: `--adaptive` or `--damped`, a depth more of each split.
    ///   - rivals: whether each loop is joined by what it must beat (`ScanWindow.rivals`).
    /// - Throws: what `SplitSource` throws, `ValidationError` for a split without any k.
    static func all(
        splits: [String], iterations: [Int]?, think: ThinkOptions, rivals: Bool,
        alternative: Int?,
        allowMismatch: Bool, for loaded: LoadedModel
    ) throws -> [EvalPlan] {
        let layers = loaded.model.configuration.layerCount
        var plans: [EvalPlan] = []
        func add(_ plan: EvalPlan) {
            if !plans.contains(where: { $0.notation == plan.notation }) { plans.append(plan) }
        }
        if splits.isEmpty {
            add(EvalPlan(split: nil, iterations: 1, plan: .identity(layers: layers)))
        }
        for argument in splits {
            let (split, written) = try SplitSource.resolve(
                argument: argument, alternative: alternative, layers: layers,
                fingerprint: loaded.checkpoint.fingerprint, allowMismatch: allowMismatch)
            let isNotation = (try? SplitNotation(argument)) != nil
            if let iterations, let written, isNotation, iterations != [written] {
                throw CommandError.flag(
                    name: "--iterations",
                    problem: "--split \(argument) already says \(written); give one of them")
            }
            let fixed = iterations ?? written.map { [$0] }
            guard let counts = fixed ?? (think.isGiven ? [1] : nil) else {
                throw ValidationError(
                    "--split \(argument) says nothing of iterations: give --iterations, or write "
                        + "\(split.encoder)-\(split.think)*2-\(split.decoder)")
            }
            for count in counts {
                add(
                    EvalPlan(
                        split: count > 1 ? split : nil, iterations: count,
                        plan: try .split(
                            encoder: split.encoder, think: split.think, decoder: split.decoder,
                            iterations: count, layers: layers)))
            }
            var options = SplitOptions()
            options.split = argument
            options.alternative = alternative
            options.allowMismatch = allowMismatch
            if let chosen = try think.chosen(split, written: written, options, for: loaded) {
                add(
                    EvalPlan(
                        split: split, iterations: chosen.thinking.passes,
                        plan: chosen.thinking.plan, chosen: chosen))
            }
        }
        guard rivals else { return plans }
        for plan in plans {
            guard let split = plan.split, plan.chosen == nil else { continue }
            for window in try ScanWindow.rivals(
                of: split, iterations: plan.iterations, layers: layers)
            {
                let iterations = window.iterations ?? 1
                let rival = Split(
                    encoder: window.start, think: window.length,
                    decoder: layers - window.start - window.length)
                add(
                    EvalPlan(
                        split: rival, iterations: iterations,
                        plan: try rival.plan(iterations: iterations)))
            }
        }
        return plans
    }
}

extension EvalPlan {
    /// All that decides how it runs.
    var key: String {
        guard let chosen else { return notation }
        return "\(notation) \(chosen.json.key) \(chosen.json.value.text(indent: 0))"
    }

    /// What each split's fixed depths say together with the model as it is, by the split's notation.
    static func audits(
        _ plans: [EvalPlan], items: [[EvaluatedItem]]
    ) -> [(split: String, audits: [DepthAudit])] {
        let fixed = plans.indices.filter { plans[$0].chosen == nil }
        var splits: [Split] = []
        for split in fixed.compactMap({ plans[$0].split }) where !splits.contains(split) {
            splits.append(split)
        }
        return splits.compactMap { split in
            let own = fixed.filter { plans[$0].split == split || plans[$0].split == nil }
            let audits = DepthAudit.all(own.map { (plans[$0].iterations, items[$0]) })
            return audits.isEmpty ? nil : (split.notation, audits)
        }
    }

    static func json(_ audits: [(split: String, audits: [DepthAudit])]) -> JSON {
        [
            "schema": "etd-depth-audit/v1",
            "splits": .array(
                audits.map { own in
                    [
                        "split": .string(own.split),
                        "tasks": .array(own.audits.map(\.json)),
                    ]
                }),
        ]
    }
}

extension EvaluatedItem {
    /// Passes a token on average over items with tokens, each weighing the same; nil where none says.
    static func meanPasses(_ items: [EvaluatedItem]) -> Double? {
        let values = items.compactMap(\.meanPasses)
        return values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)
    }
}
