import CKernels
import Corpus
import Models
import Plans
import Tensors

/// Which passes of the think block need keys and values of their own: those of every pass are replaced by
/// pass 1's, by the last pass's or by their mean, one layer at a time and in all layers, and the text's
/// loss is looked at.
///
/// What is put in is what the plain loop had at the same position and layer, the token's own included.
/// Beside that the policy `shared` itself runs. Texts are at most `BlockRunner.blockLength` tokens long.
public struct CacheMap {
    public enum Source: String, CaseIterable, Sendable {
        case first, last, mean
    }

    /// One change of the cache.
    public struct Change: Hashable, Sendable {
        /// nil where the policy `shared` runs.
        public var source: Source?
        /// nil for all layers of the block.
        public var layer: Int?

        public init(source: Source?, layer: Int?) {
            self.source = source
            self.layer = layer
        }
    }

    /// What the texts say, by text and then by predicted token.
    public struct Values: Sendable {
        /// -log p of the token, nats.
        public var losses: [[Double]] = []
        /// log p of the token less log p of the likeliest other one.
        public var margins: [[Double]] = []

        public init() {}
    }

    private let model: Transformer
    private let split: Split
    private let iterations: Int
    private let plan: LayerPlan
    private let runner: BlockRunner
    private var logits = FloatBuffer(count: 0)

    /// - Throws: `ModelError.invalidPlan` for a split of another model.
    public init(model: Transformer, split: Split, iterations: Int) throws(ModelError) {
        do {
            plan = try .split(
                encoder: split.encoder, think: split.think, decoder: split.decoder,
                iterations: iterations, layers: model.configuration.layerCount)
        } catch {
            throw .invalidPlan(problem: "\(error)")
        }
        self.model = model
        self.split = split
        self.iterations = iterations
        runner = BlockRunner(model: model)
    }

    /// All changes in the order in which they are measured.
    public var changes: [Change] {
        Source.allCases.flatMap { source in
            split.thinkRange.map { Change(source: source, layer: $0) }
                + [Change(source: source, layer: nil)]
        } + [Change(source: nil, layer: nil)]
    }

    /// Bytes of keys and values of a token, without a change and with it.
    public func bytes(_ change: Change?) -> Int {
        let c = model.configuration
        let slot = 2 * c.keyValueHeadCount * c.headDimension * 4
        let layers = change.map { $0.layer == nil ? split.think : 1 } ?? 0
        return (plan.steps.count - layers * (iterations - 1)) * slot
    }

    /// Runs every text in every way.
    /// - Parameters:
    ///   - onGroup: called with the number of texts that are done with.
    ///   - onChange: called with each change, nil for the plain loop, and what all texts say.
    /// - Throws: `ModelError`.
    public mutating func run(
        _ documents: [Document], onGroup: (Int) -> Void = { _ in },
        onChange: (Change?, Values) -> Void
    ) throws(ModelError) {
        var found: [Change?: Values] = [:]
        let all: [Change?] = [nil] + changes.map { $0 }
        for group in groups(documents) {
            let recorder = KeyRecorder(split, iterations)
            try take(group, taps: [recorder], [], into: &found[nil, default: Values()])
            for change in changes where change.source != nil {
                let patch = KeyPatch(change, recorder)
                try take(group, taps: [], [patch], into: &found[change, default: Values()])
            }
            let shared = Change(source: nil, layer: nil)
            try takeShared(group, into: &found[shared, default: Values()])
            onGroup(group.count)
        }
        for change in all { onChange(change, found[change] ?? Values()) }
    }

    /// Texts that fill a block.
    private func groups(_ documents: [Document]) -> [[Document]] {
        var groups: [[Document]] = []
        var rows = 0
        for document in documents {
            rows += document.tokens.count
            if groups.isEmpty || rows > runner.capacity
                || model.configuration.rotaryDependsOnLength
            {
                groups.append([])
                rows = document.tokens.count
            }
            groups[groups.count - 1].append(document)
        }
        return groups
    }

    private mutating func take(
        _ documents: [Document], taps: [any Tap], _ interventions: [any Intervention],
        into values: inout Values
    ) throws(ModelError) {
        var segments: [BlockRunner.Segment] = []
        for document in documents {
            segments.append(
                .init(document.tokens, cache: try KeyValueCache(model: model, plan: plan)))
        }
        try runner.run(segments, taps: taps, interventions: interventions)
        let width = model.configuration.hiddenSize
        var row = 0
        for document in documents {
            try read(document, runner.states + row * width, into: &values)
            row += document.tokens.count
        }
    }

