import OrderedCollections

extension JSON {
    /// The members of an object, in the order of the file.
    ///
    /// Keys are equal when their UTF-8 is. `String`'s own equality is canonical equivalence, under
    /// which "é" and "e" + U+0301 are one key; the vocabulary of a tokenizer holds both as two tokens.
    public struct Object: Sendable, Equatable {
        private var members: OrderedDictionary<ByteKey, JSON>

        public init() { members = [:] }

        /// - Precondition: No two keys have the same bytes.
        public init(uniqueKeysWithValues pairs: some Sequence<(String, JSON)>) {
            members = OrderedDictionary(
                uniqueKeysWithValues: pairs.map { (ByteKey(text: $0.0), $0.1) })
        }

        public subscript(key: String) -> JSON? {
            get { members[ByteKey(text: key)] }
            set { members[ByteKey(text: key)] = newValue }
        }

        public var keys: [String] { members.keys.map(\.text) }
        public var values: [JSON] { members.values.elements }

        /// Sets a member and returns the value it had.
        @discardableResult
        public mutating func updateValue(_ value: JSON, forKey key: String) -> JSON? {
            members.updateValue(value, forKey: ByteKey(text: key))
        }

        /// Sets a member; a new one is inserted at `index` of the order.
        public mutating func updateValue(
            _ value: JSON, forKey key: String, insertingAt index: Int
        ) {
            members.updateValue(value, forKey: ByteKey(text: key), insertingAt: index)
        }

        @discardableResult
        public mutating func removeValue(forKey key: String) -> JSON? {
            members.removeValue(forKey: ByteKey(text: key))
        }
    }

    private struct ByteKey: Hashable, Sendable {
        let text: String

        static func == (left: ByteKey, right: ByteKey) -> Bool {
            left.text.utf8.elementsEqual(right.text.utf8)
        }

        func hash(into hasher: inout Hasher) {
            var text = text
            text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        }
    }
}

extension JSON.Object: RandomAccessCollection {
    public var startIndex: Int { 0 }
    public var endIndex: Int { members.count }
    public subscript(position: Int) -> (key: String, value: JSON) {
        (members.keys[position].text, members.values[position])
    }
}

extension JSON.Object: ExpressibleByDictionaryLiteral {
    public init(dictionaryLiteral elements: (String, JSON)...) {
        self.init(uniqueKeysWithValues: elements)
    }
}
