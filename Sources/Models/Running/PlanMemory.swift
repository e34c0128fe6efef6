import Files

/// What a pass over a plan takes before it begins: keys and values, a slot for each executed step.
public enum PlanMemory {
    /// Below this nothing is looked up: sessions are made often, and this much is always there.
    private static let least = 256 << 20

    /// Bytes of keys and values in f32 of `steps` executed layers and `positions` positions; the largest
    /// number where they are beyond it.
    public static func bytes(_ c: ModelConfiguration, steps: Int, positions: Int) -> Int {
        [steps, positions, 2, c.keyValueHeadCount, c.headDimension, 4].checkedProduct ?? .max
    }

    /// - Throws: `ModelError.memory` if they do not fit into what this process can take.
    static func check(
        _ c: ModelConfiguration, steps: Int, positions: Int
    ) throws(ModelError) {
        let needed = bytes(c, steps: steps, positions: positions)
        guard needed > least, let available = AvailableMemory.bytes, needed > available else {
            return
        }
        throw .memory(steps: steps, positions: positions, needed: needed, available: available)
    }
}
