// The one place that cleans text of strangers before a person sees it: token texts, attributes of dumps,
// records and paths can hold escape sequences that recolour a terminal, retitle its window or move its
// cursor, and characters that make text read in another order than it stands.

extension Unicode.Scalar {
    /// Whether it changes direction or order of the text around it, or ends a line, without being a
    /// control character.
    private var reorders: Bool {
        switch value {
        case 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: true
        default: false
        }
    }

    /// What stands for it in text that a terminal shows; nil where it can stand for itself.
    fileprivate var standIn: Unicode.Scalar? {
        switch value {
        case 0..<0x20: Unicode.Scalar(0x2400 + value) ?? "\u{FFFD}"
        case 0x7F: "\u{2421}"
        case 0x80...0x9F: "\u{FFFD}"
        default: reorders ? "\u{FFFD}" : nil
        }
    }
}

extension String {
    /// The text with control characters made visible, so that a file name cannot move the cursor or
    /// recolour the terminal: ESC becomes ␛. Characters that reorder text become �.
    public var visible: String {
        guard unicodeScalars.contains(where: { $0.standIn != nil }) else { return self }
        var result = String.UnicodeScalarView()
        for scalar in unicodeScalars { result.append(scalar.standIn ?? scalar) }
        return String(result)
    }

    /// A JSON text with the same meaning, in which those characters are `\u` escapes.
    public var visibleJSON: String {
        // The writer breaks lines itself; within strings it escapes what is below U+0020.
        guard unicodeScalars.contains(where: { $0.standIn != nil && $0 != "\n" }) else {
            return self
        }
        var result = ""
        for scalar in unicodeScalars {
            if scalar.standIn != nil, scalar != "\n" {
                let hex = Swift.String(scalar.value, radix: 16)
                result += "\\u" + Swift.String(repeating: "0", count: 4 - hex.count) + hex
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// A text of several lines, such as a note on wrong usage, with its line breaks kept and everything
    /// else as in `onOneLine`.
    public var onItsLines: String {
        split(separator: "\n", omittingEmptySubsequences: false).map { Swift.String($0).onOneLine }
            .joined(separator: "\n")
    }

    /// A string of a stranger's for an error message: in double quotes, on one line, unprintable
    /// characters and quotes escaped, cut after 80 characters.
    public var quotedForMessage: String {
        "\"" + escaped(limit: 80) { $0 == "\"" || $0 == "\\" } + "\""
    }

    /// A whole error message, on one line and printable whatever a stranger's file put into it, cut
    /// after 4,000 characters.
    public var onOneLine: String { escaped(limit: 4000) { _ in false } }

    private func escaped(limit: Int, backslash: (Unicode.Scalar) -> Bool) -> String {
        var text = ""
        for (position, scalar) in unicodeScalars.enumerated() {
            if position == limit {
                text += "…"
                break
            }
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .unassigned, .privateUse:
                text += "\\u{" + Swift.String(scalar.value, radix: 16) + "}"
            default:
                if backslash(scalar) { text += "\\" }
                text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}
