import ArgumentParser
import Corpus

extension PositionSelection {
    /// Reads `all`, `last` or `every:N`.
    /// - Throws: `ValidationError`.
    @Sendable public init(argument text: String) throws {
        if text == "all" {
            self = .all
        } else if text == "last" {
            self = .last
        } else if text.hasPrefix("every:"), let step = Int(text.dropFirst(6)),
            (1...OptionRange.text).contains(step)
        {
            self = .every(step)
        } else {
            throw ValidationError(
                "expected all, last or every:N with N from 1 to \(OptionRange.text), not \"\(text)\""
            )
        }
    }
}
