import Files
import Foundation
import FuzzTargets
import TestSupport
import Testing

/// Each value of the seeds of a run and of a dump, one at a time replaced by what hurts, or left out:
/// no trap, one line of refusal, nothing shown that moves a cursor. The fuzzer seldom gets there, since it
/// changes bytes and not values.
struct MutationTests {
    private static let values: [JSON] = [
        nil, true, [], [:], 0, -1, .int(.max), .int(.min), 1e18, 1e19, -1e19, 1e308,
        .double(.leastNonzeroMagnitude), 65_536,
        4_294_967_296, "", "\u{1B}[31m\u{9B}2J\u{202E}\r\n", ["\u{1B}]0;x\u{7}"],
        [.int(.max), .int(.max)], [1e19, -1e308], "9223372036854775808", "nan",
    ]

    /// Every value within `json`, the whole one first, as the way to it; of an array the first two, since
    /// the others are like them.
    private func places(_ json: JSON) -> [[Step]] {
        switch json {
        case .array(let values):
            [[]]
                + values.indices.prefix(2).flatMap { index in
                    places(values[index]).map { [.index(index)] + $0 }
                }
        case .object(let members):
            [[]] + members.flatMap { key, value in places(value).map { [.key(key)] + $0 } }
        default: [[]]
        }
    }

    private enum Step {
        case key(String)
        case index(Int)
    }

    /// `json` with another value at `place`, or without it for nil.
    private func changed(_ json: JSON, _ place: ArraySlice<Step>, _ value: JSON?) -> JSON? {
        guard let step = place.first else { return value }
        switch (step, json) {
        case (.key(let key), .object(var members)):
            guard let old = members[key] else { return json }
            members[key] = changed(old, place.dropFirst(), value)
            return .object(members)
        case (.index(let index), .array(var values)):
            let new = changed(values[index], place.dropFirst(), value)
            values.replaceSubrange(index...index, with: new.map { [$0] } ?? [])
            return .array(values)
        default: return json
        }
    }

    @Test(.timeLimit(.minutes(20)), arguments: [FuzzTarget.report, .dump])
    func everyValueReplaced(target: FuzzTarget) throws {
        let folder = Locations.golden("fuzz/\(target.rawValue)").path
        var (runs, accepted) = (0, 0)
        for name in try Paths.names(in: folder) where name.hasPrefix("seed-") {
            let seed = try JSON.read(path: Paths.join(folder, name))
            for place in places(seed) {
                for value in Self.values.map(Optional.some) + [nil] {
                    guard let json = changed(seed, place[...], value) else { continue }
                    let refusal = Array(json.text(indent: 0).utf8).withUnsafeBytes {
                        target.run($0)
                    }
                    runs += 1
                    if refusal == nil { accepted += 1 }
                }
            }
        }
        // Both kinds, or the target looks at nothing.
        #expect(runs > 1000 && accepted > 0 && accepted < runs, "\(accepted) of \(runs) accepted")
        print("\(target.rawValue): \(runs) variants, \(accepted) accepted")
    }
}
