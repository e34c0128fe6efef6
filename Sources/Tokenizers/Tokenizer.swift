/// Turns text into token ids and back, exactly as Hugging Face's `tokenizers` does.
///
/// Knows nothing of weights and chat templates: it reads a `tokenizer.json` (`init(huggingFace:)`), with
/// what the files beside it say of tokens (`init(directory:)`), or takes the vocabulary of a GGUF file
/// (`GGUFVocabulary`) from whoever opened it (`init(vocabulary:path:)`).
///
/// Text goes through four stages: added tokens are taken out (whoever wrote them), the rest is
/// normalized, cut into words, and each word is encoded by the model. A post-processor may put tokens
/// before and behind. Truncation and padding settings of a file play no part: the whole text is
/// encoded, and nothing else.
public struct Tokenizer: Sendable {
    enum Model: Sendable {
        case bytePair(BytePairModel)
        case scoredPair(ScoredPairModel)
        case unigram(UnigramModel)

        var vocabulary: Vocabulary {
            switch self {
            case .bytePair(let model): model.vocabulary
            case .scoredPair(let model): model.vocabulary
            case .unigram(let model): model.vocabulary
            }
        }
    }

    struct Pipeline: Sendable {
        var model: Model
        var normalizer: Normalizer?
        var preTokenizer: PreTokenizer?
        var decoder: Decoder?
        var addedTokens: AddedVocabulary
        var prefix: [Int32] = []
        var suffix: [Int32] = []
    }

    private let pipeline: Pipeline
    /// What the file leaves open and is taken for granted, each in one line.
    public let assumptions: [String]
    /// The token a document begins with, if the model has one. `init(huggingFace:)` leaves it nil:
    /// a `tokenizer.json` does not say.
    public let bosToken: Int32?
    /// The token a document ends with, if the model has one.
    public let eosToken: Int32?
    /// The highest id and one more, added tokens included.
    public let vocabularySize: Int

    init(_ pipeline: Pipeline, bos: Int32?, eos: Int32?, assumptions: [String] = []) {
        self.pipeline = pipeline
        self.assumptions = assumptions
        bosToken = bos
        eosToken = eos
        let highest = max(
            pipeline.model.vocabulary.highestID ?? -1, pipeline.addedTokens.highestID ?? -1)
        vocabularySize = Int(highest) + 1
    }

    /// The same tokenizer with other begin and end tokens, which a configuration beside the file names.
    public func with(bos: Int32?, eos: Int32?) -> Tokenizer {
        Tokenizer(pipeline, bos: bos, eos: eos, assumptions: assumptions)
    }

    /// What the post-processor adds before a text, such as the BOS token.
    public var prefixTokens: [Int32] { pipeline.prefix }
    /// What the post-processor adds behind a text.
    public var suffixTokens: [Int32] { pipeline.suffix }

    /// The string of a token as the vocabulary spells it: "Ġthe", "▁the", "<0x0A>".
    public func token(_ id: Int32) -> String? {
        let text =
            pipeline.addedTokens.token(id).map { $0[...] } ?? pipeline.model.vocabulary.token(id)
        return text.map { String(decoding: $0, as: UTF8.self) }
    }

    /// The id of a token, spelled as the vocabulary spells it.
    public func id(of token: String) -> Int32? {
        pipeline.addedTokens.id(of: token.utf8) ?? pipeline.model.vocabulary.id(of: token.utf8)
    }

    // MARK: - Encoding

    /// The ids of `text`.
    ///
    /// Special tokens that are written out in the text are recognised.
    /// - Parameter addSpecialTokens: Whether to add `prefixTokens` and `suffixTokens`.
    /// - Throws: `TokenizerError.patternTooCostly`, which needs a hostile or careless `tokenizer.json`.
    public func encode(
        _ text: String, addSpecialTokens: Bool
    ) throws(TokenizerError) -> [Int32] {
        var encoder = WordEncoder(model: pipeline.model)
        if addSpecialTokens { encoder.ids += pipeline.prefix }
        let segments = try pipeline.addedTokens.extract(
            from: Array(text.utf8), normalizer: pipeline.normalizer)
        for segment in segments {
            switch segment {
            case .token(let id):
                encoder.ids.append(id)
            case .text(var pieces):
                try pipeline.preTokenizer?.apply(&pieces)
                pieces.text.withUnsafeBufferPointer { text in
                    for range in pieces.ranges {
                        encoder.encode(UnsafeBufferPointer(rebasing: text[range]))
                    }
                }
            }
        }
        if addSpecialTokens { encoder.ids += pipeline.suffix }
        return encoder.ids
    }

    // MARK: - Decoding

    /// The text of `ids`; ids that no token has are skipped.
    ///
    /// Bytes that are not UTF-8 become U+FFFD, one for each maximal ill-formed part (byte-level
    /// vocabularies) or for each byte (byte fallback).
    public func decode(_ ids: [Int32], skipSpecialTokens: Bool) -> String {
        let tokens = ids.compactMap { id -> [UInt8]? in
            guard
                let token = pipeline.addedTokens.decoded(id)
                    ?? pipeline.model.vocabulary.token(id).map(Array.init)
            else { return nil }
            return skipSpecialTokens && pipeline.addedTokens.isSpecial(token) ? nil : token
        }
        guard let decoder = pipeline.decoder else {
            return String(decoding: Array(tokens.joined(separator: [0x20])), as: UTF8.self)
        }
        return String(decoding: Array(decoder.apply(tokens).joined()), as: UTF8.self)
    }
}

/// Encodes one word after another and remembers short ones: most words of a text are repetitions.
private struct WordEncoder {
    let model: Tokenizer.Model
    var ids: [Int32] = []
    private var scratch = ModelScratch()
    private var seen = ByteTable(minimumCapacity: 1024)
    /// Where in `ids` the tokens of each word of `seen` were written first.
    private var places: [Range<Int>] = []

    private static let longestRemembered = 64
    private static let mostRemembered = 1 << 16

    init(model: Tokenizer.Model) { self.model = model }

    mutating func encode(_ word: UnsafeBufferPointer<UInt8>) {
        let isShort = word.count <= Self.longestRemembered
        if isShort, let index = seen.find(word) {
            // Not a slice: it would hold the array, and appending would copy the whole.
            for place in places[index] { ids.append(ids[place]) }
            return
        }
        let start = ids.count
        switch model {
        case .bytePair(let model): model.encode(word, into: &ids, scratch: &scratch)
        case .scoredPair(let model): model.encode(word, into: &ids, scratch: &scratch)
        case .unigram(let model): model.encode(word, into: &ids, scratch: &scratch)
        }
        if isShort, seen.count < Self.mostRemembered {
            seen.insert(word)
            places.append(start..<ids.count)
        }
    }
}
