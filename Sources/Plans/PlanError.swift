/// What is wrong with a plan of layers or with its notation. Says nothing of any one model, but for
/// `layerBeyondModel` and `sum`.
public enum PlanError: Error, Equatable, CustomStringConvertible {
    /// Not of the form `7-4-5`, `7-4*k-5`, `7-4*3-5` or `0..6,7..10*3,11..15`.
    case notation(text: String, problem: String)
    /// A notation whose parts do not sum to the model's layers.
    case sum(text: String, actual: Int, expected: Int)
    /// Parts that do not cut a model of `layers` layers.
    case split(Split, layers: Int)
    case iterations(Int)
    case negativeLayer(Int)
    case layerBeyondModel(layer: Int, layers: Int)
    /// Executed steps beyond `LayerPlan.maximumSteps`; nil beyond what an `Int` counts.
    case tooManySteps(Int?)

    public var description: String {
        switch self {
        case .notation(let text, let problem):
            "\"\(text.split(whereSeparator: \.isNewline).joined(separator: " "))\": \(problem); "
                + "write three layer counts such as 7-4-5, 7-4*3-5 to run the think block three "
                + "times, or the layers themselves such as 0..6,7..10*3,11..15"
        case .sum(let text, let actual, let expected):
            "\(text): its parts sum to \(actual) layers, but the model has \(expected); change a "
                + "part so that they sum to \(expected)"
        case .split(let split, let layers):
            "split \(split.encoder)-\(split.think)-\(split.decoder) does not cut \(layers) layers "
                + "into three parts with a think block; the parts must sum to \(layers)"
        case .iterations(let iterations):
            "a loop runs at least once, not \(iterations) times; give 1 or more iterations"
        case .negativeLayer(let layer): "there is no layer \(layer); layers count from 0"
        case .layerBeyondModel(let layer, let layers):
            "the plan runs layer \(layer), but the model has layers 0 to \(layers - 1)"
        case .tooManySteps(let steps):
            "the plan executes \(steps.map { "\($0)" } ?? "far too many") layers, more than "
                + "\(LayerPlan.maximumSteps); give fewer iterations"
        }
    }
}
