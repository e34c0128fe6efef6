/// How the L layers are cut: `encoder + think + decoder = L`.
public struct Split: Sendable, Hashable {
    public var encoder: Int
    public var think: Int
    public var decoder: Int

    public init(encoder: Int, think: Int, decoder: Int) {
        self.encoder = encoder
        self.think = think
        self.decoder = decoder
    }

    public var layers: Int { encoder + think + decoder }

    /// The think block's layers.
    public var thinkRange: Range<Int> { encoder..<encoder + think }

    /// As the paper writes it, with k left open: `7-4*k-5`.
    public var notation: String { "\(encoder)-\(think)*k-\(decoder)" }
}
