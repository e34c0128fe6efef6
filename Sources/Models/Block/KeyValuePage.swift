import Foundation
import Tensors

/// Keys and values of up to 256 consecutive positions of one executed step: two arrays
/// [kv heads, capacity, head dimension].
///
/// A page is as long as attention's block of keys and begins where one begins, so attention reads it
/// where it lies. Caches share pages; what writes to one makes sure that it is the only owner.
package final class KeyValuePage: @unchecked Sendable {
    /// Positions that a page can hold.
    package static let positions = 256

    package let capacity: Int
    private let heads: Int
    private let headDimension: Int
    private let buffer: FloatBuffer

    /// - Parameter needed: positions, at most `positions`; room grows in powers of two, so that short
    ///   texts have small pages.
    package init(heads: Int, headDimension: Int, needed: Int) {
        precondition(1...Self.positions ~= needed)
        var capacity = 16
        while capacity < needed { capacity *= 2 }
        self.capacity = capacity
        self.heads = heads
        self.headDimension = headDimension
        buffer = FloatBuffer(uninitialized: 2 * heads * capacity * headDimension)
    }

    package var byteCount: Int { buffer.count * 4 }

    /// [capacity, head dimension] of one head.
    package func keys(head: Int) -> UnsafeMutablePointer<Float> {
        buffer.pointer + head * capacity * headDimension
    }

    package func values(head: Int) -> UnsafeMutablePointer<Float> {
        buffer.pointer + (heads + head) * capacity * headDimension
    }

    /// Takes the first `count` positions from another page of the same heads.
    func copy(_ other: KeyValuePage, count: Int) { copy(other, rows: 0..<count) }

    /// Takes positions, which count from the page's first, from another page of the same heads.
    func copy(_ other: KeyValuePage, rows: Range<Int>) {
        let offset = rows.lowerBound * headDimension
        let bytes = rows.count * headDimension * 4
        for head in 0..<heads {
            memcpy(keys(head: head) + offset, other.keys(head: head) + offset, bytes)
            memcpy(values(head: head) + offset, other.values(head: head) + offset, bytes)
        }
    }
}

/// Keys and values of one executed step, page by page.
package struct KeyValueSlot: Sendable {
    package let heads: Int
    package let headDimension: Int
    /// Page i holds the positions from 256·i on; nil where a sliding window has passed.
    package private(set) var pages: [KeyValuePage?] = []
    /// Positions that have keys, those before a window included.
    package internal(set) var count = 0

    package init(heads: Int, headDimension: Int) {
        self.heads = heads
        self.headDimension = headDimension
    }

    package var byteCount: Int { pages.reduce(0) { $0 + ($1?.byteCount ?? 0) } }

    /// Makes room for `positions`, which follow those that are held, in pages that no other slot has.
    /// The caller then writes them and sets `count`.
    package mutating func prepare(_ positions: Range<Int>) {
        guard !positions.isEmpty else { return }
        let size = KeyValuePage.positions
        for index in positions.lowerBound / size...(positions.upperBound - 1) / size {
            while pages.count <= index { pages.append(nil) }
            let needed = min(size, positions.upperBound - index * size)
            let held = max(0, positions.lowerBound - index * size)
            let fits = pages[index].map { $0.capacity >= needed } ?? false
            if fits, isKnownUniquelyReferenced(&pages[index]) { continue }
            let page = KeyValuePage(heads: heads, headDimension: headDimension, needed: needed)
            if held > 0, let old = pages[index] { page.copy(old, count: held) }
            pages[index] = page
        }
    }

    /// Takes `positions`, which are prepared here and held there, from another slot.
    mutating func copy(_ positions: Range<Int>, from other: KeyValueSlot) {
        let size = KeyValuePage.positions
        for index in positions.lowerBound / size...(positions.upperBound - 1) / size {
            let part = positions.clamped(to: index * size..<(index + 1) * size)
            guard let page = pages[index], let source = other.pages[index] else {
                preconditionFailure("a page that a window still needs is gone")
            }
            page.copy(
                source, rows: part.lowerBound - index * size..<part.upperBound - index * size)
        }
    }

    /// Gives up the pages whose last position lies before `position`.
    mutating func drop(before position: Int) {
        for index in 0..<min(pages.count, max(0, position) / KeyValuePage.positions) {
            pages[index] = nil
        }
    }

    /// Whether the keys from `position` up to those held are all there.
    func holds(from position: Int) -> Bool {
        guard position < count else { return true }
        let size = KeyValuePage.positions
        return (max(0, position) / size...(count - 1) / size).allSatisfy { pages[$0] != nil }
    }

    /// The key of a prepared position, [head dimension].
    package func key(head: Int, position: Int) -> UnsafeMutablePointer<Float>? {
        let (page, row) = position.quotientAndRemainder(dividingBy: KeyValuePage.positions)
        return pages[page].map { $0.keys(head: head) + row * headDimension }
    }

    package func value(head: Int, position: Int) -> UnsafeMutablePointer<Float>? {
        let (page, row) = position.quotientAndRemainder(dividingBy: KeyValuePage.positions)
        return pages[page].map { $0.values(head: head) + row * headDimension }
    }
}
