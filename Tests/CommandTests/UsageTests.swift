// Help, versions and wrong usage of both programs.

import Foundation
import TestSupport
import Testing

@Suite struct UsageTests {
    static let subcommands = [
        (analyze, "probe"), (analyze, "lens"), (analyze, "tasks"), (analyze, "inspect"),
        (analyze, "report"),
        (etd, "tokenize"), (etd, "score"), (etd, "export"),
    ]

    @Test(arguments: subcommands)
    func helpTeaches(product: String, subcommand: String) throws {
        let help = try succeed(product, subcommand, "--help")
        #expect(help.errors.isEmpty)
        #expect(help.text.contains("Example"))
        // The example starts with the program's own name and is not broken over lines.
        let lines = help.lines.filter { $0.contains("\(product) \(subcommand) ") }
        #expect(lines.contains { $0.hasPrefix("  \(product) ") || $0.contains("| \(product) ") })
        #expect(help.lines.allSatisfy { $0.count <= 80 || $0.hasPrefix("USAGE:") }, "\(help)")
        #expect(try succeed(product, "help", subcommand).text == help.text)
    }

    @Test(arguments: [analyze, etd])
    func theProgramIntroducesItself(product: String) throws {
        let help = try succeed(product, "--help")
        for (_, subcommand) in Self.subcommands.filter({ $0.0 == product }) {
            #expect(help.text.contains("\n  \(subcommand) "))
        }
        #expect(help.text.contains("scripts/fetch-model"))
        #expect(help.text.contains("Exit codes"))
        #expect(try succeed(product, "help").text == help.text)
        #expect(try succeed(product).text == help.text)
        let version = try succeed(product, "--version").lines
        #expect(version.count == 1 && version[0].first?.isNumber == true)
    }

