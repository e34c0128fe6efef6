// Dumps from strangers: files that refer to other files, and tables that contradict themselves.

import Activations
import Files
import Foundation
import TestSupport
import Testing

@Suite struct HostileDumpTests {
    /// A secret beside the dump, as HDF5 and as plain bytes, and what h5py does to the dump. `dump` is
    /// the open file, `secret` the absolute path of a dump of the same shape.
    private static let redirections: [(change: String, naming: String)] = [
        (
            "del dump['activations/resid']; dump['activations/resid'] = h5py.ExternalLink(secret, '/activations/resid')",
            "activations/resid"
        ),
        (
            "del dump['activations']; dump['activations'] = h5py.ExternalLink(secret, '/activations')",
            "activations"
        ),
        (
            "del dump['tokens/id']; dump['tokens/id'] = h5py.ExternalLink(secret, '/tokens/id')",
            "tokens/id"
        ),
        (
            "del dump['documents']; dump['documents'] = h5py.ExternalLink(secret, '/documents')",
            "documents"
        ),
        // By way of a link within the file.
        (
            "dump['x'] = h5py.ExternalLink(secret, '/tokens'); del dump['tokens']; dump['tokens'] = h5py.SoftLink('/x')",
            "tokens"
        ),
        (
            "dump['x'] = h5py.ExternalLink(secret, '/'); del dump['tokens/id']; dump['tokens/id'] = h5py.SoftLink('/x/tokens/id')",
            "tokens/id"
        ),
        (
            "n = dump['tokens/id'].shape; del dump['tokens/id']; dump['tokens'].create_dataset('id', n, 'i4', external=[('/etc/passwd', 0, 4 * n[0])])",
            "tokens/id"
        ),
        (
            "s = dump['activations/resid']; n, a = s.shape, dict(s.attrs); del dump['activations/resid']; d = dump['activations'].create_dataset('resid', n, 'f4', external=[(secret, 0, h5py.h5f.UNLIMITED)]); [d.attrs.create(k, v) for k, v in a.items()]",
            "activations/resid"
        ),
        ("virtual('activations/resid', secret)", "activations/resid"),
        ("virtual('activations/resid', '../../../../../../..' + secret)", "activations/resid"),
        ("virtual('activations/resid', 'a/../' + os.path.basename(secret))", "activations/resid"),
        ("virtual('tokens/id', secret)", "tokens/id"),
        ("virtual('documents/sha256', secret)", "documents/sha256"),
        // A part of the dump's own that refers to further files.
        (
            "part(lambda p: h5py.ExternalLink(secret, '/activations/resid')); virtual('activations/resid', 'parts/p.h5')",
            "activations/resid"
        ),
        ("part(None); virtual('activations/resid', 'parts/p.h5')", "parts/p.h5"),
    ]

    private static let script = """
        import h5py, os, sys
        path, secret, change = sys.argv[1:4]
        dump = h5py.File(path, 'r+')
        def layout(shape, dtype, source, name):
            whole = h5py.VirtualLayout(shape, dtype)
            whole[...] = h5py.VirtualSource(source, name, shape)
            return whole
        def virtual(name, source):
            old = dump[name]
            attributes, shape, dtype = dict(old.attrs), old.shape, old.dtype
            del dump[name]
            new = dump.create_virtual_dataset(name, layout(shape, dtype, source, '/' + name))
            for key, value in attributes.items(): new.attrs.create(key, value)
        def part(link):
            os.makedirs(os.path.join(os.path.dirname(path), 'parts'), exist_ok=True)
            with h5py.File(os.path.join(os.path.dirname(path), 'parts/p.h5'), 'w') as p:
                p.attrs['complete'] = 1
                if link:
                    p['activations/resid'] = link(p)
                else:
                    s = dump['activations/resid']
                    p.create_virtual_dataset('activations/resid', layout(s.shape, s.dtype, secret, '/activations/resid'))
        exec(change)
        dump.close()
        """

    @Test(.enabled(if: Python.withH5py != nil, "needs a Python with h5py"), arguments: redirections)
    func filesThatReferToOthers(change: String, naming: String) throws {
        let fixture = try DumpFixture(documents: 3)
        let secret = try fixture.dump("secret.h5")
        let path = try fixture.dump("a.h5")
        let python = try #require(Python.withH5py)
        let made = try Python.run(python, ["-c", Self.script, path, secret, change])
        try #require(made.code == 0, "\(made)")
        try fail(analyze, "inspect", path, naming: [naming])
        try fail(analyze, "inspect", path, "--check", naming: [naming])
    }

