import Checkpoints
import Files
import Foundation
import TestSupport
import Testing

/// What tells checkpoints apart. That fingerprints equal a second implementation's is tested where
/// the goldens are read.
struct HashTests {
    private func fingerprint(_ change: (inout GGUFBuilder) -> Void) throws -> String {
        var builder = GGUFBuilder()
        builder.add(tensor: "a", [2], type: 0, [UInt8](repeating: 1, count: 8))
        // 12,000 bytes, of which 3,808 in the middle are not hashed.
        builder.add(tensor: "b", [3000], type: 0, [UInt8](repeating: 0, count: 12000))
        change(&builder)
        let scratch = try ScratchDirectory()
        return try Checkpoint.open(try scratch.write(builder.bytes(), to: "m.gguf")).fingerprint
    }

    @Test func changesThatCount() throws {
        let base = try fingerprint { _ in }
        #expect(base.count == 64)
        #expect(try base != fingerprint { $0.tensors[0].name = Array("c".utf8) })
        #expect(try base != fingerprint { $0.tensors[0].dimensions = [2, 1] })
        #expect(
            try base
                != fingerprint {
                    $0.tensors[0].dimensions = [4]
                    $0.tensors[0].type = 1
                })
        for place in [0, 4095, 12000 - 4096, 11999] {
            #expect(try base != fingerprint { $0.tensors[1].bytes[place] = 1 }, "byte \(place)")
        }
    }

    @Test func changesThatDoNot() throws {
        let base = try fingerprint { _ in }
        #expect(try base == fingerprint { $0.tensors.reverse() })
        #expect(try base == fingerprint { $0.add("general.name", string: "x") })
        #expect(try base == fingerprint { $0.setAlignment(64) })
        #expect(try base == fingerprint { $0.tensors[1].bytes[6000] = 1 })
    }

    @Test func hashesOfWholeFiles() throws {
        let checkpoint = try Checkpoint.open(Goldens.path("sharded"))
        var steps: [Int] = []
        var totals: Set<Int> = []
        let hashes = try checkpoint.sha256OfFiles {
            steps.append($0)
            totals.insert($1)
        }
        var size = 0
        for file in checkpoint.files {
            let content = try Data(contentsOf: URL(filePath: file))
            size += content.count
            #expect(hashes[file] == hexadecimalSHA256(content))
        }
        #expect(hashes.count == 2)
        #expect(steps.last == size && totals == [size])
        #expect(steps == steps.sorted())
    }

    @Test func aFileThatWentAwayIsAnError() throws {
        let scratch = try ScratchDirectory()
        let path = try scratch.write(try Goldens.bytes("tiny.gguf"), to: "m.gguf")
        let checkpoint = try Checkpoint.open(path)
        try FileManager.default.removeItem(atPath: path)
        let error = #expect(throws: CheckpointError.self) { try checkpoint.sha256OfFiles() }
        expectOneLine(try #require(error), naming: path, "No such file")
    }
}
