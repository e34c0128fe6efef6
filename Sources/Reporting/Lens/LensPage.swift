/// The logit lens of one prompt as one page that opens offline: boundaries × tokens, every cell with
/// its likeliest token, coloured by how decided the lens is, with the candidates on hover or focus.
public enum LensPage {
    /// What a cell's colour can show; the reader chooses.
    private enum Shade: String, CaseIterable {
        case confidence = "Decidedness"
        case probability = "Top probability"
        case closeness = "Closeness to the output"
        case final = "Final prediction"

        var explanation: String {
            switch self {
            case .confidence: "strong colour: low entropy, on this page's scale"
            case .probability: "strong colour: the likeliest token has a high probability"
            case .closeness: "strong colour: small KL(lens‖output), on this page's scale"
            case .final: "strong colour: the token finally preferred is already likely"
            }
        }

        /// Also the name of the CSS property that carries the value.
        var key: Markup {
            switch self {
            case .confidence: "h"
            case .probability: "p"
            case .closeness: "k"
            case .final: "f"
            }
        }
    }

    /// - Returns: The same bytes for the same table; loads nothing from anywhere.
    public static func page(_ table: LensTable) -> String {
        let shades = Shade.allCases.enumerated().map { position, shade -> Markup in
            let checked: Markup = position == 0 ? " checked=\"checked\"" : ""
            return """
                <label title="\(shade.explanation)"><input type="radio" name="shade" \
                id="shade-\(shade.key)" value="\(shade.key)"\(checked)/> \(shade.rawValue)</label>

                """
        }
        let rules = Shade.allCases.map { shade -> Markup in
            """
            body:has(#shade-\(shade.key):checked) td{--v:var(--\(shade.key))}

            """
        }
        let lenses = switches(table)
        let name = table.model.split(separator: "/").last.map(String.init) ?? table.model
        let prompt = table.prompt.map { LensTable.marked($0.text) }.joined(separator: "·")
        let body: Markup = """
            <header>
            <p class="eyebrow">\(lenses.title)</p>
            <h1><bdi>\(name)</bdi></h1>
            <p>What the model would say after each token if it stopped at a boundary: the state there, \
            through the final norm and the unembedding. Row 0 is the embedding, the top row the model's \
            own output.\(lenses.explanation) Point at a cell, tap it, or walk with the arrow keys to see its candidates.</p>
            <details><summary>Prompt, \(Prose.counted(table.prompt.count, "token"))</summary>\
            <p class="prompt"><bdi>\(prompt)</bdi></p></details>
            \(lenses.fieldset)<fieldset><legend>Colour</legend>
            \(shades)</fieldset>
            </header>
            <main>
            \(lenses.grids)
            </main>
            <footer><p>␣ space, ⏎ line end, ⇥ tab. Outlined cells already prefer the final prediction. \
            This file is complete in itself and loads nothing.</p></footer>

            """
        return PageShell.page(
            title: "\(lenses.title) · \(name)",
            style: "\(style)\(rules)\(lenses.rules)", body: body,
            script: "\(script)")
    }

    /// What differs between a page of one lens and one of two.
    private struct Switches {
        var title: String
        var explanation: Markup
        var fieldset: Markup
        var rules: Markup
        var grids: [Markup]
    }

    private static func switches(_ table: LensTable) -> Switches {
        func scroller(_ label: String, _ rows: [LensTable.Row]) -> Markup {
            """
            <div class="scroll" tabindex="0" role="group" aria-label="\(label) by boundary and token">
            \(grid(table, rows))
            </div>
            """
        }
        guard let file = table.tunedLens, !table.tunedRows.isEmpty else {
            return Switches(
                title: "Logit lens", explanation: "", fieldset: "", rules: "",
                grids: [scroller("Lens", table.rows)])
        }
        return Switches(
            title: "Tuned lens and logit lens",
            explanation: """
                 The tuned lens (<bdi>\(file)</bdi>) first turns the state by an affine map that was \
                trained for this boundary; the plain lens reads it as it is. Both share one colour scale.
                """,
            fieldset: """
                <fieldset><legend>Lens</legend>
                <label><input type="radio" name="lens" id="lens-tuned" value="tuned" \
                checked="checked"/> Tuned</label>
                <label><input type="radio" name="lens" id="lens-plain" value="plain"/> Plain</label>
                </fieldset>

                """,
            rules: """
                .lens h2{margin:8px 0}
                body:has(#lens-tuned:checked) .lens-plain{display:none}
                body:has(#lens-plain:checked) .lens-tuned{display:none}

                """,
            grids: [
                """
                <section class="lens lens-tuned"><h2>Tuned lens</h2>
                \(scroller("Tuned lens", table.tunedRows))</section>
                """,
                """
                <section class="lens lens-plain"><h2>Plain logit lens</h2>
                \(scroller("Plain lens", table.rows))</section>
                """,
            ])
    }

