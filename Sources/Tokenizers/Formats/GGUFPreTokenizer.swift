/// How the `pre` types of GGUF files cut text into words: llama.cpp's table (`llm_tokenizer_bpe` and
/// `llama_vocab::impl::load` in `llama-vocab.cpp`), for byte-level vocabularies.
///
/// Each pattern cuts the pieces that the one before it left, at its matches. Types that llama.cpp
/// implements by code of their own (such as kimi-k2), or that are not byte-level, are left out.
struct GGUFPreTokenizer: Sendable {
    var patterns: [String]
    /// A word that is a token is that token.
    var ignoresMerges = false
    /// Whether a BOS is added when the file does not say.
    var addsBOS = false

    // MARK: - Patterns

    /// GPT-2's. llama.cpp's copy ends before the last alternative, which matches just what a cut at
    /// the other matches leaves over: the last space of a run.
    static let gpt2Words =
        #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
    private static let contractions =
        #"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"#
    private static let lineEnds = #"\s*[\r\n]+|\s+(?!\S)|\s+"#
    private static func words(digits: String) -> String {
        contractions
            + #"|[^\r\n\p{L}\p{N}]?\p{L}+|"# + digits + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|"#
            + lineEnds
    }
    private static let llama3 = words(digits: #"\p{N}{1,3}"#)
    private static let qwen2 = words(digits: #"\p{N}"#)
    private static let qwen35 =
        contractions
        + #"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|"#
        + lineEnds
    /// llama.cpp writes a letter that is no small Latin letter as `((?=[\p{L}])([^a-z]))`.
    private static let upper = #"[\p{L}&&[^a-z]]"#
    private static let lower = #"[\p{L}&&[^A-Z]]"#
    private static func cased(ending: String) -> String {
        let lead = #"[^\r\n\p{L}\p{N}]?"#
        return "\(lead)\(upper)*\(lower)+\(ending)|\(lead)\(upper)+\(lower)*\(ending)"
    }
    private static let tekken =
        cased(ending: "") + #"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|"# + lineEnds
    private static let gpt4o =
        cased(ending: contractions + "?") + #"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|"#
        + lineEnds
    private static let seedCoder =
        contractions
        + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|"# + lineEnds
    private static let bailing =
        #"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"#
        + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"#
    private static let deepSeek3 =
        ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"##
        + #"| ?[\p{P}\p{S}]+[\r\n]*|"# + lineEnds
    private static let bloom = #" ?[^(\s|.,!?…。，、।۔،)]+"#
    private static let digit = #"\p{N}"#

    // MARK: - The table

    private static let gpt2Rule = GGUFPreTokenizer(patterns: [gpt2Words])
    private static let digitsRule = GGUFPreTokenizer(patterns: [digit, gpt2Words])
    private static let llama3Rule = GGUFPreTokenizer(
        patterns: [llama3], ignoresMerges: true, addsBOS: true)
    private static let qwen2Rule = GGUFPreTokenizer(patterns: [qwen2])

    static let table: [String: GGUFPreTokenizer] = {
        let rules: [([String], GGUFPreTokenizer)] = [
            (
                ["default"],
                GGUFPreTokenizer(
                    patterns: [#"[\p{P}\$\+<=>\^~\|]+"#, gpt2Words, #"\p{N}+"#, "[0-9][0-9][0-9]"])
            ),
            (
                [
                    "gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling",
                    "gigachat", "a.x-4.0", "mellum", "modern-bert", "exaone4", "jina-es", "jina-de",
                    "jina-v2-es", "jina-v2-de",
                ], gpt2Rule
            ),
            (
                [
                    "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone",
                    "minerva-7b", "mellum2",
                ], digitsRule
            ),
            (
                [
                    "llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral",
                    "midm-2.0", "lfm2", "jina-v5-nano",
                ], llama3Rule
            ),
            (
                ["dbrx", "smaug-bpe", "glm4", "chatglm-bpe"],
                GGUFPreTokenizer(patterns: [llama3])
            ),
            (
                [
                    "qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "stablelm2", "hunyuan",
                    "solar-open", "megrez", "grok-2",
                ], qwen2Rule
            ),
            (["qwen35"], GGUFPreTokenizer(patterns: [qwen35])),
            (
                ["falcon"],
                GGUFPreTokenizer(
                    patterns: [#"[\p{P}\$\+<=>\^~\|`]+"#, gpt2Words, "[0-9][0-9][0-9]"])
            ),
            (
                ["tekken"],
                GGUFPreTokenizer(patterns: [tekken], ignoresMerges: true, addsBOS: true)
            ),
            (
                ["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"],
                GGUFPreTokenizer(patterns: [gpt4o])
            ),
            (
                ["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"],
                GGUFPreTokenizer(
                    patterns: [#"\p{N}{1,3}"#, "[一-龥\u{3040}-ゟ゠-ヿ]+", deepSeek3])
            ),
            (["seed-coder"], GGUFPreTokenizer(patterns: [seedCoder])),
            (["bailingmoe", "bailingmoe2", "llada-moe"], GGUFPreTokenizer(patterns: [bailing])),
            (["poro-chat", "bloom", "gpt3-finnish"], GGUFPreTokenizer(patterns: [bloom])),
            (["viking"], GGUFPreTokenizer(patterns: [bloom, digit])),
        ]
        var table: [String: GGUFPreTokenizer] = [:]
        for (names, rule) in rules {
            for name in names { table[name] = rule }
        }
        return table
    }()
}
