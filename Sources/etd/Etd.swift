import ArgumentParser
import Commands

@main
struct Etd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "etd",
        abstract: "Run a model with a split of its layers.",
        discussion: """
            The engine beside etd-analyze: turns text into tokens and scores token sequences, with the \
            think block run as often as asked.
            """,
        version: Product.version,
        subcommands: [Tokenize.self, Score.self])
}
