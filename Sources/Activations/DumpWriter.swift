import CZlib
import Files
import Foundation
import Tensors

/// Writes a dump's parts from one thread, in the order that jobs come in.
///
/// The queue is bounded: who hands over more than the disk takes waits, so that memory stays flat. A
/// part has its final name only when it is complete and on disk.
package final class DumpWriter: @unchecked Sendable {
    package enum Job {
        /// One chunk of a data set's row: `bytes` are `chunkRows` positions, which the writer frees.
        /// `largest` is the largest |x| in it.
        case chunk(
            part: Int, target: DumpLayout.Target, chunk: Int, bytes: UnsafeMutableRawPointer,
            largest: Float)
        /// Attention weights [heads, queries, keys] of one layer and one block of queries.
        case pattern(
            part: Int, target: DumpLayout.Target, document: Int, queries: Range<Int>,
            bytes: [UInt8], largest: Float)
        /// Everything of this part has been handed over.
        case finish(part: Int)

        var size: Int {
            if case .pattern(_, _, _, _, let bytes, _) = self { return bytes.count }
            return 0
        }
    }

    private let layout: DumpLayout
    private let folder: String
    /// Names the command in each part.
    private let signature: String
    private let limit: Int

    // Under `condition`:
    private let condition = NSCondition()
    private var jobs: [Job] = []
    private var queued = 0
    private var isClosed = false
    private var isDone = false
    private var failed: ActivationError?
    private var free: [UnsafeMutableRawPointer] = []

    // The writer thread's own:
    private var parts: [Int: OpenPart] = [:]
    private var shuffled: [UInt8] = []
    private var deflated: [UInt8] = []

    /// Bytes of a chunk of data set `set`.
    package func chunkBytes(_ set: Int) -> Int {
        layout.chunkRows * layout.sites[set].width * layout.encoding.size
    }

    /// Bytes of the largest chunk: what every buffer holds.
    private let bufferBytes: Int

    /// - Parameters:
    ///   - folder: the folder of the parts.
    ///   - signature: what each part says of the command that made it.
    package init(layout: DumpLayout, folder: String, signature: String) {
        self.layout = layout
        self.folder = folder
        self.signature = signature
        let stored = layout.sites.filter { !$0.isPattern }
        bufferBytes =
            layout.chunkRows * (stored.map(\.width).max() ?? 0) * layout.encoding.size
        // All rows fill their chunks at the same time: the queue takes one round of them.
        let round = stored.reduce(0) { $0 + $1.layers.count } * bufferBytes
        limit = max(32 << 20, round)
        let thread = Thread { [self] in work() }
        thread.name = "dump writer"
        thread.start()
    }

    deinit { for buffer in free { buffer.deallocate() } }

    // MARK: For the thread that runs the model

    /// A buffer of one chunk, zeroed.
    package func buffer() -> UnsafeMutableRawPointer {
        condition.lock()
        let kept = free.popLast()
        condition.unlock()
        let buffer = kept ?? .allocate(byteCount: max(64, bufferBytes), alignment: 64)
        memset(buffer, 0, bufferBytes)
        return buffer
    }

    /// Hands a job over; waits while the queue is full.
    /// - Throws: what stopped the writer.
    package func submit(_ job: Job) throws(ActivationError) {
        let size = size(job)
        condition.lock()
        defer { condition.unlock() }
        while queued > 0, queued + size > limit, failed == nil { condition.wait() }
        if let failed { throw failed }
        jobs.append(job)
        queued += size
        condition.broadcast()
    }

    /// Waits until everything is written.
    package func finish() throws(ActivationError) {
        condition.lock()
        isClosed = true
        condition.broadcast()
        while !isDone { condition.wait() }
        let failed = failed
        condition.unlock()
        if let failed { throw failed }
    }

    private func size(_ job: Job) -> Int {
        switch job {
        case .chunk: bufferBytes
        case .pattern(_, _, _, _, let bytes, _): bytes.count
        case .finish: 0
        }
    }

    // MARK: The writer's thread

    private func work() {
        while let job = next() {
            do {
                try write(job)
            } catch {
                condition.lock()
                failed = error
                jobs = []
                condition.unlock()
                break
            }
        }
        // What is open now is of no use: the next run makes it again.
        let unfinished = parts.values.map(\.temporary)
        parts = [:]
        for path in unfinished { unlink(path) }
        condition.lock()
        isDone = true
        condition.broadcast()
        condition.unlock()
    }

    private func next() -> Job? {
        condition.lock()
        defer { condition.unlock() }
        while jobs.isEmpty, !isClosed { condition.wait() }
        guard !jobs.isEmpty else { return nil }
        return jobs.removeFirst()
    }

    private func release(_ job: Job) {
        condition.lock()
        queued -= size(job)
        if case .chunk(_, _, _, let bytes, _) = job { free.append(bytes) }
        condition.broadcast()
        condition.unlock()
    }

    private func write(_ job: Job) throws(ActivationError) {
        defer { release(job) }
        switch job {
        case .chunk(let part, let target, let chunk, let bytes, let largest):
            let open = try self.open(part)
            let size = chunkBytes(target.set)
            let start = [target.row, chunk * layout.chunkRows]
            let trailing = [Int](repeating: 0, count: layout.sites[target.set].shape.count)
            guard let set = open.sets[target.set] else { return }
            if let level = layout.deflate {
                let count = try deflate(bytes, size, level, set)
                try deflated.withUnsafeBytesThrowing { raw throws(ActivationError) in
                    try set.writeChunk(at: start + trailing, raw.baseAddress!, count: count)
                }
            } else {
                try set.writeChunk(at: start + trailing, bytes, count: size)
            }
            open.largest[target.set][target.row] = .propagatingMaximum(
                open.largest[target.set][target.row], largest)
        case .pattern(let part, let target, let document, let queries, let bytes, let largest):
            let open = try self.open(part)
            let set = try open.pattern(target.set, document: document, layout)
            let length = layout.lengths[document]
            try bytes.withUnsafeBytesThrowing { raw throws(ActivationError) in
                try set.set.writeStored(
                    raw.baseAddress!, start: [target.row, 0, queries.lowerBound, 0],
                    count: [1, layout.heads, queries.count, length])
            }
            set.largest[target.row] = .propagatingMaximum(
                set.largest[target.row], largest)
        case .finish(let part):
            let open = try self.open(part)
            parts[part] = nil
            try open.finish(layout)
        }
    }

    private func open(_ part: Int) throws(ActivationError) -> OpenPart {
        if let open = parts[part] { return open }
        let open = try OpenPart(part, layout, folder: folder, signature: signature)
        parts[part] = open
        return open
    }

    /// Shuffles and deflates one chunk as HDF5's filters of these names do: bytes of equal place in
    /// their values stand together, and the whole is one zlib stream.
    /// - Returns: the bytes used in `deflated`.
    private func deflate(
        _ bytes: UnsafeMutableRawPointer, _ size: Int, _ level: Int, _ set: HDF5DataSet
    ) throws(ActivationError) -> Int {
        let width = layout.encoding.size
        let count = size / width
        if shuffled.count < size {
            shuffled = [UInt8](repeating: 0, count: size)
            deflated = [UInt8](repeating: 0, count: Int(compressBound(uLong(size))))
        }
        let source = bytes.assumingMemoryBound(to: UInt8.self)
        shuffled.withUnsafeMutableBufferPointer { out in
            for place in 0..<width {
                let target = out.baseAddress! + place * count
                for index in 0..<count { target[index] = source[index * width + place] }
            }
        }
        var used = uLongf(deflated.count)
        let status = compress2(&deflated, &used, shuffled, uLong(size), Int32(level))
        guard status == Z_OK else {
            throw .hdf5(
                path: set.path, place: set.name, operation: "deflate",
                reason: "zlib gives code \(status)")
        }
        return Int(used)
    }
}

