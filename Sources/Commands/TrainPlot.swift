import Files
import Foundation

/// The curves of a training as lines of text: one for each number of `metrics.jsonl`, steps from left to right,
/// each column the mean of its steps, the height from the least to the greatest.
enum TrainPlot {
    private static let bars = Array(" ▁▂▃▄▅▆▇█")

    /// - Throws: `FileError` where there is no `metrics.jsonl`.
    static func text(run: String, width: Int = 60) throws(FileError) -> String {
        let path = Paths.join(run, "metrics.jsonl")
        let lines = try MappedFile.contents(path: path).split(separator: 0x0A)
            .compactMap { try? JSON.parse(Array($0)) }
        guard !lines.isEmpty else { throw .invalid(path: path, problem: "holds no step yet") }
        var rows = ["\(run): \(lines.count) steps"]
        let curves: [(name: String, value: (JSON) -> Double?)] = [
            ("loss", { $0["loss"]?.doubleValue }),
            ("validation_ce", { $0["validation_ce"]?.doubleValue }),
            ("grad_norm", { $0["grad_norm"]?.doubleValue }),
            ("first pass", { $0["pass_grad_norms"]?.arrayValue?.first?.doubleValue }),
            ("last pass", { $0["pass_grad_norms"]?.arrayValue?.last?.doubleValue }),
            ("iterations", { $0["iterations"]?.doubleValue }),
            ("lr", { $0["lr"]?.doubleValue }),
            ("tokens_per_s", { $0["tokens_per_s"]?.doubleValue }),
        ]
        for curve in curves {
            let columns = means(lines.map(curve.value), width)
            let present = columns.compactMap(\.self)
            guard let low = present.min(), let high = present.max() else { continue }
            let line = columns.map { value -> Character in
                guard let value else { return " " }
                let share = high > low ? (value - low) / (high - low) : 0.5
                return bars[1 + Int(nearest: share * 7)]
            }
            let name = curve.name + String(repeating: " ", count: max(0, 14 - curve.name.count))
            rows.append("\(name)\(String(line))  \(number(low)) to \(number(high))")
        }
        return rows.joined(separator: "\n") + "\n"
    }

    private static func number(_ value: Double) -> String { String(format: "%.4g", value) }

    /// The mean of each of at most `width` groups of steps; nil where none has a value.
    private static func means(_ values: [Double?], _ width: Int) -> [Double?] {
        let count = min(width, values.count)
        return (0..<count).map { column in
            let group = values[column * values.count / count..<(column + 1) * values.count / count]
                .compactMap(\.self)
            return group.isEmpty ? nil : group.reduce(0, +) / Double(group.count)
        }
    }
}
