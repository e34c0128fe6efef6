import ArgumentParser
import Commands
import ModelStore
import Tokenizers

struct Tokenize: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Turn lines of text into token ids, or back.",
        discussion: """
            Reads standard input line by line and writes a JSON array of ids for each as soon as it has \
            come in. Lines may end as on Windows. Of a model directory it needs only tokenizer.json.

            Examples:
              echo 'Hello there' | etd tokenize --model smollm2-135m-instruct
              echo '[19556, 665]' | etd tokenize --model smollm2-135m-instruct --decode
              jq -c .text corpus.jsonl | etd tokenize --model M --json-lines --out tokens.u16
            """)

    @Option(help: "A Hugging Face directory, a .gguf file, or the short name of a fetched model.")
    var model: String

    @Flag(help: "Ids in (a JSON array per line), text out. Special tokens are kept.")
    var decode = false

    @Flag(help: "Leave special tokens out of decoded text.")
    var skipSpecial = false

    @Flag(help: "Text is one JSON string per line, so that it can hold line breaks.")
    var jsonLines = false

    @Option(
        help: "Special tokens around the text: auto (what the tokenizer adds), always (BOS), never."
    )
    var bos: BOSPolicy = .auto

    @Option(
        help: ArgumentHelp(
            "Write the ids to this file, to train on; .u16 or .u32.",
            discussion: """
                Little-endian ids, each line's with the token that ends a document behind them. Lines are                 tokenized on all cores.
                """, valueName: "file"))
    var out: String?

    @OptionGroup var replacing: OverwriteOption

    func validate() throws {
        if decode, out != nil { throw ValidationError("--out takes ids, and --decode makes text") }
        if out == nil, replacing.overwrite {
            throw ValidationError("--overwrite goes with --out")
        }
        if skipSpecial, !decode { throw ValidationError("--skip-special goes with --decode") }
    }

    func run() throws {
        let input = try InputLines()
        let tokenizer = try ModelSource(model).tokenizer { Terminal.note($0) }
        if let out {
            let (texts, tokens) = try TokenFileRun(
                tokenizer: tokenizer, jsonLines: jsonLines, bos: bos, out: out,
                overwrite: replacing.overwrite
            ).run(input)
            let separated = tokenizer.eosToken == nil ? "; the tokenizer names no end token" : ""
            Terminal.note("tokenize: \(out): \(texts) texts, \(tokens) tokens\(separated)")
            return
        }
        let lines = TokenLines(tokenizer: tokenizer, jsonLines: jsonLines)
        var number = 0
        while let line = try input.next() {
            number += 1
            let text =
                try decode
                ? lines.decode(line, number: number, skipSpecial: skipSpecial)
                : lines.encode(line, number: number, bos: bos)
            try Terminal.write(text + "\n")
        }
    }
}
