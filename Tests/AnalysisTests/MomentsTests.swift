// Moments: the same bytes from every order, split and number of threads; ranges; words.

import Analysis
import CKernels
import Foundation
import Models
import Plans
import Tensors
import TestSupport
import Testing

@Suite(.serialized) struct MomentsTests {
    static let width = 150

    /// Blocks of 1 to 256 rows whose columns have very different sizes.
    private static func blocks(_ count: Int, seed: UInt64) -> [[Float]] {
        var random = SeededRandom(seed)
        return (0..<count).map { _ in
            let rows = Int.random(in: 1...256, using: &random)
            var values = random.normals(rows * width)
            for row in 0..<rows {
                values[row * width + 3] = values[row * width + 3] * 9_000 + 30_000
                values[row * width + 7] *= 1e-4
            }
            return values
        }
    }

    private static func moments(_ blocks: [[Float]]) -> Moments {
        let moments = Moments(width: width)
        for block in blocks { #expect(moments.add(block, rows: block.count / width)) }
        #expect(moments.isInRange)
        return moments
    }

    @Test func shardsInAnyOrderOnAnyThreadsGiveTheSameBytes() throws {
        let blocks = Self.blocks(40, seed: 1)
        let before = Parallel.threads
        defer { Parallel.threads = before }
        Parallel.threads = 1
        let whole = Self.moments(blocks).words
        #expect(whole.count == Int64(blocks.reduce(0) { $0 + $1.count / Self.width }))
        var random = SeededRandom(2)
        for threads in [1, 2, 3, 8] {
            Parallel.threads = threads
            #expect(Self.moments(blocks).words == whole)
            #expect(Self.moments(blocks.shuffled(using: &random)).words == whole)
            for _ in 0..<5 {
                let shards = Int.random(in: 1...9, using: &random)
                var parts = [[[Float]]](repeating: [], count: shards)
                for block in blocks {
                    parts[Int.random(in: 0..<shards, using: &random)].append(block)
                }
                let joined = Moments(width: Self.width)
                for part in parts.shuffled(using: &random) {
                    // By way of words, as shards in files come.
                    let words = Self.moments(part).words
                    let read = try #require(Moments(width: Self.width, words: words))
                    #expect(read.words == words)
                    #expect(joined.merge(read))
                }
                #expect(joined.words == whole)
            }
        }
    }

    @Test func carriesAreBroughtInWithoutLoss() throws {
        // More additions than a word holds carries for, of one block whose sums are known.
        let values: [Float] = [1, -2, 3]
        let times = Int(ETD_EXACT_ADDITIONS) * 2 + 3
        let moments = Moments(width: 3)
        for _ in 0..<times { #expect(moments.add(values, rows: 1)) }
        #expect(moments.mean == [1, -2, 3])
        #expect(moments.sumOfSquares == 14 * Double(times))
        var covariance = [Double](repeating: -1, count: 9)
        #expect(moments.covariance(into: &covariance))
        #expect(covariance == [0, -1, -1, 0, 0, -1, 0, 0, 0])
        #expect(moments.dimensions() == nil)
        #expect(moments.words == Moments(width: 3, words: moments.words)?.words)
    }

    @Test func whatDoesNotFitIsReported() throws {
        for value in [Float.nan, .infinity, 1e9] {
            let moments = Moments(width: 2)
            #expect(!moments.add([0, 1, 2, value], rows: 2), "\(value)")
        }
        // 1.6e16 at a time, until 2^66 is passed.
        let moments = Moments(width: 1)
        #expect(moments.add([1.26e8], rows: 1))
        var doublings = 0
        while doublings < 40 {
            let copy = try #require(Moments(width: 1, words: moments.words))
            guard moments.merge(copy) else { break }
            doublings += 1
        }
        #expect(doublings == 12)
        // The same by additions alone, which find out when carries are brought in.
        let added = Moments(width: 1)
        var good = true
        for _ in 0..<6_000 where good { good = added.add([1.26e8], rows: 1) }
        #expect(!good || !added.isInRange)
        let place = StatePlace(.mlpOutput, index: 4)
        #expect(place.description == "mlp_out at layer 4")
    }

    @Test func aTapStopsTheRunAndSaysWhere() throws {
        let tap = MomentsTap(sites: [.resid])
        let document = FedDocument(states: [[1, 2], [1, .nan]], length: 2)
        tap.begin(document.document, index: 0)
        document.feed(width: 1, tap.observe)
        #expect(throws: AnalysisError.momentsOutOfRange(place: "resid at boundary 1")) {
            try tap.check()
        }
    }

    @Test func wordsThatAreNoStateAreRefused() throws {
        let good = Self.moments(Self.blocks(2, seed: 3)).words
        func refused(_ change: (inout Moments.Words) -> Void) -> Bool {
            var words = good
            change(&words)
            return Moments(width: Self.width, words: words) == nil
        }
        #expect(!refused { _ in })
        #expect(Moments(width: Self.width + 1, words: good) == nil)
        #expect(refused { $0.count += 1 })
        #expect(refused { $0.count = -1 })
        #expect(refused { $0.productsLow[5] = -1 })
        #expect(refused { $0.productsLow[5] = 1 << 52 })
        #expect(refused { $0.productsHigh[5] = .min })
        #expect(refused { $0.normsHigh.removeLast() })
        #expect(refused { $0.normRange = [2, 1] })
        #expect(refused { $0.normRange = [.nan, .nan] })
    }

    @Test(arguments: [0, 1, 3, 4, 5, 16, 131])
    func exactAdditionIsThatOfIntegersAtEveryLevel(_ count: Int) throws {
        var random = SeededRandom(UInt64(count))
        // Ties, negative values, both ends of the range, values that lie below the last place.
        let special = [
            0, -0.0, 0x1p-49, -0x1p-49, 0x1.8p-48, 0x1p54, -0x1p54, .leastNonzeroMagnitude,
            0x1p3 + 0x1p-49,
        ]
        let rows = (0..<30).map { _ in
            (0..<count).map { _ -> Double in
                if Bool.random(using: &random) { return special.randomElement(using: &random)! }
                let exponent = Int.random(in: -60...53, using: &random)
                return Double(
                    sign: .plus, exponent: exponent,
                    significand: .random(in: -1...1, using: &random))
            }
        }
        var sums = [Int128](repeating: 0, count: count)
        for row in rows {
            for place in 0..<count {
                sums[place] += Int128((row[place] * 0x1p48).rounded(.toNearestOrEven))
            }
        }
        let before = etd_cpu_level()
        defer { etd_cpu_set_level(before) }
        for level in 0...etd_cpu_best_level() {
            #expect(etd_cpu_set_level(level) == 0)
            var high = [Int64](repeating: 0, count: count)
            var low = high
            for row in rows { #expect(etd_exact_add(row, &high, &low, count) == 1) }
            #expect(etd_exact_carry(&high, &low, count) == 1)
            for place in 0..<count {
                #expect(low[place] >= 0 && low[place] < 1 << 52)
                #expect(Int128(high[place]) << 52 + Int128(low[place]) == sums[place])
            }
            for wrong in [Double.nan, .infinity, -.infinity, 0x1.0000001p54, -1e300] where count > 0
            {
                var row = rows[0]
                row[count - 1] = wrong
                #expect(etd_exact_add(row, &high, &low, count) == 0)
            }
        }
    }

    @Test func rowKernelsGiveTheSameBytesAtEveryLevel() {
        let before = etd_cpu_level()
        defer { etd_cpu_set_level(before) }
        var random = SeededRandom(8)
        for count in [1, 7, 8, 9, 100] {
            let (a, b, c) = (random.normals(count), random.normals(count), random.normals(count))
            var found: Set<[UInt64]> = []
            for level in 0...etd_cpu_best_level() {
                etd_cpu_set_level(level)
                let turn = etd_turn_products(a, b, c, count)
                found.insert(
                    [turn.vv, turn.ww, turn.vw, etd_sum_squares(a, count)].map(\.bitPattern))
                var wide = [Double](repeating: 0, count: count)
                etd_widen(a, &wide, count)
                #expect(wide == a.map(Double.init))
                let squares = wide.reduce(0) { $0 + $1 * $1 }
                #expect(abs(etd_sum_squares(a, count) - squares) <= 1e-14 * squares)
            }
            #expect(found.count == 1)
        }
    }
}
