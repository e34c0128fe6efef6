import Files

/// Why a dump cannot be written, joined or read.
public enum ActivationError: Error, Equatable, CustomStringConvertible {
    /// The HDF5 library refused: `place` is the data set, group or attribute, empty for the file.
    case hdf5(path: String, place: String, operation: String, reason: String)
    case file(FileError)
    /// The file is HDF5, but not what it should be.
    case invalid(path: String, problem: String)
    /// A virtual dump whose shard is gone.
    case missingPart(path: String, part: String)
    case overflow(
        site: String, layer: Int, document: Int, position: Int, value: Float)
    /// A value that cannot be stored: NaN, infinite, or infinite once it is rounded.
    case nonFinite(site: String, layer: Int, document: Int, position: Int)
    /// Another process writes this dump.
    case busy(path: String)
    case exists(path: String)
    /// Parts that another command line left.
    case otherDump(path: String, field: String, there: String, here: String)
    case noSuchSite(path: String, name: String, known: [String])
    case noSuchLayer(path: String, site: String, layer: Int, known: [Int])
    case outOfRange(path: String, site: String, tokens: Range<Int>, stored: Int)
    /// Files that cannot be merged.
    case shards(problem: String)

    public var description: String { text.onOneLine }

    private var text: String {
        switch self {
        case .hdf5(let path, let place, let operation, let reason):
            "\(path): cannot \(operation)\(place.isEmpty ? "" : " \(place)"): \(reason)"
        case .file(let error): error.description
        case .invalid(let path, let problem): "\(path): \(problem)"
        case .missingPart(let path, let part):
            "\(path): its shard \(part) is missing; a virtual dump needs the folder of its shards "
                + "beside it: put it back, or make the dump again without --virtual"
        case .overflow(let site, let layer, let document, let position, let value):
            "\(site) of layer \(layer) is \(value) at position \(position) of document \(document), "
                + "beyond the ±65,504 of f16; nothing was written: use --dtype bf16, which has the "
                + "range of f32"
        case .nonFinite(let site, let layer, let document, let position):
            "\(site) of layer \(layer) is not finite at position \(position) of document \(document); "
                + "nothing was written: `etd-analyze inspect --check` reads every weight of the model"
        case .busy(let path):
            "\(path): another process is writing this dump; wait for it or choose another --out"
        case .exists(let path):
            "\(path): exists; choose another --out, or --overwrite to replace it"
        case .otherDump(let path, let field, let there, let here):
            "\(path): holds parts of another dump (\(field) is \(there) there and \(here) here); give "
                + "the same command to continue it, choose another --out, or remove that folder"
        case .noSuchSite(let path, let name, let known):
            "\(path): has no site \(name.quotedForMessage); it has \(known.joined(separator: ", "))"
        case .noSuchLayer(let path, let site, let layer, let known):
            "\(path): \(site) has no row for layer \(layer); it has \(Self.ranges(known))"
        case .outOfRange(let path, let site, let tokens, let stored):
            "\(path): \(site) holds \(stored) tokens; \(tokens.lowerBound)..<\(tokens.upperBound) is "
                + "outside"
        case .shards(let problem): problem
        }
    }

    /// `0, 4-8` of sorted numbers.
    package static func ranges(_ numbers: [Int]) -> String {
        var runs: [ClosedRange<Int>] = []
        for number in numbers {
            if let last = runs.last, last.upperBound + 1 == number {
                runs[runs.count - 1] = last.lowerBound...number
            } else {
                runs.append(number...number)
            }
        }
        return runs.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
            .joined(separator: ", ")
    }
}
