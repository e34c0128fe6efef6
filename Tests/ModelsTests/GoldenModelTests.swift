// Compares the forward pass with transformers' on every tiny checkpoint of Tests/Goldens/models: logits,
// raw states, contributions, looped plans, the two spellings of config.json, and GGUF twins. Sizes and
// speed are not covered here.

import Checkpoints
import Files
import Foundation
import Models
import TestSupport
import Testing

struct GoldenModel: CustomTestStringConvertible, Sendable {
    let name: String
    var testDescription: String { name }
    var folder: URL { Locations.golden("models/\(name)") }

    static let all: [GoldenModel] = {
        let names = try? FileManager.default.contentsOfDirectory(
            atPath: Locations.golden("models").path)
        return (names ?? []).sorted().map(GoldenModel.init(name:)).filter {
            FileManager.default.fileExists(atPath: $0.folder.appending(path: "expected.json").path)
        }
    }()

    static let withGGUF = all.filter {
        FileManager.default.fileExists(atPath: $0.folder.appending(path: "model.gguf").path)
    }

    func load() throws -> Transformer { try Transformer.load(Checkpoint.open(folder.path)) }

    func expected() throws -> (facts: JSON, tensors: TensorFixture) {
        (
            try JSON.read(path: folder.appending(path: "expected.json").path),
            try TensorFixture(folder.appending(path: "expected.safetensors"))
        )
    }

    static func tokens(_ facts: JSON, _ sequence: Int) -> [Int32] {
        (facts["tokens"]?.arrayValue?[sequence].arrayValue ?? []).compactMap {
            $0.intValue.map(Int32.init)
        }
    }

    static func plan(_ value: JSON?) -> LayerPlan {
        LayerPlan(
            steps: (value?.arrayValue ?? []).compactMap(\.intValue).map {
                LayerPlan.Step(layer: $0)
            })
    }
}

/// Logits [T, V] of one document.
func logits(
    _ model: Transformer, _ tokens: [Int32], plan: LayerPlan? = nil, taps: [any Tap] = []
) throws -> [Float] {
    let session = try Session(model: model, plan: plan, capacity: tokens.count)
    let vocabulary = model.configuration.vocabularySize
    var all: [Float] = []
    try session.run(tokens, taps: taps) { positions, states throws(ModelError) in
        var block = [Float](repeating: 0, count: positions.count * vocabulary)
        try model.logits(of: states, rows: positions.count, into: &block)
        all += block
    }
    return all
}

func largestDifference(_ a: [Float], _ b: [Float]) -> Float {
    guard a.count == b.count else { return .infinity }
    return zip(a, b).reduce(0) { max($0, ($1.0 - $1.1).magnitude) }
}

/// Keeps everything it sees at its sites, by site and index.
final class Recorder: Tap {
    let sites: Set<Site>
    var values: [Site: [Int: [Float]]] = [:]

    init(_ sites: Set<Site>) { self.sites = sites }

    func wants(_ site: Site) -> Bool { sites.contains(site) }

    func observe(_ activation: Activation) {
        let count = activation.positions.count * activation.width
        values[activation.site, default: [:]][activation.index, default: []] += Array(
            UnsafeBufferPointer(start: activation.values, count: count))
    }
}

@Suite struct GoldenModelTests {
    @Test func goldensAreThere() {
        #expect(GoldenModel.all.count >= 12)
        #expect(GoldenModel.withGGUF.count >= 4)
    }

    @Test(arguments: GoldenModel.all)
    func logitsAndStatesEqualTransformers(_ golden: GoldenModel) throws {
        let (facts, tensors) = try golden.expected()
        let model = try golden.load()
        for sequence in 0..<2 {
            let recorder = Recorder([.resid, .attentionOutput, .mlpOutput])
            let ours = try logits(model, GoldenModel.tokens(facts, sequence), taps: [recorder])
            #expect(
                largestDifference(ours, try tensors.floats("logits.\(sequence)").values) < 1e-4)
            let layers = model.configuration.layerCount
            let states = (0...layers).flatMap { recorder.values[.resid]![$0]! }
            #expect(
                largestDifference(states, try tensors.floats("states.\(sequence)").values) < 1e-4)
            for (site, name) in [(Site.attentionOutput, "attn_out.1"), (.mlpOutput, "mlp_out.1")]
            where sequence == 1 && tensors.has(name) {
                let added = (0..<layers).flatMap { recorder.values[site]![$0]! }
                #expect(largestDifference(added, try tensors.floats(name).values) < 1e-4)
            }
        }
    }

    @Test(arguments: GoldenModel.all)
    func loopedPlansEqualTransformers(_ golden: GoldenModel) throws {
        let (facts, tensors) = try golden.expected()
        let model = try golden.load()
        let looped = GoldenModel.plan(facts["looped"]?["plan"])
        #expect(looped.steps.count > model.configuration.layerCount)
        for sequence in 0..<2 {
            let ours = try logits(model, GoldenModel.tokens(facts, sequence), plan: looped)
            let theirs = try tensors.floats("looped.logits.\(sequence)").values
            #expect(largestDifference(ours, theirs) < 1e-4)
        }
        let free = GoldenModel.plan(facts["plan"])
        let ours = try logits(model, GoldenModel.tokens(facts, 0), plan: free)
        #expect(largestDifference(ours, try tensors.floats("plan.logits.0").values) < 1e-4)
    }

    @Test(arguments: GoldenModel.all)
    func bothSpellingsOfTheConfigurationMeanTheSame(_ golden: GoldenModel) throws {
        let folder = FileManager.default.temporaryDirectory.appending(
            path: "etd-spelling-\(UUID().uuidString)")
        try FileManager.default.copyItem(at: golden.folder, to: folder)
        defer { try? FileManager.default.removeItem(at: folder) }
        var read: [ModelConfiguration] = []
        for spelling in ["config.v4.json", "config.v5.json"] {
            let config = try Data(contentsOf: golden.folder.appending(path: spelling))
            try config.write(to: folder.appending(path: "config.json"))
            var configuration = try Transformer.load(Checkpoint.open(folder.path)).configuration
            configuration.assumptions = []
            read.append(configuration)
        }
        var original = try golden.load().configuration
        original.assumptions = []
        #expect(read[0] == read[1])
        #expect(read[0] == original)
    }

    @Test(arguments: GoldenModel.withGGUF)
    func ggufTwinsGiveTheSameLogits(_ golden: GoldenModel) throws {
        let (facts, tensors) = try golden.expected()
        let model = try Transformer.load(
            Checkpoint.open(golden.folder.appending(path: "model.gguf").path))
        for sequence in 0..<2 {
            let ours = try logits(model, GoldenModel.tokens(facts, sequence))
            let theirs = try tensors.floats("logits.\(sequence)").values
            #expect(largestDifference(ours, theirs) < 1e-4)
        }
    }
}
