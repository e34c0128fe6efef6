import Corpus
import Foundation
import Models
import Plans
import Records
import Tensors

/// Stacks the normed states of all boundaries of a block and reads them with the logit lens when the
/// last boundary has come; with a tuned lens, the translated states beside them in the same pass over the
/// unembedding. A tap on `resid`.
///
/// Where only some positions are read, those of several blocks and documents wait until a block is full: a
/// pass over the unembedding costs the same for one position as for many.
public final class LensTap: Tap {
    /// What both lenses read at one position.
    public typealias Body = (
        _ position: Int, _ readings: [LogitLens.Reading], _ tuned: [LogitLens.Reading]
    ) -> Void

    /// A position that is to be read.
    private struct Slot {
        var document: Int
        var position: Int
        var target: Int32
        /// Whether it is a chosen position, and not only one whose logits a self-check wants.
        var isMeasured: Bool
    }

    private let lens: LogitLens
    private let boundaries: Int
    private let width: Int
    private let tuned: TunedLens?
    /// The translator of each boundary, if it has one.
    private let translators: [Int?]
    /// The row of each boundary's translated state among the rows of a position; its plain row where it
    /// has no translator.
    private let tunedRows: [Int]
    private let layout: LogitLens.Layout
    private let memory: FloatBuffer
    /// The block's normed states of all boundaries, over `memory`.
    private let stacked: PackedRows
    private let translated: FloatBuffer
    private let selection: PositionSelection
    /// Chosen rows of a block, where not all are.
    private let gathered: FloatBuffer
    private var tokens: [Int32] = []
    private var document = 0
    private var slots: [Slot] = []
    /// Rows of the current block that are read.
    private var rows: [Int] = []
    /// Of these, the chosen positions.
    private var isMeasured: Set<Int> = []
    private let body: (_ document: Int) -> Body
    /// Receives the last boundary's logits of the next block's first positions, then is dropped.
    var finalLogits: FloatBuffer?

    /// - Parameters:
    ///   - boundaries: executed steps + 1.
    ///   - body: called for each position of a document with the readings of all boundaries.
    public convenience init(
        model: Transformer, boundaries: Int,
        _ body: @escaping (_ position: Int, _ readings: [LogitLens.Reading]) -> Void
    ) {
        self.init(
            model: model, boundaries: boundaries, tuned: nil,
            translators: Array(repeating: nil, count: boundaries)
        ) { _ in { position, readings, _ in body(position, readings) } }
    }

    /// - Parameter body: called for each position of a document with the readings of all boundaries: of the
    ///   plain lens and, where one is given, of the tuned lens, whose last reading is the plain one.
    public convenience init(
        model: Transformer, plan: LayerPlan, tuned: TunedLens?, _ body: @escaping Body
    ) {
        self.init(model: model, plan: plan, tuned: tuned, selection: .all) { _ in body }
    }

    /// - Parameters:
    ///   - selection: the positions to read. Of others than all, `body` is called when a block of them is
    ///     full or `flush` is called.
    ///   - body: of a document's number in the whole data set.
    convenience init(
        model: Transformer, plan: LayerPlan, tuned: TunedLens?, selection: PositionSelection,
        _ body: @escaping (_ document: Int) -> Body
    ) {
        let boundaries = plan.steps.count + 1
        self.init(
            model: model, boundaries: boundaries, tuned: tuned,
            translators: tuned?.translators(of: plan) ?? Array(repeating: nil, count: boundaries),
            selection: selection, body)
    }

    private init(
        model: Transformer, boundaries: Int, tuned: TunedLens?, translators: [Int?],
        selection: PositionSelection = .all, _ body: @escaping (_ document: Int) -> Body
    ) {
        lens = LogitLens(model: model)
        self.boundaries = boundaries
        width = model.configuration.hiddenSize
        self.tuned = tuned
        self.translators = translators
        // The last row of a position is the output's, so the translated states stand before the others.
        let extra = translators.count { $0 != nil }
        var rows: [Int] = []
        var used = 0
        for (boundary, translator) in translators.enumerated() {
            rows.append(translator == nil ? extra + boundary : used)
            if translator != nil { used += 1 }
        }
        tunedRows = rows
        layout = LogitLens.Layout(boundaries: extra + boundaries)
        let arithmetic = model.arithmetic
        memory = FloatBuffer(
            count: PackedRows.floats(
                rows: layout.rows(positions: BlockRunner.blockLength), width: width, arithmetic))
        stacked = PackedRows(memory.pointer, width: width, arithmetic)
        translated = FloatBuffer(count: extra > 0 ? BlockRunner.blockLength * width : 0)
        self.selection = selection
        gathered = FloatBuffer(count: selection == .all ? 0 : BlockRunner.blockLength * width)
        self.body = body
    }

