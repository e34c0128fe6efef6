import Checkpoints
import Files
import Foundation
import Models
import Plans
import Records
import Tensors

/// Affine translators of a model's boundaries (Belrose et al., arXiv 2303.08112): at boundary l the lens
/// reads h_l + A_l·h_l + b_l instead of h_l. The last boundary has none: it is the model's output.
///
/// The final norm is always applied after the translator; statistics come from the translated state.
public final class TunedLens: Sendable {
    public static let schema = "etd-tuned-lens/v1"

    /// What a lens file says of itself beside its tensors.
    public struct Header: Sendable, Equatable {
        public var architecture: String
        public var layers: Int
        public var hiddenSize: Int
        /// Of the model it was trained for.
        public var fingerprint: String
        /// Positions it was trained on.
        public var tokens: Int
        /// Arithmetic of the products in training.
        public var precision: String
        public var data: String
        public var createdBy: String
        /// Positions of the text that was kept out of training.
        public var heldOutTokens: Int
        /// KL(p_L‖p_l) in nats on that text, by boundary, of the plain and of the tuned lens.
        public var plainKL: [Double]
        public var tunedKL: [Double]

        public init(
            architecture: String, layers: Int, hiddenSize: Int, fingerprint: String, tokens: Int,
            precision: String, data: String, createdBy: String, heldOutTokens: Int,
            plainKL: [Double], tunedKL: [Double]
        ) {
            self.architecture = architecture
            self.layers = layers
            self.hiddenSize = hiddenSize
            self.fingerprint = fingerprint
            self.tokens = tokens
            self.precision = precision
            self.data = data
            self.createdBy = createdBy
            self.heldOutTokens = heldOutTokens
            self.plainKL = plainKL
            self.tunedKL = tunedKL
        }

        /// Boundaries at which the tuned lens is no closer to the output than the plain one.
        public var failures: [Int] {
            zip(plainKL, tunedKL).enumerated().filter { !($1.1 < $1.0) }.map(\.offset)
        }
    }

    public let width: Int
    /// A of each boundary below the last: [d, d], row-major: row i makes value i.
    public let weights: [FloatBuffer]
    /// b of each boundary below the last: [d].
    public let biases: [FloatBuffer]

    public init(width: Int, weights: [FloatBuffer], biases: [FloatBuffer]) {
        precondition(weights.allSatisfy { $0.count == width * width })
        precondition(biases.count == weights.count && biases.allSatisfy { $0.count == width })
        self.width = width
        self.weights = weights
        self.biases = biases
    }

    /// Boundaries that have a translator, the model's layers.
    public var layers: Int { weights.count }

    /// out = h + A_l·h + b_l for rows h [rows, d]; the product in f32 whatever the model's arithmetic.
    public func apply(
        boundary: Int, _ states: UnsafePointer<Float>, rows: Int,
        into out: UnsafeMutablePointer<Float>
    ) {
        let width = self.width
        MatrixProduct.multiply(
            states, rows: rows, in: .f32,
            into: [.init(weights[boundary].matrix(rows: width, columns: width), out: out)])
        let bias = biases[boundary].pointer
        nonisolated(unsafe) let (states, out) = (states, out)
        Parallel.forEach(rows) { row in
            for index in row * width..<(row + 1) * width {
                out[index] = states[index] + (out[index] + bias[index - row * width])
            }
        }
    }

    /// The translator of each boundary of `plan`: the state after layer l is boundary l + 1 of the base
    /// model, in whatever pass; nil for the last boundary and after the last layer.
    func translators(of plan: LayerPlan) -> [Int?] {
        let boundaries = plan.places(.resid).map(\.number)
        return boundaries.enumerated().map { place, boundary in
            place == boundaries.count - 1 || boundary == layers ? nil : boundary
        }
    }
}

// MARK: Files

extension TunedLens {
    private static func weightName(_ boundary: Int) -> String { "translators.\(boundary).weight" }
    private static func biasName(_ boundary: Int) -> String { "translators.\(boundary).bias" }

    /// - Throws: `FileError.system`.
    public func write(_ header: Header, to output: Output) throws(FileError) {
        func numbers(_ values: [Double]) -> String {
            JSON.array(values.map { .number($0) }).text(indent: 0)
        }
        let metadata = [
            "schema": Self.schema, "architecture": header.architecture,
            "layers": "\(header.layers)", "hidden_size": "\(header.hiddenSize)",
            "fingerprint": header.fingerprint, "tokens": "\(header.tokens)",
            "precision": header.precision, "data": header.data, "created_by": header.createdBy,
            "held_out_tokens": "\(header.heldOutTokens)",
            "kl_from_final_plain": numbers(header.plainKL),
            "kl_from_final_tuned": numbers(header.tunedKL),
        ]
        try TensorArchive.write(
            (0..<layers).flatMap { boundary in
                [
                    TensorArchive.Part(
                        name: Self.weightName(boundary), shape: [width, width],
                        values: weights[boundary].pointer),
                    TensorArchive.Part(
                        name: Self.biasName(boundary), shape: [width],
                        values: biases[boundary].pointer),
                ]
            }, metadata: metadata, to: output)
    }

