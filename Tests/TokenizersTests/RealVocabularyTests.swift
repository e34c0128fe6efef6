// The vocabularies inside the two fetched GGUF files, through the loader that the commands use, against
// `tokenizers` objects that scripts/goldens builds with llama.cpp's rules written out.

import Commands
import Foundation
import ModelStore
import TestSupport
import Testing
import Tokenizers

@Suite struct RealVocabularyTests {
    @Test(
        .enabled(
            if: Locations.model("smollm2-135m-instruct") != nil,
            "SmolLM2 is not fetched: scripts/fetch-model smollm2-135m-instruct"))
    func smolLM2() throws {
        let path = try #require(Locations.model("smollm2-135m-instruct")).path
        try Golden("gguf-smollm2.json").expect(ModelSource(path).tokenizer())
    }

    @Test(
        .enabled(
            if: Locations.model("gemma-3-270m") != nil,
            "Gemma-3 is not fetched: scripts/fetch-model gemma-3-270m"))
    func gemma3() throws {
        let path = try #require(Locations.model("gemma-3-270m")).path
        let tokenizer = try ModelSource(path).tokenizer()
        try Golden("gguf-gemma3.json").expect(tokenizer, checksTemplate: false)
        // add_bos_token is true in this file, and its BOS is 2.
        #expect(tokenizer.prefixTokens == [2])
        #expect(tokenizer.suffixTokens.isEmpty)
    }
}
