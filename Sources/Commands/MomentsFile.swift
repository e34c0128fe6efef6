import Activations
import Analysis
import Foundation
import Models

/// `/moments` of a dump: for each site a group with one row per layer, of what `Moments` has summed.
///
/// The exact sums stand beside what follows from them, so that shards add up to the bytes of one run.
/// Memory: the sums of one row.
struct MomentsFile {
    static let groupName = "moments"

    struct Site: Equatable {
        /// Such as `resid` or `q@think2`.
        var name: String
        /// The layer, for `resid` the boundary, of each row.
        var layers: [Int]
        /// Values of one position; heads stand one after the other.
        var width: Int
    }

    let path: String
    let sites: [Site]
    private let group: HDF5Group

    /// What each site's group holds beside `layers`: sums that say everything, for `init(width:words:)`.
    private enum Exact {
        static let count = "count"
        static let range = "norm_range"
        static let products = ["exact_products_high", "exact_products_low"]
        static let norms = ["exact_norms_high", "exact_norms_low"]
    }

    // MARK: Writing

    /// - Parameters:
    ///   - exactOnly: leaves out what follows from the sums, as a run does that only saves its state.
    ///   - row: the moments of a site's row; nil where nothing passed.
    static func write(
        _ sites: [Site], to root: HDF5Group, deflate: Int?, exactOnly: Bool = false,
        row: (_ site: Int, _ row: Int) throws(ActivationError) -> Moments?
    ) throws(ActivationError) {
        let moments = try root.makeGroup(groupName)
        for (index, site) in sites.enumerated() {
            let group = try moments.makeGroup(site.name)
            try group.set("layers", site.layers.map(Int64.init))
            try group.set("width", Int64(site.width))
            let writer = try SiteWriter(site, group, deflate: deflate, exactOnly: exactOnly)
            for place in site.layers.indices {
                let found = try row(index, place) ?? Moments(width: site.width)
                try writer.write(found, row: place)
            }
            try writer.finish()
        }
    }

    /// One site's data sets, filled row by row.
    private final class SiteWriter {
        private let site: Site
        private let group: HDF5Group
        private let covariance: HDF5DataSet?
        private let products: [HDF5DataSet]
        private var counts: [Int64] = []
        private var range: [Double] = []
        private var norms: [[Int64]] = [[], []]
        private var mean: [Double] = []
        private var variance: [Double] = []
        private var figures: [String: [Double]] = [:]

        init(
            _ site: Site, _ group: HDF5Group, deflate: Int?, exactOnly: Bool
        ) throws(ActivationError) {
            self.site = site
            self.group = group
            let width = site.width
            func make(
                _ name: String, _ type: HDF5Type, _ shape: [Int], chunk: [Int]
            ) throws(ActivationError) -> HDF5DataSet {
                try group.makeDataSet(
                    name,
                    HDF5Layout(
                        type: type, shape: shape, chunk: deflate == nil ? nil : chunk,
                        deflate: deflate))
            }
            // Filtered, a chunk is half a megabyte, as those of activations.
            covariance =
                exactOnly
                ? nil
                : try make(
                    "covariance", .float64, [site.layers.count, width, width],
                    chunk: [1, max(1, min(width, (1 << 16) / width)), width])
            let places = (width + 1) * (width + 2) / 2
            var products: [HDF5DataSet] = []
            for name in Exact.products {
                products.append(
                    try make(
                        name, .int64, [site.layers.count, places],
                        chunk: [1, min(places, 1 << 16)]))
            }
            self.products = products
        }

        func write(_ moments: Moments, row: Int) throws(ActivationError) {
            let words = moments.words
            counts.append(words.count)
            range += words.normRange
            norms[0] += words.normsHigh
            norms[1] += words.normsLow
            for (set, words) in zip(products, [words.productsHigh, words.productsLow]) {
                try set.write(words, start: [row, 0], count: [1, words.count])
            }
            guard let covariance else { return }
            let width = site.width
            var matrix = [Double](repeating: .nan, count: width * width)
            if moments.covariance(into: &matrix) {
                for i in 0..<width {
                    for j in 0..<i { matrix[j * width + i] = matrix[i * width + j] }
                }
            }
            try covariance.write(matrix, start: [row, 0, 0], count: [1, width, width])
            variance += (0..<width).map { matrix[$0 * width + $0] }
            mean += moments.mean ?? [Double](repeating: .nan, count: width)
            let count = Double(moments.count)
            let dimensions = moments.dimensions()
            for (name, value) in [
                ("norm_mean", moments.meanNorm ?? .nan),
                ("norm_rms", (moments.sumOfSquares / count).squareRoot()),
                ("effective_rank", dimensions?.effectiveRank ?? .nan),
                ("participation_ratio", dimensions?.participationRatio ?? .nan),
            ] { figures[name, default: []].append(value) }
        }

