import CCrypto

/// SHA-256 (FIPS 180-4) of bytes that come in pieces, by libcrypto.
public struct SHA256: ~Copyable {
    private let context: OpaquePointer

    public init() {
        guard let context = EVP_MD_CTX_new(), EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1
        else { preconditionFailure("libcrypto has no SHA-256") }
        self.context = context
    }

    deinit { EVP_MD_CTX_free(context) }

    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        let status = EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
        precondition(status == 1, "libcrypto refused to hash")
    }

    public mutating func update(_ bytes: some Collection<UInt8>) {
        let done: Void? = bytes.withContiguousStorageIfAvailable {
            update(UnsafeRawBufferPointer($0))
        }
        if done == nil { Array(bytes).withUnsafeBytes { update($0) } }
    }

    /// The digest in 64 hexadecimal digits. Nothing more can be hashed after it.
    public consuming func hexadecimal() -> String {
        let digest = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 32) { bytes in
            let status = EVP_DigestFinal_ex(context, bytes.baseAddress, nil)
            precondition(status == 1, "libcrypto refused to finish a digest")
            return Array(bytes)
        }
        let digits = Array("0123456789abcdef".utf8)
        return String(
            decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] },
            as: UTF8.self)
    }

    /// The digest of a whole file, which is read through one buffer.
    /// - Throws: `FileError.system`.
    public static func hexadecimal(ofFile path: String) throws(FileError) -> String {
        var hash = SHA256()
        try FileChunks.forEach(path: path) { hash.update($0) }
        return hash.hexadecimal()
    }

    /// The digest of one piece, in 64 hexadecimal digits.
    public static func hexadecimal(of bytes: some Collection<UInt8>) -> String {
        var hash = SHA256()
        hash.update(bytes)
        return hash.hexadecimal()
    }
}
