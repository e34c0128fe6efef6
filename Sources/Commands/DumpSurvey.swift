import Activations
import Foundation
import Plans

/// What one layer's stored values look like: norms, outlier dimensions, massive activations.
///
/// Outliers are dimensions whose root mean square is at least ten times the median dimension's, over the
/// positions after the first where there are any. Massive activations are as in Sun et al. 2024 (arXiv
/// 2402.17762): beyond 100 and beyond a thousand times the median magnitude; here at position 0, where
/// models put them. Memory: one value per dimension, and a piece of the file.
struct DumpSurvey {
    static let outlierFactor = 10.0
    static let massiveFactor: Float = 1000
    static let massiveLeast: Float = 100

    private let width: Int
    private var rows = 0
    private var normSum = 0.0
    private var normRange: ClosedRange<Double>?
    /// Σx² of each dimension: at position 0, and elsewhere.
    private var squares: (first: [Double], later: [Double])
    private var counts = (first: 0, later: 0)
    private(set) var largest: Float = 0
    private var largestFirst: (value: Float, dimension: Int) = (0, 0)
    private var largestLater: Float = 0
    /// Some magnitudes, of which the median is taken.
    private var magnitudes: [Float] = []
    private static let mostMagnitudes = 1 << 16

    init(width: Int) {
        self.width = width
        squares = (
            [Double](repeating: 0, count: width), [Double](repeating: 0, count: width)
        )
    }

    /// Takes in one row.
    /// - Returns: false where a value is NaN or infinite.
    mutating func add(_ row: UnsafeBufferPointer<Float>, isFirst: Bool) -> Bool {
        var sum = 0.0
        var most: Float = 0
        var place = 0
        for (dimension, value) in row.enumerated() {
            let square = Double(value) * Double(value)
            sum += square
            if isFirst {
                squares.first[dimension] += square
            } else {
                squares.later[dimension] += square
            }
            if value.magnitude > most {
                most = value.magnitude
                place = dimension
            }
        }
        guard sum.isFinite else { return false }
        let norm = sum.squareRoot()
        rows += 1
        normSum += norm
        normRange = min(normRange?.lowerBound ?? norm, norm)...max(normRange?.upperBound ?? 0, norm)
        largest = max(largest, most)
        if isFirst {
            counts.first += 1
            if most > largestFirst.value { largestFirst = (most, place) }
        } else {
            counts.later += 1
            largestLater = max(largestLater, most)
        }
        // Every seventh of a row's values, from another place in each, is as good as all of them.
        var index = rows % 7
        while index < width, magnitudes.count < Self.mostMagnitudes {
            magnitudes.append(row[index].magnitude)
            index += 7
        }
        return true
    }

    /// A layer's line.
    struct Findings {
        var rows: Int
        var norm: (mean: Double, least: Double, most: Double)
        var medianMagnitude: Double
        var medianRMS: Double
        /// The most striking first, with how many times the median they are.
        var outliers: [(dimension: Int, times: Double)]
        /// At position 0, if it has one.
        var massive: (dimension: Int, value: Double, elsewhere: Double)?
    }

    func findings() -> Findings? {
        guard rows > 0, let normRange else { return nil }
        let useLater = counts.later > 0
        let count = Double(useLater ? counts.later : counts.first)
        let rms = (useLater ? squares.later : squares.first).map { ($0 / count).squareRoot() }
        let (median, outliers) = Self.outliers(rms)
        let magnitude = Self.median(magnitudes.map(Double.init))
        let massive =
            largestFirst.value > Self.massiveLeast
            && Double(largestFirst.value) > Double(Self.massiveFactor) * magnitude
        return Findings(
            rows: rows,
            norm: (normSum / Double(rows), normRange.lowerBound, normRange.upperBound),
            medianMagnitude: magnitude, medianRMS: median, outliers: outliers,
            massive: massive
                ? (largestFirst.dimension, Double(largestFirst.value), Double(largestLater)) : nil)
    }

    /// The median of each dimension's root mean square, and the dimensions far beyond it.
    static func outliers(
        _ rms: [Double]
    ) -> (median: Double, found: [(dimension: Int, times: Double)]) {
        let median = median(rms)
        guard median > 0 else { return (median, []) }
        let found = rms.enumerated().filter { $0.element >= outlierFactor * median }
            .sorted { ($1.element, $0.offset) < ($0.element, $1.offset) }
        return (median, found.map { ($0.offset, $0.element / median) })
    }

