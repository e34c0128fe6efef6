import Checkpoints
import Corpus
import Evaluation
import Files
import Foundation
import Models
import Scans
import TestSupport

/// What `scripts/goldens/scans.py` wrote of one checkpoint.
struct ScanGolden: CustomStringConvertible, Sendable {
    let name: String
    let json: JSON
    var description: String { name }

    static let all: [ScanGolden] = {
        let json = try? JSON.read(path: Locations.golden("scans/expected.json").path)
        return (json?["models"]?.objectValue ?? [:]).map {
            ScanGolden(name: $0.key, json: $0.value)
        }
    }()

    static func named(_ name: String) throws -> ScanGolden {
        guard let golden = all.first(where: { $0.name == name }) else {
            throw CocoaError(.fileNoSuchFile)
        }
        return golden
    }

    var folder: URL { Locations.golden("models/\(name)") }

    func model() throws -> Transformer { try Transformer.load(Checkpoint.open(folder.path)) }

    static func ids(_ json: JSON?) -> [Int32] {
        (json?.arrayValue ?? []).compactMap { $0.intValue.map(Int32.init) }
    }

    var text: Document { Document(tokens: Self.ids(json["text"])) }

    var items: [ScanItem] {
        (json["items"]?.arrayValue ?? []).map { item in
            let context = Self.ids(item["context_tokens"])
            return ScanItem(
                options: (item["options_tokens"]?.arrayValue ?? []).map {
                    ScoreRequest(tokens: context + Self.ids($0), firstScored: context.count)
                }, gold: item["gold"]?.intValue ?? -1)
        }
    }

    /// Each window with transformers' margins and the text's -log P.
    var windows: [(window: ScanWindow, margins: [Double], nll: Double)] {
        (json["windows"]?.arrayValue ?? []).compactMap { row in
            guard let kind = ScanKind(rawValue: row["kind"]?.stringValue ?? ""),
                let start = row["start"]?.intValue, let length = row["length"]?.intValue
            else { return nil }
            return (
                ScanWindow(
                    kind: kind, start: start, length: length,
                    iterations: row["iterations"]?.intValue),
                (row["margins"]?.arrayValue ?? []).compactMap(\.doubleValue),
                row["nll"]?.doubleValue ?? .nan
            )
        }
    }

    func job(_ windows: [ScanWindow], races: Bool = false) -> Scan.Job {
        Scan.Job(windows: windows, items: items, documents: [text], races: races, seed: 0)
    }
}

/// Items of random ids: contexts of 4 to 11 tokens, three options of one to three.
func randomItems(_ count: Int, vocabulary: Int, seed: UInt64) -> [ScanItem] {
    var random = SeededRandom(seed)
    func ids(_ lengths: ClosedRange<Int>) -> [Int32] {
        (0..<Int.random(in: lengths, using: &random)).map { _ in
            Int32.random(in: 0..<Int32(vocabulary), using: &random)
        }
    }
    return (0..<count).map { index in
        let context = ids(4...11)
        return ScanItem(
            options: (0..<3).map { _ in
                ScoreRequest(tokens: context + ids(1...3), firstScored: context.count)
            }, gold: index % 3, group: index % 5 == 0 ? "g\(index / 10)" : nil)
    }
}
