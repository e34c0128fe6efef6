// Files of items: the project's lines, OLMES requests, lm-evaluation-harness's samples.

import Checkpoints
import Files
import Foundation
import Scans
import TestSupport
import Testing
import Tokenizers

@Suite struct ItemFileTests {
    /// A byte-level tokenizer without merges: a token a byte.
    private static let tokenizer: String = {
        let vocabulary = (0..<256).map { byte -> String in
            let scalar: UInt32 =
                switch byte {
                case 33...126, 161...172, 174...255: UInt32(byte)
                case 0...32: UInt32(256 + byte)
                case 127...160: UInt32(256 + 33 + byte - 127)
                default: 323
                }
            let text = String(Unicode.Scalar(scalar)!)
            return "\(JSON.string(text).text(indent: 0)):\(byte)"
        }
        return """
            {"version":"1.0","added_tokens":[],"normalizer":null,"pre_tokenizer":{"type":"ByteLevel",\
            "add_prefix_space":false,"trim_offsets":true,"use_regex":false},"post_processor":null,\
            "decoder":{"type":"ByteLevel"},"model":{"type":"BPE","dropout":null,"unk_token":null,\
            "vocab":{\(vocabulary.joined(separator: ","))},"merges":[]}}
            """
    }()

    private func read(_ lines: [String]) throws -> ItemFile {
        let scratch = try ScratchDirectory()
        let path = try scratch.write(
            (lines.joined(separator: "\n") + "\n").utf8, to: "items.jsonl")
        let file = try scratch.write(Self.tokenizer.utf8, to: "tokenizer.json")
        let tokenizer = try Tokenizer(huggingFace: file)
        return try ItemFile.read(
            path: path,
            reader: ScanItemReader(
                tokenizer: LazyTokenizer(tokenizer), bos: .never, path: path, vocabulary: 256))
    }

    private func text(_ item: ScanItem, _ option: Int) -> String {
        String(decoding: item.options[option].tokens.map { UInt8($0) }, as: UTF8.self)
    }

    @Test func olmesRequestsAreItemsByDocument() throws {
        func line(
            _ document: Int, _ native: String, _ context: String, _ option: String, _ label: Int
        ) -> String {
            """
            {"request_type":"loglikelihood","doc":{"query":"Q \(native)?"},"request":{"context":\
            "\(context)","continuation":"\(option)"},"idx":0,"task_name":"t","doc_id":\(document),\
            "native_id":"\(native)","label":\(label)}
            """
        }
        let file = try read([
            line(0, "a", "shots Q a?", " x", 1), line(0, "a", "shots Q a?", " y", 1),
            line(1, "b", "shots Q b?", " x", 0), line(1, "b", "shots Q b?", " z", 0),
            // The same documents without their questions.
            line(1_000_000, "a", "Answer:", " x", 1), line(1_000_000, "a", "Answer:", " y", 1),
            line(1_000_001, "b", "Answer:", " x", 0), line(1_000_001, "b", "Answer:", " z", 0),
        ])
        #expect(file.unconditional == 2)
        #expect(file.items.map(\.gold) == [1, 0])
        #expect(file.items.map(\.task) == ["t", "t"])
        #expect(text(file.items[1], 1) == "shots Q b? z")
        #expect(file.items[0].options[0].firstScored == "shots Q a?".utf8.count)
    }

    /// Two contexts with one continuation, as in fill-in tasks.
    @Test func contextsMayDifferByOption() throws {
        let file = try read(
            ["Ann", "Bo"].map { name in
                """
                {"request":{"context":"To \(name)","continuation":" goes it"},"doc_id":3,"label":0}
                """
            })
        #expect(file.items.count == 1)
        #expect(text(file.items[0], 1) == "To Bo goes it")
    }

    @Test(arguments: [
        #"{"doc_id":4,"target":"1","arguments":[["C"," a"],["C"," b"]]}"#,
        #"""
        {"doc_id":4,"target":" b","arguments":{"gen_args_0":{"arg_0":"C","arg_1":" a"},\#
        "gen_args_1":{"arg_0":"C","arg_1":" b"}}}
        """#,
        #"{"doc_id":4,"target":1,"arguments":[["C"," a"],["C"," b"],[""," a"],[""," b"]]}"#,
    ])
    func samplesOfTheHarnessAreItems(_ line: String) throws {
        let file = try read([line.replacing("\\\n", with: "")])
        let item = try #require(file.items.first)
        #expect(item.options.count == 2 && item.gold == 1 && item.group == "4")
        #expect(text(item, 1) == "C b")
    }

    @Test(
        arguments: [
            (#"{"context":"a","options":["b","b"],"gold":0}"#, "line 1: options 0 and 1 are equal"),
            (#"{"context":"a","options":["b",""],"gold":0}"#, "line 1: option 1 is empty"),
            (#"{"context":"a","options":["b","c"],"gold":2}"#, "the options are 0..1"),
            (#"{"context":"a","options":["b"],"gold":0}"#, "has 1 option"),
            (#"{"request":{"context":"a"},"doc_id":1,"label":0}"#, "\"continuation\""),
            (#"{"request":{"context":"a","continuation":" b"},"label":0}"#, "no \"doc_id\""),
            (#"{"request":{"context":"a","continuation":" b"},"doc_id":1}"#, "no \"label\""),
            (#"{"arguments":[["a"]],"target":0}"#, "only multiple-choice"),
            (#"{"arguments":[["a"," b"],["a"," c"]],"target":"d"}"#, "\"target\" is neither"),
            ("{", "line 1: not valid JSON"),
        ] as [(String, String)])
    func badLinesAreNamed(_ line: String, _ problem: String) {
        #expect {
            try read([line])
        } throws: { "\($0)".contains(problem) }
    }
}