    private static func grid(_ table: LensTable, _ shown: [LensTable.Row]) -> Markup {
        let cells = (table.rows + table.tunedRows).flatMap(\.cells)
        let highest = Extremes(
            entropy: cells.compactMap(\.entropy).filter(\.isFinite).max() ?? 0,
            kl: cells.compactMap(\.klToFinal).filter(\.isFinite).max() ?? 0)
        let head = table.prompt.map { token -> Markup in
            """
            <th scope="col" title="id \(token.id)"><bdi>\(LensTable.marked(token.text))</bdi></th>
            """
        }
        var isFirst = true
        var band: String?
        let rows = shown.reversed().map { row -> Markup in
            let standing = row.place.map { " (\($0.text))" } ?? ""
            let cells = table.prompt.indices.map { column -> Markup in
                guard column < row.cells.count else { return "<td></td>" }
                defer { isFirst = false }
                return cell(
                    row.cells[column], highest,
                    place: "Boundary \(row.boundary)\(standing), after "
                        + "“\(LensTable.marked(table.prompt[column].text))”",
                    tabIndex: isFirst ? 0 : -1)
            }
            guard let place = row.place else {
                return "<tr><th scope=\"row\">\(row.boundary)</th>\(cells)</tr>\n"
            }
            let edge: Markup = band != nil && band != place.band ? " edge" : ""
            band = place.band
            return """
                <tr class="band \(place.style)\(edge)"><th scope="row"><span class="part">\(place.text)\
                </span> \(row.boundary)</th>\(cells)</tr>

                """
        }
        return """
            <table><thead><tr><th scope="col"><span class="corner">Boundary</span></th>\(head)</tr>\
            </thead>
            <tbody>\(rows)</tbody></table>
            """
    }

    private struct Extremes {
        var entropy: Double
        var kl: Double
    }

    private static func cell(
        _ cell: LensTable.Cell, _ highest: Extremes, place: String, tabIndex: Int
    ) -> Markup {
        func share(_ value: Double?) -> Double {
            guard let value, value.isFinite else { return 0 }
            return min(max(value, 0), 1)
        }
        func closeness(_ value: Double?, of highest: Double) -> Double {
            value.map { highest > 0 ? 1 - share($0 / highest) : 1 } ?? 0
        }
        let candidates = cell.top.map { candidate -> Markup in
            """
            <li><bdi>\(LensTable.marked(candidate.token.text))</bdi> \
            <span>\(NumberText.percent(candidate.probability))</span></li>
            """
        }
        var facts = [
            "entropy \(NumberText.significant(cell.entropy, digits: 3))",
            "KL to output \(NumberText.significant(cell.klToFinal, digits: 3))",
        ]
        if let rank = cell.finalRank {
            facts.append(
                "final prediction: rank \(NumberText.grouped(rank)), "
                    + NumberText.percent(cell.finalProbability))
        }
        let kind: Markup = cell.finalRank == 1 ? " class=\"settled\"" : ""
        return """
            <td\(kind) tabindex="\(tabIndex)" style="--h:\(closeness(cell.entropy, of: highest.entropy));\
            --p:\(share(cell.top.first?.probability));\
            --k:\(closeness(cell.klToFinal, of: highest.kl));--f:\(share(cell.finalProbability))">\
            <bdi>\(cell.top.first.map { LensTable.marked($0.token.text) } ?? NumberText.missing)</bdi>\
            <div class="tip"><strong>\(place)</strong><ol>\(candidates)</ol>\
            <p>\(facts.joined(separator: " · "))</p></div></td>
            """
    }

