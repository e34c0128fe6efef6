// Rounding to half precision, against Foundation-free arithmetic on bit patterns, and back.

import Activations
import CKernels
import TestSupport
import Testing

@Suite struct EncodingTests {
    /// Every half is what it was after a round trip, and the midpoint of two neighbours goes to the even
    /// one: that is all of rounding to nearest even.
    @Test(arguments: [ETD_CPU_SCALAR, ETD_CPU_AVX2, ETD_CPU_AVX512].map { Int32($0.rawValue) })
    func halvesAndTheirMidpointsRoundToNearestEven(level: Int32) throws {
        guard level <= etd_cpu_best_level() else { return }
        #expect(etd_cpu_set_level(level) == 0)
        defer { etd_cpu_set_level(etd_cpu_best_level()) }
        let halves = (UInt16(0)..<0x7C00).map { $0 }
        var values = [Float](repeating: 0, count: halves.count)
        #expect(etd_decode(1, halves, &values, halves.count) == 0)
        var again = [UInt16](repeating: 1, count: halves.count)
        etd_round_f16(values, &again, values.count)
        #expect(again == halves)
        let negative = values.map { -$0 }
        etd_round_f16(negative, &again, values.count)
        #expect(again == halves.map { $0 | 0x8000 })

        // A midpoint is exact in f32.
        let middles = zip(values, values.dropFirst()).map { ($0 + $1) / 2 }
        var rounded = [UInt16](repeating: 0, count: middles.count)
        etd_round_f16(middles, &rounded, middles.count)
        #expect(rounded == halves.dropLast().map { $0 & 1 == 0 ? $0 : $0 + 1 })
        etd_round_f16(middles.map(\.nextUp), &rounded, middles.count)
        #expect(rounded == Array(halves.dropFirst()))
        etd_round_f16(middles.map(\.nextDown), &rounded, middles.count)
        #expect(rounded == Array(halves.dropLast()))
    }

    @Test func theEndsOfTheRange() {
        let values: [Float] = [
            65504, 65519.996, 65520, 1e9, .infinity, -.infinity, .nan, 2e-8, 3e-8,
        ]
        var out = [UInt16](repeating: 0, count: values.count)
        etd_round_f16(values, &out, values.count)
        #expect(out == [0x7BFF, 0x7BFF, 0x7C00, 0x7C00, 0x7C00, 0xFC00, 0x7E00, 0, 1])
        #expect(ActivationEncoding.float16.rounded(65504) == 65504)
        #expect(ActivationEncoding.bfloat16.rounded(1.00390625) == 1)
        #expect(ActivationEncoding.float32.rounded(1.1) == 1.1)
    }

    @Test(arguments: [0, 1, 15, 16, 17, 100])
    func theLargestMagnitude(count: Int) {
        var random = SeededRandom(UInt64(count))
        var values = random.floats(count, range: 3)
        #expect(etd_max_abs(values, count) == values.map(\.magnitude).max() ?? 0)
        guard count > 2 else { return }
        values[count - 1] = -7
        #expect(etd_max_abs(values, count) == 7)
        values[1] = -.infinity
        #expect(etd_max_abs(values, count) == .infinity)
        // A NaN of either sign is no smaller than any number.
        for place in [0, count / 2, count - 1] {
            var damaged = values
            damaged[place] = place % 2 == 0 ? .nan : -.nan
            #expect(etd_max_abs(damaged, count).isNaN)
        }
    }
}