extension Array {
    /// `withUnsafeBytes` with a typed error.
    func withUnsafeBytesThrowing(
        _ body: (UnsafeRawBufferPointer) throws(ActivationError) -> Void
    ) throws(ActivationError) {
        var failure: ActivationError?
        withUnsafeBytes { bytes in
            do throws(ActivationError) { try body(bytes) } catch { failure = error }
        }
        if let failure { throw failure }
    }
}

/// A part that is being written, under a temporary name.
private final class OpenPart {
    final class Pattern {
        let set: HDF5DataSet
        var largest: [Float]

        init(set: HDF5DataSet, rows: Int) {
            self.set = set
            largest = [Float](repeating: 0, count: rows)
        }
    }

    let path: String
    var temporary: String { path + ".tmp" }
    private var file: HDF5File?
    private var activations: HDF5Group?
    /// By the site's place in the layout; none for patterns.
    var sets: [Int: HDF5DataSet] = [:]
    var largest: [[Float]]
    private var patterns: [[Int]: Pattern] = [:]
    private var patternGroups: [Int: HDF5Group] = [:]

    init(
        _ part: Int, _ layout: DumpLayout, folder: String, signature: String
    ) throws(ActivationError) {
        path = Paths.join(folder, DumpTarget.partName(part))
        let file = try HDF5File.create(path + ".tmp")
        self.file = file
        let rows = layout.rows(ofPart: part)
        try file.root.set("schema", "etd-activations-part/v1")
        try file.root.set("command", signature)
        try file.root.set("rows", [Int64(rows.lowerBound), Int64(rows.upperBound)])
        try file.root.set("complete", 0)
        largest = layout.sites.map { [Float](repeating: 0, count: $0.layers.count) }
        let group = try file.root.makeGroup("activations")
        activations = group
        for (index, site) in layout.sites.enumerated() {
            if site.isPattern {
                patternGroups[index] = try group.makeGroup(site.name)
            } else {
                sets[index] = try group.makeDataSet(
                    site.name,
                    HDF5Layout(
                        type: layout.encoding.type,
                        shape: [site.layers.count, rows.count] + site.shape,
                        chunk: [1, layout.chunkRows] + site.shape, extendable: [1],
                        deflate: layout.deflate))
            }
        }
    }

