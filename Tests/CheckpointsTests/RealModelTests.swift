import Checkpoints
import Files
import Foundation
import TestSupport
import Testing

/// The models that `scripts/fetch-model` fetches, whole tensors of every type they hold against the
/// Python package gguf. Skipped where they have not been fetched.
struct RealModelTests {
    @Test(
        .enabled(
            if: Locations.model("smollm2-135m-instruct") != nil,
            "needs scripts/fetch-model smollm2-135m-instruct"))
    func smolLM2() throws {
        try check("smollm2-135m-instruct", tensors: 272)
    }

    @Test(
        .enabled(
            if: Locations.model("gemma-3-270m") != nil, "needs scripts/fetch-model gemma-3-270m"))
    func gemma3() throws {
        try check("gemma-3-270m", tensors: 236)
    }

    private func check(_ name: String, tensors: Int) throws {
        let golden = try #require(try Goldens.json("models.json")[name])
        let checkpoint = try Checkpoint.open(try #require(Locations.model(name)).path)
        #expect(checkpoint.tensors.count == tensors)
        #expect(checkpoint.tensors.count == golden["tensors"]?.intValue)
        let types = Dictionary(grouping: checkpoint.tensors.values, by: \.type.description)
        #expect(
            types.mapValues { $0.count }
                == golden["types"]?.objectValue?.reduce(into: [:]) {
                    $0[$1.key] = $1.value.intValue
                })
        #expect(checkpoint.fingerprint == golden["fingerprint"]?.stringValue)

        let hashes = try #require(golden["dequantised"]?.objectValue)
        #expect(Set(hashes.keys.compactMap { checkpoint.tensors[$0]?.type }).count == types.count)
        for (tensor, hash) in hashes {
            let stored = try #require(checkpoint.tensors[tensor])
            #expect(stored.firstNonFinite() == nil)
            let decoded = stored.decoded().withUnsafeBytes { Data($0) }
            #expect(hexadecimalSHA256(decoded) == hash.stringValue, "\(tensor)")
        }

        let tokens = try #require(checkpoint.metadata.byteStrings("tokenizer.ggml.tokens"))
        #expect(tokens.count == golden["tokens"]?.intValue)
        let joined = Data(tokens.joined(separator: [0]))
        #expect(hexadecimalSHA256(joined) == golden["tokens_sha256"]?.stringValue)
    }
}
