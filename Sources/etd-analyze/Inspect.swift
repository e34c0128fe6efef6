import ArgumentParser
import Commands

struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What a checkpoint, a dump, a tuned lens, a run or a split file holds.",
        discussion: """
            For a checkpoint: its shape, how it attends, its rotary embeddings with their scaling, \
            what its configuration left open and which default was assumed, tokenizer, parameters by \
            part, the types of each kind of tensor, fingerprint.

            For an activation dump: what it was made of, its sites with shapes and sizes, and for each \
            layer the norms of its rows, dimensions whose root mean square is ten times the median's \
            or more, and massive activations at position 0, from about a thousand rows spread over the \
            file; all rows with --check. For moments: norms, effective rank, outlier dimensions.

            For a tuned lens: the model and text it was trained on, and how far both lenses are from \
            the output at each boundary.

            Examples:
              etd-analyze inspect smollm2-135m-instruct
              etd-analyze inspect ./OLMo-2-0425-1B --check
              etd-analyze inspect runs/smollm2
              etd-analyze inspect acts.h5
            """)

    @Argument(
        help: """
            A model (path or short name), a dump, a tuned lens, a run directory, or a JSON file of a \
            run.
            """)
    var file: String

    @Flag(help: "Read every weight or stored value; fail if one is NaN or infinite.")
    var check = false

    @Flag(help: "Show the SHA-256 of every weight file, which reads them whole.")
    var hash = false

    @Flag(help: "Write JSON.")
    var json = false

    func run() throws {
        let inspection = try Inspection(file, check: check, hashed: hash)
        try Terminal.write(json ? inspection.jsonText : inspection.text)
    }
}
