import Checkpoints
import Files

/// The files beside the weights that go with a model: its tokenizer, its chat template, how it generates,
/// its licence.
package enum Companions {
    private static let names: Set<String> = [
        "generation_config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json",
        "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt",
        "spiece.model", "chat_template.json", "chat_template.jinja", "processor_config.json",
        "preprocessor_config.json",
    ]
    private static let beginnings = ["LICENSE", "LICENCE", "NOTICE", "USE_POLICY"]

    static func isCopied(_ name: String) -> Bool {
        names.contains(name) || beginnings.contains(where: name.hasPrefix)
    }

    /// Copies them into `folder`.
    package static func copy(of checkpoint: Checkpoint, to folder: String) throws(FileError) {
        var copied: Set<String> = []
        // An adapter's own files stand before its base's.
        for place in [checkpoint.path, checkpoint.basePath].compactMap({ $0 }) {
            for name in try Paths.names(in: place) where isCopied(name) {
                let source = Paths.join(place, name)
                guard Paths.kind(source) == .file, copied.insert(name).inserted else { continue }
                try AtomicFile.write(
                    try MappedFile.contents(path: source), to: Paths.join(folder, name))
            }
        }
    }
}
