import Checkpoints
import Files

/// A trained halting rule that a checkpoint brings along: `etd.router.weight` [1, d] and
/// `etd.router.bias` [1]. After each pass of the think block a token adds w_t = sigmoid(weight · state +
/// bias) to its sum H, and halts once H ≥ 1 - ε (arXiv 2510.07358; ε = 0.01).
public struct Router: Sendable, Equatable {
    public static let weightName = "etd.router.weight"
    public static let biasName = "etd.router.bias"

    /// [d].
    public let weight: [Float]
    public let bias: Float
    /// `etd.router.epsilon` of config.json; 0.01 unless it says otherwise.
    public let epsilon: Double

    public init(weight: [Float], bias: Float, epsilon: Double = 0.01) {
        self.weight = weight
        self.bias = bias
        self.epsilon = epsilon
    }

    /// The router beside a model's weights; nil where there is none.
    /// - Parameter width: d.
    /// - Throws: `ModelError.missingTensors` for half a pair, `.wrongShape`, `.configuration`.
    public init?(_ checkpoint: Checkpoint, width: Int) throws(ModelError) {
        let tensors = checkpoint.tensors
        guard tensors[Self.weightName] != nil || tensors[Self.biasName] != nil else { return nil }
        func values(_ name: String, _ shape: [Int]) throws(ModelError) -> [Float] {
            guard let tensor = tensors[name] else {
                throw .missingTensors(path: checkpoint.path, names: [name])
            }
            guard tensor.shape == shape else {
                throw .wrongShape(
                    path: checkpoint.path, tensor: name, expected: shape, actual: tensor.shape)
            }
            let values = tensor.decoded()
            guard values.allSatisfy(\.isFinite) else {
                throw .configuration(
                    path: checkpoint.path, field: name,
                    problem: "holds NaN or Inf; save the router again")
            }
            return values
        }
        weight = try values(Self.weightName, [1, width])
        bias = try values(Self.biasName, [1])[0]
        let setting = checkpoint.config["etd"]?["router"]?["epsilon"]
        if let setting, setting != .null {
            guard let value = setting.doubleValue, value.isFinite, value < 1 else {
                throw .configuration(
                    path: checkpoint.path, field: "etd.router.epsilon",
                    problem: "is \(setting.text(indent: 0)); give a number below 1")
            }
            epsilon = value
        } else {
            epsilon = 0.01
        }
    }
}
