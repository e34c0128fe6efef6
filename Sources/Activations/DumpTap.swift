import CKernels
import Corpus
import Foundation
import Models
import Plans
import Tensors

/// Takes the wanted sites of a pass, encodes them while they are hot, and hands full chunks to the writer.
///
/// Memory: one chunk per row of each data set. Calls come from the thread that runs the session.
package final class DumpTap: Tap {
    /// A chunk that is being filled.
    private struct Filling {
        var bytes: UnsafeMutableRawPointer?
        /// Counted from the dump's first row.
        var chunk = -1
        var filled = 0
        var largest: Float = 0
    }

    private let layout: DumpLayout
    private let writer: DumpWriter
    /// Parts that are still to be made; rows of others are passed over.
    private let wanted: Set<Int>
    private let sites: Set<Site>
    private let targets: [StatePlace: DumpLayout.Target]
    private var filling: [DumpLayout.Target: Filling] = [:]
    private var document = 0
    private var open: Set<Int> = []
    /// What stopped the pass, if this tap did.
    package private(set) var failure: ActivationError?

    package init(layout: DumpLayout, plan: LayerPlan, writer: DumpWriter, wanted: Set<Int>) {
        self.layout = layout
        self.writer = writer
        self.wanted = wanted
        sites = Set(layout.sites.map(\.site))
        targets = layout.targets(plan)
    }

    /// Whether any of a document's rows is still to be made.
    package func needs(_ document: Int) -> Bool {
        parts(of: document).contains { wanted.contains($0) }
    }

    private func parts(of document: Int) -> ClosedRange<Int> {
        let rows = layout.offsets[document]..<layout.offsets[document + 1]
        return rows.lowerBound / layout.partRows...(rows.upperBound - 1) / layout.partRows
    }

    package func begin(_ document: Document, index: Int) {
        self.document = index
        open.formUnion(parts(of: index).filter(wanted.contains))
    }

    /// The document has gone through: parts whose last row it held are handed over.
    package func end() throws {
        let done = layout.offsets[document + 1]
        for part in open.sorted() where layout.rows(ofPart: part).upperBound <= done {
            // The dump's last chunk need not be full. In order, so that equal parts are equal bytes.
            let ordered = filling.sorted { ($0.key.set, $0.key.row) < ($1.key.set, $1.key.row) }
            for (target, state) in ordered
            where state.bytes != nil && state.chunk * layout.chunkRows / layout.partRows == part {
                try flush(target, state)
            }
            try writer.submit(.finish(part: part))
            open.remove(part)
        }
    }

    package func wants(_ site: Site) -> Bool { sites.contains(site) }

    package func observe(_ activation: Activation) throws(ModelError) {
        guard let target = targets[activation.place] else { return }
        do {
            if activation.site.layout == .pattern {
                try takePattern(activation, target)
            } else {
                try take(activation, target)
            }
        } catch {
            failure = error
            throw .stopped(reason: error.description)
        }
    }

    private func take(
        _ activation: Activation, _ target: DumpLayout.Target
    ) throws(ActivationError) {
        let length = layout.lengths[document]
        let offset = layout.offsets[document]
        let positions = activation.positions
        let selection = layout.positions
        var row = selection.count(before: positions.lowerBound, of: length)
        let end = selection.count(before: positions.upperBound, of: length)
        while row < end {
            let chunk = (offset + row) / layout.chunkRows
            let count = min(end, (chunk + 1) * layout.chunkRows - offset) - row
            if wanted.contains(chunk * layout.chunkRows / layout.partRows) {
                var state = filling[target] ?? Filling()
                if state.bytes == nil {
                    state = Filling(bytes: writer.buffer(), chunk: chunk)
                }
                let place = offset + row - chunk * layout.chunkRows
                let largest = try encode(
                    activation, target, rows: row..<row + count, length: length,
                    into: state.bytes!
                        + place * activation.width * layout.encoding.size)
                state.largest = .propagatingMaximum(state.largest, largest)
                state.filled = place + count
                if state.filled == layout.chunkRows {
                    try flush(target, state)
                } else {
                    filling[target] = state
                }
            }
            row += count
        }
    }

    private func flush(
        _ target: DumpLayout.Target, _ state: Filling
    ) throws(ActivationError) {
        filling[target] = nil
        guard let bytes = state.bytes else { return }
        let perPart = layout.partRows / layout.chunkRows
        try writer.submit(
            .chunk(
                part: state.chunk / perPart, target: target, chunk: state.chunk % perPart,
                bytes: bytes, largest: state.largest))
    }

    /// Encodes the document's stored rows `rows`, which one block holds, side by side.
    /// - Returns: the largest |x|.
    private func encode(
        _ activation: Activation, _ target: DumpLayout.Target, rows: Range<Int>, length: Int,
        into out: UnsafeMutableRawPointer
    ) throws(ActivationError) -> Float {
        let tile = 32
        let width = activation.width
        let encoding = layout.encoding
        let tiles = (rows.count + tile - 1) / tile
        var largest = [Float](repeating: 0, count: tiles)
        largest.withUnsafeMutableBufferPointer { largest in
            let largest = largest.baseAddress!
            Parallel.forEach(tiles) { index in
                let first = rows.lowerBound + index * tile
                let last = min(rows.upperBound, first + tile)
                for row in first..<last {
                    let values = activation.row(layout.positions.position(row, of: length))
                    largest[index] = .propagatingMaximum(
                        largest[index], etd_max_abs(values, width))
                    encoding.encode(
                        values, into: out + (row - rows.lowerBound) * width * encoding.size,
                        count: width)
                }
            }
        }
        let most = largest.reduce(0, Float.propagatingMaximum)
        if encoding == .float16, most > 65504 {
            let site = layout.sites[target.set]
            for row in rows {
                let position = layout.positions.position(row, of: length)
                let values = UnsafeBufferPointer(start: activation.row(position), count: width)
                if let value = values.first(where: { $0.magnitude > 65504 }) {
                    throw .overflow(
                        site: site.name, layer: site.layers[target.row], document: document,
                        position: position, value: value)
                }
            }
        }
        if !encoding.rounded(most).isFinite {
            for row in rows {
                let position = layout.positions.position(row, of: length)
                let size = etd_max_abs(activation.row(position), width)
                if !encoding.rounded(size).isFinite {
                    throw nonFinite(target, position: position)
                }
            }
        }
        return most
    }

    private func nonFinite(_ target: DumpLayout.Target, position: Int) -> ActivationError {
        let site = layout.sites[target.set]
        return .nonFinite(
            site: site.name, layer: site.layers[target.row], document: document, position: position)
    }

    private func takePattern(
        _ activation: Activation, _ target: DumpLayout.Target
    ) throws(ActivationError) {
        // A pattern belongs to the part that holds its document's first row.
        let part = layout.offsets[document] / layout.partRows
        guard wanted.contains(part) else { return }
        let length = layout.lengths[document]
        let positions = activation.positions
        let keys = positions.upperBound
        let encoding = layout.encoding
        let heads = layout.heads
        // Keys beyond the block are not seen: zeros.
        var bytes = [UInt8](repeating: 0, count: heads * positions.count * length * encoding.size)
        bytes.withUnsafeMutableBytes { raw in
            let out = raw.baseAddress!
            Parallel.forEach(heads) { head in
                for (index, position) in positions.enumerated() {
                    encoding.encode(
                        activation.row(position) + head * keys,
                        into: out + (head * positions.count + index) * length * encoding.size,
                        count: keys)
                }
            }
        }
        let largest = etd_max_abs(activation.values, positions.count * activation.width)
        if !largest.isFinite {
            let position = positions.first {
                !etd_max_abs(activation.row($0), activation.width).isFinite
            }
            throw nonFinite(target, position: position ?? positions.lowerBound)
        }
        try writer.submit(
            .pattern(
                part: part, target: target, document: document, queries: positions, bytes: bytes,
                largest: largest))
    }
}
