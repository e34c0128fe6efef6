import Foundation
import TestSupport
import Testing

let analyze = "etd-analyze"
let etd = "etd"

/// Runs `etd-analyze` or `etd` and expects success.
@discardableResult
func succeed(
    _ product: String, _ arguments: String..., input: String = "",
    sourceLocation: SourceLocation = #_sourceLocation
) throws -> CommandRunner.Result {
    let result = try CommandRunner(product)(arguments, input: input)
    #expect(result.code == 0, "\(result)", sourceLocation: sourceLocation)
    return result
}

/// Runs a command and expects what the contract says of failures: exit 1 with one line on standard error
/// that holds each of `parts`, and nothing on standard output.
@discardableResult
func fail(
    _ product: String, _ arguments: String..., input: String = "", naming parts: [String],
    sourceLocation: SourceLocation = #_sourceLocation
) throws -> CommandRunner.Result {
    let result = try CommandRunner(product)(arguments, input: input)
    expectFailure(result, naming: parts, sourceLocation: sourceLocation)
    return result
}

func expectFailure(
    _ result: CommandRunner.Result, naming parts: [String],
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(result.code == 1, "\(result)", sourceLocation: sourceLocation)
    #expect(result.errorLines.count == 1, "\(result)", sourceLocation: sourceLocation)
    #expect(result.errors.hasSuffix("\n"), "\(result)", sourceLocation: sourceLocation)
    #expect(result.output.isEmpty, "\(result)", sourceLocation: sourceLocation)
    for part in parts {
        #expect(
            result.errors.contains(part), "no \"\(part)\" in: \(result.errors)",
            sourceLocation: sourceLocation)
    }
}

/// The names in a folder, sorted; nil if there is none.
func names(in folder: String) -> [String]? {
    (try? FileManager.default.contentsOfDirectory(atPath: folder))?.sorted()
}

func bytes(of path: String) throws -> Data { try Data(contentsOf: URL(filePath: path)) }

/// The files of a whole run.
let runFiles = [
    "evidence.h5", "layers.csv", "layers.json", "report.html", "run.json", "split.json",
]
