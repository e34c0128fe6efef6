import ArgumentParser
import Commands

struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What a checkpoint, a run or a split file holds.",
        discussion: """
            For a checkpoint: its shape, how it attends, its rotary embeddings with their scaling, \
            what its configuration left open and which default was assumed, tokenizer, parameters by \
            part, the types of each kind of tensor, fingerprint.

            Examples:
              etd-analyze inspect smollm2-135m-instruct
              etd-analyze inspect ./OLMo-2-0425-1B --check
              etd-analyze inspect runs/smollm2
            """)

    @Argument(help: "A model (path or short name), a run directory, or a JSON file of a run.")
    var file: String

    @Flag(help: "Read every weight; fail if one is NaN or infinite.")
    var check = false

    @Flag(help: "Show the SHA-256 of every weight file, which reads them whole.")
    var hash = false

    @Flag(help: "Write JSON.")
    var json = false

    func run() throws {
        let inspection = try Inspection(file, check: check, hashed: hash)
        try Terminal.write(json ? inspection.json.text() + "\n" : inspection.text)
    }
}
