import Files
import Records
import Selection
import TestSupport
import Testing

/// A golden of `scripts/goldens/selection.py`.
func golden(_ name: String) throws -> JSON {
    try JSON.read(path: Locations.golden("selection/\(name)").path)
}

extension JSON {
    func doubles(_ key: String) throws -> [Double] {
        try #require(self[key]?.arrayValue).map { try #require($0.doubleValue) }
    }

    func ints(_ key: String) throws -> [Int] {
        try #require(self[key]?.arrayValue).map { try #require($0.intValue) }
    }

    func records(_ key: String) throws -> [JSON] {
        try #require(self[key]?.arrayValue)
    }
}

/// Angular distances at the last token of SmolLM2-135M and Gemma-3-270M, from the golden's curves.
func measuredCurve(_ kind: String) throws -> [Double] {
    let curves = try golden("kneedle.json").records("curves")
    return try #require(curves.first { $0["kind"]?.stringValue == kind }).doubles("y")
}

func model(layers: Int, fingerprint: String = "abc") -> ModelRecord {
    ModelRecord(
        path: "model", architecture: "llama", layers: layers, hiddenSize: 8, vocabularySize: 16,
        parameters: 100, fingerprint: fingerprint)
}
