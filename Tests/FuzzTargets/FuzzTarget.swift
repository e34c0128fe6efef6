import Checkpoints
import Files
import Foundation
import Models
import Tokenizers

/// What is fuzzed: readers of files that come from strangers. The package in `Fuzz/` gives each of
/// these to libFuzzer; tests give it every input that has ever failed.
///
/// An input may be accepted or refused. A trap, a read out of bounds, a hang and an error that is not
/// one line are findings.
public enum FuzzTarget: String, CaseIterable, Sendable {
    case safetensors, gguf, tokenizer, config, report, dump

    /// Reads `input` as a file of this kind, and everything that the file then offers.
    /// - Returns: why the input is refused; nil if it is accepted.
    @discardableResult
    public func run(_ input: UnsafeRawBufferPointer) -> String? {
        do {
            switch self {
            case .safetensors: try Self.safetensors(input)
            case .gguf: try Self.gguf(input)
            case .tokenizer: try Self.tokenizer(input)
            case .config: try Self.config(input)
            case .report: try Self.report(input)
            case .dump: try Self.dump(input)
            }
            return nil
        } catch {
            let message = "\(error)"
            precondition(
                !message.isEmpty && !message.contains(where: \.isNewline),
                "an error that is not one line: \(message)")
            return message
        }
    }

    private static func safetensors(_ input: UnsafeRawBufferPointer) throws {
        let file = MappedFile(path: "model.safetensors", contents: input)
        readAll(try Checkpoint(safetensors: file, config: [:]))
    }

    private static func gguf(_ input: UnsafeRawBufferPointer) throws {
        let checkpoint = try Checkpoint(gguf: MappedFile(path: "model.gguf", contents: input))
        readAll(checkpoint)
        // Each of the two may refuse what the other takes.
        let tokenizer = Result {
            try GGUFVocabulary(checkpoint.metadata).map {
                try Tokenizer(vocabulary: $0, path: checkpoint.path)
            }
        }
        inspect(try Transformer.load(checkpoint), checkpoint)
        if let tokenizer = try tokenizer.get() { use(tokenizer) }
    }

    private static func tokenizer(_ input: UnsafeRawBufferPointer) throws {
        use(try Tokenizer(huggingFace: try JSON.parse(input), path: "tokenizer.json"))
    }

    private static func config(_ input: UnsafeRawBufferPointer) throws {
        let config = try JSON.parse(input)
        guard let weights = weights[familyName(config)] ?? weights["llama"] else {
            preconditionFailure("the weights of Tests/Goldens/models are gone")
        }
        let checkpoint = try Checkpoint(safetensors: weights, config: config)
        inspect(try Transformer.load(checkpoint), checkpoint)
    }

    private static func familyName(_ config: JSON) -> String {
        (config["text_config"]?["model_type"] ?? config["model_type"])?.stringValue ?? ""
    }

    /// Weights that configurations are checked against, by the family's name: those of the goldens, the
    /// first of each family's.
    private static let weights: [String: MappedFile] = {
        let goldens = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Goldens/models").path
        func weights(_ name: String) -> MappedFile? {
            try? MappedFile(path: Paths.join(goldens, name + "/model.safetensors"))
        }
        var found: [String: MappedFile] = [:]
        found["llama"] = weights("llama-gqa")
        for name in (try? Paths.names(in: goldens)) ?? [] {
            guard let config = try? JSON.read(path: Paths.join(goldens, name + "/config.json"))
            else { continue }
            let family = familyName(config)
            found[family] = found[family] ?? weights(name)
        }
        return found
    }()

    private static func readAll(_ checkpoint: Checkpoint) {
        for tensor in checkpoint.tensors.values {
            precondition(tensor.bytes.count == tensor.type.bytes(count: tensor.count))
            _ = tensor.decoded()
            _ = tensor.firstNonFinite()
        }
        _ = checkpoint.fingerprint
        let metadata = checkpoint.metadata
        for key in metadata.keys {
            _ = metadata.byteStrings(key)
            _ = metadata.strings(key)
            _ = metadata.ints(key)
            _ = metadata.floats(key)
            _ = metadata.bools(key)
        }
    }

    private static let texts = [
        "", " ", "Hello, world! It's 2026.", "\u{0}é\u{301} 世界\n\n\t🙂", "<s>a</s><0x0A><|x|>  b",
    ]

    private static func use(_ tokenizer: Tokenizer) {
        for text in texts {
            guard let ids = try? tokenizer.encode(text, addSpecialTokens: true) else { continue }
            _ = tokenizer.decode(ids, skipSpecialTokens: false)
            _ = tokenizer.decode(ids, skipSpecialTokens: true)
        }
        for id in [-1, 0, 1, Int32.max] {
            _ = tokenizer.token(id)
            _ = tokenizer.decode([id, 0, id], skipSpecialTokens: false)
        }
    }
}
