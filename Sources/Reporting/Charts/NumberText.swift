import Files
import Foundation

/// Numbers as people read them. Always with a decimal point, whatever the locale; a value that is
/// not finite reads "–", like a missing one.
package enum NumberText {
    package static let missing = "–"

    /// `digits` significant digits, trailing zeros kept so that columns line up; powers of ten
    /// outside 1e-4..<1e6 are written as `1.234e-7`.
    package static func significant(_ value: Double?, digits: Int = 4) -> String {
        guard let value, value.isFinite else { return missing }
        if value == 0 { return "0" }
        let scientific = String(format: "%.*e", digits - 1, value)
        // Rounding can carry into the next power of ten: the exponent is read after it.
        guard let mark = scientific.firstIndex(of: "e"),
            let exponent = Int(scientific[scientific.index(after: mark)...])
        else { return scientific }
        if exponent < -4 || exponent >= 6 { return scientific[..<mark] + "e\(exponent)" }
        return String(format: "%.*f", max(0, digits - 1 - exponent), value)
    }

    /// An error, with two significant digits.
    package static func error(_ value: Double?) -> String { significant(value, digits: 2) }

    /// `0.4900 ± 0.012`, or the bare mean when there is no error.
    package static func estimate(_ mean: Double?, _ error: Double?) -> String {
        guard let error, error.isFinite, mean?.isFinite == true else { return significant(mean) }
        return significant(mean) + " ± " + self.error(error)
    }

    /// The label of an axis tick: as many decimals as the step needs, and no more.
    package static func tick(_ value: Double, step: Double) -> String {
        if value == 0 || abs(value) < abs(step) * 1e-6 { return "0" }
        let stepExponent = Int(nearest: floor(log10(abs(step)) + 1e-9))
        let exponent = Int(nearest: floor(log10(abs(value)) + 1e-9))
        let text: String
        if max(exponent, stepExponent) >= 6 || stepExponent < -4 {
            let scientific = String(format: "%.*e", max(0, exponent - stepExponent), value)
            let parts = scientific.split(separator: "e")
            text = parts[0] + "e" + (Int(parts[1]).map(String.init) ?? String(parts[1]))
        } else {
            text = String(format: "%.*f", max(0, -stepExponent), value)
        }
        return text.replacing("-", with: "\u{2212}")
    }

    /// SVG coordinates: two decimals, trailing zeros dropped.
    static func coordinate(_ value: Double) -> String {
        guard value.isFinite else { return "0" }
        let hundredths = (min(max(value, -1e9), 1e9) * 100).rounded()
        let whole = Int(nearest: hundredths)
        let sign = whole < 0 ? "-" : ""
        let (units, rest) = (abs(whole) / 100, abs(whole) % 100)
        if rest == 0 { return "\(sign)\(units)" }
        if rest % 10 == 0 { return "\(sign)\(units).\(rest / 10)" }
        return "\(sign)\(units).\(rest < 10 ? "0" : "")\(rest)"
    }

    /// `49,152`.
    package static func grouped(_ value: Int) -> String {
        var digits = Array(String(value.magnitude))
        var position = digits.count - 3
        while position > 0 {
            digits.insert(",", at: position)
            position -= 3
        }
        return (value < 0 ? "-" : "") + String(digits)
    }

    /// `134.5 million`, `1.2 billion`; below a million grouped digits.
    package static func count(_ value: Int) -> String {
        switch value.magnitude {
        case 1_000_000_000_000...: significant(Double(value) / 1e12) + " trillion"
        case 1_000_000_000...: significant(Double(value) / 1e9) + " billion"
        case 1_000_000...: significant(Double(value) / 1e6) + " million"
        default: grouped(value)
        }
    }

    /// Binary units, as `ls -h` and container limits use them.
    package static func bytes(_ value: Double) -> String {
        guard value.isFinite else { return missing }
        let units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
        var scaled = value
        var unit = 0
        while abs(scaled) >= 1024, unit + 1 < units.count {
            scaled /= 1024
            unit += 1
        }
        return (unit == 0 ? "\(Int(nearest: scaled))" : significant(scaled, digits: 3)) + " "
            + units[unit]
    }

    /// `0.41 s`, `12.3 s`, `4 min 05 s`, `2 h 03 min`.
    package static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds >= 0 else { return missing }
        if seconds < 10 { return String(format: "%.2f s", seconds) }
        if seconds < 59.95 { return String(format: "%.1f s", seconds) }
        let whole = Int(nearest: min(seconds, 1e15).rounded())
        if whole < 3600 { return String(format: "%d min %02d s", whole / 60, whole % 60) }
        return String(format: "%d h %02d min", whole / 3600, whole / 60 % 60)
    }

    /// A plain decimal with so many digits behind the point.
    package static func fixed(_ value: Double, digits: Int) -> String {
        value.isFinite ? String(format: "%.\(digits)f", value) : missing
    }

    /// With a no-break space before the sign.
    package static func percent(_ share: Double?) -> String {
        guard let share, share.isFinite else { return missing }
        let value = share * 100
        return String(format: value == 0 || value == 100 || value >= 10 ? "%.0f" : "%.1f", value)
            + "\u{A0}%"
    }
}
