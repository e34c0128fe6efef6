import Files
import Records

extension ReportContent {
    func figure(_ title: String, caption: String, _ picture: Markup) -> Markup {
        """
        <figure><figcaption><h3>\(title)</h3><p>\(caption)</p></figcaption>\(picture)</figure>

        """
    }

    // MARK: - Selection

    var selectionSection: ReportSection {
        let kneedle = split.evidence["kneedle"].map { KneedleCurves($0) }
        let pictures = (kneedle?.charts ?? []).map { item in
            figure(item.title, caption: item.caption, item.picture)
        }
        var body: Markup = """
            <p>Kneedle looks for the bend where a steep fall turns gradual: from the front it gives the \
            encoder's length, from the back the decoder's. Its curve is the measured one scaled to the \
            unit square; a peak of the difference counts as a knee once the curve falls below the \
            threshold. On so few points it is unstable. \(Citation.kneedle.markup)</p>

            """
        if pictures.isEmpty {
            body += "<p class=\"note\">No Kneedle curves were recorded for this run.</p>"
        } else {
            if let sensitivity = kneedle?.sensitivity {
                body += "<p>Sensitivity S = \(NumberText.significant(sensitivity, digits: 2)).</p>"
            }
            body += "<div class=\"pair\">\(pictures)</div>"
        }
        body += proposals
        body += "\(alternativesPart)"
        body += "\(costs)"
        return ReportSection(
            id: "selection", title: "From curve to split", short: "Selection", body: body)
    }

    private var proposals: Markup {
        let items = split.evidence.map { name, evidence -> Markup in
            let says = evidence.proposal.map { "\($0.notation)" } ?? "nothing"
            return """
                <li><strong>\(name)</strong> by itself proposes <strong>\(says)</strong>\
                <details><summary>Its values</summary><pre>\(evidence.values.text())</pre></details></li>
                """
        }
        // A verdict's section shows them as strips.
        guard !items.isEmpty, split.verdict == nil else { return "" }
        return "<h3>What each selector says</h3><ul class=\"selectors\">\(items)</ul>"
    }

    private var alternativesPart: Markup? {
        let ranking = AlternativeRanking(split.alternatives)
        guard !ranking.items.isEmpty else { return nil }
        let cells = ranking.items.compactMap { item -> Heatmap.Cell? in
            guard let value = item.alternative.scores["mean_angular_distance"] else { return nil }
            let candidate = item.alternative.split
            return Heatmap.Cell(
                column: candidate.encoder, row: candidate.think, value: value,
                tooltip: "No. \(item.number): \(candidate.notation)\n"
                    + "Mean angular distance: \(NumberText.significant(value))",
                marked: candidate == shownSplit)
        }
        var picture: Markup = ""
        if cells.count >= 4 {
            let map = Heatmap(
                frame: ChartFrame(
                    id: "windows", title: "Mean angular distance of candidate think blocks",
                    summary: "Windows by first layer and length; the table below has every value.",
                    xLabel: "First layer of the think block", yLabel: "Length in layers"),
                cells: cells, valueName: "Mean angular distance")
            picture = figure(
                "Candidate think blocks",
                caption: "Paler windows turn the state less. Outlined: "
                    + (split.split == nil
                        ? "the leading alternative." : "the proposed split, if listed."),
                map.svg())
        }
        let opened: Markup = ranking.items.count <= 12 ? " open=\"open\"" : ""
        return """
            <h3>Alternatives</h3>
            <p>Contiguous windows: the leading one first, then the best of each length. Means of \
            different lengths do not compare, since a longer window averages more layers; depth does: \
            how far the mean lies below that of as many middle layers drawn at random, in standard \
            deviations. The number is the one that <code>--alternative</code> takes.</p>
            <div class="pair">\(picture)<div><details\(opened)>\
            <summary>All \(Prose.counted(ranking.items.count, "alternative"))</summary>\
            \(alternativesTable(ranking.items))</details></div></div>
            """
    }

    private var costs: Markup? {
        guard !split.cost.isEmpty else { return nil }
        let rows = split.cost.map { cost -> Markup in
            """
            <tr><th scope="row">\(cost.iterations)</th>\
            <td>\(NumberText.significant(cost.flopsPerToken))</td>\
            <td>\(NumberText.bytes(cost.kvBytesPerToken))</td></tr>
            """
        }
        return """
            <h3>What iterating costs</h3>
            <div class="scroll" tabindex="0" role="group" aria-label="Cost"><table><thead><tr>\
            <th scope="col">k</th><th scope="col">FLOPs per token</th>\
            <th scope="col">KV cache per token</th></tr></thead><tbody>\(rows)</tbody></table></div>
            """
    }
}
