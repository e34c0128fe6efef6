import Files
import Plans
import Records

/// The two answers of `select`, and how far its selectors agree.
extension ReportContent {
    /// nil in a probe's report, which no verdict has been made of.
    var answersSection: ReportSection? {
        guard let verdict = split.verdict else { return nil }
        let frozen = verdict["frozen"]
        let train = verdict["train"]
        let reason = frozen?["reason"]?.stringValue ?? ""
        var body: Markup = """
            <h3>Use it frozen</h3>
            <p>\(reason)</p>
            \(confirmedTable(frozen?["confirmed"]?.arrayValue ?? []))
            \(iterationCurve(frozen?["k_curve"]?.arrayValue ?? []))
            \(frontPicture(verdict["front"]?.arrayValue ?? []))
            <h3>Train it</h3>

            """
        if let proposed = split.split {
            body += """
                <p><strong>\(proposed.notation)</strong>, unproven until trained. \
                \(Prose.confidence(split))</p>

                """
        } else {
            body += "<p>No split proposed. \(train?["reason"]?.stringValue ?? "")</p>"
        }
        body += candidatesTable(train?["candidates"]?.arrayValue ?? [])
        body += rivalsTable(train?["rivals"]?.arrayValue ?? [])
        body += histograms(train)
        body += candidateCosts(verdict["costs"]?.arrayValue ?? [])
        body += agreement(verdict)
        body += selectorCurves
        body += sweeps(verdict["sweeps"]?.arrayValue ?? [])
        let missing = verdict["missing"]?.objectValue ?? [:]
        if !missing.isEmpty {
            let items = missing.map { title, needs -> Markup in
                let names = (needs.arrayValue ?? []).compactMap(\.stringValue)
                return "<li>\(title): needs \(names.joined(separator: ", "))</li>"
            }
            body += "<h3>What was not read</h3><ul>\(items)</ul>"
        }
        return ReportSection(
            id: "answers", title: "Two questions, two answers", short: "Answers", body: body)
    }

    func number(_ json: JSON?, _ digits: Int = 3) -> String {
        NumberText.significant(json?.doubleValue, digits: digits)
    }

    private func confirmedTable(_ windows: [JSON]) -> Markup {
        guard !windows.isEmpty else { return "" }
        let rows = windows.prefix(8).map { window -> Markup in
            let start = window["start"]?.intValue ?? 0
            let last = start &+ (window["length"]?.intValue ?? 1) &- 1
            return """
                <tr><th scope="row" class="text">\(window["kind"]?.stringValue ?? "") × \
                \(window["iterations"]?.intValue ?? 0)</th><td class="text">\(start)–\(last)</td>\
                <td>\(window["items"]?.intValue ?? 0)</td><td>\(number(window["margin_delta"]))</td>\
                <td>\(number(window["low"])) to \(number(window["high"]))</td>\
                <td>\(number(window["accuracy_delta"], 2))</td>\
                <td>\(number(window["nll_delta"], 2))</td>\
                <td>\(number(window["overhead"]))×</td></tr>

                """
        }
        return """
            <div class="scroll" tabindex="0" role="group" aria-label="Confirmed windows"><table><thead>\
            <tr><th scope="col" class="text">Loop</th><th scope="col" class="text">Layers</th>\
            <th scope="col">Items</th><th scope="col" class="number">Δ margin</th>\
            <th scope="col" class="number">Band for all windows</th>\
            <th scope="col" class="number">Δ accuracy</th>\
            <th scope="col" class="number">Δ NLL of text</th>\
            <th scope="col" class="number">Executed layers</th></tr></thead>
            <tbody>\(rows)</tbody></table></div>
            <p class="note">Margins in nats and accuracy on confirmation items, which chose nothing; the band is 95 % for \
            all confirmed windows together. Text in nats per token: above 0 it suffers.</p>

            """
    }

    private func candidatesTable(_ candidates: [JSON]) -> Markup {
        guard let first = candidates.first else { return "" }
        let parts = Array((first["parts"]?.objectValue ?? [:]).keys)
        let rows = candidates.prefix(6).map { candidate -> Markup in
            let cells = parts.map { name -> Markup in
                "<td>\(number(candidate["parts"]?[name], 2))</td>"
            }
            return """
                <tr><th scope="row" class="text">\(candidate["notation"]?.stringValue ?? "")</th>\
                <td>\(number(candidate["score"], 2))</td>\(cells)</tr>

                """
        }
        let heads = parts.map { name -> Markup in
            "<th scope=\"col\" class=\"number\">\(name.replacing("_", with: " "))</th>"
        }
        return """
            <div class="scroll" tabindex="0" role="group" aria-label="Candidates"><table><thead><tr>\
            <th scope="col" class="text">Candidate</th><th scope="col" class="number">Score</th>\(heads)\
            </tr></thead>
            <tbody>\(rows)</tbody></table></div>
            <p class="note">Each part in standard deviations: USE in those of as many layers drawn at random, the \
            others among the windows of one length. The score is their mean.</p>

            """
    }

    /// A strip of layers for each selector, with how often resamples say the same.
    private func agreement(_ verdict: JSON) -> Markup {
        let count = max(1, layers.model.layers)
        let rows = split.evidence.map { name, evidence -> Markup in
            let stability = verdict["stability"]?[name]
            let near = stability?["within_one_layer"]?.doubleValue
            let share = near.map { "\(Int(nearest: 100 * $0)) %" } ?? "–"
            let strip: Markup
            if let proposal = evidence.proposal {
                let width = 300.0 / Double(count)
                strip = """
                    <svg viewBox="0 0 300 12" width="300" height="12" role="img" \
                    aria-label="\(Prose.layerRange(proposal.thinkRange))" \
                    xmlns="http://www.w3.org/2000/svg">\
                    <rect class="cell zone-none" x="0" y="0" width="300" height="12"/>\
                    <rect class="cell zone-think" x="\(Double(proposal.encoder) * width)" y="0" \
                    width="\(Double(proposal.think) * width)" height="12"/></svg>
                    """
            } else {
                strip = "nothing stands out"
            }
            return """
                <tr><th scope="row" class="text">\(name.replacing("_", with: " "))</th>\
                <td class="text">\(strip)</td>\
                <td class="text">\(evidence.proposal?.notation ?? "–")</td><td>\(share)</td></tr>

                """
        }
        guard !rows.isEmpty else { return "" }
        return """
            <h3>What each selector proposes</h3>
            <div class="scroll" tabindex="0" role="group" aria-label="Selectors"><table><thead><tr>\
            <th scope="col" class="text">Selector</th><th scope="col" class="text">Think block over the \
            layers</th><th scope="col" class="text">Split</th>\
            <th scope="col" class="number">Resamples within one layer</th></tr></thead>
            <tbody>\(rows)</tbody></table></div>

            """
    }
}
