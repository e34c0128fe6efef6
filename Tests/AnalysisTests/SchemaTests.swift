// The schema of layers.json says of each metric what its pass declares. ETD_WRITE_SCHEMA=1 writes the file
// anew instead of comparing.

import Analysis
import Files
import Foundation
import Records
import TestSupport
import Testing

@Suite struct SchemaTests {
    /// Members of a layer or boundary that are no metrics.
    private static let others = ["index", "layer", "iteration", "scores", "tuned"]

    private func members(_ metrics: [Metric], described: Bool) -> JSON.Object {
        var members: JSON.Object = [:]
        for metric in metrics.flatMap(\.withTwin) {
            var rule: JSON.Object = [:]
            if described {
                let unit = metric.unit.isEmpty ? "" : " Unit: \(metric.unit)."
                rule["description"] = .string("\(metric.explanation)\(unit) \(metric.formula)")
            }
            rule["type"] = ["number", "null"]
            if let least = metric.least { rule["minimum"] = .number(least) }
            if let most = metric.most { rule["maximum"] = .number(most) }
            members[metric.name] = .object(rule)
            members[metric.name + "_se"] = ["$ref": "#/$defs/standard_error"]
            if metric.hasHeads {
                rule["description"] = .string("\(metric.name) of each head.")
                members[metric.name + "_heads"] = [
                    "description": .string("\(metric.name) of each head."), "type": "array",
                    "items": ["type": ["number", "null"]],
                ]
            }
        }
        return members
    }

    @Test func theSchemaSaysWhatPassesDeclare() throws {
        let path = Locations.package.appending(path: "configs/schemas/layers.schema.json").path
        let written = try JSON.read(path: path)
        var schema = try #require(written.objectValue)
        var definitions = try #require(schema["$defs"]?.objectValue)
        let declared = MeasuringPass.all.map(\.declaration)
        let groups = [
            ("layer", members(declared.metrics(.layer), described: true)),
            ("boundary", members(declared.metrics(.boundary), described: true)),
            ("tuned_reading", members(Metric.lens, described: false)),
        ]
        for (name, metrics) in groups {
            var definition = try #require(definitions[name]?.objectValue)
            var properties: JSON.Object = [:]
            for (key, value) in definition["properties"]?.objectValue ?? [:]
            where Self.others.contains(key) { properties[key] = value }
            for (key, value) in metrics { properties[key] = value }
            definition["properties"] = .object(properties)
            definitions[name] = .object(definition)
        }
        schema["$defs"] = .object(definitions)
        if ProcessInfo.processInfo.environment["ETD_WRITE_SCHEMA"] == "1" {
            try AtomicFile.write(.object(schema), to: path)
        }
        #expect(try JSON.read(path: path).text() == JSON.object(schema).text())
    }
}
