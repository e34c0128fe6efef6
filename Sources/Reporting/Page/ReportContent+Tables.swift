import Records

extension ReportContent {
    private typealias Rows = [(index: Int, metrics: LayersRecord.Metrics)]

    var tables: ReportSection {
        let byLayer: Rows = layers.layers.map { ($0.index, $0.metrics) }
        let byBoundary: Rows = layers.boundaries.map { ($0.index, $0.metrics) }
        let tuned: Rows = layers.boundaries.map { ($0.index, $0.tuned) }
        let groups: [(title: String, first: String, rows: Rows)] = [
            ("By layer", "Layer", byLayer), ("By boundary", "Boundary", byBoundary),
            ("Tuned lens", "Boundary", tuned),
        ]
        var parts: [Markup] = []
        // Twins have tables of their own.
        for twins in [false, true] {
            for group in groups {
                let metrics = described(group.rows).filter {
                    $0.name.hasSuffix(Metric.twinEnding) == twins
                }
                guard !metrics.isEmpty else { continue }
                parts.append(
                    table(
                        group.title + (twins ? ", without sinks" : ""), first: group.first,
                        metrics: metrics, rows: group.rows))
            }
        }
        if let scores = scoresTable { parts.append(scores) }
        // Sections of which nothing was measured are left out; what they would have shown is named here.
        let missing: Markup? = missing(
            passes.sections.filter { self.section($0) == nil }.flatMap(\.figures).flatMap(\.metrics)
        )
        let intro: Markup = """
            <p>Mean, and in small type the standard error over documents; “–” where undefined. \
            <code>layers.csv</code> beside this file has all digits.</p>
            """
        return ReportSection(
            id: "tables", title: "All numbers", short: "Tables",
            body: parts.isEmpty
                ? "<p class=\"note\">This run measured nothing per layer or boundary.</p>"
                : "\(intro)\(parts)\(missing)")
    }

    /// The metrics of rows in the order of the file, as their passes describe them.
    private func described(_ rows: Rows) -> [Metric] {
        let known = passes.flatMap(\.metrics).flatMap(\.withTwin)
        var names: [String] = []
        for name in rows.flatMap(\.metrics.keys) where !names.contains(name) { names.append(name) }
        return names.map { name in
            known.first { $0.name == name } ?? .undescribed(name)
        }
    }

    private func table(
        _ title: String, first: String, metrics: [Metric], rows: Rows
    ) -> Markup {
        let head = metrics.map { metric -> Markup in
            "<th scope=\"col\" class=\"number\" title=\"\(metric.name)\">\(metric.title)</th>"
        }
        let body = rows.map { index, values -> Markup in
            let cells = metrics.map { metric -> Markup in
                let estimate = values[metric.name]
                let error: Markup? = (estimate?.standardError).map {
                    " <small>± \(NumberText.error($0))</small>"
                }
                return "<td>\(NumberText.significant(estimate?.mean))\(error)</td>"
            }
            return "<tr><th scope=\"row\">\(index)</th>\(cells)</tr>\n"
        }
        return numberTable(
            title: "\(title) (\(Prose.counted(rows.count, "row")))", first: first, head: "\(head)",
            body: "\(body)")
    }

    private func numberTable(title: String, first: String, head: Markup, body: Markup) -> Markup {
        """
        <details><summary>\(title)</summary>
        <div class="scroll" tabindex="0" role="group" aria-label="\(title)"><table>
        <thead><tr><th scope="col">\(first)</th>\(head)</tr></thead>
        <tbody>
        \(body)</tbody></table></div></details>

        """
    }

    /// Scores derived from the metrics, when a selector left some.
    private var scoresTable: Markup? {
        let names = Set(layers.layers.flatMap(\.scores.keys)).sorted()
        guard !names.isEmpty else { return nil }
        let head = names.map { name -> Markup in
            "<th scope=\"col\" class=\"number\">\(AlternativeRanking.title(name))</th>"
        }
        let body = layers.layers.map { layer -> Markup in
            let cells = names.map { name -> Markup in
                "<td>\(NumberText.significant(layer.scores[name] ?? nil))</td>"
            }
            return "<tr><th scope=\"row\">\(layer.index)</th>\(cells)</tr>\n"
        }
        return numberTable(
            title: "Scores by layer", first: "Layer", head: "\(head)", body: "\(body)")
    }

    var glossary: ReportSection {
        let declared = passes.metrics(.layer) + passes.metrics(.boundary)
        let others =
            (described(layers.layers.map { ($0.index, $0.metrics) })
            + described(layers.boundaries.map { ($0.index, $0.metrics) }))
            .filter { other in
                !other.name.hasSuffix(Metric.twinEnding)
                    && !declared.contains { $0.name == other.name }
            }
        let entries = (declared + others).map { metric -> Markup in
            let note: Markup? =
                metric.formula.isEmpty
                ? nil
                : """
                <p class="formula">\(metric.formula)</p><p class="source">\(metric.source.markup)</p>
                """
            let unit: Markup? = metric.unit.isEmpty ? nil : " In \(metric.unit)."
            let high: Markup? = metric.high.isEmpty ? nil : " High: \(metric.high)."
            return """
                <div><dt>\(metric.title) <code>\(metric.name)</code></dt>\
                <dd><p>\(metric.explanation)\(unit)\(high)</p>\(note)</dd></div>

                """
        }
        return ReportSection(
            id: "glossary", title: "What the numbers mean", short: "Glossary",
            body: """
                <p>hₗ is the residual stream before layer l (h₀ the embedding, h_L the last layer's output \
                before the final norm), pₗ the distribution the lens reads from it, p_L the model's own \
                output. Logarithms are natural. Means are over all positions unless the name says \
                <code>_last</code>; a standard error treats documents as the independent units: \
                SE = √( D/(D−1) · Σ (S_d − m·n_d)² ) / Σ n_d over D documents with sums S_d over n_d \
                positions and the mean m = ΣS_d/Σn_d. A mean named <code>_nosink</code> leaves attention sinks \
                out: each document's first position, and those whose state is longer than 20 times the \
                document's median at a third of the boundaries or more. A score says what a layer does to the state, not \
                whether the answer depends on it.</p>
                <dl class="glossary">\(entries)</dl>
                """)
    }

