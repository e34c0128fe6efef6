import Scans
import Statistics

/// USE: what the model relies on, layer by layer (docs/relevance.md).
///
/// With D(l) the mean change of the items' log-odds when layer l is skipped, and N(l) the change of plain
/// text's negative log-probability per token, D = a + b·N is fitted by least squares over the layers with
/// N < .8, and USE(l) = -(D(l) - (a + b·N(l))): how much more the items lose than a layer that costs the
/// text as much. Positive: relied on. N is taken as known; with it USE is a mean over items, and its
/// intervals are a mean's. A layer that changes nothing at all has USE 0 and takes no part in the fit.
public struct UseScore: Sendable, Equatable {
    /// Layers that cost the text more are left out of the fit, in nats per token: without them the model does
    /// not work, and a line through them says nothing of the others.
    public static let mostTextDamage = 0.8

    /// By layer.
    public var damage: [Double]
    public var textDamage: [Double]
    /// a and b.
    public var intercept: Double
    public var slope: Double
    /// Layers behind the fit.
    public var fitted: [Int]
    public var use: MeanBand
    /// Of the log-odds, [items][layers], and the half of each item.
    public var changes: [[Double]]
    public var itemHalves: [Int]
    /// Least |USE| that is found at 80 % of such layers, over all layers together; the median layer's.
    public var detectable: Double? {
        let errors = active.map { use.errors[$0] }.sorted()
        // 0.842: the standard normal's 80 % quantile.
        return errors.isEmpty
            ? nil : (use.critical + 0.8416212335729143) * errors[errors.count / 2]
    }
    /// Layers that change anything.
    private var active: [Int]
    /// USE of the items of either half, and Spearman's correlation of the two.
    public var halves: [[Double]]
    public var halfCorrelation: Double?

    /// - Parameters:
    ///   - changes: of the log-odds, [items][layers]; finite.
    ///   - textDamage: N, by layer; NaN where it is unknown.
    ///   - groups: of each item.
    ///   - halves: the half of each item, 0 or 1.
    /// - Returns: nil for fewer than three layers to fit, or fewer than two items.
    public init?(
        changes: [[Double]], textDamage: [Double], groups: [Int], halves: [Int], seed: UInt64
    ) {
        let layers = textDamage.count
        guard changes.count > 1 else { return nil }
        let damage = Self.means(changes)
        let active = (0..<layers).filter { layer in
            textDamage[layer] != 0 || changes.contains { $0[layer] != 0 }
        }
        let fitted = active.filter { textDamage[$0] < Self.mostTextDamage }
        guard fitted.count >= 3 else { return nil }
        let residual = Self.residualMaker(textDamage, fitted: fitted, active: active)
        let own = changes.map { residual($0).map { -$0 } }
        self.changes = changes
        itemHalves = halves
        self.active = active
        self.damage = damage
        self.textDamage = textDamage
        (intercept, slope) = Self.line(damage, textDamage, fitted)
        self.fitted = fitted
        use = MeanBand(own, groups: groups, seed: seed)
        let parts = (0..<2).map { half in
            Self.means(own.indices.filter { halves[$0] == half }.map { own[$0] })
        }
        self.halves = parts
        let known = active.filter { layer in parts.allSatisfy { layer < $0.count } }
        halfCorrelation = RankCorrelation.spearman(
            known.map { parts[0][$0] }, known.map { parts[1][$0] })
    }

    private static func means(_ rows: [[Double]]) -> [Double] {
        guard let first = rows.first else { return [] }
        return first.indices.map { place in
            rows.reduce(0) { $0 + $1[place] } / Double(rows.count)
        }
    }

    /// a and b of D = a + b·N; b is 0 where N does not vary.
    private static func line(
        _ damage: [Double], _ textDamage: [Double], _ fitted: [Int]
    ) -> (Double, Double) {
        ScanStatistics.line(fitted.map { damage[$0] }, over: fitted.map { textDamage[$0] })
    }

    /// Takes what `line` explains out of one item's changes; 0 for layers that change nothing.
    private static func residualMaker(
        _ textDamage: [Double], fitted: [Int], active: [Int]
    ) -> ([Double]) -> [Double] {
        { changes in
            let (a, b) = line(changes, textDamage, fitted)
            var rest = [Double](repeating: 0, count: changes.count)
            for layer in active {
                let n = textDamage[layer]
                // Without a text value there is nothing to compare with.
                rest[layer] = n.isFinite ? changes[layer] - (a + b * n) : 0
            }
            return rest
        }
    }
}
