import Corpus
import Evaluation
import Models

/// Items or documents that are measured together, as much as one block of rows holds.
struct ScanUnit {
    /// Names it in the journal.
    let name: String
    /// Indices among the items, or among the documents.
    let members: [Int]
    let requests: [[ScoreRequest]]

    /// Cuts `members` into units of at most one block of rows, one member at least.
    static func units(
        _ prefix: String, _ members: [Int], requests: (Int) -> [ScoreRequest]
    ) -> [ScanUnit] {
        var units: [ScanUnit] = []
        var gathered: [(member: Int, requests: [ScoreRequest])] = []
        var rows = 0
        func close() {
            guard !gathered.isEmpty else { return }
            units.append(
                ScanUnit(
                    name: "\(prefix) \(units.count)", members: gathered.map(\.member),
                    requests: gathered.map(\.requests)))
            gathered = []
            rows = 0
        }
        for member in members {
            let own = requests(member)
            // Above what they need once their beginnings are shared.
            let shared = own.map(\.firstScored).min() ?? 1
            let needed = own.reduce(shared) { $0 + $1.tokens.count - shared }
            if rows + needed > BlockRunner.blockLength { close() }
            gathered.append((member, own))
            rows += needed
        }
        close()
        return units
    }

    /// The unit's texts in batches of at most one block of rows, each with the member it belongs to.
    func batches(_ model: Transformer) -> [[(member: Int, text: ScanText)]] {
        let alone = model.configuration.rotaryDependsOnLength
        var batches: [[(member: Int, text: ScanText)]] = []
        var rows = 0
        for (place, requests) in requests.enumerated() {
            let texts = ScanText.texts(
                requests, rows: BlockRunner.blockLength, shares: !alone)
            for text in texts {
                if batches.isEmpty || rows + text.rows > BlockRunner.blockLength {
                    batches.append([])
                    rows = 0
                }
                batches[batches.count - 1].append((place, text))
                rows += text.rows
            }
        }
        return batches
    }

    /// Positions that run when every request runs by itself.
    var positions: Int {
        requests.joined().reduce(0) { $0 + $1.tokens.count - 1 }
    }
}

/// A document as a request: every token after the first is scored.
extension Document {
    var request: ScoreRequest { ScoreRequest(tokens: tokens, firstScored: 1) }
}