    // MARK: - Reproduction

    var reproduction: ReportSection {
        var body: Markup = ""
        if let run {
            body += """
                <h3>Command</h3>
                <pre class="command">\(ShellWords.line(run.arguments))</pre>

                """
            body += selfChecks(run)
            var facts: [(String, String)] = [
                ("Opening the model", NumberText.duration(run.timings.open)),
                ("Tokenizing", NumberText.duration(run.timings.tokenize)),
                ("The pass", NumberText.duration(run.timings.pass)),
                ("In all", NumberText.duration(run.timings.total)),
                ("Tokens", NumberText.grouped(run.tokens)),
            ]
            if run.timings.pass > 0 {
                let rate = Double(run.tokens) / run.timings.pass
                facts.append(("Tokens a second", NumberText.significant(rate, digits: 3)))
            }
            facts += [
                ("Peak memory", NumberText.bytes(Double(run.peakResidentBytes))),
                ("Threads", "\(run.threads)"),
                ("BLAS kernels for", run.blasCoreType),
            ]
            body += "<h3>Time and memory</h3>\(definitions(facts))"
            let versions = run.versions.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
            body += "<h3>Versions</h3>\(definitions(versions))"
            let hashes = run.hashes.sorted { $0.key < $1.key }.map { name, value -> Markup in
                "<div><dt>\(name)</dt><dd><code class=\"hash\">\(value)</code></dd></div>"
            }
            if !hashes.isEmpty { body += "<h3>Hashes</h3><dl class=\"facts wide\">\(hashes)</dl>" }
        } else {
            body += "<p class=\"note\">How the run was made is not recorded (no run.json).</p>"
        }
        let tool = split.createdBy.isEmpty ? "etd-analyze" : split.createdBy
        body += """
            <h3>Citing</h3>
            <p>Name the tool (\(tool)), the model's fingerprint, the text and the command, and the \
            method: \(Citation.etd.markup).</p>
            """
        return ReportSection(
            id: "reproduce", title: "Reproduce and cite", short: "Reproduce", body: body)
    }

    private func selfChecks(_ run: RunRecord) -> Markup {
        guard !run.selfChecks.isEmpty else {
            return "<p class=\"note\">This run recorded no self-checks.</p>"
        }
        let rows = run.selfChecks.map { check -> Markup in
            // Written so that a value that is no number fails.
            let passed = check.value <= check.limit
            let mark: Markup =
                passed
                ? "<td class=\"text pass\">✓ passed</td>" : "<td class=\"text fail\">✗ failed</td>"
            return """
                <tr><th scope="row" class="text">\(check.name)</th>\
                <td>\(NumberText.significant(check.value, digits: 3))</td>\
                <td>\(NumberText.significant(check.limit, digits: 2))</td>\(mark)</tr>

                """
        }
        return """
            <h3>Self-checks of this run, on its first window</h3>
            <div class="scroll" tabindex="0" role="group" aria-label="Self-checks"><table><thead><tr>\
            <th scope="col" class="text">Check</th><th scope="col">Value</th>\
            <th scope="col">Limit</th><th scope="col" class="text">Result</th></tr></thead>
            <tbody>\(rows)</tbody></table></div>

            """
    }

    private func definitions(_ facts: [(String, String)]) -> Markup {
        let items = facts.map { name, value -> Markup in
            "<div><dt>\(name)</dt><dd>\(value)</dd></div>"
        }
        return "<dl class=\"facts\">\(items)</dl>"
    }
}

/// Writes arguments the way a POSIX shell reads them back.
enum ShellWords {
    static func line(_ arguments: [String]) -> String {
        arguments.map(quoted).joined(separator: " ")
    }

    private static func quoted(_ word: String) -> String {
        let isPlain = word.unicodeScalars.allSatisfy {
            $0.isASCII
                && ($0.properties.isAlphabetic || ("0"..."9").contains($0)
                    || "-_./:=,@%+".unicodeScalars.contains($0))
        }
        return isPlain && !word.isEmpty ? word : "'" + word.replacing("'", with: "'\\''") + "'"
    }
}

extension Metric {
    /// One that no pass here describes, of a file by another version.
    static func undescribed(_ name: String) -> Metric {
        Metric(
            name: name, title: name.replacing("_", with: " "), place: .layer,
            explanation: "Written by a pass that this report has no description for.", formula: "",
            high: "", source: Citation(text: "", address: nil))
    }
}
