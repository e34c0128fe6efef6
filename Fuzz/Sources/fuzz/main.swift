// Gives one of the targets to libFuzzer. It is named by the environment variable ETD_FUZZ_TARGET, so
// that one executable serves all of them.
import Foundation
import FuzzTargets

/// libFuzzer with its command line, for programs that bring their own `main`.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ testOneInput: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

private let target: FuzzTarget = {
    let name = ProcessInfo.processInfo.environment["ETD_FUZZ_TARGET"] ?? ""
    guard let target = FuzzTarget(rawValue: name) else {
        let names = FuzzTarget.allCases.map(\.rawValue).joined(separator: ", ")
        FileHandle.standardError.write(Data("ETD_FUZZ_TARGET must be one of \(names)\n".utf8))
        exit(64)
    }
    return target
}()

private var count = CommandLine.argc
private var arguments = CommandLine.unsafeArgv
exit(
    runDriver(&count, &arguments) { bytes, count in
        target.run(UnsafeRawBufferPointer(start: bytes, count: count))
        return 0
    })
