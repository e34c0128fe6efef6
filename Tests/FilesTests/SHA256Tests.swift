import Files
import Testing

/// Known answers from FIPS 180-4's examples (NIST, "SHA256.pdf").
struct SHA256Tests {
    @Test(
        "known digests",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
        ])
    func known(_ message: String, _ digest: String) {
        #expect(SHA256.hexadecimal(of: message.utf8) == digest)
    }

    @Test("the pieces' borders do not matter")
    func pieces() {
        let million = [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)
        var hash = SHA256()
        for start in stride(from: 0, to: million.count, by: 999) {
            hash.update(million[start..<min(million.count, start + 999)])
        }
        let digest = hash.hexadecimal()
        #expect(digest == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    }
}
