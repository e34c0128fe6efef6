/// DROP's scoring (Dua et al. 2019; AllenNLP's evaluation script), which OLMES uses for DROP and
/// NaturalQuestions: spans as bags of normalised words, aligned so that their F1 is greatest, numbers
/// must meet. F1 is rounded to two decimals for each gold answer; the greatest counts.
enum DROPGrader {
    private static let articles = PythonPattern(#"\b(a|an|the)\b"#)

    /// A span's normalised words, each once.
    static func bag(_ span: String) -> Set<[UInt8]> {
        var bag: Set<[UInt8]> = []
        for token in span.utf8.split(whereSeparator: { $0 == 0x20 || $0 == 0x2D }) {
            var text = String(decoding: Array(token), as: UTF8.self).lowercased()
            if PythonText.float(text) == nil { text = PythonText.withoutPunctuation(text) }
            if let number = PythonText.float(text) { text = PythonText.string(number) }
            for word in PythonText.words(articles.replace(in: text) { _ in " " }) {
                bag.insert(Array(word.utf8))
            }
        }
        return bag
    }

    static func f1(_ prediction: Set<[UInt8]>, _ gold: Set<[UInt8]>) -> Double {
        func numbers(_ bag: Set<[UInt8]>) -> Set<[UInt8]> {
            bag.filter { PythonText.float(String(decoding: $0, as: UTF8.self)) != nil }
        }
        let wanted = numbers(gold)
        guard wanted.isEmpty || !wanted.isDisjoint(with: numbers(prediction)) else { return 0 }
        let shared = Double(prediction.intersection(gold).count)
        let precision = prediction.isEmpty ? 1 : shared / Double(prediction.count)
        let recall = gold.isEmpty ? 1 : shared / Double(gold.count)
        guard precision > 0 || recall > 0 else { return 0 }
        return 2 * precision * recall / (precision + recall)
    }

    static func grade(_ prediction: String, golds: [[String]]) -> Grade {
        let predicted = bag(prediction)
        var best = 0.0
        for gold in golds where !PythonText.strip(gold[0]).isEmpty {
            // A prediction is one span: the best alignment gives it the gold span it fits best, and the
            // others score 0.
            let aligned = gold.map { f1(predicted, bag($0)) }.max() ?? 0
            let mean = aligned / Double(gold.count)
            best = max(best, (mean * 100).rounded(.toNearestOrEven) / 100)
        }
        return Grade(score: best, extracted: PythonText.strip(prediction))
    }
}
