/// An exact fraction, read from the LaTeX of plain arithmetic. Numbers that do not fit 64 bits are no
/// `Rational`.
struct Rational: Equatable {
    private(set) var numerator: Int
    /// Positive, without a common factor with the numerator.
    private(set) var denominator: Int

    init?(_ numerator: Int, _ denominator: Int = 1) {
        guard denominator != 0, numerator != .min, denominator != .min else { return nil }
        var (a, b) = (abs(numerator), abs(denominator))
        while b != 0 { (a, b) = (b, a % b) }
        let sign = denominator < 0 ? -1 : 1
        self.numerator = sign * numerator / a
        self.denominator = abs(denominator) / a
    }

    /// Sums, differences, products, quotients and whole powers of decimal numbers, with `\frac`, `\cdot`,
    /// `\times`, `\div`, parentheses and products without a sign. As to sympy, `2\frac{1}{2}` is a product.
    init?(latex: String) {
        var parser = RationalParser(Array(latex.utf8))
        guard let value = parser.sum(), parser.isAtEnd else { return nil }
        self = value
    }

    static func + (a: Rational, b: Rational) -> Rational? {
        guard let left = product(a.numerator, b.denominator),
            let right = product(b.numerator, a.denominator),
            let below = product(a.denominator, b.denominator)
        else { return nil }
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? nil : Rational(sum, below)
    }

    static func * (a: Rational, b: Rational) -> Rational? {
        guard let above = product(a.numerator, b.numerator),
            let below = product(a.denominator, b.denominator)
        else { return nil }
        return Rational(above, below)
    }

    var negated: Rational? { Rational(-numerator, denominator) }
    var inverse: Rational? { Rational(denominator, numerator) }

    private static func product(_ a: Int, _ b: Int) -> Int? {
        let (value, overflow) = a.multipliedReportingOverflow(by: b)
        return overflow ? nil : value
    }
}

private struct RationalParser {
    private let bytes: [UInt8]
    private var position = 0
    /// Parentheses and braces that are open; bounded, since the text is a model's.
    private var depth = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func take(_ text: String) -> Bool {
        guard bytes[position...].starts(with: text.utf8) else { return false }
        // A command ends where its letters do.
        let end = position + text.utf8.count
        if text.utf8.count > 1, end < bytes.count, isLetter(bytes[end]) { return false }
        position = end
        return true
    }

    private func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte | 0x20) }

    mutating func sum() -> Rational? {
        guard var value = product() else { return nil }
        while let sign = next, sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") {
            position += 1
            guard let term = product() else { return nil }
            guard let signed = sign == UInt8(ascii: "-") ? term.negated : term,
                let total = value + signed
            else { return nil }
            value = total
        }
        return value
    }

    private mutating func product() -> Rational? {
        guard var value = signed() else { return nil }
        while true {
            let isQuotient: Bool
            if take("/") || take("\\div") {
                isQuotient = true
            } else if take("*") || take("\\cdot") || take("\\times") {
                isQuotient = false
            } else {
                guard let byte = next,
                    byte == UInt8(ascii: "(") || byte == UInt8(ascii: "\\")
                        || (0x30...0x39).contains(byte), let factor = power(),
                    let made = value * factor
                else { return next.map(endsProduct) ?? true ? value : nil }
                value = made
                continue
            }
            guard let factor = signed(), let right = isQuotient ? factor.inverse : factor,
                let made = value * right
            else { return nil }
            value = made
        }
    }

    private func endsProduct(_ byte: UInt8) -> Bool { "+-)}".utf8.contains(byte) }

    private mutating func signed() -> Rational? {
        if take("-") { return signed()?.negated }
        if take("+") { return signed() }
        return power()
    }

    private mutating func power() -> Rational? {
        guard let base = atom() else { return nil }
        guard take("^") else { return base }
        let exponent = next == UInt8(ascii: "{") ? group("{", "}") : digit()
        guard let exponent, exponent.denominator == 1, abs(exponent.numerator) <= 64,
            exponent.numerator >= 0 || base.numerator != 0
        else { return nil }
        guard let factor = exponent.numerator < 0 ? base.inverse : base,
            var value = Rational(1)
        else { return nil }
        for _ in 0..<abs(exponent.numerator) {
            guard let made = value * factor else { return nil }
            value = made
        }
        return value
    }

    /// LaTeX takes one digit where there are no braces.
    private mutating func digit() -> Rational? {
        guard let byte = next, (0x30...0x39).contains(byte) else { return nil }
        position += 1
        return Rational(Int(byte - 0x30))
    }

    private mutating func atom() -> Rational? {
        if next == UInt8(ascii: "(") { return group("(", ")") }
        for name in ["\\frac", "\\dfrac", "\\tfrac"] where take(name) {
            guard let above = group("{", "}"), let below = group("{", "}"),
                let inverse = below.inverse
            else { return nil }
            return above * inverse
        }
        return number()
    }

    private mutating func group(_ open: String, _ close: String) -> Rational? {
        guard depth < 64, take(open) else { return nil }
        depth += 1
        defer { depth -= 1 }
        guard let value = sum(), take(close) else { return nil }
        return value
    }

    /// Digits, in groups of three behind commas if there are any, and decimals behind a point.
    private mutating func number() -> Rational? {
        func isDigit(_ index: Int) -> Bool {
            index < bytes.count && (0x30...0x39).contains(bytes[index])
        }
        var (value, scale, isDecimal) = (0, 1, false)
        let start = position
        while position < bytes.count {
            if isDigit(position) {
                let (tens, over) = value.multipliedReportingOverflow(by: 10)
                let (sum, above) = tens.addingReportingOverflow(Int(bytes[position] - 0x30))
                let (wider, wide) = scale.multipliedReportingOverflow(by: isDecimal ? 10 : 1)
                guard !over, !above, !wide else { return nil }
                (value, scale) = (sum, wider)
                position += 1
            } else if bytes[position] == UInt8(ascii: "."), !isDecimal, position > start,
                isDigit(position + 1)
            {
                isDecimal = true
                position += 1
            } else if bytes[position] == UInt8(ascii: ","), !isDecimal, position > start,
                (1...3).allSatisfy({ isDigit(position + $0) })
            {
                position += 1
            } else {
                break
            }
        }
        return position > start ? Rational(value, scale) : nil
    }
}
