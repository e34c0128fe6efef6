import Foundation

/// When a token stops thinking: a kind of rule and its threshold, such as `change<0.01`.
///
/// Every rule compares a token's state after a pass of the think block with the one before it, which for
/// the first pass is what the encoder left. So a token runs at least one pass.
public struct HaltingRule: Sendable, Equatable {
    /// A way to decide. A new one is one value here.
    public struct Kind: Sendable {
        public let name: String
        /// Between name and threshold.
        let sign: Character
        public let meaning: String
        /// Whether a head runs in every pass.
        public let readsLens: Bool
        /// Thresholds to try, from one at which no token halts early on.
        public let thresholds: [Double]
        let bounds: ClosedRange<Double>
        let halter: @Sendable (HaltingRule, Transformer, Router?) -> (any Halter)?
    }

    /// All kinds, in the order in which help shows them.
    public static let kinds: [Kind] = [
        Kind(
            name: "router", sign: ":",
            meaning: "the checkpoint's router: halting probabilities add up to 1 - threshold "
                + "(its own ε where none is given)",
            readsLens: false,
            thresholds: [-99] + stride(from: -6, through: -0.5, by: 0.5) + [
                -0.25, 0, 0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9,
            ], bounds: -1e6...1,
            halter: { rule, model, router in
                router.map { RouterHalter($0, epsilon: rule.threshold ?? $0.epsilon) }
            }),
        Kind(
            name: "change", sign: "<",
            meaning: "‖x_j - x_{j-1}‖ / ‖x_{j-1}‖ falls below the threshold", readsLens: false,
            thresholds: logarithmic(from: 1e-3, to: 1), bounds: 0...1e6,
            halter: { rule, _, _ in ChangeHalter(threshold: rule.threshold ?? 0) }),
        Kind(
            name: "lens-kl", sign: "<",
            meaning: "KL(p_j ‖ p_{j-1}) of the logit lens, in nats, falls below the threshold",
            readsLens: true, thresholds: logarithmic(from: 1e-4, to: 10), bounds: 0...1e6,
            halter: { rule, model, _ in
                let threshold = rule.threshold ?? 0
                return LensHalter(model) { $0.divergence < threshold }
            }),
        Kind(
            name: "lens-top1", sign: ":",
            meaning: "the lens's likeliest token stays, and leads by at least the threshold in "
                + "probability", readsLens: true,
            thresholds: [2] + stride(from: 0.95, through: 0, by: -0.05), bounds: 0...2,
            halter: { rule, model, _ in
                let threshold = rule.threshold ?? 0
                return LensHalter(model) { $0.keepsTop && $0.lead >= threshold }
            }),
    ]

    /// 0 and three numbers a decade.
    private static func logarithmic(from low: Double, to high: Double) -> [Double] {
        let count = Int((3 * log10(high / low)).rounded())
        return [0] + (0...count).map { low * pow(10, Double($0) / 3) }
    }

    public let kind: Kind
    /// nil for the router's own.
    public let threshold: Double?

    /// - Precondition: the threshold lies within the kind's bounds, and only a router has none.
    public init(_ kind: Kind, threshold: Double?) {
        precondition(threshold.map(kind.bounds.contains) ?? (kind.name == "router"))
        self.kind = kind
        self.threshold = threshold
    }

    /// Reads `router`, `router:0.01`, `change<0.01`, `lens-kl<0.01` or `lens-top1:0.5`.
    /// - Throws: `ModelError.haltingRule`.
    public init(_ text: String) throws(ModelError) {
        let name = text.prefix { $0 != "<" && $0 != ":" }
        guard let kind = Self.kinds.first(where: { $0.name == name }) else {
            throw .haltingRule(
                text: text,
                problem: "no rule has this name; known are \(Self.forms.joined(separator: ", "))")
        }
        let rest = text.dropFirst(name.count)
        guard !rest.isEmpty || kind.name == "router" else {
            throw .haltingRule(
                text: text, problem: "its threshold is missing: \(kind.name)\(kind.sign)0.01")
        }
        self.kind = kind
        guard let sign = rest.first else {
            threshold = nil
            return
        }
        // `Double` alone would take "nan" and hexadecimal numbers.
        let digits = rest.dropFirst()
        guard sign == kind.sign, digits.utf8.allSatisfy({ "0123456789.eE+-".utf8.contains($0) }),
            let value = Double(digits), kind.bounds.contains(value)
        else {
            throw .haltingRule(
                text: text,
                problem: "write \(kind.name)\(kind.sign) and a number from "
                    + "\(Self.text(kind.bounds.lowerBound)) to \(Self.text(kind.bounds.upperBound))"
            )
        }
        threshold = value
    }

    /// Forms for help and errors.
    public static var forms: [String] {
        kinds.map { $0.name == "router" ? $0.name : "\($0.name)\($0.sign)T" }
    }

    /// As `init(_:)` reads it.
    public var notation: String {
        kind.name + (threshold.map { "\(kind.sign)\(Self.text($0))" } ?? "")
    }

    private static func text(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? "\(Int(value))" : "\(value)"
    }

    /// What decides for the tokens of one model.
    /// - Throws: `ModelError.haltingRule` for a router that the checkpoint lacks.
    public func halter(for model: Transformer, router: Router?) throws(ModelError) -> any Halter {
        guard let halter = kind.halter(self, model, router) else {
            throw .haltingRule(
                text: notation,
                problem: "the checkpoint has no \(Router.weightName); take another rule, such as "
                    + "change<0.01, or train a router")
        }
        return halter
    }

    public static func == (a: HaltingRule, b: HaltingRule) -> Bool {
        a.kind.name == b.kind.name && a.threshold == b.threshold
    }
}

/// Tokens that have run a pass.
public struct PassRows {
    /// From 1.
    public let pass: Int
    /// Numbers that the tokens keep in all passes of a block, below those told to `begin`.
    public let rows: [Int]
    /// In their texts.
    public let positions: [Int]
    /// Raw states before and after the pass, [rows, d].
    public let before, after: UnsafePointer<Float>
    /// d.
    public let width: Int
}

/// Decides for the tokens of one block after another. Not for use from several threads at once.
public protocol Halter: AnyObject {
    /// A block of `rows` tokens begins: nothing of the block before counts.
    func begin(rows: Int)
    /// Which of the tokens halt now; asked of running ones alone.
    func halts(_ rows: PassRows) throws(ModelError) -> [Bool]
}
