import Files

/// Attention sinks of a run: positions whose states are far longer than the others', and each document's
/// first. Twins of means over positions (`Metric.withoutSinks`) leave them out, and so does the geometry
/// unless its policy is to keep them.
public struct SinksRecord: Sendable, Equatable {
    /// What the geometry of the states does with sinks.
    public enum Policy: String, Sendable, CaseIterable {
        case drop, keep
    }

    public var policy: Policy
    /// All positions without those of added tokens.
    public var positions: Int
    /// First positions of documents that begin with no added token.
    public var first: Int
    /// Positions whose state is longer than 20 times the document's median at a third of the boundaries,
    /// without first ones.
    public var massive: Int

    public init(policy: Policy, positions: Int, first: Int, massive: Int) {
        self.policy = policy
        self.positions = positions
        self.first = first
        self.massive = massive
    }

    public var json: JSON {
        [
            "policy": .string(policy.rawValue), "positions": .number(positions),
            "first": .number(first), "massive": .number(massive),
        ]
    }

    init(_ reader: RecordReader) throws(FileError) {
        guard let policy = Policy(rawValue: try reader.string("policy")) else {
            throw reader.wrong("policy", "\"drop\" or \"keep\"")
        }
        self.init(
            policy: policy, positions: try reader.int("positions"),
            first: try reader.int("first"), massive: try reader.int("massive"))
    }
}