    /// The dump's own parts, which are the one thing that counts.
    @Test func ownPartsAreRead() throws {
        let fixture = try DumpFixture(documents: 30)
        let path = try fixture.dump("a.h5", "--virtual", "--part-size", "0")
        #expect(try ActivationFile(path: path).dataSet("resid").sources.count > 1)
        try succeed(analyze, "inspect", path, "--check")
    }

    // MARK: Contradictions

    /// What stands in a dump of one site, to be changed.
    private struct Content {
        var table = DumpTable()
        var shape = [2, 3, 2]
        var layers: [Int64] = [0, 1]
        var maxAbs: [Float] = [0, 0]
        var shard: [Int64]?

        init() {
            table.ids = [5, 6, 7]
            table.documents = [0, 0, 1]
            table.positions = [0, 1, 0]
            table.offsets = [0, 2]
            table.lengths = [2, 1]
            table.sha256 = [String](repeating: String(repeating: "0", count: 64), count: 2)
        }

        func write(to path: String) throws {
            let file = try HDF5File.create(path)
            try DumpHeader(
                model: ["fingerprint": "0"], tokenizer: "", data: [:], createdBy: "", settings: [:],
                shard: nil
            ).write(to: file.root)
            if let shard { try file.root.set("shard", shard) }
            try table.write(to: file.root)
            let set = try file.root.makeGroup("activations").makeDataSet(
                "resid",
                HDF5Layout(
                    type: .float32, shape: shape,
                    chunk: shape.reduce(1.0) { $0 * Double($1) } > 1e6 ? shape.map { _ in 1 } : nil)
            )
            try set.set("layers", layers)
            try set.set("encoding", "float32")
            try set.set("max_abs", maxAbs)
            try file.root.set("complete", 1)
            try file.close()
        }
    }

    private static let faults:
        [(name: String, naming: String, change: @Sendable (inout Content) -> Void)] = [
            ("layer twice", "two rows for layer 1", { $0.layers = [1, 1] }),
            ("layer beyond", "row for layer", { $0.layers = [0, .max] }),
            ("length beyond", "/documents", { $0.table.lengths = [2, .max] }),
            (
                "length wraps", "/documents",
                {
                    $0.table.offsets = [0, .max]
                    $0.table.lengths = [.max, 4 - .max]
                }
            ),
            (
                "lengths wrap to the end", "/documents",
                {
                    $0.table.offsets = [0, .max, -2]
                    $0.table.lengths = [.max, .max, 5]
                    $0.table.sha256.append("0")
                }
            ),
            ("negative length", "/documents", { $0.table.lengths = [3, -1] }),
            ("document numbers", "disagree", { $0.table.documents = [0, 1, .max] }),
            ("wide", "shape", { $0.shape = [2, 3, 1 << 40] }),
            ("wide product", "shape", { $0.shape = [2, 3, 1 << 32, 1 << 31] }),
            ("tall", "tokens", { $0.shape = [2, 1 << 50, 2] }),
            ("shards", "shard", { $0.shard = [1, .max] }),
            ("shard beyond", "shard", { $0.shard = [3, 2] }),
        ]

    @Test(arguments: faults.map(\.name)) func tablesThatContradictThemselves(name: String) throws {
        let (_, naming, change) = try #require(Self.faults.first { $0.name == name })
        let scratch = try ScratchDirectory()
        let path = scratch.file("a.h5")
        var content = Content()
        try content.write(to: path)
        for form in [[], ["--json"]] {
            let result = try CommandRunner(analyze)(["inspect", path] + form)
            try #require(result.code == 0, "\(result)")
        }
        change(&content)
        try content.write(to: path)
        for form in [[], ["--json"], ["--check"]] {
            let result = try CommandRunner(analyze)(
                ["inspect", path] + form, shell: "ulimit -v 8000000")
            expectFailure(result, naming: [path, naming])
        }
    }

    /// Tables of a shape that takes no room in the file and all memory when read.
    @Test(arguments: ["id", "document", "position"]) func tablesThatClaimMemory(name: String) throws
    {
        let scratch = try ScratchDirectory()
        let path = scratch.file("a.h5")
        let file = try HDF5File.create(path)
        try DumpHeader(
            model: [:], tokenizer: "", data: [:], createdBy: "", settings: [:], shard: nil
        ).write(to: file.root)
        _ = try file.root.makeGroup("activations")
        let tokens = try file.root.makeGroup("tokens")
        for other in ["id", "document", "position"] {
            try tokens.makeDataSet(
                other,
                HDF5Layout(type: .int32, shape: [other == name ? 1 << 50 : 1], chunk: [1]))
        }
        try file.root.set("complete", 1)
        try file.close()
        try fail(analyze, "inspect", path, naming: [path, "tokens/\(name)", "available"])
    }
}