        func finish() throws(ActivationError) {
            let rows = site.layers.count
            try group.write(Exact.count, counts)
            try group.write(Exact.range, range, shape: [rows, 2])
            for (name, words) in zip(Exact.norms, norms) {
                try group.write(name, words, shape: [rows, 2])
            }
            guard covariance != nil else { return }
            try group.write("mean", mean, shape: [rows, site.width])
            try group.write("variance", variance, shape: [rows, site.width])
            for (name, values) in figures.sorted(by: { $0.key < $1.key }) {
                try group.write(name, values)
            }
        }
    }

    // MARK: Reading

    /// Opens `/moments` of a file; reads nothing but names and shapes.
    /// - Throws: `.invalid` for what is no group of moments.
    init(_ root: HDF5Group) throws(ActivationError) {
        path = root.path
        group = try root.group(Self.groupName)
        var sites: [Site] = []
        for name in try group.members() {
            let site = try group.group(name)
            let layers = try site.values("layers", as: Int64.self).map(Int.init)
            let width = try site.integer("width")
            try ActivationFile.checkLayers(layers, site.name, path: path)
            let sizes = try Exact.products.map { name throws(ActivationError) in
                try site.dataSet(name).shape
            }
            guard width > 0, width < 1 << 24,
                sizes.allSatisfy({ $0 == [layers.count, (width + 1) * (width + 2) / 2] })
            else {
                throw .invalid(
                    path: path,
                    problem: "\(site.name) has sums of shape \(sizes), with \(layers.count) layers "
                        + "of \(width) values")
            }
            sites.append(Site(name: name, layers: layers, width: width))
        }
        self.sites = sites.sorted {
            ActivationFile.order($0.name) < ActivationFile.order($1.name)
        }
    }

    /// The sums of one row.
    /// - Throws: `.invalid` where they are no sums of this width.
    func moments(_ site: Site, row: Int) throws(ActivationError) -> Moments {
        let group = try self.group.group(site.name)
        let places = (site.width + 1) * (site.width + 2) / 2
        func words(_ name: String, _ count: Int) throws(ActivationError) -> [Int64] {
            let set = try group.dataSet(name)
            var values = [Int64](repeating: 0, count: try set.size(of: [count], bytes: 8))
            try set.read(into: &values, start: [row, 0], count: [1, count])
            return values
        }
        var count: Int64 = 0
        try group.dataSet(Exact.count).read(into: &count, start: [row], count: [1])
        var range = [0.0, 0.0]
        try group.dataSet(Exact.range).read(into: &range, start: [row, 0], count: [1, 2])
        let words = Moments.Words(
            count: count, normRange: range, productsHigh: try words(Exact.products[0], places),
            productsLow: try words(Exact.products[1], places),
            normsHigh: try words(Exact.norms[0], 2), normsLow: try words(Exact.norms[1], 2))
        guard let moments = Moments(width: site.width, words: words) else {
            throw .invalid(
                path: path,
                problem: "\(group.name) holds no sums in row \(row); copy or make the file again")
        }
        return moments
    }

    /// Values of one row of a data set that follows from the sums, such as `mean`.
    func values(_ name: String, _ site: Site, row: Int) throws(ActivationError) -> [Double] {
        let set = try group.group(site.name).dataSet(name)
        guard !set.shape.isEmpty, row < set.shape[0] else {
            throw .invalid(path: path, problem: "\(set.name) has shape \(set.shape)")
        }
        let rest = Array(set.shape.dropFirst())
        var values = [Double](repeating: 0, count: try set.size(of: rest, bytes: 8))
        try set.read(
            into: &values, start: [row] + rest.map { _ in 0 }, count: [1] + rest)
        return values
    }

    // MARK: Shards

    /// Writes the moments of all shards together.
    /// - Throws: `.shards` where they do not hold the same sites, or where a sum leaves its range.
    static func merge(
        _ files: [MomentsFile], to root: HDF5Group, deflate: Int?
    ) throws(ActivationError) {
        guard let first = files.first else { return }
        for file in files where file.sites != first.sites {
            throw .shards(
                problem: "\(file.path): its moments are of other sites or layers than those in "
                    + first.path)
        }
        try write(first.sites, to: root, deflate: deflate) {
            (index, row) throws(ActivationError) in
            let site = first.sites[index]
            let sum = try first.moments(site, row: row)
            for file in files.dropFirst() {
                guard sum.merge(try file.moments(site, row: row)), sum.isInRange else {
                    throw .shards(
                        problem: "\(file.path): with it the sums of \(site.name) at layer "
                            + "\(site.layers[row]) leave their range of 7e19; merge fewer shards")
                }
            }
            return sum
        }
    }
}
