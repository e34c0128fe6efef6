import Files

/// The logit lens of one prompt: what every boundary would predict after every token.
///
/// Plain numbers and texts; who computed them, and how, this module does not know.
public struct LensTable: Sendable, Equatable {
    public struct Token: Sendable, Equatable {
        public var id: Int
        /// As decoded by itself; spaces and line ends are marked only when shown.
        public var text: String

        public init(id: Int, text: String) {
            self.id = id
            self.text = text
        }
    }

    public struct Candidate: Sendable, Equatable {
        public var token: Token
        public var probability: Double

        public init(token: Token, probability: Double) {
            self.token = token
            self.probability = probability
        }
    }

    /// One boundary at one position.
    public struct Cell: Sendable, Equatable {
        /// Most likely first.
        public var top: [Candidate]
        /// Entropy of the lens distribution in nats.
        public var entropy: Double?
        /// KL(p_l‖p_L) in nats.
        public var klToFinal: Double?
        /// Place, from 1, of the token that the model finally prefers at this position.
        public var finalRank: Int?
        /// Probability that the lens gives that token.
        public var finalProbability: Double?

        public init(
            top: [Candidate], entropy: Double?, klToFinal: Double?, finalRank: Int?,
            finalProbability: Double?
        ) {
            self.top = top
            self.entropy = entropy
            self.klToFinal = klToFinal
            self.finalRank = finalRank
            self.finalProbability = finalProbability
        }
    }

    public struct Row: Sendable, Equatable {
        /// 0 is the embedding, L the last layer's output.
        public var boundary: Int
        /// One per token of the prompt; missing ones are shown empty.
        public var cells: [Cell]
        /// nil where every layer runs once: the boundary says it all then.
        public var place: Place?

        public init(boundary: Int, cells: [Cell], place: Place? = nil) {
            self.boundary = boundary
            self.cells = cells
            self.place = place
        }
    }

    /// Path or name of the model.
    public var model: String
    public var prompt: [Token]
    /// What the plain lens reads, in ascending boundary.
    public var rows: [Row]
    /// What a tuned lens reads, as many rows; empty without one.
    public var tunedRows: [Row]
    /// The file of the tuned lens.
    public var tunedLens: String?

    public init(
        model: String, prompt: [Token], rows: [Row], tunedRows: [Row] = [],
        tunedLens: String? = nil
    ) {
        self.model = model
        self.prompt = prompt
        self.rows = rows
        self.tunedRows = tunedRows
        self.tunedLens = tunedLens
    }

    /// What the terminal shows: the tuned lens where there is one.
    private var shownRows: [Row] { tunedRows.isEmpty ? rows : tunedRows }

    /// The table as JSON, schema `etd-lens/v1`; undefined values are null.
    public var json: JSON {
        func json(_ token: Token) -> [(String, JSON)] {
            [("id", .number(token.id)), ("text", .string(token.text))]
        }
        func object(_ members: [(String, JSON)]) -> JSON {
            .object(.init(uniqueKeysWithValues: members))
        }
        func json(_ rows: [Row]) -> JSON {
            .array(
                rows.map { row in
                    let cells: JSON =
                        .array(
                            row.cells.map { cell in
                                [
                                    "top": .array(
                                        cell.top.map {
                                            object(
                                                json($0.token)
                                                    + [("probability", .number($0.probability))])
                                        }),
                                    "entropy": .number(cell.entropy),
                                    "kl_to_final": .number(cell.klToFinal),
                                    "final_rank": .number(cell.finalRank),
                                    "final_probability": .number(cell.finalProbability),
                                ]
                            })
                    return object(
                        [("boundary", .number(row.boundary))] + (row.place?.json ?? [])
                            + [("cells", cells)])
                })
        }
        var members: [(String, JSON)] = [
            ("schema", "etd-lens/v1"), ("model", .string(model)),
            ("prompt", .array(prompt.map { object(json($0)) })), ("rows", json(rows)),
        ]
        if let tunedLens {
            members.append(("tuned_lens", .string(tunedLens)))
            members.append(("tuned_rows", json(tunedRows)))
        }
        return object(members)
    }

    /// A token's text with what cannot be seen marked: ␣ for a space, ⏎ for a line end, ⇥ for a tab,
    /// ␀… for other controls, ∅ for nothing.
    package static func marked(_ text: String) -> String {
        if text.isEmpty { return "∅" }
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case " ": result += "␣"
            case "\n": result += "⏎"
            case "\t": result += "⇥"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return TerminalText.visible(result)
    }

    /// The most likely token by boundary (last on top) and prompt token, in blocks of as many
    /// columns as fit into `width`. With colour, tokens stand out by how sure the lens is, and those
    /// that are already the final prediction are green.
    public func text(width: Int, color: Bool) -> String {
        let style = TerminalStyle(color: color)
        let rows = shownRows
        let digits = max(2, rows.map { "\($0.boundary)".count }.max() ?? 0)
        func name(_ row: Row) -> String {
            // The place first, so that the numbers stand below each other.
            let place = row.place.map { $0.band + ($0.layer.map { " l\($0)" } ?? "") + " " } ?? ""
            return place + TerminalText.padded("\(row.boundary)", to: digits, .right)
        }
        let gutter = max(digits, rows.map { name($0).count }.max() ?? 0)
        let cellWidth = 10
        let perBlock = max(1, (width - gutter) / (cellWidth + 1))
        var blocks: [String] = []
        for start in stride(from: 0, to: prompt.count, by: perBlock) {
            let columns = start..<min(start + perBlock, prompt.count)
            func fit(_ text: String) -> String {
                TerminalText.padded(TerminalText.truncated(text, to: cellWidth), to: cellWidth)
            }
            let names = columns.map { style.bold(fit(Self.marked(prompt[$0].text))) }
            var lines = [([String(repeating: " ", count: gutter)] + names).joined(separator: " ")]
            var band: String?
            for row in rows.reversed() {
                if let place = row.place, place.band != band {
                    let rule = gutter + columns.count * (cellWidth + 1)
                    let title = "── \(place.band) "
                    lines.append(
                        style.dim(
                            title + String(repeating: "─", count: max(2, rule - title.count))))
                    band = place.band
                }
                let cells = columns.map { column -> String in
                    guard column < row.cells.count, let best = row.cells[column].top.first else {
                        return fit("")
                    }
                    let text = fit(Self.marked(best.token.text))
                    if row.cells[column].finalRank == 1 { return style.ink(.green, text) }
                    return best.probability < 0.1 ? style.dim(text) : text
                }
                let label = TerminalText.padded(name(row), to: gutter, .right)
                lines.append(([label] + cells).joined(separator: " "))
            }
            // Without colour the padding of the last column is only noise.
            blocks.append(
                lines.map { line in
                    String(line.reversed().drop { $0 == " " }.reversed()) + "\n"
                }.joined())
        }
        if let tunedLens {
            let title = "Tuned lens " + TerminalText.visible(tunedLens)
            blocks.insert(TerminalText.truncated(title, to: width) + "\n", at: 0)
        }
        return blocks.joined(separator: "\n")
    }
}
