import Files
import Plans
import Records

extension ReportContent {
    var verdict: ReportSection {
        let body: Markup
        if let proposed = split.split {
            let iterations = split.recommendedIterations.map { recommended in
                "Recommended: k = \(recommended)"
                    + (split.maximumIterations.map { ", at most \($0)." } ?? ".")
            }
            body = """
                <div class="verdict proposed">
                <p class="notation">\(proposed.notation)</p>
                <p class="lead">\(Prose.meaning(of: proposed)) \(Prose.confidence(split)) \
                \(iterations ?? "")</p>
                \(layerStrip)
                <p class="method">Selector: \(split.method). A selector proposes; only scans that skip \
                and loop layers can confirm.</p>
                </div>
                """
        } else {
            let leading: Markup? = split.alternatives.first.map {
                """
                <p>Leading alternative: <strong>\($0.split.notation)</strong> \
                (think block: \(Prose.layerRange($0.split.thinkRange))). It is a candidate to test, \
                not a proposal; <code>--alternative 1</code> takes it.</p>
                """
            }
            let reason = split.abstention ?? "no reason was recorded"
            body = """
                <div class="verdict abstained">
                <p class="notation">No split proposed</p>
                <p class="lead">\(Prose.sentence(reason))</p>
                \(leading)\(layerStrip)
                <p class="method">Selector: \(split.method). It abstains rather than name a split that \
                the evidence does not carry.</p>
                \(leadersTable)
                </div>
                """
        }
        return ReportSection(id: "verdict", title: "Verdict", short: "Verdict", body: body)
    }

    /// The layers as a row of cells, coloured by part.
    private var layerStrip: Markup {
        let count = max(1, layers.model.layers)
        let width = 960.0
        let cell = width / Double(count)
        let gap = count > 60 ? 1.0 : 2.0
        let think = shownSplit?.thinkRange ?? 0..<0
        let cells = (0..<count).map { layer -> Markup in
            let kind: String
            if think.contains(layer) {
                kind = split.split == nil ? "candidate" : "think"
            } else if split.split == nil {
                kind = "none"
            } else {
                kind = layer < think.lowerBound ? "encoder" : "decoder"
            }
            return """
                <rect class="cell zone-\(kind)" x="\(Double(layer) * cell)" y="0" \
                width="\(max(0.5, cell - gap))" height="30" rx="3"><title>Layer \(layer): \
                \(kind == "none" ? "not assigned" : kind)</title></rect>
                """
        }
        let parts =
            zones(.boundaries).map {
                "\($0.kind.rawValue) \(Int(nearest: $0.from)) to \(Int(nearest: $0.to) - 1)"
            }
        let description = parts.isEmpty ? "no part assigned" : parts.joined(separator: ", ")
        let legend = zones(.boundaries).map { zone -> Markup in
            "<li class=\"zone-\(zone.kind.rawValue)\">\(zone.label)</li>"
        }
        return """
            <svg class="strip" viewBox="0 0 960 30" preserveAspectRatio="none" role="img" \
            aria-label="\(count) layers: \(description)" xmlns="http://www.w3.org/2000/svg">\
            <title>\(count) layers: \(description)</title>\(cells)</svg>
            <ul class="parts">\(legend)</ul>
            """
    }

    /// The best alternative of every length of the think block.
    private var leadersTable: Markup {
        let leaders = AlternativeRanking(split.alternatives).leaders
        guard !leaders.isEmpty else {
            return "<p>There is no alternative to rank: the model is too short for one.</p>"
        }
        return """
            <h3>The best window of each length</h3>
            \(alternativesTable(leaders))
            """
    }

    func alternativesTable(_ ranked: [AlternativeRanking.Item]) -> Markup {
        let scores = AlternativeRanking.scoreNames(ranked)
        let head = scores.map { name -> Markup in
            "<th scope=\"col\" class=\"number\">\(AlternativeRanking.title(name))</th>"
        }
        let rows = ranked.map { item -> Markup in
            let cells = scores.map { name -> Markup in
                "<td>\(NumberText.significant(item.alternative.scores[name]))</td>"
            }
            let candidate = item.alternative.split
            return """
                <tr><th scope="row">\(item.number)</th><td class="text">\(candidate.notation)</td>\
                <td class="text">\(Prose.layerRange(candidate.thinkRange))</td>\
                \(cells)</tr>

                """
        }
        return """
            <div class="scroll" tabindex="0" role="group" aria-label="Alternatives"><table>
            <thead><tr><th scope="col">No.</th><th scope="col" class="text">Split</th>\
            <th scope="col" class="text">Think block</th>\(head)</tr></thead>
            <tbody>\(rows)</tbody></table></div>
            """
    }

    var facts: ReportSection {
        let (model, data) = (layers.model, layers.data)
        let facts: [(String, Markup)] = [
            ("Model", "<bdi>\(model.path)</bdi>"),
            ("Architecture", "\(model.architecture)"),
            ("Layers", "\(model.layers)"),
            ("Hidden size", "\(NumberText.grouped(model.hiddenSize))"),
            ("Vocabulary", "\(NumberText.grouped(model.vocabularySize))"),
            (
                "Parameters",
                """
                <span title="\(NumberText.grouped(model.parameters))">\
                \(NumberText.count(model.parameters))</span>
                """
            ),
            ("Text", "<bdi>\(data.path)</bdi>"),
            ("Documents", "\(NumberText.grouped(data.documents))"),
            ("Tokens", "\(NumberText.grouped(data.tokens))"),
            ("Window length", "\(NumberText.grouped(data.sequenceLength))"),
            ("Beginning-of-text token", "\(data.bos)"),
            ("Arithmetic", "\(layers.precision)"),
        ]
        let items = facts.map { name, value -> Markup in
            "<div><dt>\(name)</dt><dd>\(value)</dd></div>"
        }
        let warning: Markup? =
            data.documents < 30
            ? """
            <p class="note">With \(Prose.counted(data.documents, "document")) the standard errors are \
            rough, and last-token values rest on one position per document. \
            More text (<code>--data</code>) narrows them.</p>
            """ : nil
        return ReportSection(
            id: "facts", title: "Model and data", short: "Model and data",
            body: """
                <dl class="facts">\(items)<div class="whole"><dt>Fingerprint of the weights</dt>\
                <dd><code class="hash">\(model.fingerprint)</code></dd></div></dl>\(warning)
                """)
    }
}

/// The alternatives of a split file with the numbers by which `--alternative` takes them.
struct AlternativeRanking {
    struct Item {
        /// Counts from 1 in the order of the file.
        var number: Int
        var alternative: SplitRecord.Alternative
    }

    var items: [Item]

    init(_ alternatives: [SplitRecord.Alternative]) {
        items = alternatives.enumerated().map {
            Item(number: $0.offset + 1, alternative: $0.element)
        }
    }

    /// The first of each length: the file ranks within a length, best first.
    var leaders: [Item] {
        var seen: Set<Int> = []
        return items.filter { seen.insert($0.alternative.split.think).inserted }
    }

    static func scoreNames(_ items: [Item]) -> [String] {
        Set(items.flatMap(\.alternative.scores.keys)).sorted()
    }

    static func title(_ score: String) -> String {
        let words = score.replacing("_", with: " ")
        return words.prefix(1).uppercased() + words.dropFirst()
    }
}
