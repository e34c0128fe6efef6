import Checkpoints
import Files

/// A router's tensor pair in a checkpoint: `etd.router.weight` [1, d] and `etd.router.bias` [1]. After
/// each pass of the think block a token's halting probability is sigmoid(weight · state + bias).
enum StoredRouter {
    static let weight = "etd.router.weight"
    static let bias = "etd.router.bias"
    /// What is done with the keys and values of a halted token in the passes that it skips.
    static let policies = ["recompute", "last", "skip"]

    static func isPart(_ name: String) -> Bool { name == weight || name == bias }
}

extension ExportJob {
    /// Whether the checkpoint holds a router.
    /// - Throws: `ExportError.wrongSource` for half a pair, other shapes, or a `config.json` that says
    ///   otherwise.
    func hasRouter(_ format: String) throws(ExportError) -> Bool {
        let weight = checkpoint.tensors[StoredRouter.weight]
        let bias = checkpoint.tensors[StoredRouter.bias]
        func wrong(_ problem: String) -> ExportError {
            .wrongSource(path: checkpoint.path, format: format, problem: problem)
        }
        let declared = checkpoint.config["etd"]?["router"] ?? .null
        guard weight != nil || bias != nil else {
            guard declared == .null else {
                throw wrong(
                    "config.json's etd.router is set, and \(StoredRouter.weight) is missing; set it "
                        + "to null, or save the router with the model")
            }
            return false
        }
        let width = configuration.hiddenSize
        guard weight?.shape == [1, width], bias?.shape == [1] else {
            throw wrong(
                "a router is \(StoredRouter.weight) of shape [1, \(width)] and \(StoredRouter.bias) "
                    + "of shape [1], and this has \(weight?.shape.description ?? "none") and "
                    + "\(bias?.shape.description ?? "none"); save the router again")
        }
        return true
    }

    /// `config.json`'s `etd` section: the source's router settings stay.
    func etdSection(_ format: String) throws(ExportError) -> JSON {
        var policy = JSON.null
        var router = JSON.null
        if try hasRouter(format) {
            let source = checkpoint.config["etd"]
            router = source?["router"]?.objectValue.map(JSON.object) ?? ["epsilon": 0.01]
            policy = source?["kv_policy"] ?? .null
            if policy == .null { policy = "recompute" }
            guard let name = policy.stringValue, StoredRouter.policies.contains(name) else {
                throw .wrongSource(
                    path: checkpoint.path, format: format,
                    problem: "config.json's etd.kv_policy is \(policy.text(indent: 0)), and "
                        + "modeling_etd.py runs \(StoredRouter.policies.joined(separator: ", "))")
            }
        }
        return [
            "encoder": .number(split.encoder), "think": .number(split.think),
            "decoder": .number(split.decoder), "iterations": .number(iterations),
            "kv_policy": policy, "router": router,
        ]
    }
}
