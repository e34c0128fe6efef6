import Files
import Tokenizers

/// Text and ids, one line each. Errors name the line of standard input.
public struct TokenLines {
    let tokenizer: Tokenizer
    /// Text stands as a JSON string on its line.
    let jsonLines: Bool

    public init(tokenizer: Tokenizer, jsonLines: Bool) {
        self.tokenizer = tokenizer
        self.jsonLines = jsonLines
    }

    private func wrong(_ number: Int, _ problem: String) -> CommandError {
        .line(path: "standard input", line: number, problem: problem)
    }

    private func json(_ line: [UInt8], _ number: Int) throws -> JSON {
        do {
            return try JSON.parse(line)
        } catch {
            throw wrong(number, "not valid JSON: \(error)")
        }
    }

    /// A JSON array of ids.
    public func encode(_ line: [UInt8], number: Int, bos: BOSPolicy) throws -> String {
        JSON.array(try ids(line, number: number, bos: bos).map { .int(Int64($0)) }).text(indent: 0)
    }

    func ids(_ line: [UInt8], number: Int, bos: BOSPolicy) throws -> [Int32] {
        let text: String
        if jsonLines {
            guard let value = try json(line, number).stringValue else {
                throw wrong(number, "expected a JSON string")
            }
            text = value
        } else {
            guard let value = String(validating: line, as: UTF8.self) else {
                throw wrong(number, "not UTF-8 text")
            }
            text = value
        }
        guard let prefix = bos.prefix(before: .text, { tokenizer }) else {
            throw CommandError.flag(
                name: "--bos always", problem: "the tokenizer names no BOS token")
        }
        var ids = prefix
        do {
            ids += try tokenizer.encode(text, addSpecialTokens: false)
        } catch {
            throw wrong(number, error.description)
        }
        if bos != .never { ids += tokenizer.suffixTokens }
        return ids
    }

    public func decode(_ line: [UInt8], number: Int, skipSpecial: Bool) throws -> String {
        guard let values = try json(line, number).arrayValue else {
            throw wrong(number, "expected a JSON array of ids")
        }
        var ids: [Int32] = []
        for value in values {
            guard let id = value.intValue, id >= 0, id < tokenizer.vocabularySize else {
                throw wrong(
                    number,
                    "\(value.text(indent: 0)) is not an id below \(tokenizer.vocabularySize)")
            }
            ids.append(Int32(id))
        }
        let text = tokenizer.decode(ids, skipSpecialTokens: skipSpecial)
        return jsonLines ? JSON.string(text).text(indent: 0) : text
    }
}
