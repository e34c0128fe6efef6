import Files

/// Text as a terminal lays it out: how many columns it takes, and how to cut and pad it.
package enum TerminalText {
    /// Columns of a text without escape sequences or control characters.
    package static func width(_ text: String) -> Int {
        text.reduce(0) { $0 + width($1) }
    }

    /// 0 for lone combining marks and invisible characters, 2 for East Asian wide ones and emoji.
    package static func width(_ character: Character) -> Int {
        let scalars = character.unicodeScalars
        guard let first = scalars.first(where: { !isInvisible($0) }) else { return 0 }
        // U+FE0F asks for the colourful form of a sign that is narrow by itself.
        if scalars.contains("\u{FE0F}"), first.properties.isEmoji, !first.isASCII { return 2 }
        return isWide(first) ? 2 : 1
    }

    private static func isInvisible(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format, .control: true
        default: (0x1160...0x11FF).contains(scalar.value)
        }
    }

    /// Unicode's East Asian Width W and F, with unassigned neighbours folded in.
    private static let wideRanges: [ClosedRange<UInt32>] = [
        0x1100...0x115F, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0xA4CF,
        0xA960...0xA97F, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE10...0xFE19, 0xFE30...0xFE6F,
        0xFF01...0xFF60, 0xFFE0...0xFFE6, 0x16FE0...0x18DFF, 0x1AFF0...0x1B2FF, 0x1F200...0x1F265,
        0x20000...0x3FFFD,
    ]

    private static func isWide(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.value < 0x1100 { return false }
        return scalar.properties.isEmojiPresentation
            || wideRanges.contains { $0.contains(scalar.value) }
    }

    /// The text as `String.visible` cleans it.
    package static func visible(_ text: String) -> String { text.visible }

    /// The longest beginning of the text that fits into `columns`, ending in … when it was cut.
    package static func truncated(_ text: String, to columns: Int) -> String {
        if width(text) <= columns { return text }
        guard columns > 0 else { return "" }
        var result = ""
        var used = 0
        for character in text {
            let next = width(character)
            if used + next > columns - 1 { break }
            result.append(character)
            used += next
        }
        return result + "…"
    }

    package enum Alignment: Sendable { case left, right }

    package static func padded(_ text: String, to columns: Int, _ alignment: Alignment = .left)
        -> String
    {
        let space = String(repeating: " ", count: max(0, columns - width(text)))
        return alignment == .left ? text + space : space + text
    }

    /// Lines of at most `columns`, broken at spaces; a longer word stands alone on its line.
    package static func wrapped(_ text: String, to columns: Int) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ").map(String.init) {
            if line.isEmpty {
                line = word
            } else if width(line) + 1 + width(word) <= columns {
                line += " " + word
            } else {
                lines.append(line)
                line = word
            }
        }
        return line.isEmpty ? lines : lines + [line]
    }
}

/// A table in plain text: columns as wide as their widest cell, two spaces between them.
public struct TerminalTable: Sendable {
    public struct Column: Sendable {
        public var title: String
        public var isNumeric: Bool

        /// - Parameter isNumeric: Numbers stand to the right, words to the left.
        public init(_ title: String, isNumeric: Bool = false) {
            self.title = title
            self.isNumeric = isNumeric
        }
    }

    public var columns: [Column]
    /// Cells by row; a short row is filled with empty cells.
    public var rows: [[String]]

    public init(columns: [Column], rows: [[String]]) {
        self.columns = columns
        self.rows = rows
    }

    /// One line per row under a header and a rule, each ending in a newline.
    public func text(style: TerminalStyle) -> String {
        let cells = rows.map { row in
            columns.indices.map { $0 < row.count ? TerminalText.visible(row[$0]) : "" }
        }
        let titles = columns.map(\.title.visible)
        let widths = columns.indices.map { index in
            ([titles[index]] + cells.map { $0[index] }).map(TerminalText.width).max() ?? 0
        }
        func line(_ cells: [String]) -> String {
            let padded = columns.indices.map {
                TerminalText.padded(
                    cells[$0], to: widths[$0], columns[$0].isNumeric ? .right : .left)
            }
            let line = padded.joined(separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }
        let header = line(titles)
        let rule = widths.map { String(repeating: "─", count: $0) }.joined(separator: "  ")
        return ([style.bold(header), style.dim(rule)] + cells.map(line)).map { $0 + "\n" }.joined()
    }
}