    /// Reads a lens and checks that it is one of `model`.
    /// - Parameter fingerprint: of the model at hand.
    /// - Throws: `AnalysisError.tunedLens` naming the file and what is wrong.
    public static func read(
        _ path: String, model: ModelConfiguration, fingerprint: String
    ) throws(AnalysisError) -> (lens: TunedLens, header: Header) {
        let archive = try Self.archive(path)
        func wrong(_ problem: String) -> AnalysisError {
            .tunedLens(path: path, problem: problem)
        }
        let header = try Header(archive)
        guard header.fingerprint == fingerprint else {
            throw wrong(
                "this lens was trained for another model: \(header.architecture), "
                    + "\(header.layers) layers, d = \(header.hiddenSize), fingerprint "
                    + "\(header.fingerprint.prefix(12))…, and the model at hand is "
                    + "\(model.architecture), \(model.layerCount) layers, d = \(model.hiddenSize), "
                    + "fingerprint \(fingerprint.prefix(12))…; train one with "
                    + "`etd-analyze tune-lens`")
        }
        func tensor(_ name: String, _ shape: [Int]) throws(AnalysisError) -> FloatBuffer {
            guard let stored = archive.tensors[name] else {
                throw wrong("the tensor \(name) is missing; train the lens again")
            }
            guard stored.shape == shape, stored.type.blockLength == 1 else {
                throw wrong(
                    "the tensor \(name) has shape \(stored.shape), expected \(shape); train the "
                        + "lens again")
            }
            if let place = stored.firstNonFinite() {
                throw wrong(
                    "the tensor \(name) holds NaN or Inf at place \(place); train the lens again")
            }
            let buffer = FloatBuffer(count: stored.count)
            stored.decode(0..<stored.count, into: buffer.values)
            return buffer
        }
        let width = model.hiddenSize
        var weights: [FloatBuffer] = []
        var biases: [FloatBuffer] = []
        for boundary in 0..<model.layerCount {
            weights.append(try tensor(weightName(boundary), [width, width]))
            biases.append(try tensor(biasName(boundary), [width]))
        }
        guard archive.tensors.count == 2 * model.layerCount else {
            throw wrong(
                "holds \(archive.tensors.count) tensors, expected \(2 * model.layerCount), a weight "
                    + "and a bias for each boundary; train the lens again")
        }
        return (TunedLens(width: width, weights: weights, biases: biases), header)
    }
}

extension TunedLens {
    fileprivate static func archive(_ path: String) throws(AnalysisError) -> TensorArchive {
        do {
            return try TensorArchive(path: path)
        } catch {
            throw .tunedLens(path: nil, problem: error.description)
        }
    }
}

extension TunedLens.Header {
    /// What a lens file says of itself; its tensors are left alone.
    /// - Throws: `AnalysisError.tunedLens` naming the file and what is wrong.
    public init(path: String) throws(AnalysisError) {
        try self.init(TunedLens.archive(path))
    }

    init(_ archive: TensorArchive) throws(AnalysisError) {
        let metadata = archive.metadata
        func wrong(_ problem: String) -> AnalysisError {
            .tunedLens(path: archive.path, problem: problem)
        }
        guard metadata["schema"] == TunedLens.schema else {
            let found = metadata["schema"].map(\.quotedForMessage) ?? "none"
            throw wrong(
                "is not a tuned lens: its metadata should have schema \"\(TunedLens.schema)\", "
                    + "found \(found); `etd-analyze tune-lens` makes one")
        }
        func text(_ key: String) throws(AnalysisError) -> String {
            guard let value = metadata[key] else {
                throw wrong("its metadata lacks \(key); train the lens again")
            }
            return value
        }
        func number(_ key: String) throws(AnalysisError) -> Int {
            guard let value = Int(try text(key)) else {
                throw wrong("its metadata gives no whole number as \(key); train the lens again")
            }
            return value
        }
        func numbers(_ key: String) throws(AnalysisError) -> [Double] {
            guard let values = (try? JSON.parse(text(key)))?.arrayValue else {
                throw wrong("its metadata gives no list as \(key); train the lens again")
            }
            return values.map { $0.doubleValue ?? .nan }
        }
        self.init(
            architecture: try text("architecture"), layers: try number("layers"),
            hiddenSize: try number("hidden_size"), fingerprint: try text("fingerprint"),
            tokens: try number("tokens"), precision: try text("precision"),
            data: try text("data"), createdBy: try text("created_by"),
            heldOutTokens: try number("held_out_tokens"),
            plainKL: try numbers("kl_from_final_plain"),
            tunedKL: try numbers("kl_from_final_tuned"))
    }
}
