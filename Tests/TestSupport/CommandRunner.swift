import Foundation

/// Runs the package's executables as a user does: as processes, with arguments, streams and files.
///
/// The executables are those built beside the running tests. `swift build --build-tests` builds them.
public struct CommandRunner: Sendable {
    /// What a finished process left.
    public struct Result: Sendable, CustomStringConvertible {
        public var command: String
        /// The exit code; nil when a signal ended the process.
        public var code: Int32?
        /// The signal that ended the process; nil when it exited.
        public var signal: Int32?
        public var output: [UInt8]
        public var errors: String

        public var text: String { String(decoding: output, as: UTF8.self) }
        /// The lines of standard output; the end of the output ends a last line without a line feed.
        public var lines: [String] { Self.lines(text) }
        public var errorLines: [String] { Self.lines(errors) }

        public var description: String {
            let end = code.map { "exit \($0)" } ?? "signal \(signal ?? 0)"
            return
                "\(command)\n\(end)\nstdout: \(text.prefix(2000))\nstderr: \(errors.prefix(2000))"
        }

        private static func lines(_ text: String) -> [String] {
            var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            if lines.last?.isEmpty == true { lines.removeLast() }
            return lines.map(String.init)
        }
    }

    public enum RunnerError: Error, CustomStringConvertible {
        case notBuilt(product: String, lookedIn: [String])

        public var description: String {
            switch self {
            case .notBuilt(let product, let folders):
                "\(product) is not built (looked in \(folders.joined(separator: ", "))); "
                    + "run swift build --build-tests"
            }
        }
    }

    /// The executable.
    public let path: String
    let product: String

    /// - Parameter product: the name of an executable of this package.
    public init(_ product: String) throws {
        self.product = product
        let bundle = Bundle.main.bundleURL
        let folders = [
            Bundle.main.executableURL?.deletingLastPathComponent(), bundle,
            bundle.deletingLastPathComponent(), Locations.package.appending(path: ".build/release"),
        ].compactMap(\.self)
        let candidates = folders.map { $0.appending(path: product).path }
        guard let found = candidates.first(where: FileManager.default.isExecutableFile) else {
            throw RunnerError.notBuilt(product: product, lookedIn: folders.map(\.path))
        }
        path = found
    }

    /// Runs to the end. What standard output and error hold may be of any size.
    /// - Parameters:
    ///   - environment: changes of this process's own; nil takes a variable away.
    ///   - shell: commands of `sh` that come before the program in its process, such as `ulimit -f 4`.
    public func callAsFunction(
        _ arguments: [String], input: String = "", environment: [String: String?] = [:],
        shell: String? = nil
    ) throws -> Result {
        try start(arguments, input: input, environment: environment, shell: shell).finish()
    }

    public func callAsFunction(_ arguments: String...) throws -> Result { try self(arguments) }

    /// Commands that compute.
    private static let computing: Set = [
        "probe", "lens", "dump", "score", "tune-lens", "eval", "scan", "generate",
    ]

    /// Goldens are f32, so commands that compute do it in f32 unless a test says otherwise.
    private static func withPrecision(_ arguments: [String]) -> [String] {
        guard let command = arguments.first, computing.contains(command),
            arguments.contains("--model"), !arguments.contains("--precision")
        else { return arguments }
        return [command, "--precision", "f32"] + arguments.dropFirst()
    }

    /// Starts and returns at once.
    /// - Parameter asTyped: leaves the precision to the command.
    public func start(
        _ arguments: [String], asTyped: Bool = false, input: String = "",
        environment: [String: String?] = [:],
        shell: String? = nil
    ) throws -> Running {
        let arguments = asTyped ? arguments : Self.withPrecision(arguments)
        let process = Process()
        if let shell {
            process.executableURL = URL(filePath: "/bin/sh")
            process.arguments = ["-c", shell + "; exec \"$0\" \"$@\"", path] + arguments
        } else {
            process.executableURL = URL(filePath: path)
            process.arguments = arguments
        }
        var variables = ProcessInfo.processInfo.environment
        for (name, value) in environment { variables[name] = value }
        process.environment = variables
        // Files and not pipes: nobody has to read them while the process runs.
        let streams = try ScratchDirectory()
        try streams.write(input.utf8, to: "in")
        try streams.write([], to: "out")
        try streams.write([], to: "err")
        process.standardInput = try FileHandle(forReadingFrom: URL(filePath: streams.file("in")))
        process.standardOutput = try FileHandle(forWritingTo: URL(filePath: streams.file("out")))
        process.standardError = try FileHandle(forWritingTo: URL(filePath: streams.file("err")))
        try Self.withoutBlockedSignals { try process.run() }
        let command = ([product] + arguments).joined(separator: " ")
        return Running(process: process, command: command, streams: streams)
    }

    /// A child inherits which signals its parent's thread blocks and ignores, and Dispatch's threads
    /// block most: a signal that a test sends would never arrive.
    private static func withoutBlockedSignals(_ body: () throws -> Void) rethrows {
        for number in [SIGINT, SIGTERM, SIGXFSZ] { signal(number, SIG_DFL) }
        var none = sigset_t()
        var before = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        try body()
    }

    /// A process that has been started. It is killed when this object goes.
    public final class Running {
        private let process: Process
        private let command: String
        private let streams: ScratchDirectory

        init(process: Process, command: String, streams: ScratchDirectory) {
            self.process = process
            self.command = command
            self.streams = streams
        }

        deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

        public var isRunning: Bool { process.isRunning }

        /// Whether the process has mapped a file.
        public func hasMapped(_ path: String) -> Bool {
            let maps = "/proc/\(process.processIdentifier)/maps"
            return (try? String(contentsOfFile: maps, encoding: .utf8))?.contains(path) ?? false
        }

        /// What standard error holds by now.
        public var errorsSoFar: String {
            (try? String(contentsOfFile: streams.file("err"), encoding: .utf8)) ?? ""
        }

        public func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

        public func finish() throws -> Result {
            process.waitUntilExit()
            let output = try Data(contentsOf: URL(filePath: streams.file("out")))
            let errors = try Data(contentsOf: URL(filePath: streams.file("err")))
            let exited = process.terminationReason == .exit
            return Result(
                command: command, code: exited ? process.terminationStatus : nil,
                signal: exited ? nil : process.terminationStatus, output: Array(output),
                errors: String(decoding: errors, as: UTF8.self))
        }
    }
}
