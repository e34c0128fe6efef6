import Files

/// What `metrics.jsonl` of a training run holds, step by step.
public struct TrainingCurves: Sendable {
    /// Ascending.
    public var steps: [Double] = []
    public var loss: [Double?] = []
    public var crossEntropy: [Double?] = []
    public var gradientNorm: [Double?] = []
    public var rate: [Double?] = []
    public var iterations: [Double?] = []
    public var tokensPerSecond: [Double?] = []
    public var validation: [Double?] = []
    /// By step, then pass of the think block, first pass first; empty where the model is not looped.
    public var passNorms: [[Double?]] = []
    /// Of all steps.
    public var tokens = 0

    /// - Throws: `FileError.invalid` naming the line that is no object with a step.
    public init(lines: [[UInt8]], path: String) throws(FileError) {
        for (number, line) in lines.enumerated() {
            let json = try? JSON.parse(line)
            guard let json, let step = json["step"]?.intValue else {
                // The last line may have been on its way when the run was killed.
                if number + 1 == lines.count { break }
                throw .invalid(
                    path: path, problem: "line \(number + 1): expected an object with \"step\"")
            }
            steps.append(Double(step))
            loss.append(json["loss"]?.doubleValue)
            crossEntropy.append(json["ce"]?.doubleValue)
            gradientNorm.append(json["grad_norm"]?.doubleValue)
            rate.append(json["lr"]?.doubleValue)
            iterations.append(json["iterations"]?.doubleValue)
            tokensPerSecond.append(json["tokens_per_s"]?.doubleValue)
            validation.append(json["validation_ce"]?.doubleValue)
            passNorms.append((json["pass_grad_norms"]?.arrayValue ?? []).map(\.doubleValue))
            tokens += json["tokens"]?.intValue ?? 0
        }
    }

    /// Points of a picture, at most: more steps are averaged in runs of equal length.
    static let mostPoints = 300

    /// Means of runs of steps, each at its middle step; gaps where nothing was measured.
    func points(_ values: [Double?]) -> [LineChart.Point] {
        let width = max(1, (steps.count + Self.mostPoints - 1) / Self.mostPoints)
        return stride(from: 0, to: steps.count, by: width).map { start in
            let end = min(start + width, steps.count)
            let known = values[start..<end].compactMap { $0 }.filter(\.isFinite)
            let middle = (steps[start] + steps[end - 1]) / 2
            return .init(
                x: middle,
                y: known.isEmpty ? nil : known.reduce(0, +) / Double(known.count))
        }
    }
}

/// A training run as one page: loss, gradients in all and by pass, learning rate, k, speed.
public enum TrainingPage {
    /// - Parameters:
    ///   - name: of the run.
    ///   - configuration: its text, shown as it is; nil without.
    /// - Returns: the same bytes for the same records; loads nothing.
    public static func page(
        name: String, curves: TrainingCurves, configuration: String?, createdBy: String
    ) -> String {
        let last = curves.loss.compactMap { $0 }.last
        let facts: [(String, Markup)] = [
            ("Steps", "\(NumberText.grouped(Int(nearest: curves.steps.last ?? 0)))"),
            ("Tokens", "\(NumberText.grouped(curves.tokens))"),
            ("Last loss", "\(NumberText.significant(last))"),
            (
                "Least validation loss",
                "\(NumberText.significant(curves.validation.compactMap { $0 }.min()))"
            ),
        ]
        let items = facts.map { name, value -> Markup in
            "<div><dt>\(name)</dt><dd>\(value)</dd></div>"
        }
        let settings: Markup? = configuration.map {
            """
            <section id="configuration" aria-labelledby="configuration-heading">
            <h2 id="configuration-heading">Configuration</h2>
            <pre>\($0)</pre>
            </section>

            """
        }
        let body: Markup = """
            <header>
            <p class="eyebrow">ETD training</p>
            <h1><bdi>\(name)</bdi></h1>
            </header>
            <main>
            <section id="curves" aria-labelledby="curves-heading">
            <h2 id="curves-heading">Curves</h2>
            <dl class="facts">\(items)</dl>
            \(pictures(curves))
            </section>
            \(settings)</main>
            <footer><p>Made by \(createdBy). This file is complete in itself and loads nothing.</p></footer>

            """
        return PageShell.page(
            title: "\(name) · ETD training", style: "\(Stylesheet.report)", body: body,
            script: "\(Stylesheet.script)")
    }

    private static func pictures(_ curves: TrainingCurves) -> Markup {
        var losses: [(String, [Double?])] = [("Loss", curves.loss)]
        if curves.crossEntropy != curves.loss {
            losses.append(("Cross-entropy", curves.crossEntropy))
        }
        let wide = chart(
            "loss", "Loss", "Nats per token; the loss adds the z-loss.", curves, losses,
            yLabel: "Nats per token", fromZero: false, width: 960)
        let held =
            curves.validation.contains { $0 != nil }
            ? chart(
                "validation", "Validation", "Cross-entropy on held-out text.", curves,
                [("Validation", curves.validation)], yLabel: "Nats per token", fromZero: false) : ""
        let passes = curves.passNorms.map(\.count).max() ?? 0
        // Four tones: the first, the last and two between tell how gradients fade.
        let chosen =
            passes <= 4
            ? Array(0..<passes) : [0, passes / 3, 2 * passes / 3, passes - 1]
        let byPass =
            passes > 1
            ? chart(
                "passes", "Gradient by pass",
                "Norm of the loss's gradient at the state that each pass of the think block receives.",
                curves,
                chosen.map { pass in
                    (
                        "Pass \(pass + 1)",
                        curves.passNorms.map { pass < $0.count ? $0[pass] : nil }
                    )
                }, yLabel: "Norm") : ""
        let narrow: [Markup] = [
            held,
            chart(
                "norm", "Gradient norm", "Of all parameters, before clipping.", curves,
                [("Gradient norm", curves.gradientNorm)], yLabel: "Norm"),
            byPass,
            chart(
                "rate", "Learning rate", "", curves, [("Learning rate", curves.rate)],
                yLabel: "Learning rate"),
            chart(
                "iterations", "Iterations", "Passes of the think block, k.", curves,
                [("k", curves.iterations)], yLabel: "k"),
            chart(
                "speed", "Speed", "", curves, [("Tokens per second", curves.tokensPerSecond)],
                yLabel: "Tokens per second"),
        ]
        return "\(wide)<div class=\"pair\">\(narrow)</div>"
    }

    private static func chart(
        _ id: String, _ title: String, _ caption: String, _ curves: TrainingCurves,
        _ series: [(name: String, values: [Double?])], yLabel: String, fromZero: Bool = true,
        width: Double = 440
    ) -> Markup {
        let drawn = series.enumerated().map { index, item in
            LineChart.Series(
                name: item.name, tone: index % 4 + 1, points: curves.points(item.values))
        }
        guard drawn.contains(where: { $0.points.contains { $0.y != nil } }) else { return "" }
        var chart = LineChart(
            frame: ChartFrame(
                id: id, title: title, summary: "\(title) by step.", xLabel: "Step", yLabel: yLabel,
                width: width, height: width > 500 ? 300 : 230), series: drawn, xName: "Step")
        chart.includesZero = fromZero
        return """
            <figure><figcaption><h3>\(title)</h3><p>\(caption)</p></figcaption>\(chart.svg())</figure>

            """
    }
}
