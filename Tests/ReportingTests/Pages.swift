import Foundation

#if canImport(FoundationXML)
    import FoundationXML
#endif

/// Reads a page as XML: pages are written well-formed, so an XML parser is a strict judge of tags,
/// attributes and escaping. It does not check that the browser likes what it sees.
final class PageReader: NSObject, XMLParserDelegate {
    private(set) var elements: [(name: String, attributes: [String: String])] = []
    /// All text outside `<style>` and `<script>`, white space folded.
    private(set) var text = ""
    private(set) var problem: String?
    private var skipping = 0

    init(_ page: String) {
        super.init()
        let parser = XMLParser(data: Data(page.utf8))
        parser.delegate = self
        if !parser.parse() {
            problem =
                "line \(parser.lineNumber): \(parser.parserError.map { "\($0)" } ?? "unknown")"
        }
        text = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }

    func parser(
        _ parser: XMLParser, didStartElement name: String, namespaceURI: String?,
        qualifiedName: String?, attributes: [String: String]
    ) {
        elements.append((name, attributes))
        if name == "style" || name == "script" { skipping += 1 }
        if ["td", "th", "dt", "dd", "li", "text", "p", "title"].contains(name) { text += " " }
    }

    func parser(
        _ parser: XMLParser, didEndElement name: String, namespaceURI: String?,
        qualifiedName: String?
    ) {
        if name == "style" || name == "script" { skipping -= 1 }
        if ["td", "th", "dt", "dd", "li", "text", "p", "title"].contains(name) { text += " " }
    }

    func parser(_ parser: XMLParser, foundCharacters string: String) {
        if skipping == 0 { text += string }
    }

    func count(_ name: String) -> Int { elements.count { $0.name == name } }

    /// What would make a browser ask for something: sources, imports, references of style or script.
    var loadedResources: [String] {
        elements.flatMap { element in
            ["src", "srcset", "poster", "data", "xlink:href", "action", "background"].compactMap {
                element.attributes[$0]
            } + (element.name == "link" ? ["<link>"] : [])
        }
    }

    /// Values of an attribute over all elements.
    func values(_ attribute: String) -> [String] {
        elements.compactMap { $0.attributes[attribute] }
    }
}
