/// What relevance rests on, beside the scans: `/probes`, `/use`, `/skip_effect`, `/dynamics`.
extension EvidenceFile {
    /// Numbers with a shape.
    public struct NumberArray: Sendable, Equatable {
        public var shape: [Int]
        public var values: [Double]

        public init(shape: [Int], values: [Double]) {
            self.shape = shape
            self.values = values
        }

        /// - Parameter rows: of one length.
        public init(_ rows: [[Double]]) {
            self.init(shape: [rows.count, rows.first?.count ?? 0], values: rows.flatMap(\.self))
        }

        public var rows: [[Double]] {
            let width = shape.last ?? 0
            return (0..<(shape.first ?? 0)).map {
                Array(values[$0 * width..<($0 + 1) * width])
            }
        }
    }

    /// Groups of named arrays, by group and name: a part of the file as it stands there.
    public typealias Arrays = [String: [String: NumberArray]]

    /// Groups of `/probes` and `/use`, each with arrays; and the arrays of `/skip_effect` and `/dynamics`.
    public struct Relevance: Sendable, Equatable {
        /// By task: `loss` and `foil_loss` [boundaries, items] in bits, `swapped` [boundaries, swaps].
        public var probes: Arrays = [:]
        /// By kind of items: `change` [items, layers] of the log-odds, `half` [items], `text_damage` [layers].
        public var use: Arrays = [:]

        public init() {}
        public var isEmpty: Bool { self == Relevance() }
    }

    /// What a skipped layer does to the later ones, on the text.
    public struct SkipEffect: Sendable, Equatable {
        /// [layers, layers, documents]: the skipped layer, the later one.
        public var contributions: NumberArray
        /// ‖p - p'‖ at the last position, [layers, documents].
        public var output: NumberArray

        public init(contributions: NumberArray, output: NumberArray) {
            self.contributions = contributions
            self.output = output
        }
    }

    /// How looped windows go on, on the text.
    public struct Dynamics: Sendable, Equatable {
        /// [windows, 2]: start and length.
        public var windows: NumberArray
        /// [windows, k, documents]; `cosine` begins at k = 2.
        public var change: NumberArray
        public var cosine: NumberArray

        public init(windows: NumberArray, change: NumberArray, cosine: NumberArray) {
            self.windows = windows
            self.change = change
            self.cosine = cosine
        }
    }

    func writeRelevance(to root: HDF5Group) throws(ActivationError) {
        for (name, groups) in [("probes", relevance.probes), ("use", relevance.use)]
        where !groups.isEmpty {
            let place = try root.makeGroup(name)
            for (group, arrays) in groups.sorted(by: { $0.key < $1.key }) {
                let own = try place.makeGroup(group)
                for (name, array) in arrays.sorted(by: { $0.key < $1.key }) {
                    try own.write(name, array.values, shape: array.shape)
                }
            }
        }
        if let skipEffect {
            try root.write(
                "skip_effect", skipEffect.contributions.values,
                shape: skipEffect.contributions.shape)
            try root.write(
                "skip_effect_output", skipEffect.output.values, shape: skipEffect.output.shape)
        }
        if let dynamics {
            let place = try root.makeGroup("dynamics")
            for (name, array) in [
                ("windows", dynamics.windows), ("change", dynamics.change),
                ("cosine", dynamics.cosine),
            ] {
                try place.write(name, array.values, shape: array.shape)
            }
        }
    }

    mutating func readRelevance(_ root: HDF5Group) throws(ActivationError) {
        relevance.probes = try Self.groups(root, "probes")
        relevance.use = try Self.groups(root, "use")
        if root.has("skip_effect"), root.has("skip_effect_output") {
            skipEffect = SkipEffect(
                contributions: try Self.array(root, "skip_effect"),
                output: try Self.array(root, "skip_effect_output"))
        }
        if try Self.holdsDynamics(root) {
            let place = try root.group("dynamics")
            dynamics = Dynamics(
                windows: try Self.array(place, "windows"), change: try Self.array(place, "change"),
                cosine: try Self.array(place, "cosine"))
        }
    }

    static func holdsDynamics(_ root: HDF5Group) throws(ActivationError) -> Bool {
        guard root.has("dynamics") else { return false }
        let place = try root.group("dynamics")
        return ["windows", "change", "cosine"].allSatisfy(place.has)
    }

    private static func groups(
        _ root: HDF5Group, _ name: String
    ) throws(ActivationError) -> Arrays {
        guard root.has(name) else { return [:] }
        let place = try root.group(name)
        var groups: Arrays = [:]
        for group in try place.members() {
            let own = try place.group(group)
            for member in try own.members() {
                groups[group, default: [:]][member] = try array(own, member)
            }
        }
        return groups
    }

    private static func array(
        _ group: HDF5Group, _ name: String
    ) throws(ActivationError) -> NumberArray {
        let set = try group.dataSet(name)
        return NumberArray(shape: set.shape, values: try set.read(as: Double.self))
    }
}
