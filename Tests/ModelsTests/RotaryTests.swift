// Inverse frequencies against values worked out by hand from the formulas' sources. What they do within a
// pass is compared with transformers in GoldenModelTests.swift.

import Foundation
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

    @Test func dynamicScalingRaisesTheBaseBeyondTheContext() {
        let dynamic = RotaryParameters(
            base: 10_000, dimension: 4, scaling: .dynamic(factor: 2, context: 100))
        #expect(dynamic.dependsOnLength)
        // Up to 100 positions nothing changes. At 150 the base is multiplied by
        // (2 · 150/100 - 1)^(4/2) = 4: 40000^(-2/4) = 1/200.
        for length in [1, 100] {
            expectClose(dynamic.inverseFrequencies(length: length), [1, 0.01])
        }
        expectClose(dynamic.inverseFrequencies(length: 150), [1, 0.005])
    }

    @Test func longropeHasFactorsForShortAndForLongTexts() {
        let longrope = RotaryParameters(
            base: 10_000, dimension: 4,
            scaling: .longrope(short: [1, 2], long: [4, 5], originalContext: 100))
        #expect(longrope.dependsOnLength)
        expectClose(longrope.inverseFrequencies(length: 100), [1, 0.005])
        expectClose(longrope.inverseFrequencies(length: 101), [0.25, 0.002])
    }

    @Test func yarnKeepsFastFrequenciesAndDividesSlowOnes() {
        // Base 10⁴, 8 dimensions, original context 1000 and the borders 32 and 1 turns:
        // 8 · ln(1000/(32·2π)) / (2 ln 10⁴) = 0.6968, rounded down 0;
        // 8 · ln(1000/(2π)) / (2 ln 10⁴) = 2.2018, rounded up 3. The ramp is 0, 1/3, 2/3, 1, and a
        // frequency f becomes f · (1 - ramp) + f/4 · ramp.
        var yarn = RotaryParameters.YaRN(factor: 4, originalContext: 1000)
        func frequencies() -> [Float] {
            RotaryParameters(base: 10_000, dimension: 8, scaling: .yarn(yarn)).inverseFrequencies
        }
        expectClose(frequencies(), [1, 0.1 * 0.75, 0.01 * 0.5, 0.001 * 0.25])
        // Unrounded: ramps 0, (1 - 0.696784)/(2.201814 - 0.696784) = 0.201468, 0.865905, 1.
        yarn.truncates = false
        let exact = frequencies()
        for (value, ramp) in zip(exact.enumerated(), [0, 0.2015, 0.8659, 1]) {
            let plain = pow(10, -Double(value.offset))
            #expect((Double(value.element) / plain - (1 - 0.75 * ramp)).magnitude < 1e-3)
        }
        #expect((yarn.defaultAttentionFactor() - 1.138629436).magnitude < 1e-9)
        // (0.1 · ln 4 + 1) / (0.1 · 0.4 · ln 4 + 1)
        let quotient = yarn.defaultAttentionFactor(mscale: 1, allDimensions: 0.4)
        #expect((quotient - 1.138629436 / 1.055451774).magnitude < 1e-9)
    }
}