    /// The policy `shared`: a token of every text at a time.
    private mutating func takeShared(
        _ documents: [Document], into values: inout Values
    ) throws(ModelError) {
        let thinker: ThinkRunner
        do {
            thinker = try ThinkRunner(
                runner: runner,
                thinking: Thinking(
                    split, maximum: iterations, rule: HaltingRule("change<0"), policy: .shared),
                router: nil)
        } catch let error as ModelError {
            throw error
        } catch {
            throw .invalidPlan(problem: "\(error)")
        }
        let width = model.configuration.hiddenSize
        var caches: [KeyValueCache] = []
        for _ in documents { caches.append(try thinker.cache()) }
        var states = documents.map { [Float](repeating: 0, count: $0.tokens.count * width) }
        for position in 0..<(documents.map(\.tokens.count).max() ?? 0) {
            let there = documents.indices.filter { position < documents[$0].tokens.count }
            try thinker.run(
                there.map {
                    .init(
                        documents[$0].tokens[position...position], cache: caches[$0],
                        textLength: documents[$0].tokens.count)
                })
            for (row, text) in there.enumerated() {
                for column in 0..<width {
                    states[text][position * width + column] = runner.states[row * width + column]
                }
            }
        }
        for (document, rows) in zip(documents, states) {
            try read(document, rows, into: &values)
        }
    }

    /// Losses and margins of a text's tokens from its final states [tokens, d].
    private mutating func read(
        _ document: Document, _ states: UnsafePointer<Float>, into values: inout Values
    ) throws(ModelError) {
        let vocabulary = model.configuration.vocabularySize
        let width = model.configuration.hiddenSize
        let rows = document.tokens.count - 1
        let atOnce = min(rows, max(16, (1 << 24) / vocabulary))
        if logits.count < atOnce * vocabulary {
            logits = FloatBuffer(count: atOnce * vocabulary)
        }
        var losses = [Double](repeating: 0, count: rows)
        var margins = losses
        for start in stride(from: 0, to: rows, by: atOnce) {
            let count = min(atOnce, rows - start)
            try model.logits(
                of: states + start * width, rows: count, into: logits.pointer
            ) { start + $0 }
            for row in 0..<count {
                let line = logits.pointer + row * vocabulary
                let target = Int(document.tokens[start + row + 1])
                let own = line[target]
                losses[start + row] = etd_log_sum_exp(line, vocabulary) - Double(own)
                line[target] = -.infinity
                margins[start + row] = Double(own - line[Int(etd_argmax(line, vocabulary))])
            }
        }
        values.losses.append(losses)
        values.margins.append(margins)
    }
}

/// Keys and values of the think block, before rotary, by pass, layer and text.
private final class KeyRecorder: Tap {
    struct Place: Hashable {
        var pass: Int
        var layer: Int
        var site: Site
        var text: Int
    }

    let split: Split
    let iterations: Int
    private(set) var values: [Place: [Float]] = [:]

    init(_ split: Split, _ iterations: Int) {
        self.split = split
        self.iterations = iterations
    }

    func wants(_ site: Site) -> Bool { site == .key || site == .value }

    func observe(_ activation: Activation) {
        guard let pass = activation.place.iteration, let layer = activation.place.layer else {
            return
        }
        let place = Place(
            pass: pass, layer: layer, site: activation.site, text: activation.sequence)
        values[place] = Array(
            UnsafeBufferPointer(
                start: activation.values, count: activation.positions.count * activation.width))
    }

    /// What a source has at a place, [positions, width].
    func values(_ source: CacheMap.Source, _ layer: Int, _ site: Site, text: Int) -> [Float] {
        func of(_ pass: Int) -> [Float] {
            values[Place(pass: pass, layer: layer, site: site, text: text)] ?? []
        }
        switch source {
        case .first: return of(1)
        case .last: return of(iterations)
        case .mean:
            var sum = of(1)
            for pass in 2...max(2, iterations) {
                for (index, value) in of(pass).enumerated() { sum[index] += value }
            }
            return sum.map { $0 / Float(iterations) }
        }
    }
}

/// Puts one source's keys and values into every pass.
private final class KeyPatch: Intervention {
    private let change: CacheMap.Change
    private let recorder: KeyRecorder
    /// Found once for all passes.
    private var found: [KeyRecorder.Place: [Float]] = [:]

    init(_ change: CacheMap.Change, _ recorder: KeyRecorder) {
        self.change = change
        self.recorder = recorder
    }

    func wants(_ site: Site) -> Bool { site == .key || site == .value }

    func edit(_ activation: EditableActivation) {
        let place = activation.place
        guard let source = change.source, place.iteration != nil, let layer = place.layer,
            change.layer == nil || change.layer == layer
        else { return }
        let key = KeyRecorder.Place(
            pass: 0, layer: layer, site: place.site, text: activation.sequence)
        let values =
            found[key]
            ?? recorder.values(source, layer, place.site, text: activation.sequence)
        found[key] = values
        activation.values.update(from: values, count: values.count)
    }
}
