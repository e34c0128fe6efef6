/// Where in an executed plan a value stands: its site, the step that made it, and that step's layer
/// and pass of a loop. Everything that numbers or names states derives it from here.
public struct StatePlace: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let site: Site
    /// The executed step, from 0; nil for the embedding output h_0, which no step made.
    public let step: Int?
    /// The layer of that step; nil for h_0.
    public let layer: Int?
    /// The pass of the loop that the step is in, from 1; nil outside a loop.
    public let iteration: Int?

    public init(site: Site, step: Int?, layer: Int?, iteration: Int?) {
        precondition(step != nil || site == .resid, "only the residual stream exists before a step")
        self.site = site
        self.step = step
        self.layer = layer
        self.iteration = iteration
    }

    /// In a plan that runs the layers once, from 0: a boundary for `resid`, a layer for other sites.
    public init(_ site: Site, index: Int) {
        let step = site == .resid ? (index == 0 ? nil : index - 1) : index
        self.init(site: site, step: step, layer: step, iteration: nil)
    }

    /// For `resid` the boundary among the executed ones, 0 … S; for the other sites the step.
    public var index: Int { site == .resid ? step.map { $0 + 1 } ?? 0 : step ?? 0 }

    /// For `resid` the boundary as the whole model counts them, 0 … L; for the other sites the layer.
    public var number: Int { site == .resid ? layer.map { $0 + 1 } ?? 0 : layer ?? 0 }

    /// The data set that holds such values: `resid`, or `resid@think2` in the second pass of a loop.
    public var dataSet: String { Self.dataSet(site, iteration: iteration) }

    /// Such as "resid at boundary 3" or "q@think2 at layer 7".
    public var description: String {
        "\(dataSet) at " + (site == .resid ? "boundary \(index)" : "layer \(number)")
    }

    /// By site, then in the order of the pass.
    public static func < (a: StatePlace, b: StatePlace) -> Bool {
        (a.site.rawValue, a.index) < (b.site.rawValue, b.index)
    }

    public static func dataSet(_ site: Site, iteration: Int?) -> String {
        site.rawValue + (iteration.map { "@think\($0)" } ?? "")
    }
}

extension LayerPlan {
    /// The place of `site` in an executed step; nil stands for h_0.
    /// - Precondition: the plan has such a step; only `resid` has h_0.
    public func place(_ site: Site, step: Int?) -> StatePlace {
        let made = step.map { steps[$0] }
        return StatePlace(site: site, step: step, layer: made?.layer, iteration: made?.iteration)
    }

    /// All places of `site` in the order in which a pass meets them: S + 1 boundaries for `resid`, S
    /// for the other sites.
    public func places(_ site: Site) -> [StatePlace] {
        (site == .resid ? [place(site, step: nil)] : [])
            + steps.indices.map { place(site, step: $0) }
    }
}