    /// The token after each position is that position's target.
    public func begin(_ document: Document, index: Int) {
        tokens = document.tokens
        self.document = index
    }

    public func wants(_ site: Site) -> Bool { site == .resid }

    /// - Throws: `ModelError.nonFiniteLogit` naming the boundary and the lens.
    public func observe(_ activation: Activation) throws(ModelError) {
        if activation.index == 0 { choose(activation.positions) }
        guard !rows.isEmpty else { return }
        let extra = layout.boundaries - boundaries
        let states = chosen(activation)
        store(states, rows: rows.count, at: extra + activation.index)
        if let tuned, let translator = translators[activation.index] {
            tuned.apply(
                boundary: translator, states, rows: rows.count, into: translated.pointer)
            store(translated.pointer, rows: rows.count, at: tunedRows[activation.index])
        }
        guard activation.index == boundaries - 1 else { return }
        slots += rows.map { row in
            let position = activation.positions.lowerBound + row
            return Slot(
                document: document, position: position,
                target: position + 1 < tokens.count ? tokens[position + 1] : -1,
                isMeasured: selection == .all || isMeasured.contains(row))
        }
        // The next block may bring as many again.
        let most = selection.count(before: BlockRunner.blockLength, of: BlockRunner.blockLength)
        if selection == .all || finalLogits != nil
            || slots.count + most > BlockRunner.blockLength
        {
            try flush()
        }
    }

    /// Reads what waits.
    /// - Throws: `ModelError.nonFiniteLogit`.
    func flush() throws(ModelError) {
        guard !slots.isEmpty else { return }
        let waiting = slots
        slots = []
        let extra = layout.boundaries - boundaries
        try lens.read(
            stacked, layout, positions: waiting.count, targets: waiting.map(\.target),
            finalLogits: finalLogits, documentPositions: waiting.map(\.position), place: place
        ) { index, readings in
            let slot = waiting[index]
            // Rows that only the self-check asked for are not measured.
            guard slot.isMeasured else { return }
            body(slot.document)(
                slot.position, Array(readings[extra...]),
                tuned == nil ? [] : tunedRows.map { readings[$0] })
        }
        finalLogits = nil
    }

    /// The rows of a block that are read: the chosen positions, and the first ones where a self-check
    /// waits for their logits.
    private func choose(_ positions: Range<Int>) {
        guard selection != .all else {
            rows = Array(0..<positions.count)
            return
        }
        let measured = selection.positions(in: positions, of: tokens.count)
            .map { $0 - positions.lowerBound }
        rows = measured
        isMeasured = Set(measured)
        if let finalLogits {
            let vocabulary = lens.model.unembedding.rows
            let checked = min(positions.count, finalLogits.count / vocabulary)
            rows = Array(Set(measured).union(0..<checked)).sorted()
        }
    }

    /// The rows' states one after the other.
    private func chosen(_ activation: Activation) -> UnsafePointer<Float> {
        guard selection != .all else { return activation.values }
        for (place, row) in rows.enumerated() {
            memcpy(
                gathered.pointer + place * width, activation.values + row * width, width * 4)
        }
        return UnsafePointer(gathered.pointer)
    }

    /// Names a row of a position.
    private func place(_ row: Int) -> String {
        let extra = layout.boundaries - boundaries
        if row >= extra { return "boundary \(row - extra)" }
        return "boundary \(tunedRows.firstIndex(of: row) ?? row) of the tuned lens"
    }

    /// Norms states [rows, d] into the row `place` of each position behind those that wait.
    private func store(_ states: UnsafePointer<Float>, rows: Int, at place: Int) {
        let norm = lens.model.finalNorm
        let chunk = 16
        let width = self.width
        let first = slots.count
        nonisolated(unsafe) let states = states
        Parallel.forEach((rows + chunk - 1) / chunk) { index in
            ScratchPool.shared.withFloats(width) { normed in
                for row in index * chunk..<min(rows, (index + 1) * chunk) {
                    norm.apply(states + row * width, out: normed, width: width)
                    self.stacked.store(
                        normed, row: self.layout.row(position: first + row, boundary: place))
                }
            }
        }
    }
}
