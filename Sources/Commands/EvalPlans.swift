import ArgumentParser
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

    /// `base`, or such as `9-9*2-12`: also the name of its folder.
    var notation: String {
        iterations > 1 ? plan.notation : "base"
    }

    /// Every split at every number of iterations, each plan once; one iteration is the base model whatever
    /// the split.
    /// - Parameters:
    ///   - iterations: nil takes what each split says itself.
    ///   - rivals: whether each loop is joined by what it must beat (`ScanWindow.rivals`).
    /// - Throws: what `SplitSource` throws, `ValidationError` for a split without any k.
    static func all(
        splits: [String], iterations: [Int]?, rivals: Bool, alternative: Int?,
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
            guard let counts = iterations ?? written.map({ [$0] }) else {
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
        }
        guard rivals else { return plans }
        for plan in plans {
            guard let split = plan.split else { continue }
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
