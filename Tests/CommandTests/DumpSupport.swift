import Activations
import Files
import Foundation
import TestSupport

/// A tiny model with documents, to be dumped again and again.
struct DumpFixture {
    let model: TinyModel
    let data: String

    /// - Parameters:
    ///   - golden: a folder of Tests/Goldens/models.
    ///   - documents: how many, of 20 to 100 tokens each.
    init(_ golden: String = "llama-gqa", documents: Int, seed: UInt64 = 7) throws {
        model = try TinyModel(golden)
        var random = SeededRandom(seed)
        let lines = (0..<documents).map { _ in
            line([
                "tokens": .ids(
                    (0..<Int.random(in: 20...100, using: &random)).map { _ in
                        Int.random(in: 3..<100, using: &random)
                    })
            ])
        }
        data = try model.write(lines.joined(), to: "data.jsonl")
    }

    func file(_ name: String) -> String { model.file(name) }

    func arguments(_ out: String, _ more: [String]) -> [String] {
        ["dump", "--model", model.path, "--data", data, "--precision", "f32", "--quiet", "--out"]
            + [file(out)] + more
    }

    /// Dumps to `out` and gives its path.
    @discardableResult
    func dump(_ out: String, _ more: String...) throws -> String {
        let result = try CommandRunner(analyze)(arguments(out, more))
        guard result.code == 0 else { throw DumpFailure(result: result) }
        return file(out)
    }

    struct DumpFailure: Error, CustomStringConvertible {
        var result: CommandRunner.Result
        var description: String { result.description }
    }

    /// What stands beside the model and the data.
    func names() throws -> [String] {
        try model.scratch.names().filter { !["model", "data.jsonl"].contains($0) }
    }
}

/// A Python that can read HDF5 without a line of ours.
enum Python {
    static let withH5py: String? = {
        let environment = Locations.package.appending(path: ".venv-goldens/bin/python").path
        return ["/usr/bin/python3", environment, "/usr/local/bin/python3"].first { path in
            guard FileManager.default.isExecutableFile(atPath: path) else { return false }
            return (try? run(path, ["-c", "import h5py, numpy"]))?.code == 0
        }
    }()

    static func run(
        _ path: String, _ arguments: [String], in folder: String? = nil
    ) throws -> (code: Int32, output: String, errors: String) {
        let scratch = try ScratchDirectory()
        try scratch.write([], to: "out")
        try scratch.write([], to: "err")
        let process = Process()
        process.executableURL = URL(filePath: path)
        process.arguments = arguments
        if let folder { process.currentDirectoryURL = URL(filePath: folder) }
        process.standardOutput = try FileHandle(forWritingTo: URL(filePath: scratch.file("out")))
        process.standardError = try FileHandle(forWritingTo: URL(filePath: scratch.file("err")))
        process.standardInput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        func text(_ name: String) throws -> String {
            String(decoding: try bytes(of: scratch.file(name)), as: UTF8.self)
        }
        return (process.terminationStatus, try text("out"), try text("err"))
    }
}

/// A small file system of its own, gone when this object goes.
final class SmallDisk {
    let path: String
    private let scratch: ScratchDirectory

    /// Whether this machine lets us mount one.
    static let isAvailable: Bool = {
        guard getuid() == 0, let disk = try? SmallDisk(kibibytes: 64) else { return false }
        return FileManager.default.fileExists(atPath: disk.path)
    }()

    init(kibibytes: Int) throws {
        scratch = try ScratchDirectory()
        path = scratch.file("disk")
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try Self.mount(["-t", "tmpfs", "-o", "size=\(kibibytes)k", "tmpfs", path])
    }

    func remount(_ options: String) throws { try Self.mount(["-o", "remount,\(options)", path]) }

    private static func mount(_ arguments: [String]) throws {
        let done = try Python.run("/bin/mount", arguments)
        guard done.code == 0 else { throw MountFailure(reason: done.errors) }
    }

    struct MountFailure: Error { var reason: String }

    deinit { _ = try? Python.run("/bin/umount", [path]) }
}
