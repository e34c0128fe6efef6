import Files
import Selection
import Testing

/// Kneedle against `kneed` 0.9.0 (curve="convex", direction="decreasing", online=False). Other
/// directions, smoothing and online mode are not part of this package.
@Suite struct KneedleTests {
    @Test func kneesEqualTheReferenceOnEveryCurve() throws {
        let golden = try golden("kneedle.json")
        let sensitivities = try golden.doubles("sensitivities")
        let curves = try golden.records("curves")
        #expect(curves.count > 400)
        for (index, curve) in curves.enumerated() {
            let y = try curve.doubles("y")
            let knees = try curve.records("knees").map(\.intValue)
            for (sensitivity, knee) in zip(sensitivities, knees) {
                let found = Kneedle(sensitivity: sensitivity).analyze(y)
                #expect(found.knee == knee, "curve \(index) of \(y.count), S = \(sensitivity)")
                #expect((found.absence == nil) == (knee != nil))
            }
        }
    }

    @Test func curvesEqualTheReferenceToTheLastBit() throws {
        let curves = try golden("kneedle.json").records("curves")
            .filter { $0["difference"] != nil }
        #expect(curves.count > 15)
        for curve in curves {
            let found = Kneedle(sensitivity: 1).analyze(try curve.doubles("y"))
            #expect(try found.normalized == curve.doubles("normalized"))
            #expect(try found.difference == curve.doubles("difference"))
            #expect(try found.maxima == curve.ints("maxima"))
            #expect(try found.minima == curve.ints("minima"))
            #expect(try found.thresholds == curve.doubles("thresholds"))
        }
    }

    @Test func theKneesThresholdIsTheOneItFellBelow() throws {
        let found = Kneedle().analyze(try measuredCurve("smollm2-135m"))
        let threshold = try #require(found.kneeThreshold)
        #expect(found.knee == 2)
        #expect(abs(threshold - (found.difference[2] - 1.0 / 29)) < 1e-15)
        #expect(found.difference[3...].contains { $0 < threshold })
    }

    @Test func curvesThatCannotBeReadSayWhy() {
        let kneedle = Kneedle()
        #expect(kneedle.analyze([]).absence == .tooShort(count: 0))
        #expect(kneedle.analyze([1, 0]).absence == .tooShort(count: 2))
        #expect(kneedle.analyze([3, .nan, 1, 0]).absence == .notFinite(index: 1))
        #expect(kneedle.analyze([3, 2, 1, -.infinity]).absence == .notFinite(index: 3))
        #expect(kneedle.analyze([-1e308, 0, 1.5e308]).absence == .notFinite(index: 2))
        #expect(kneedle.analyze([2, 2, 2, 2]).absence == .constant)
        for curve: [Double] in [[], [1, .nan, 2], [2, 2, 2]] {
            let found = kneedle.analyze(curve)
            #expect(found.knee == nil)
            #expect(found.kneeThreshold == nil)
            #expect(found.difference.isEmpty)
        }
    }

    /// Scaling by powers of two changes no rounding, so nothing may change.
    @Test func unitsDoNotMatter() throws {
        let curve = try measuredCurve("gemma-3-270m")
        let kneedle = Kneedle()
        #expect(kneedle.analyze(curve.map { $0 * 0x1p-30 }) == kneedle.analyze(curve))
    }
}