    /// The upper one of two middle values; 0 of none.
    static func median(_ values: [Double]) -> Double {
        values.isEmpty ? 0 : values.sorted()[values.count / 2]
    }
}

/// Goes through a dump's values, some of them or all.
struct DumpReader {
    let file: ActivationFile
    /// All values, and whether they are what the file says they are.
    let check: Bool

    /// Rows that are read of each layer without `check`: so many pieces, spread over the file.
    private static let pieces = 8
    private static let pieceRows = 128
    /// Rows at position 0 that are read beside them.
    private static let firstRows = 32

    /// Ranges of rows to read, in order.
    private func ranges(_ site: ActivationFile.Site) -> [Range<Int>] {
        let step = max(1, min(4096, (8 << 20) / max(1, site.width * 4)))
        if check || site.tokens <= Self.pieces * Self.pieceRows {
            return stride(from: 0, to: site.tokens, by: step).map {
                $0..<min(site.tokens, $0 + step)
            }
        }
        var ranges = (0..<Self.pieces).map { piece in
            let start = piece * (site.tokens - Self.pieceRows) / (Self.pieces - 1)
            return start..<start + Self.pieceRows
        }
        let firsts = file.table.offsets.indices.prefix(Self.firstRows).compactMap { document in
            let row = Int(file.table.offsets[document])
            let isFirst =
                file.table.lengths[document] > 0 && file.table.positions[row] == 0
                && !ranges.contains { $0.contains(row) }
            return isFirst ? row..<row + 1 : nil
        }
        ranges += firsts
        return ranges.sorted { $0.lowerBound < $1.lowerBound }
    }

    /// - Throws: `.invalid` where a value is no number or, under `check`, beyond what the file says is
    ///   the largest.
    func survey(_ site: ActivationFile.Site, row: Int) throws(ActivationError) -> DumpSurvey {
        var survey = DumpSurvey(width: site.width)
        let layer = site.layers[row]
        var values: [Float] = []
        for range in ranges(site) {
            let count = range.count * site.width
            if values.count < count { values = [Float](repeating: 0, count: count) }
            try file.read(site.name, layer: layer, tokens: range, into: &values)
            let bad = values.withUnsafeBufferPointer { all in
                range.first { token in
                    let start = (token - range.lowerBound) * site.width
                    return !survey.add(
                        UnsafeBufferPointer(rebasing: all[start..<start + site.width]),
                        isFirst: file.table.positions[token] == 0)
                }
            }
            if let bad {
                throw .invalid(
                    path: file.path,
                    problem: "\(site.name) of layer \(layer) holds a value that is no number at "
                        + "position \(file.table.positions[bad]) of document "
                        + "\(file.table.documents[bad]); make the dump again")
            }
        }
        if check, survey.largest != site.maxAbs[row] {
            throw .invalid(
                path: file.path,
                problem: "the largest value of \(site.name) at layer \(layer) is "
                    + "\(survey.largest), and its max_abs says \(site.maxAbs[row]): the file is "
                    + "damaged; make the dump again")
        }
        return survey
    }

    /// Attention weights: each between 0 and 1, each query's together 1.
    func checkPatterns() throws(ActivationError) {
        for (name, documents) in file.patterns {
            for document in documents {
                let (layers, length) = try file.patternShape(name, document: document)
                for layer in layers {
                    let values = try file.pattern(document: document, layer: layer, name: name)
                    for start in stride(from: 0, to: values.count, by: max(1, length)) {
                        let row = values[start..<start + length]
                        let sum = row.reduce(0, +)
                        // bf16 rounds each weight by 2^-9 of itself at most.
                        guard row.allSatisfy({ $0 >= 0 && $0 <= 1 }), abs(sum - 1) < 0.01 else {
                            throw .invalid(
                                path: file.path,
                                problem: "\(name) of document \(document) at layer \(layer) has "
                                    + "weights that do not add up to 1; make the dump again")
                        }
                    }
                }
            }
        }
    }
}
