// Chat templates against transformers' apply_chat_template (scripts/goldens/chat.py): SmolLM2's own and short
// ones that use the constructs of the supported families', and what is refused.

import Files
import Foundation
import TestSupport
import Testing
import Tokenizers

@Suite struct ChatTemplateTests {
    @Test func promptsAreTransformers() throws {
        let golden = try JSON.read(path: Locations.golden("tokenizers/chat.json").path)
        let special = (golden["special"]?.objectValue ?? [:]).reduce(into: [String: String]()) {
            $0[$1.key] = $1.value.stringValue
        }
        let cases = try #require(golden["cases"]?.arrayValue)
        #expect(cases.count == 50)
        for entry in cases {
            let messages = (entry["messages"]?.arrayValue ?? []).map {
                ChatTemplate.Message(
                    role: $0["role"]?.stringValue ?? "", content: $0["content"]?.stringValue ?? "")
            }
            let source = try #require(entry["template"]?.stringValue)
            let name = entry["name"]?.stringValue ?? ""
            func render() throws -> String {
                try ChatTemplate(source).render(
                    messages, beginsAnswer: entry["begins"]?.boolValue ?? true, special: special)
            }
            if let expected = entry["expected"]?.stringValue {
                #expect(try render() == expected, "\(name)")
            } else {
                #expect(throws: ChatTemplateError.self, "\(name)") { try render() }
            }
        }
    }

    private func render(_ source: String) throws -> String {
        try ChatTemplate(source).render([.init(role: "user", content: "Hi")])
    }

    @Test func whatIsNotBuiltIsNamed() throws {
        for (source, named) in [
            ("{% macro a(b) %}{{ b }}{% endmacro %}", "{% macro %}"),
            ("{% include 'x' %}", "{% include %}"), ("{{ messages | batch(2) }}", "filter batch"),
            ("{{ messages is sameas(1) }}", "is sameas"), ("{{ cycler(1) }}", "function cycler()"),
            ("{{ 'a'.title() }}", "method .title()"), ("{{ messages }}", "writing a list"),
            ("{{ 1 < 2 < 3 }}", "comparisons in a row"), ("{{ a ! b }}", "sign !"),
        ] {
            do {
                _ = try render(source)
                Issue.record("\(source) is taken")
            } catch {
                #expect("\(error)".contains(named), "\(source): \(error)")
                #expect("\(error)".contains("not built"), "\(source): \(error)")
            }
        }
        for source in [
            "{{ a", "{% if a %}", "{% for a b %}{% endfor %}", "{{ 'a }}", "{# a", "{% endif %}",
            "{{ (1 }}", "{{ a. }}", String(repeating: "{% if a %}", count: 500),
            "{{ " + String(repeating: "(", count: 5000) + " }}",
        ] { #expect(throws: ChatTemplateError.self, "\(source.prefix(20))") { try render(source) } }
    }

    @Test func templatesEnd() throws {
        let loop = "{% for a in range(4000) %}{% for b in range(4000) %}x{% endfor %}{% endfor %}"
        #expect(throws: ChatTemplateError.endless) { try render(loop) }
        #expect(throws: ChatTemplateError.endless) {
            try render("{{ range(99999999999) | length }}")
        }
        let doubling =
            "{% set ns = namespace(a='xxxxxxxxxxxxxxxx') %}{% for i in range(60) %}"
            + "{% set ns.a = ns.a + ns.a %}{% endfor %}{{ ns.a | length }}"
        #expect(throws: ChatTemplateError.endless) { try render(doubling) }
    }

    @Test func theTemplatesOwnWordsAreTold() throws {
        #expect(throws: ChatTemplateError.refused("no turns")) {
            try render("{{ raise_exception('no turns') }}")
        }
    }
}
