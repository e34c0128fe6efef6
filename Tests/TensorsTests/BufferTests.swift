// Owned memory and the pool that lends it.

import Synchronization
import Tensors
import Testing

@Suite struct BufferTests {
    @Test(arguments: [0, 1, 15, 16, 17, 1000])
    func buffersAreZeroedAndAligned(_ count: Int) {
        let buffer = FloatBuffer(count: count)
        #expect(buffer.values.count == count)
        #expect(buffer.values.allSatisfy { $0 == 0 })
        #expect(UInt(bitPattern: buffer.pointer) % 64 == 0)
        if count > 0 {
            buffer[count - 1] = 2.5
            #expect(buffer[count - 1] == 2.5)
        }
    }

    @Test func aBufferGivenBackIsLentAgain() {
        let pool = ScratchPool()
        let first = pool.withFloats(100) { UInt(bitPattern: $0) }
        #expect(pool.withFloats(60) { UInt(bitPattern: $0) } == first)
        #expect(pool.withFloats(100) { UInt(bitPattern: $0) } == first)
    }

    @Test func theSmallestBufferThatFitsIsLent() {
        let pool = ScratchPool()
        let (small, large) = pool.withFloats(10) { small in
            pool.withFloats(1_000) { large in (UInt(bitPattern: small), UInt(bitPattern: large)) }
        }
        #expect(small != large)
        #expect(pool.withFloats(5) { UInt(bitPattern: $0) } == small)
        #expect(pool.withFloats(500) { UInt(bitPattern: $0) } == large)
    }

    @Test func loansThatOverlapInTimeDoNotInSpace() {
        let pool = ScratchPool()
        pool.withFloats(64) { first in
            pool.withFloats(64) { second in
                for index in 0..<64 { first[index] = 1 }
                for index in 0..<64 { second[index] = 2 }
                #expect((0..<64).allSatisfy { first[$0] == 1 })
            }
        }
        let damaged = Atomic<Int>(0)
        Parallel.forEach(400) { item in
            let count = 1 + item * 7 % 300
            pool.withFloats(count) { floats in
                for index in 0..<count { floats[index] = Float(item) }
                let isMine = (0..<count).allSatisfy { floats[$0] == Float(item) }
                if !isMine { damaged.wrappingAdd(1, ordering: .relaxed) }
            }
        }
        #expect(damaged.load(ordering: .relaxed) == 0)
    }
}
