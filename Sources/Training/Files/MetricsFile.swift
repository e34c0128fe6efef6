import Files
import Foundation

/// `metrics.jsonl`: a line a step, on disk when the step is done. Of a run that goes on, lines beyond its
/// checkpoint go first.
public final class MetricsFile {
    private let handle: FileHandle
    private let path: String

    /// - Parameter step: the last step whose line stays.
    /// - Throws: `TrainingError.file`.
    public init(run: String, after step: Int) throws(TrainingError) {
        path = Paths.join(run, "metrics.jsonl")
        do throws(FileError) {
            var kept: [UInt8] = []
            if step > 0, Paths.kind(path) == .file {
                for line in try MappedFile.contents(path: path).split(separator: 0x0A) {
                    guard let json = try? JSON.parse(Array(line)),
                        let number = json["step"]?.intValue, number <= step
                    else { continue }
                    kept += line + [0x0A]
                }
            }
            try AtomicFile.write(kept, to: path)
        } catch { throw .file(error) }
        guard let handle = FileHandle(forWritingAtPath: path) else {
            throw .file(.system(path: path, operation: "open", reason: "it cannot be written"))
        }
        self.handle = handle
        _ = try? handle.seekToEnd()
    }

    deinit { try? handle.close() }

    /// - Throws: `TrainingError.file`, as on a full disk.
    public func append(_ json: JSON) throws(TrainingError) {
        do {
            try handle.write(contentsOf: Data((json.text(indent: 0) + "\n").utf8))
        } catch {
            throw .file(.system(path: path, operation: "write", reason: "\(error)".onOneLine))
        }
    }
}

extension StepMetrics {
    /// A line of `metrics.jsonl`.
    /// - Parameters:
    ///   - tokensPerSecond: nil where no time was measured.
    ///   - validation: cross-entropy on held-out text, where it was measured after this step.
    public func json(tokensPerSecond: Double?, validation: Double? = nil) -> JSON {
        var object: JSON.Object = [
            "step": .number(step), "loss": .number(loss), "ce": .number(crossEntropy),
            "z_loss": .number(zLoss), "grad_norm": .number(gradientNorm), "lr": .number(rate),
            "iterations": .number(iterations), "tokens": .number(tokens),
            "tokens_per_s": .number(tokensPerSecond),
        ]
        if !passNorms.isEmpty {
            object["pass_grad_norms"] = .array(passNorms.map { .number($0) })
        }
        if let validation { object["validation_ce"] = .number(validation) }
        return .object(object)
    }
}