    func pattern(
        _ set: Int, document: Int, _ layout: DumpLayout
    ) throws(ActivationError) -> Pattern {
        if let known = patterns[[set, document]] { return known }
        let length = layout.lengths[document]
        let rows = layout.sites[set].layers.count
        guard let group = patternGroups[set] else {
            throw .invalid(path: path, problem: "has no group \(layout.sites[set].name)")
        }
        let made = Pattern(
            set: try group.makeDataSet(
                "\(document)",
                HDF5Layout(
                    type: layout.encoding.type, shape: [rows, layout.heads, length, length],
                    chunk: [1, 1, min(256, length), length], deflate: layout.deflate)),
            rows: rows)
        patterns[[set, document]] = made
        return made
    }

    /// Closes the file and gives it its name.
    func finish(_ layout: DumpLayout) throws(ActivationError) {
        guard let file else { return }
        for (index, set) in sets.sorted(by: { $0.key < $1.key }) {
            try DumpAttributes.set(
                on: set, layers: layout.sites[index].layers, largest: largest[index],
                layout.encoding)
        }
        for (key, pattern) in patterns.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            try DumpAttributes.set(
                on: pattern.set, layers: layout.sites[key[0]].layers, largest: pattern.largest,
                layout.encoding)
        }
        try file.root.set("complete", 1)
        sets = [:]
        patterns = [:]
        patternGroups = [:]
        activations = nil
        try DumpTarget.seal(file, temporary: temporary, final: path)
        self.file = nil
    }
}

/// The attributes of a site's data set.
enum DumpAttributes {
    static func set(
        on set: HDF5DataSet, layers: [Int], largest: [Float], _ encoding: ActivationEncoding
    ) throws(ActivationError) {
        try set.set("layers", layers.map(Int64.init))
        try set.set("max_abs", largest.map(encoding.rounded))
        try set.set("encoding", encoding.rawValue)
    }
}
