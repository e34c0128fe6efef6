import CKernels
import Corpus
import Foundation
import Models
import Plans
import Records
import Tensors

/// The shape of a document's path of states at each boundary: prompt entropy and curvature. A tap on
/// `resid`. Positions before the first counted one and those named at the document's end are left out.
///
/// Curvature is the mean angle, in radians, between successive steps h[t+1] - h[t] and h[t+2] - h[t+1]
/// (Hosseini and Fedorenko 2023, Skean et al. 2025): 0 on a straight path, about 2π/3 for states that have
/// nothing to do with one another. A position that does not move has no angle, nor has a step from or to a
/// position that is left out.
///
/// Prompt entropy is the matrix-based entropy of order 1 of the document's token Gram matrix (Skean et al.
/// 2025), in nats: states centred on the document's mean and scaled to length 1, Z [n, d], the entropy of
/// the eigenvalues of ZZᵀ/n. It lies between 0 and ln min(n - 1, d). It takes what is not left out of the
/// first `entropyPositions` counted positions of a document: their states are kept, and an angle for each
/// boundary and position.
final class DocumentShape: Tap {
    /// The most positions of a document that prompt entropy looks at.
    static let entropyPositions = 512

    private let boundaries: Int
    private let width: Int
    private let room: Int
    /// [boundaries][room, d], the first counted positions.
    private let kept: FloatBuffer
    /// [boundaries][2, d], the last two states before the current block.
    private let before: FloatBuffer
    private var length = 0
    private var first = 0
    /// The angle of each boundary at the last of its three positions.
    private var angles: PositionValues
    let entropies: DocumentTable
    let curvatures: DocumentTable

    /// - Parameter longest: positions of the longest document.
    init(boundaries: Int, width: Int, longest: Int) {
        self.boundaries = boundaries
        self.width = width
        room = max(1, min(longest, Self.entropyPositions))
        angles = PositionValues(series: boundaries, room: longest)
        kept = FloatBuffer(count: boundaries * room * width)
        before = FloatBuffer(count: boundaries * 2 * width)
        entropies = DocumentTable(.promptEntropy, places: boundaries)
        curvatures = DocumentTable(.curvature, places: boundaries)
    }

    func wants(_ site: Site) -> Bool { site == .resid }

    /// - Parameter first: the first counted position.
    func begin(_ document: Document, first: Int) {
        length = document.tokens.count
        self.first = first
    }

    func observe(_ activation: Activation) {
        keep(activation)
        measureAngles(activation)
        remember(activation)
    }

    private func keep(_ activation: Activation) {
        let start = max(activation.positions.lowerBound, first)
        let end = min(activation.positions.upperBound, first + room)
        guard start < end else { return }
        let row = activation.index * room + start - first
        memcpy(
            kept.pointer + row * width, activation.row(start), (end - start) * width * 4)
    }

    private func measureAngles(_ activation: Activation) {
        // The last of the three states stands in this block.
        let first = max(activation.positions.lowerBound, self.first + 2)
        guard first < activation.positions.upperBound else { return }
        let count = activation.positions.upperBound - first
        let (width, before) = (self.width, self.before.pointer + activation.index * 2 * self.width)
        nonisolated(unsafe) let earlier = before
        nonisolated(unsafe) let activation = activation
        func state(_ position: Int) -> UnsafePointer<Float> {
            let behind = activation.positions.lowerBound - position
            return behind > 0
                ? UnsafePointer(earlier + (2 - behind) * width) : activation.row(position)
        }
        let chunk = 16
        ScratchPool.shared.withDoubles(count) { found in
            nonisolated(unsafe) let found = found
            Parallel.forEach((count + chunk - 1) / chunk) { index in
                for offset in index * chunk..<min(count, (index + 1) * chunk) {
                    let position = first + offset
                    found[offset] = Self.angle(
                        etd_turn_products(
                            state(position - 2), state(position - 1), state(position), width))
                }
            }
            for offset in 0..<count {
                angles[activation.index, first + offset] =
                    found[offset].isNaN ? nil : found[offset]
            }
        }
    }

    /// In radians; NaN where a step has length zero.
    private static func angle(_ p: etd_turn_products_t) -> Double {
        guard p.vv > 0, p.ww > 0 else { return .nan }
        return acos(
            (p.vw / (p.vv.squareRoot() * p.ww.squareRoot())).clampedOrNaN(to: -1...1))
    }

    private func remember(_ activation: Activation) {
        let place = before.pointer + activation.index * 2 * width
        let rows = activation.positions.count
        if rows == 1 {
            memmove(place, place + width, width * 4)
            memcpy(place + width, activation.values, width * 4)
        } else {
            memcpy(place, activation.values + (rows - 2) * width, 2 * width * 4)
        }
    }

    /// - Parameter leftOut: for each position of the document whether it is left out after all.
    func end(leftOut: [Bool]) {
        let ordinary = (first..<max(first, min(length, first + room))).filter { !leftOut[$0] }
        let rows = ordinary.map { $0 - first }
        var found = [Double?](repeating: nil, count: boundaries)
        found.withUnsafeMutableBufferPointer { places in
            nonisolated(unsafe) let places = places
            let (kept, room, width) = (self.kept, self.room, self.width)
            Parallel.forEach(boundaries) { boundary in
                let states = kept.pointer + boundary * room * width
                for (place, row) in rows.enumerated() where place != row {
                    memcpy(states + place * width, states + row * width, width * 4)
                }
                places[boundary] = Self.entropy(states, rows: rows.count, width: width)
            }
        }
        let broken = leftOut.indices.map { leftOut[max(0, $0 - 2)...$0].contains(true) }
        entropies.add { boundary in found[boundary].map { ($0, 1) } ?? (0, 0) }
        curvatures.add { boundary in
            angles.sum(boundary, min(first + 2, length)..<length, without: broken)
        }
    }

    /// Prompt entropy of states [rows, width], on the calling thread; nil for fewer than two rows or where
    /// all are the same. A state equal to the mean has no direction and is left out.
    static func entropy(_ states: UnsafePointer<Float>, rows: Int, width: Int) -> Double? {
        guard rows > 1 else { return nil }
        let side = min(rows, width)
        return ScratchPool.shared.withDoubles(rows * width + side * side + width) { scratch in
            let (wide, gram) = (scratch, scratch + rows * width)
            let mean = gram + side * side
            mean.update(repeating: 0, count: width)
            for row in 0..<rows {
                etd_widen(states + row * width, wide + row * width, width)
                for column in 0..<width { mean[column] += wide[row * width + column] }
            }
            var directions = 0
            for row in 0..<rows {
                let source = wide + row * width
                var squares = 0.0
                for column in 0..<width {
                    source[column] -= mean[column] / Double(rows)
                    squares += source[column] * source[column]
                }
                guard squares > 0 else { continue }
                let factor = 1 / squares.squareRoot()
                let target = wide + directions * width
                for column in 0..<width { target[column] = source[column] * factor }
                directions += 1
            }
            guard directions > 1 else { return nil }
            let order = min(directions, width)
            if directions <= width {
                DoubleMatrix.rowGram(
                    wide, rows: directions, width: width, stride: width, into: gram,
                    outStride: order)
            } else {
                DoubleMatrix.columnGram(
                    wide, rows: directions, columns: width, stride: width, into: gram,
                    outStride: order)
            }
            return DoubleMatrix.eigenvalues(overwriting: gram, order: order)
                .flatMap(Spectrum.entropy)
        }
    }
}
