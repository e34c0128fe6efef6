import Files

/// A GGUF checkpoint in one file, or in the parts that llama-gguf-split and the converters make:
/// `NAME-00001-of-00003.gguf` and so on, all in one folder. Any part opens all of them.
///
/// Every part says which it is (`split.no`, from 0), how many there are (`split.count`) and how many
/// tensors all of them hold together (`split.tensors.count`). The model's metadata stand in the first.
struct GGUFParts {
    /// In the order of their numbers.
    let files: [GGUFFile]

    var metadata: GGUFMetadata { files[0].metadata }

    init(path: String) throws(CheckpointError) {
        let file = try GGUFFile(path: path)
        guard let position = try Position(file) else {
            files = [file]
            return
        }
        let paths = try Self.paths(beside: path, position)
        let missing = paths.filter { Paths.kind($0) == .missing }
        guard missing.isEmpty else {
            throw .missingParts(path: path, parts: missing.map(Self.name))
        }
        var files: [GGUFFile] = []
        for (number, part) in paths.enumerated() {
            files.append(number == position.number ? file : try GGUFFile(path: part))
        }
        try Self.check(files, position)
        self.files = files
    }

    /// What a part says about itself.
    private struct Position: Equatable {
        /// From 0.
        var number: Int
        let count: Int
        /// Tensors of all parts.
        let tensors: Int

        /// Nil for a file that is whole.
        init?(_ part: GGUFFile) throws(CheckpointError) {
            let metadata = part.metadata
            guard metadata["split.count"] != nil else { return nil }
            func value(_ key: String, _ range: ClosedRange<Int>) throws(CheckpointError) -> Int {
                guard let value = metadata.int(key), range.contains(value) else {
                    throw .invalidHeader(
                        path: part.file.path,
                        problem: metadata[key] == nil
                            ? "a part of a split file without \(key)"
                            : "\(key) is not a whole number from \(range.lowerBound) to "
                                + "\(range.upperBound)")
                }
                return value
            }
            // llama-gguf-split writes 0 or 1 when it has joined parts again.
            count = try value("split.count", 0...Int(UInt16.max))
            if count <= 1 { return nil }
            number = try value("split.no", 0...count - 1)
            tensors = try value("split.tensors.count", 0...Int(Int32.max))
        }
    }

    private static func name(_ path: String) -> String {
        String(path.split(separator: "/").last ?? "")
    }

    /// Five digits and more, as printf's `%05d` writes them.
    private static func digits(_ number: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, 5 - text.count)) + text
    }

    /// The paths of all parts, from the name of one.
    private static func paths(
        beside path: String, _ position: Position
    ) throws(CheckpointError) -> [String] {
        func ending(_ number: Int) -> String {
            "-\(digits(number + 1))-of-\(digits(position.count)).gguf"
        }
        let own = ending(position.number)
        guard name(path).hasSuffix(own) else {
            throw .unsupportedForm(
                path: path,
                problem: "part \(position.number + 1) of \(position.count) of a split GGUF file, "
                    + "whose name does not end in \(own)",
                advice: "give all parts the names that they were published under")
        }
        let stem = path.dropLast(own.count)
        return (0..<position.count).map { stem + ending($0) }
    }

    private static func check(
        _ files: [GGUFFile], _ first: Position
    ) throws(CheckpointError) {
        var expected = first
        for (number, part) in files.enumerated() {
            expected.number = number
            func problem(_ text: String) -> CheckpointError {
                .inconsistentParts(path: part.file.path, problem: text)
            }
            guard let actual = try Position(part) else {
                throw problem("is a whole file by its split.count, among \(first.count) parts")
            }
            guard actual.count == expected.count else {
                throw problem("split.count is \(actual.count), and \(expected.count) in another")
            }
            guard actual.number == number else {
                throw problem("split.no is \(actual.number), and \(number) by its name")
            }
            guard actual.tensors == expected.tensors else {
                throw problem(
                    "split.tensors.count is \(actual.tensors), and \(expected.tensors) in another")
            }
        }
        let held = files.reduce(0) { $0 + $1.entries.count }
        guard held == first.tensors else {
            throw .inconsistentParts(
                path: files[0].file.path,
                problem: "split.tensors.count is \(first.tensors), and the parts hold \(held)")
        }
    }
}