    @Test(arguments: [
        (analyze, ["nothing"], "Unknown command 'nothing'; it is one of "),
        (analyze, ["prob", "--model", "m"], "Unknown command 'prob'; did you mean 'probe'?"),
        (analyze, ["help", "foo"], "Unknown command 'foo'"),
        (analyze, ["help", "prob"], "did you mean 'probe'?"),
        (etd, ["tokenise"], "did you mean 'tokenize'?"),
        (
            analyze, ["probe", "--modle", "m", "--out", "o"],
            "Unknown option '--modle'; did you mean '--model'?"
        ),
        (analyze, ["probe", "--model", "m", "--limit", "3"], "Unknown option '--limit'\n"),
        (
            analyze, ["probe", "--model", "m", "--out", "o", "--sequences", "-1"],
            "must be at least 1, not -1"
        ),
        (
            analyze, ["probe", "--model", "m", "--out", "o", "--sequences=-1"],
            "must be at least 1, not -1"
        ),
        (analyze, ["probe"], "--model"),
        (analyze, ["probe", "--model", "m"], "--out"),
        (analyze, ["probe", "--model", "m", "--out", "o", "--frobnicate"], "--frobnicate"),
        (analyze, ["probe", "--model", "m", "--out", "o", "--threads", "0"], "--threads"),
        (analyze, ["probe", "--model", "m", "--out", "o", "--threads", "two"], "two"),
        (analyze, ["probe", "--model", "m", "--out", "o", "--sequences", "0"], "--sequences"),
        (
            analyze, ["probe", "--model", "m", "--out", "o", "--sequence-length", "0"],
            "--sequence-length"
        ),
        (analyze, ["probe", "--model", "m", "--out", "o", "--bos", "maybe"], "--bos"),
        (analyze, ["probe", "--model", "m", "--out", "o", "--passes", "angular,magic"], "magic"),
        (analyze, ["probe", "--model", "m", "--out", "o", "--passes", ""], "pass"),
        (analyze, ["probe", "--model", "m", "--out", "o", "--sensitivity", "-1"], "--sensitivity"),
        (analyze, ["probe", "--model", "m", "--out", "o", "--sinks", "some"], "--sinks"),
        (
            analyze,
            ["probe", "--model", "m", "--out", "o", "--sinks", "keep", "--passes", "lens"],
            "--passes"
        ),
        (analyze, ["probe", "--model", "m", "--out", "o", "--precision", "f8"], "--precision"),
        (analyze, ["probe", "--model", "m", "--out", "o", "--probes", "some"], "--probes"),
        (
            analyze, ["probe", "--model", "m", "--out", "o", "--probe-tasks", "syllogismus"],
            "syllogism"
        ),
        (
            analyze, ["probe", "--model", "m", "--out", "o", "--probe-examples", "0"],
            "--probe-examples"
        ),
        (
            analyze,
            ["probe", "--model", "m", "--out", "o", "--split", "1-1*2-1", "--shard", "1/2"],
            "a looped plan is measured in one run"
        ),
        (
            analyze,
            ["probe", "--model", "m", "--out", "o", "--shard", "1/2", "--until", "entropy 1"],
            "--until needs all documents"
        ),
        (analyze, ["probe", "--model", "m", "--out", "o", "--shard", "3/2"], "2/8"),
        (analyze, ["probe", "--model", "m", "--out", "o", "--until", "entropi 1"], "\"entropy\""),
        (analyze, ["probe", "--model", "m", "--out", "o", "--until", "entropy"], "and a bound"),
        (
            analyze,
            [
                "probe", "--model", "m", "--out", "o", "--until", "entropy 1", "--passes",
                "angular",
            ], "no pass of this run measures it"
        ),
        (
            analyze, ["probe", "--model", "m", "--out", "o", "--lens-positions", "every:0"],
            "every:N"
        ),
        (analyze, ["probe", "--model", "m", "--out", "o", "--passes", "lense"], "\"lens\""),
        (analyze, ["probe", "--model", "m", "--out", "o", "--split", "1-1-1"], "--iterations 2"),
        (analyze, ["dump", "--model", "m", "--out", "o", "--split", "1-1*k-1"], "1-1*2-1"),
        (analyze, ["dump", "--model", "m", "--out", "a.npy"], "HDF5"),
        (
            analyze, ["probe", "--model", "m", "--out", "o", "--sequence-length", "1"],
            "at least 2"
        ),
        (analyze, ["lens", "--model", "m", "--prompt", "a", "--split", "9-9-12"], "9-9*2-12"),
        (
            etd, ["score", "--model", "m", "--input", "i", "--output", "o", "--split", "9-9*k-12"],
            "--iterations 2"
        ),
        (
            analyze,
            ["probe", "--model", "m", "--out", "o", "--probes", "none", "--passes", "probes"],
            "--probes none"
        ),
        (analyze, ["tasks", "runing_sum"], "did you mean \"running_sum\""),
        (analyze, ["tasks", "nosuch"], "<task>: no task \"nosuch\""),
        (analyze, ["tasks", "syllogism:9"], "2 to 5"),
        (analyze, ["tasks", "--examples", "-1"], "--examples"),
        (analyze, ["lens", "--model", "m"], "--prompt"),
        (analyze, ["lens", "--model", "m", "--prompt", "a", "--top-k", "6"], "--top-k"),
        (analyze, ["lens", "--model", "m", "--prompt", "a", "--iterations", "2"], "--split"),
        (analyze, ["inspect"], "file"),
        (analyze, ["report"], "run"),
        (etd, ["nothing"], "nothing"),
        (etd, ["tokenize"], "--model"),
        (etd, ["tokenize", "--model", "m", "--skip-special"], "--decode"),
        (etd, ["score", "--model", "m", "--input", "i"], "--output"),
        (etd, ["score", "--model", "m", "--output", "o"], "--input"),
        (
            etd,
            [
                "score", "--model", "m", "--input", "i", "--output", "o", "--split", "1-1-1",
                "--iterations", "0",
            ], "--iterations"
        ),
        (
            etd, ["score", "--model", "m", "--input", "i", "--output", "o", "--alternative", "1"],
            "--split"
        ),
        (
            etd, ["score", "--model", "m", "--input", "i", "--output", "o", "--allow-mismatch"],
            "--split"
        ),
        (etd, ["export", "--model", "m", "--format", "peft", "--out", "o"], "--split"),
        (
            etd, ["export", "--model", "m", "--split", "1-1-1", "--format", "peft", "--out", "o"],
            "--iterations"
        ),
        (
            etd,
            ["export", "--model", "m", "--split", "1-1*2-1", "--format", "onnx", "--out", "o"],
            "hf-unrolled, hf-etd, gguf-unrolled, peft"
        ),
        (
            etd, ["export", "--model", "m", "--split", "1-1*2-1", "--format", "peft"], "--out"
        ),
    ])
    func wrongUsageIs64(product: String, arguments: [String], part: String) throws {
        let result = try CommandRunner(product)(arguments)
        #expect(result.code == 64, "\(result)")
        #expect(result.output.isEmpty, "\(result)")
        #expect(result.errorLines.first?.hasPrefix("Error: ") == true, "\(result)")
        #expect(result.errors.contains(part), "\(result)")
        #expect(result.errors.contains("Usage: \(product)"), "\(result)")
    }

    /// A full device behind standard output is a failure like others, not a crash.
    @Test(.enabled(if: FileManager.default.fileExists(atPath: "/dev/full"), "needs /dev/full"))
    func aFullStandardOutputIsAFailure() throws {
        let model = try TinyModel()
        for (product, arguments) in [
            (analyze, ["inspect", model.path]), (etd, ["tokenize", "--model", model.path]),
        ] {
            let result = try CommandRunner(product)(
                arguments, input: "the\n", shell: "exec >/dev/full")
            expectFailure(result, naming: ["standard output", "No space left"])
        }
    }
}
