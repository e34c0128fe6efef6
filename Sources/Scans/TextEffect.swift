import Tensors

/// What plain text shows of a window beside its loss, in numbers for each document.
enum TextEffect: Equatable, Sendable {
    /// Of a skipped layer: for each layer l the mean over positions of ‖u_l - u'_l‖/‖u_l‖, u_l being what the
    /// layer adds with all layers in place and u'_l what it adds without the skipped one (Csordás et al.,
    /// arXiv 2505.13898); NaN up to the skipped layer. Behind them ‖p - p'‖ of the predictions at the last
    /// position.
    case later
    /// Of a looped window T with input h, for k = 1 … passes: the mean over positions of
    /// ‖T^k h - T^(k-1) h‖/‖h‖; behind them, for k = 2 … passes, that of the cosine between the k-th change
    /// and the one before.
    case dynamics(passes: Int)

    /// How many numbers it has.
    func count(layers: Int) -> Int {
        switch self {
        case .later: layers + 1
        case .dynamics(let passes): 2 * passes - 1
        }
    }

    /// Mean of ‖u - u'‖/‖u‖ over each text's rows; positions where u is 0 are left out.
    /// - Parameters:
    ///   - base: the states before and behind a layer in the model as it is.
    ///   - other: the same in the changed model.
    static func contributionChanges(
        _ texts: [ScanText], width: Int, base: (States, States), other: (States, States)
    ) -> [Double] {
        rowMeans(texts) { row in
            var own = 0.0
            var change = 0.0
            for index in row * width..<(row + 1) * width {
                let u = Double(base.1.pointer[index]) - Double(base.0.pointer[index])
                let changed = Double(other.1.pointer[index]) - Double(other.0.pointer[index])
                own += u * u
                change += (u - changed) * (u - changed)
            }
            return own > 0 ? (change / own).squareRoot() : nil
        }
    }

    /// - Parameter steps: h, T h, T² h, …; at most `count` + 1.
    static func dynamics(
        _ texts: [ScanText], width: Int, steps: [States], count: Int
    ) -> [[Double]] {
        var values = [[Double]](
            repeating: [Double](repeating: .nan, count: 2 * count - 1), count: texts.count)
        func store(_ place: Int, _ means: [Double]) {
            for (text, mean) in means.enumerated() { values[text][place] = mean }
        }
        func change(_ step: Int, _ index: Int) -> Double {
            Double(steps[step].pointer[index]) - Double(steps[step - 1].pointer[index])
        }
        for step in steps.indices.dropFirst() {
            store(
                step - 1,
                rowMeans(texts) { row in
                    var moved = 0.0
                    var size = 0.0
                    for index in row * width..<(row + 1) * width {
                        let delta = change(step, index)
                        let h = Double(steps[0].pointer[index])
                        moved += delta * delta
                        size += h * h
                    }
                    return size > 0 ? (moved / size).squareRoot() : nil
                })
            guard step > 1 else { continue }
            store(
                count + step - 2,
                rowMeans(texts) { row in
                    var (one, two, product) = (0.0, 0.0, 0.0)
                    for index in row * width..<(row + 1) * width {
                        let (now, before) = (change(step, index), change(step - 1, index))
                        one += now * now
                        two += before * before
                        product += now * before
                    }
                    return one > 0 && two > 0 ? product / (one * two).squareRoot() : nil
                })
        }
        return values
    }

    /// The mean over each text's rows of what `value` gives; NaN where it gives nothing.
    private static func rowMeans(_ texts: [ScanText], _ value: (Int) -> Double?) -> [Double] {
        var row = 0
        return texts.map { text in
            let found = (row..<row + text.rows).compactMap(value)
            row += text.rows
            return found.isEmpty ? .nan : found.reduce(0, +) / Double(found.count)
        }
    }
}
