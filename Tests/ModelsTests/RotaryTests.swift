// Inverse frequencies against values worked out by hand from the formulas' sources. What they do within a
// pass is compared with transformers in GoldenModelTests.swift.

import Models
import Testing

@Suite struct RotaryTests {
    private func expectClose(
        _ values: [Float], _ expected: [Double], at location: SourceLocation = #_sourceLocation
    ) {
        #expect(values.count == expected.count, sourceLocation: location)
        for (value, expected) in zip(values, expected) {
            // The exponent is rounded to f32, which the power turns into ln(base) times as much.
            #expect(
                (Double(value) - expected).magnitude <= 1e-6 * expected.magnitude,
                "\(value), not \(expected)", sourceLocation: location)
        }
    }

    @Test func frequenciesFallFromOneByThePowersOfTheBase() {
        // 10000^(-2i/8): 1, 1/10, 1/100, 1/1000.
        expectClose(
            RotaryParameters(base: 10_000, dimension: 8).inverseFrequencies,
            [1, 0.1, 0.01, 0.001])
        expectClose(
            RotaryParameters(base: 1_000_000, dimension: 6).inverseFrequencies, [1, 0.01, 0.0001])
    }

    @Test func linearScalingDividesEveryFrequency() {
        expectClose(
            RotaryParameters(base: 10_000, dimension: 8, scaling: .linear(factor: 4))
                .inverseFrequencies,
            [0.25, 0.025, 0.0025, 0.00025])
    }

    @Test func eachFrequencyHasItsOwnDivisor() {
        expectClose(
            RotaryParameters(base: 10_000, dimension: 8, scaling: .divisors([1, 2, 4, 8]))
                .inverseFrequencies,
            [1, 0.05, 0.0025, 0.000125])
    }

    @Test func llama3KeepsShortWavesDividesLongOnesAndBlendsBetween() {
        // Llama 3.1's own numbers on base 10⁴, 8 dimensions. Wavelengths 2π/f: 6.28, 62.8, 628, 6283.
        // Short is below 8192/4 = 2048, long above 8192/1 = 8192. The last lies between:
        // 8192/6283.185 = 1.30380; smooth = 0.30380/3 = 0.101266;
        // (1 - 0.101266)·0.001/8 + 0.101266·0.001 = 2.136077e-4.
        expectClose(
            RotaryParameters(
                base: 10_000, dimension: 8,
                scaling: .llama3(
                    factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4,
                    originalContext: 8192)
            ).inverseFrequencies,
            [1, 0.1, 0.01, 2.1360766e-4])
        // With an original context of 32: short below 8, long above 32. 6.28 is short, the others long.
        expectClose(
            RotaryParameters(
                base: 10_000, dimension: 8,
                scaling: .llama3(
                    factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContext: 32)
            ).inverseFrequencies,
            [1, 0.0125, 0.00125, 0.000125])
    }
}
