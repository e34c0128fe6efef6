import Synchronization

/// A tokenizer that is opened where a text is first read or written, and then kept. What needs none
/// works beside a tokenizer that cannot be opened.
public final class LazyTokenizer: Sendable {
    private let make: @Sendable () throws(TokenizerError) -> Tokenizer?
    private let made = Mutex<Result<Tokenizer?, TokenizerError>?>(nil)

    /// - Parameter make: called once at most; gives nil if there is no tokenizer.
    public init(_ make: @escaping @Sendable () throws(TokenizerError) -> Tokenizer?) {
        self.make = make
    }

    /// One that is there already.
    public convenience init(_ tokenizer: Tokenizer?) {
        self.init { () throws(TokenizerError) in tokenizer }
    }

    /// The tokenizer; nil if there is none.
    /// - Throws: `TokenizerError`, the same one each time.
    public func get() throws(TokenizerError) -> Tokenizer? {
        let result = made.withLock { made in
            if let made { return made }
            let result = Result { () throws(TokenizerError) in try make() }
            made = result
            return result
        }
        return try result.get()
    }
}
