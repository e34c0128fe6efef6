import Activations
import ArgumentParser
import Corpus
import Models
import Plans

/// What a dump holds, and how.
public struct DumpOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "What to store, separated by commas.",
            discussion: Site.allCases.map { "\($0.rawValue): \($0.summary)" }
                .joined(separator: "; ") + ".",
            valueName: "site,…"),
        transform: parseSites)
    public var sites: [Site] = [.resid]

    @Option(
        help: ArgumentHelp(
            "Only these layers, such as 0,4-8; for resid these boundaries.",
            discussion: "Boundary 0 is the embedding, boundary l + 1 the state after layer l.",
            valueName: "l,…"),
        transform: parseNumbers)
    public var layers: Set<Int>?

    @Option(
        help: ArgumentHelp(
            "Which positions of each document: all, last or every:N.", valueName: "which"),
        transform: PositionSelection.init(argument:))
    public var positions: PositionSelection = .all

    public enum DataType: String, ExpressibleByArgument, CaseIterable, Sendable {
        case f32, f16, bf16

        var encoding: ActivationEncoding {
            switch self {
            case .f32: .float32
            case .f16: .float16
            case .bf16: .bfloat16
            }
        }
    }

    @Option(
        help: ArgumentHelp(
            "Type of the stored values. Beyond ±65,504 f16 stops the run; bf16 has f32's range."))
    public var dtype: DataType = .f32

    @Option(
        help: ArgumentHelp(
            "none, or deflate:N with N from 1 to 9 (shuffle and deflate).",
            discussion: "Deflating costs more time than most disks save: docs/performance.md.",
            valueName: "how"),
        transform: parseCompression)
    public var compression: Int = 0

    @Option(
        help: ArgumentHelp(
            "Stop after this many tokens of the data; the last document is cut.", valueName: "n"))
    public var tokens: Int?

    @Option(
        help: ArgumentHelp(
            "Make only shard i of n, from 1: consecutive documents. `merge` joins them.",
            valueName: "i/n"),
        transform: DumpHeader.Shard.init(argument:))
    public var shard: DumpHeader.Shard?

    @Flag(
        help: ArgumentHelp(
            "Keep the parts and write a small file that refers to them.",
            discussion: "Saves copying them at the end; the folder <out>.parts belongs to the dump."
        ))
    public var virtual = false

    @Flag(help: "Also store each document's text, as the tokens that ran spell it.")
    public var text = false

    @Flag(
        help: ArgumentHelp(
            "Also store the labels that .jsonl lines have in \"label\" or \"labels\".",
            discussion: """
                "labels" is an object with one member per task. A value is a number, a text, true or \
                false for the document, or an array with one for each of its tokens.
                """))
    public var labels = false

    @Flag(
        help: ArgumentHelp(
            "Store moments instead of activations.",
            discussion: """
                Count, mean, covariance, norms and effective rank of each site and layer, as sums in \
                f64 that `merge` adds up exactly: a file of one size for any number of documents. Added \
                tokens (BOS) are left out.
                """))
    public var moments = false

    @Option(
        help: ArgumentHelp(
            "About how large a part is. A killed run loses the one it was at.",
            discussion: """
                With --moments the sums are saved twice a minute, or less often where they are large; 0 \
                saves them after every document.
                """, valueName: "MiB"))
    public var partSize = 256

    public init() {}

    public func validate() throws {
        try OptionRange.check(tokens, "--tokens", to: OptionRange.text)
        try OptionRange.check(partSize, "--part-size", from: 0, to: OptionRange.partSize)
        if moments { try validateMoments() }
        if sites.contains(where: { $0.layout == .pattern }) {
            guard positions == .all else {
                throw ValidationError("attn_pattern needs --positions all")
            }
            guard !virtual else {
                throw ValidationError("attn_pattern cannot be stored with --virtual")
            }
        }
    }

    private func validateMoments() throws {
        guard !sites.contains(where: { $0.layout == .pattern }) else {
            throw ValidationError("--moments has no sums of attn_pattern; leave it out of --sites")
        }
        guard positions == .all else {
            throw ValidationError("--moments sums all positions; leave out --positions")
        }
        guard dtype == .f32 else {
            throw ValidationError("--moments stores sums in f64; leave out --dtype")
        }
        guard !virtual, !text, !labels else {
            throw ValidationError(
                "--moments stores nothing of single documents; leave out --virtual, --text and --labels"
            )
        }
    }

    var compressionText: String { compression == 0 ? "none" : "deflate:\(compression)" }
}

private func parseSites(_ text: String) throws -> [Site] {
    var sites: [Site] = []
    for name in text.split(separator: ",", omittingEmptySubsequences: false) {
        guard let site = Site(rawValue: String(name)) else {
            throw ValidationError(
                "no site \"\(name)\"; there are "
                    + Site.allCases.map(\.rawValue).joined(separator: ", "))
        }
        if !sites.contains(site) { sites.append(site) }
    }
    return sites
}

private func parseNumbers(_ text: String) throws -> Set<Int> {
    var numbers: Set<Int> = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
        let ends = part.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
            .map { Int($0) }
        guard let first = ends[0], let last = ends.count == 2 ? ends[1] : first, first >= 0,
            last >= first, last < 1_000_000
        else {
            throw ValidationError("\"\(part)\" is no layer and no range such as 4-8")
        }
        numbers.formUnion(first...last)
    }
    return numbers
}

private func parseCompression(_ text: String) throws -> Int {
    if text == "none" { return 0 }
    if text.hasPrefix("deflate:"), let level = Int(text.dropFirst(8)), (1...9).contains(level) {
        return level
    }
    throw ValidationError("expected none or deflate:N with N from 1 to 9, not \"\(text)\"")
}
