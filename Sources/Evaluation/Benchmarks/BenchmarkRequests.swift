/// The texts that a benchmark asks a model.
public struct OptionRequests: Sendable, Equatable {
    public struct Pair: Sendable, Equatable {
        public var context: String
        public var continuation: String

        public init(context: String, continuation: String) {
            self.context = context
            self.continuation = continuation
        }
    }

    /// One for each option.
    public var options: [Pair]
    /// The options behind `Answer:` alone; empty where OLMES does not ask them.
    public var unconditional: [Pair]
}

extension Benchmark {
    private static let letters = (0..<26).map { String(Unicode.Scalar(UInt8(0x41 + $0))) }

    /// What stands before the question of `document`: the preamble and the examples, each followed by an
    /// empty line.
    public func prefix(
        for document: BenchmarkDocument, shots: [String: BenchmarkData.Shots], format: Format
    ) -> String {
        let preamble = preamble(document.subtask)
        switch shots[document.subtask ?? ""] {
        case nil: return preamble
        case .text(let text): return preamble + text + "\n\n"
        case .documents(let examples):
            return preamble + examples.map { example($0, format: format) + "\n\n" }.joined()
        }
    }

    /// One example with its answer.
    private func example(_ document: BenchmarkDocument, format: Format) -> String {
        switch form {
        case .generation(let generation):
            return generation.prompt(document) + " " + (document.answer ?? "")
        case .options(let options):
            let gold = document.goldIndex ?? 0
            if format == .letters {
                return lettered(document, options) + " " + Self.letters[gold]
            }
            switch options.cloze {
            case .continuation(let context):
                return context(document) + options.delimiter + document.choices[gold]
            case .blank, nil:
                let (before, after) = Self.blank(document.question)
                return before + document.choices[gold] + " " + after
            }
        }
    }

    /// The question as it stands behind the examples, in its first format.
    func text(of document: BenchmarkDocument) -> String {
        switch form {
        case .generation(let generation): return generation.prompt(document)
        case .options(let options):
            if case .continuation(let context) = options.cloze { return context(document) }
            return lettered(document, options)
        }
    }

    private func lettered(_ document: BenchmarkDocument, _ options: Options) -> String {
        let choices =
            options.stripsLettered ? document.choices.map(PythonText.strip) : document.choices
        return options.lettersHead(document) + "\n"
            + zip(Self.letters, choices).map { " \($0). \($1)\n" }.joined() + "Answer:"
    }

    /// What stands before and behind the blank, without the white space between.
    static func blank(_ sentence: String) -> (before: String, after: String) {
        let parts = PythonText.split(sentence, "_")
        return (parts[0], PythonText.strip(parts.dropFirst().joined(separator: "_")))
    }

    /// The requests of one question in one format.
    /// - Precondition: The benchmark has options and is put in that format.
    public func requests(
        _ document: BenchmarkDocument, shots: [String: BenchmarkData.Shots], format: Format
    ) -> OptionRequests {
        guard case .options(let options) = form else {
            preconditionFailure("\(name) has no options")
        }
        let prefix = prefix(for: document, shots: shots, format: format)
        if format == .letters {
            let context = prefix + lettered(document, options)
            return OptionRequests(
                options: Self.letters.prefix(document.choices.count).map {
                    .init(context: context, continuation: " " + $0)
                }, unconditional: [])
        }
        switch options.cloze {
        case .continuation(let question):
            let context = prefix + question(document)
            return OptionRequests(
                options: document.choices.map {
                    .init(context: context, continuation: options.delimiter + $0)
                },
                unconditional: options.hasUnconditional
                    ? document.choices.map {
                        .init(context: "Answer:", continuation: options.delimiter + $0)
                    }
                    : [])
        case .blank:
            let (before, after) = Self.blank(document.question)
            return OptionRequests(
                options: document.choices.map {
                    .init(context: prefix + before + $0, continuation: " " + after)
                }, unconditional: [])
        case nil: preconditionFailure("\(name) has no cloze form")
        }
    }

    /// The prompt of a generated answer.
    /// - Precondition: The benchmark generates.
    public func prompt(
        _ document: BenchmarkDocument, shots: [String: BenchmarkData.Shots]
    ) -> String {
        guard case .generation(let generation) = form else {
            preconditionFailure("\(name) does not generate")
        }
        return prefix(for: document, shots: shots, format: .generation)
            + generation.prompt(document)
    }
}
