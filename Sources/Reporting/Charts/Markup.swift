/// Text that is already HTML or SVG.
///
/// A literal is markup; a `String` put into it by interpolation is escaped. So a model path, a token
/// or a reason can only ever arrive on a page as text: forgetting to escape does not compile.
/// What is built here is also well-formed XML (every element is closed, no named entities), which
/// the tests use to check whole pages.
package struct Markup: Sendable, Equatable, ExpressibleByStringInterpolation {
    package private(set) var text: String

    private init(text: String) { self.text = text }

    package init(stringLiteral value: String) { text = value }

    package init(stringInterpolation: StringInterpolation) { text = stringInterpolation.text }

    package static func + (left: Markup, right: Markup) -> Markup {
        Markup(text: left.text + right.text)
    }

    package static func += (left: inout Markup, right: Markup) { left.text += right.text }

    package struct StringInterpolation: StringInterpolationProtocol {
        var text: String

        package init(literalCapacity: Int, interpolationCount: Int) {
            text = ""
            text.reserveCapacity(literalCapacity + interpolationCount * 16)
        }

        package mutating func appendLiteral(_ literal: String) { text += literal }

        /// Text from anywhere: escaped for element content and double-quoted attributes alike.
        package mutating func appendInterpolation(_ value: String) {
            for scalar in value.unicodeScalars {
                switch scalar {
                case "&": text += "&amp;"
                case "<": text += "&lt;"
                case ">": text += "&gt;"
                case "\"": text += "&quot;"
                case "'": text += "&#39;"
                case "\t", "\n": text.unicodeScalars.append(scalar)
                // Control characters have no form in XML 1.0, and no place on a page.
                case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{FFFE}", "\u{FFFF}":
                    text += "\u{FFFD}"
                default: text.unicodeScalars.append(scalar)
                }
            }
        }

        package mutating func appendInterpolation(_ value: Int) { text += String(value) }

        /// A coordinate: at most two decimals, so that equal records give equal bytes.
        package mutating func appendInterpolation(_ value: Double) {
            text += NumberText.coordinate(value)
        }

        package mutating func appendInterpolation(_ value: Markup) { text += value.text }

        package mutating func appendInterpolation(_ value: Markup?) {
            if let value { text += value.text }
        }

        package mutating func appendInterpolation(_ values: [Markup]) {
            for value in values { text += value.text }
        }
    }
}

extension [Markup] {
    package func joined(separator: Markup) -> Markup {
        var result: Markup = ""
        for (position, value) in enumerated() {
            if position > 0 { result += separator }
            result += value
        }
        return result
    }
}
