import Files

/// Why a checkpoint cannot be used, told in one line that names the file and, where there is one,
/// the tensor.
public enum CheckpointError: Error, Equatable, CustomStringConvertible {
    /// The system refused, or a JSON file beside the weights is not JSON.
    case file(FileError)
    /// Neither a directory with safetensors nor a GGUF file; `advice` says what to give instead.
    case notACheckpoint(path: String, problem: String, advice: String)
    /// The directory holds weights as pickles only, which can run code when they are read.
    case pickledOnly(directory: String, file: String)
    /// A file that a checkpoint must have beside its weights.
    case missingFile(directory: String, name: String, purpose: String)
    /// Bytes that must be there are not: the file ends at `actual`, `what` needs `needed`.
    case truncated(path: String, what: String, needed: UInt64, actual: Int)
    /// The header, index or metadata says something that cannot be.
    case invalidHeader(path: String, problem: String)
    /// What the header says about one tensor cannot be.
    case invalidTensor(path: String, tensor: String, problem: String)
    /// The bytes given to a tensor are not the bytes its shape and type need.
    case wrongSize(path: String, tensor: String, expected: Int, actual: Int)
    /// A type this package does not read; `supported` lists those it reads.
    case unsupportedType(path: String, tensor: String, type: String, supported: String)
    /// A form of the format this package does not read.
    case unsupportedForm(path: String, problem: String, advice: String)
    /// One name in two weight files.
    case duplicateTensor(tensor: String, first: String, second: String)
    /// An index that names a file elsewhere than beside itself.
    case shardOutsideDirectory(index: String, shard: String)
    case missingShard(index: String, shard: String)
    /// The index places a tensor in a file that does not hold it.
    case tensorNotInShard(index: String, tensor: String, shard: String)

    /// A LoRA adapter that is not one, or not of this base model.
    case adapter(path: String, problem: String)

    /// Parts of a split GGUF file that are not where the part at `path` is.
    case missingParts(path: String, parts: [String])
    /// Parts of a split GGUF file that do not belong together.
    case inconsistentParts(path: String, problem: String)

    public var description: String {
        switch self {
        case .file(let error):
            return error.description
        case .notACheckpoint(let path, let problem, let advice):
            return "\(path): \(problem); \(advice)"
        case .pickledOnly(let directory, let file):
            return "\(directory): holds only \(file), a pickle, and only safetensors and GGUF are "
                + "read; convert it with transformers: AutoModelForCausalLM.from_pretrained(DIR)"
                + ".save_pretrained(NEW_DIR)"
        case .missingFile(let directory, let name, let purpose):
            return "\(directory): has no \(name), \(purpose); fetch the whole model again"
        case .truncated(let path, let what, let needed, let actual):
            return "\(path): truncated: \(what) needs \(needed) bytes, the file has \(actual); "
                + "fetch it again"
        case .invalidHeader(let path, let problem):
            return "\(path): bad header: \(problem); fetch the file again"
        case .invalidTensor(let path, let tensor, let problem):
            return "\(path): tensor \(tensor.quotedForMessage): \(problem); fetch the file again"
        case .wrongSize(let path, let tensor, let expected, let actual):
            return "\(path): tensor \(tensor.quotedForMessage): shape and type need \(expected) "
                + "bytes, the header gives it \(actual); fetch the file again"
        case .unsupportedType(let path, let tensor, let type, let supported):
            return "\(path): tensor \(tensor.quotedForMessage) has type \(type), which is not "
                + "read; use a file with \(supported)"
        case .unsupportedForm(let path, let problem, let advice):
            return "\(path): \(problem); \(advice)"
        case .duplicateTensor(let tensor, let first, let second):
            return "\(second): tensor \(tensor.quotedForMessage) stands in \(first) too; remove "
                + "the weight file that does not belong to this model"
        case .shardOutsideDirectory(let index, let shard):
            return
                "\(index): names the weight file \(shard.quotedForMessage), and only plain names "
                + "of files beside the index are followed; fetch the model again from its source"
        case .missingShard(let index, let shard):
            return "\(index): names the weight file \(shard.quotedForMessage), which is not there; "
                + "fetch the whole model again"
        case .tensorNotInShard(let index, let tensor, let shard):
            return "\(index): places tensor \(tensor.quotedForMessage) in "
                + "\(shard.quotedForMessage), which does not hold it; fetch the whole model again"
        case .adapter(let path, let problem):
            return "\(path): \(problem)"
        case .missingParts(let path, let parts):
            let named = parts.prefix(3).map(\.quotedForMessage).joined(separator: ", ")
            let more = parts.count > 3 ? " and \(parts.count - 3) more" : ""
            return "\(path): parts of the model are not beside it: \(named)\(more); put all parts "
                + "into one folder"
        case .inconsistentParts(let path, let problem):
            return "\(path): parts of a split file that do not belong together: \(problem); fetch "
                + "all parts again from one place"
        }
    }
}

extension MappedFile {
    /// Opens a file of a checkpoint.
    convenience init(checkpoint path: String) throws(CheckpointError) {
        do { try self.init(path: path) } catch { throw .file(error) }
    }
}
