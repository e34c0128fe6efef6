import Tensors

/// What a classifier is fitted to: rows of features in three parts, and one or more labels of each row.
///
/// All labellings share the features, so a task and its control task cost one factorisation.
package struct ProbeProblem {
    /// [rows, width], f32.
    let features: UnsafePointer<Float>
    let width: Int
    let classes: Int
    /// Class of each row, from 0, in each labelling: [labellings][rows].
    let labels: [[Int]]
    let train: Range<Int>
    let validation: Range<Int>
    let test: Range<Int>

    package init(
        features: UnsafePointer<Float>, width: Int, classes: Int, labels: [[Int]],
        train: Range<Int>, validation: Range<Int>, test: Range<Int>
    ) {
        self.features = features
        self.width = width
        self.classes = classes
        self.labels = labels
        self.train = train
        self.validation = validation
        self.test = test
    }

    var labellings: Int { labels.count }
    /// One column per class and labelling.
    var targets: Int { classes * labels.count }

    /// ±1 for each class of each labelling: [rows, targets].
    func storeTargets(_ rows: Range<Int>, into out: UnsafeMutablePointer<Double>) {
        for (labelling, labels) in labels.enumerated() {
            for (place, row) in rows.enumerated() {
                let values = out + place * targets + labelling * classes
                for index in 0..<classes { values[index] = index == labels[row] ? 1 : -1 }
            }
        }
    }

    func accuracy(_ predicted: [Int], _ rows: Range<Int>, labelling: Int) -> Double {
        let hits = zip(rows, predicted).count { labels[labelling][$0] == $1 }
        return Double(hits) / Double(max(1, rows.count))
    }
}

/// How well a strength did on the validation rows: by accuracy, and among equals by loss.
struct ValidationScore: Comparable {
    var accuracy: Double
    var loss: Double

    static let worst = ValidationScore(accuracy: -1, loss: .infinity)

    static func < (a: ValidationScore, b: ValidationScore) -> Bool {
        (a.accuracy, -a.loss) < (b.accuracy, -b.loss)
    }
}

/// A linear classifier on raw features: scores = x·weights + intercepts.
public struct LinearClassifier: Sendable {
    /// [width, classes], row-major.
    public var weights: [Double]
    public var intercepts: [Double]

    var classes: Int { intercepts.count }
}

/// The result of fitting one labelling.
package struct ProbeFit {
    package var classifier: LinearClassifier
    /// The penalty that did best on the validation rows.
    package var strength: Double
    /// Class of each test row.
    package var predicted: [Int]
    /// Bits of the training labels in the online code; nil where not asked for.
    package var codeLength: Double?
}

/// The first class of the highest score of each row of [rows, stride].
func highest(
    _ scores: UnsafePointer<Double>, rows: Int, stride: Int, from first: Int, classes: Int
) -> [Int] {
    (0..<rows).map { row in
        let values = scores + row * stride + first
        var best = 0
        for index in 1..<max(1, classes) where values[index] > values[best] { best = index }
        return best
    }
}
