import ArgumentParser
import Files
import Inference

/// An amount of memory as people write it: 2GiB, 500MiB, or bytes.
public struct MemorySize: ExpressibleByArgument, Sendable, Equatable {
    public let bytes: Int

    public init?(argument: String) {
        let units = ["KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40]
        let unit = units.first { argument.hasSuffix($0.key) }
        let digits = argument.dropLast(unit?.key.count ?? 0)
        // `Double` alone would take signs, exponents and "nan".
        guard !digits.isEmpty, digits.utf8.allSatisfy({ 0x30...0x39 ~= $0 || $0 == 0x2E }),
            let number = Double(digits),
            let bytes = Int(exactly: (number * Double(unit?.value ?? 1)).rounded(.down)), bytes > 0
        else { return nil }
        self.bytes = bytes
    }
}

/// How texts go on and where they end.
public struct GenerateOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The most new tokens; a request's own max_tokens comes first.", valueName: "n"))
    public var maxTokens = 256

    @Option(
        parsing: .singleValue,
        help: ArgumentHelp(
            "End the text before this string; may be given several times.",
            discussion: "A request's own stop takes the place of these.", valueName: "text"))
    public var stop: [String] = []

    @Flag(help: "Go on where the model would end the text.")
    public var ignoreEos = false

    @Option(
        help: ArgumentHelp(
            "Divide logits by this and draw; 0 takes the most likely token.",
            discussion: """
                Default: 0, or 1 with one of --top-k, --top-p and --min-p. Processors run in \
                transformers' order: penalty, temperature, top-k, top-p, min-p.
                """, valueName: "t"))
    public var temperature: Double?

    @Option(help: ArgumentHelp("Draw from the k most likely tokens.", valueName: "k"))
    public var topK: Int?

    @Option(
        help: ArgumentHelp(
            "Draw from the most likely tokens that together have this probability.", valueName: "p")
    )
    public var topP: Double?

    @Option(
        help: ArgumentHelp(
            "Draw from tokens at least this share as likely as the most likely one.",
            valueName: "p"))
    public var minP: Double?

    @Option(
        help: ArgumentHelp(
            "Make tokens of the prompt and the text less likely (above 1).", valueName: "r"))
    public var repetitionPenalty: Double?

    @Option(
        help: ArgumentHelp(
            "Seed of the draws. Each request begins with it, or with its own.", valueName: "n"))
    public var seed: UInt64 = 0

    @Option(
        help: ArgumentHelp(
            "Add logprobs: of each new token, and of the n most likely ones in its place.",
            discussion: "Natural logarithms under the model's own distribution.", valueName: "n"))
    public var logprobs: Int?

    @Flag(
        help: ArgumentHelp(
            "Put prompts into the model's chat template, as what a user says.",
            discussion: """
                A line of --input may have "messages", a list of {"role","content"}, in place of a \
                prompt. No BOS is added: the template writes its own.
                """))
    public var chat = false

    @Flag(help: "Write JSON, with the passes of the think block for each new token.")
    public var json = false

    @Option(
        help: ArgumentHelp(
            "Keys and values of all requests take at most this, as 2GiB; others wait.",
            discussion: "Default: three quarters of the memory that is available.",
            valueName: "size"))
    public var cacheMemory: MemorySize?

    @Option(help: ArgumentHelp("Run at most this many requests at once.", valueName: "n"))
    public var batch = 16

    @Flag(help: "Leave out requests that cannot be run, and say how many.")
    public var skipBad = false

    public init() {}

    public func validate() throws {
        try OptionRange.check(maxTokens, "--max-tokens", to: OptionRange.text)
        try OptionRange.check(batch, "--batch", to: 512)
        try OptionRange.check(logprobs, "--logprobs", from: 0, to: 1000)
        if stop.contains("") {
            throw ValidationError("--stop: \(InferenceError.emptyStop)")
        }
        do {
            try sampling.check()
        } catch {
            throw ValidationError("--\(error)")
        }
    }

    var sampling: SamplingOptions {
        let draws = topK != nil || topP != nil || minP != nil
        return SamplingOptions(
            temperature: temperature ?? (draws ? 1 : 0), topK: topK, topP: topP, minP: minP,
            repetitionPenalty: repetitionPenalty, seed: seed)
    }

    /// - Parameter ends: the model's own stop tokens.
    func stopRules(_ ends: Set<Int32>) -> StopRules {
        StopRules(
            maximumTokens: maxTokens, tokens: ignoreEos ? [] : ends, strings: stop)
    }
}
