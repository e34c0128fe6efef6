import Files

/// Why a model is not found or lacks what is asked of it. Names no command's flag.
public enum ModelStoreError: Error, Equatable, CustomStringConvertible {
    /// - isHubID: whether the name has the form `org/name`.
    case noSuchModel(name: String, isHubID: Bool, places: [String])
    case noTokenizer(path: String)

    public var description: String { text.onOneLine }

    private var text: String {
        switch self {
        case .noSuchModel(let name, let isHubID, let places):
            "\(name): no such file, directory or fetched model (looked in "
                + "\(places.joined(separator: ", "))); "
                + (isHubID
                    ? "`hf download \(name)` fetches it"
                    : "`scripts/fetch-model \(name)` fetches it or says how")
        case .noTokenizer(let path):
            "\(path): has no tokenizer.json, which reading or writing text needs"
                + (Self.otherTokenizer(in: path).map {
                    "; it has \($0), of which transformers makes one: python3 -c 'from transformers "
                        + "import AutoTokenizer as T; T.from_pretrained(\"\(path)\")"
                        + ".save_pretrained(\"\(path)\")'"
                } ?? "")
        }
    }

    /// A tokenizer in a form that is not read.
    private static func otherTokenizer(in path: String) -> String? {
        ["tokenizer.model", "spiece.model", "vocab.json", "vocab.txt"].first {
            Paths.kind(Paths.join(path, $0)) != .missing
        }
    }
}