    private static let style: Markup = """
        header,main,footer{max-width:none}
        header p{max-width:72ch}
        .prompt{overflow-wrap:anywhere;color:var(--soft)}
        summary{cursor:pointer;color:var(--soft)}
        fieldset{border:0;padding:0;margin:10px 0;display:flex;flex-wrap:wrap;gap:4px 16px}
        legend{float:left;padding:0;margin-right:16px;font-weight:600}
        .scroll{max-height:80vh;overflow:auto;border:1px solid var(--line);border-radius:8px;\
        background:var(--card)}
        table{border-collapse:separate;border-spacing:2px;font-size:.8rem}
        th{background:var(--card);position:sticky;padding:3px 6px;font-weight:600;z-index:1}
        thead th{top:0;max-width:9.5em;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
        tbody th{left:0;text-align:right;font-variant-numeric:tabular-nums}
        thead th:first-child{left:0;z-index:2}
        .corner{color:var(--soft);font-weight:400}
        td{--v:var(--h);padding:3px 6px;min-width:3.6em;max-width:9.5em;border-radius:3px;\
        white-space:nowrap;text-align:center;cursor:default;\
        background:color-mix(in srgb,var(--shadecolor) calc(var(--v)*62%),var(--card))}
        td>bdi{display:block;overflow:hidden;text-overflow:ellipsis}
        :root{--shadecolor:#4d9be6}
        @media screen and (prefers-color-scheme:dark){:root{--shadecolor:#1f78d1}}
        .band th{white-space:nowrap;border-left:5px solid var(--bandcolor)}
        .part{color:var(--soft);font-weight:400;margin-right:.6em}
        .edge th,.edge td{border-top:2px solid var(--ink)}
        .embedding,.encoder{--bandcolor:#7a8794}
        .think{--bandcolor:#d9822b}
        .think.even{--bandcolor:#b5478f}
        .decoder{--bandcolor:#2f9e6e}
        .settled{outline:1.5px solid var(--ink);outline-offset:-1.5px}
        .tip{display:none}
        td:hover .tip,td:focus .tip{display:block;position:fixed;z-index:9;right:12px;bottom:12px;\
        width:min(22rem,calc(100vw - 24px));max-height:60vh;overflow:auto;text-align:left;\
        white-space:normal;background:var(--card);color:var(--ink);border:1px solid var(--line);\
        border-radius:8px;padding:10px 14px;box-shadow:0 4px 18px rgba(0,0,0,.3);font-size:.86rem;\
        pointer-events:none}
        td:hover .tip{z-index:10}
        .tip ol{margin:6px 0;padding-left:1.6em}
        .tip li span{float:right;font-variant-numeric:tabular-nums;color:var(--soft)}
        .tip p{margin:0;color:var(--soft)}
        @media print{.scroll{max-height:none;overflow:visible}fieldset{display:none}\
        th{position:static}table{font-size:.6rem}\
        *{-webkit-print-color-adjust:exact;print-color-adjust:exact}}

        """

    /// Arrow keys move the focus from cell to cell. Without it cells still answer pointer and tap.
    private static let script: Markup = #"""

        (function(){
        "use strict";
        var steps={ArrowLeft:[0,-1],ArrowRight:[0,1],ArrowUp:[-1,0],ArrowDown:[1,0]};
        document.querySelectorAll("tbody").forEach(function(body){
        body.addEventListener("keydown",function(event){
        var step=steps[event.key];
        var cell=event.target.closest("td");
        if(!step){return;}
        if(!cell){return;}
        event.preventDefault();
        var rows=cell.parentNode.parentNode.rows;
        var row=rows[cell.parentNode.rowIndex-1+step[0]];
        var next=row ? row.cells[cell.cellIndex+step[1]] : null;
        if(!next){return;}
        if(next.tagName!=="TD"){return;}
        cell.tabIndex=-1;next.tabIndex=0;next.focus();
        });
        });
        })();

        """#
}
