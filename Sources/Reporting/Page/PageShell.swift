/// What every page of the project begins and ends with: it opens offline, in light and dark, and loads nothing.
enum PageShell {
    /// - Parameters:
    ///   - style: beside what all pages share.
    ///   - body: header, main and footer.
    static func page(title: Markup, style: Markup, body: Markup, script: Markup) -> String {
        let page: Markup = """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8"/>
            <meta name="viewport" content="width=device-width, initial-scale=1"/>
            <meta name="color-scheme" content="light dark"/>
            <title>\(title)</title>
            <style>\(Stylesheet.shared)\(style)</style>
            </head>
            <body>
            \(body)<script>\(script)</script>
            </body>
            </html>

            """
        return page.text
    }
}
