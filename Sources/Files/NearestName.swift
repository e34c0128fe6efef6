/// Which known name someone may have meant.
public enum NearestName {
    /// The known name nearest to `name`, letter case apart; nil where none is near enough to suggest: at
    /// most one edit for each three characters, or else one of which the other is the beginning.
    public static func of(_ name: String, among known: some Sequence<String>) -> String? {
        let given = Array(name.lowercased())
        guard !given.isEmpty else { return nil }
        var best: (name: String, distance: Int)?
        var longer: String?
        for candidate in known {
            let other = Array(candidate.lowercased())
            let distance = editDistance(given, other)
            if distance <= max(1, given.count / 3), distance < best?.distance ?? .max {
                best = (candidate, distance)
            }
            let shorter = min(given.count, other.count)
            if shorter >= 3, given.prefix(shorter) == other.prefix(shorter) {
                longer = longer ?? candidate
            }
        }
        return best?.name ?? longer
    }

    /// The least number of insertions, deletions, replacements and swaps of two neighbours, no
    /// character edited twice (optimal string alignment).
    static func editDistance(_ a: [Character], _ b: [Character]) -> Int {
        var (before, last) = ([Int](), Array(0...b.count))
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices {
                var least = min(last[j] + (a[i] == b[j] ? 0 : 1), last[j + 1] + 1, row[j] + 1)
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
                    least = min(least, before[j - 1] + 1)
                }
                row.append(least)
            }
            (before, last) = (last, row)
        }
        return last[b.count]
    }
}
