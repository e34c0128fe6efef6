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

    /// Cuts `members` into units of at most one block of rows behind what all of them begin with, one member
    /// at least.
    static func units(
        _ prefix: String, _ members: [Int], requests: (Int) -> [ScoreRequest]
    ) -> [ScanUnit] {
        var units: [ScanUnit] = []
        var gathered: [(member: Int, requests: [ScoreRequest])] = []
        func close() {
            guard !gathered.isEmpty else { return }
            units.append(
                ScanUnit(
                    name: "\(prefix) \(units.count)", members: gathered.map(\.member),
                    requests: gathered.map(\.requests)))
            gathered = []
        }
        for member in members {
            let own = requests(member)
            let together = texts(gathered.map(\.requests) + [own], shares: true)
            if !fits(together) { close() }
            gathered.append((member, own))
        }
        close()
        return units
    }

    /// Whether the texts run in one block of rows; what a single one begins with may run before it.
    private static func fits(_ texts: [ScanText]) -> Bool {
        let rows = texts.reduce(0) { $0 + $1.rows }
        let shared = texts.count == 1 ? texts[0].trunk.count : 0
        return rows - shared <= BlockRunner.blockLength
    }

    /// The members' texts: together where members begin alike, such as with the same examples, and that
    /// saves rows; else each member's own. Requests are numbered through.
    private static func texts(_ requests: [[ScoreRequest]], shares: Bool) -> [ScanText] {
        let most = BlockRunner.blockLength
        var apart: [ScanText] = []
        var offset = 0
        for own in requests {
            apart += ScanText.texts(own, rows: most, shares: shares, firstRequest: offset)
            offset += own.count
        }
        guard shares, requests.count > 1 else { return apart }
        let together = ScanText.texts(requests.flatMap(\.self), rows: most, shares: true)
        func rows(_ texts: [ScanText]) -> Int { texts.reduce(0) { $0 + $1.rows } }
        return rows(together) < rows(apart) ? together : apart
    }

    /// Texts that run in one block of rows.
    struct Batch {
        var texts: [ScanText] = []
        /// The place of the member and of its request, for each request of each text.
        var places: [[Int: (member: Int, request: Int)]] = []
    }

    /// The unit's texts in batches of at most one block of rows.
    func batches(_ model: Transformer) -> [Batch] {
        let alone = model.configuration.rotaryDependsOnLength
        let flat = requests.indices.flatMap { member in
            requests[member].indices.map { (member: member, request: $0) }
        }
        let texts = Self.texts(requests, shares: !alone)
        var batches: [Batch] = []
        var rows = 0
        for text in texts {
            if batches.isEmpty || rows + text.rows > BlockRunner.blockLength {
                batches.append(Batch())
                rows = 0
            }
            batches[batches.count - 1].texts.append(text)
            batches[batches.count - 1].places.append(
                Dictionary(text.targets.map { ($0.request, flat[$0.request]) }) { first, _ in first
                })
            rows += text.rows
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
