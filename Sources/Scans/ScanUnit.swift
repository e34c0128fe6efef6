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

    /// Cuts `members` into units of at most one block of rows, one member at least. Members whose contexts
    /// begin alike, such as those with the same examples, share that beginning.
    static func units(
        _ prefix: String, _ members: [Int], requests: (Int) -> [ScoreRequest]
    ) -> [ScanUnit] {
        var units: [ScanUnit] = []
        var gathered: [(member: Int, requests: [ScoreRequest])] = []
        /// Rows of the gathered members when each runs by itself, and what all of them begin with.
        var rows = 0
        var common: ArraySlice<Int32> = []
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
            let context = own.first.map { $0.tokens.prefix(max(0, shared - 1)) } ?? []
            var both = common.prefix(PrefixGroup.commonPrefix(common, context))
            // A short beginning is not worth a trunk of its own.
            if both.count < 16 { both = [] }
            let together = rows + needed - gathered.count * both.count
            if !gathered.isEmpty, together > BlockRunner.blockLength { close() }
            common = gathered.isEmpty ? context : both
            gathered.append((member, own))
            rows += needed
        }
        close()
        return units
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
        let texts = ScanText.texts(
            requests.flatMap(\.self), rows: BlockRunner.blockLength, shares: !alone)
        var batches: [Batch] = []
        var rows = 0
        for text in texts {
            if batches.isEmpty || rows + text.rows > BlockRunner.blockLength {
                batches.append(Batch())
                rows = 0
            }
            batches[batches.count - 1].texts.append(text)
            batches[batches.count - 1].places.append(
                Dictionary(text.targets.map { ($0.request, flat[$0.request]) }) { first, _ in first })
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
