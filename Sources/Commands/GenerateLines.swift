import ArgumentParser
import Files
import Inference
import ModelStore
import Models
import Plans
import Tokenizers

/// A line of `etd generate`'s input.
struct GenerateLine {
    /// Zero-based.
    let index: Int
    /// What the line calls itself, of any kind.
    let id: JSON?
    let request: GenerationRequest
    /// How its think block runs where that is more than its plan says.
    let thinking: ChosenThinking?
}

/// Layers and passes of a request.
enum LineDepth {
    case plan(LayerPlan)
    case thinking(ChosenThinking)
}

/// Reads lines `{"prompt"}` or `{"tokens"}` with optional `split`, `iterations`, `max_tokens`, `stop`,
/// `seed` and `id`.
struct GenerateLineReader {
    let loaded: LoadedModel
    let split: SplitOptions
    let think: ThinkOptions
    /// What `split` and `think` come to.
    let depth: LineDepth
    let options: GenerateOptions
    let ends: Set<Int32>
    let bos: BOSPolicy
    let path: String

    /// - Parameter number: from 1.
    /// - Throws: `CommandError.line`.
    func read(_ line: [UInt8], number: Int) throws(CommandError) -> GenerateLine {
        do {
            return try parse(line, index: number - 1)
        } catch {
            throw .line(path: path, line: number, problem: "\(error)")
        }
    }

    /// What is wrong with a line, in words.
    private struct Problem: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    private func parse(_ line: [UInt8], index: Int) throws -> GenerateLine {
        let json: JSON
        do {
            json = try JSON.parse(line)
        } catch {
            throw Problem("not valid JSON: \(error)")
        }
        var stop = options.stopRules(ends)
        if let count = try whole(json, "max_tokens") { stop.maximumTokens = count }
        if let value = json["stop"] {
            stop.strings = try (value.arrayValue ?? [value]).map {
                guard let string = $0.stringValue else {
                    throw Problem("\"stop\" must be a string or an array of them")
                }
                return string
            }
        }
        var sampling = options.sampling
        if let seed = try whole(json, "seed") {
            guard seed >= 0 else { throw Problem("\"seed\" is \(seed); give 0 or more") }
            sampling.seed = UInt64(seed)
        }
        return self.line(
            index: index, id: json["id"], tokens: try tokens(json), depth: try depth(json),
            stop: stop, sampling: sampling, streams: false)
    }

    /// A request with what the flags say beside it.
    func line(
        index: Int, id: JSON?, tokens: [Int32], depth: LineDepth, stop: StopRules,
        sampling: SamplingOptions, streams: Bool
    ) -> GenerateLine {
        switch depth {
        case .plan(let plan):
            GenerateLine(
                index: index, id: id,
                request: GenerationRequest(
                    tokens: tokens, plan: plan, stop: stop, sampling: sampling,
                    likeliest: options.logprobs, streams: streams), thinking: nil)
        case .thinking(let chosen):
            GenerateLine(
                index: index, id: id,
                request: GenerationRequest(
                    tokens: tokens, thinking: chosen.thinking, stop: stop, sampling: sampling,
                    likeliest: options.logprobs, streams: streams), thinking: chosen)
        }
    }

    private func whole(_ json: JSON, _ key: String) throws -> Int? {
        guard let value = json[key] else { return nil }
        guard let number = value.intValue else {
            throw Problem("\"\(key)\" is \(value.text(indent: 0)), not a whole number")
        }
        return number
    }

    private func tokens(_ json: JSON) throws -> [Int32] {
        if let values = json["tokens"]?.arrayValue {
            let ids = try values.map { value in
                guard let id = value.intValue.flatMap({ Int32(exactly: $0) }) else {
                    throw Problem(
                        "\"tokens\" holds \(value.text(indent: 0)), which is no token id")
                }
                return id
            }
            return try prefix(.ids) + ids
        }
        if let messages = json["messages"]?.arrayValue {
            guard options.chat else { throw Problem("\"messages\" needs --chat") }
            return try tokens(
                messages: messages.map { message in
                    guard let role = message["role"]?.stringValue,
                        let content = message["content"]?.stringValue
                    else {
                        throw Problem("\"messages\" holds what has no \"role\" and \"content\"")
                    }
                    return ChatTemplate.Message(role: role, content: content)
                })
        }
        guard let text = json["prompt"]?.stringValue else {
            throw Problem("expected \"prompt\", a string, or \"tokens\", an array of ids")
        }
        return try tokens(of: text)
    }

    /// The ids of a conversation that the model is to answer.
    private func tokens(messages: [ChatTemplate.Message]) throws -> [Int32] {
        guard let (template, special) = try loaded.chatTemplate() else {
            throw Problem("the model has no chat template; write the prompt out, without --chat")
        }
        guard let tokenizer = try loaded.tokenizer() else {
            throw Problem("text needs the model's tokenizer.json, which is missing")
        }
        let text = try template.render(messages, special: special)
        return try tokenizer.encode(text, addSpecialTokens: false)
    }

    /// The ids of a prompt, behind what `--bos` adds.
    func tokens(of text: String) throws -> [Int32] {
        if options.chat { return try tokens(messages: [.init(role: "user", content: text)]) }
        guard let tokenizer = try loaded.tokenizer() else {
            throw Problem(
                "text needs the model's tokenizer.json, which is missing; {\"tokens\"} lines work "
                    + "without it")
        }
        return try prefix(.text) + tokenizer.encode(text, addSpecialTokens: false)
    }

    private func prefix(_ input: BOSPolicy.Input) throws -> [Int32] {
        guard let prefix = try bos.prefix(before: input, { try loaded.tokenizer() }) else {
            throw Problem("--bos always, but the model names no BOS token")
        }
        return prefix
    }

    /// The line's own depth; the flags' where it has none. With a number of iterations it is fixed.
    private func depth(_ json: JSON) throws -> LineDepth {
        let iterations = try whole(json, "iterations")
        if let iterations, !(1...OptionRange.iterations ~= iterations) {
            throw Problem(
                "\"iterations\" is \(iterations); give 1 to \(OptionRange.iterations)")
        }
        guard let value = json["split"] else {
            guard let iterations else { return depth }
            guard let chosen = try split.resolved(for: loaded) else {
                throw Problem(
                    "\"iterations\" needs \"split\" or --split, which say what to iterate")
            }
            return .plan(try chosen.split.plan(iterations: iterations))
        }
        guard let text = value.stringValue else {
            throw Problem("\"split\" must be a string such as 7-4-5")
        }
        let layers = loaded.model.configuration.layerCount
        let notation = try SplitNotation(text, layers: layers)
        if let iterations, let written = notation.iterations, iterations != written {
            throw Problem(
                "\"iterations\" is \(iterations), but \"split\" already says \(written); give one")
        }
        if iterations == nil, notation.iterations == nil,
            let chosen = try think.chosen(notation.split, written: nil, split, for: loaded)
        {
            return .thinking(chosen)
        }
        guard let count = iterations ?? notation.iterations ?? split.iterations else {
            throw Problem(
                "\"split\" \(text) does not say how often the think block runs; add \"iterations\"")
        }
        return .plan(try notation.split.plan(iterations: count))
    }
}

extension Generation {
    /// One line of `etd generate`'s output.
    /// - Parameter passes: whether to tell how often the think block ran for each new token.
    func json(_ line: GenerateLine, passes: Bool) -> JSON {
        func ids(_ values: [Int32]) -> JSON { .array(values.map { .int(Int64($0)) }) }
        var members: [(String, JSON)] = [("index", .number(line.index))]
        if let id = line.id { members.append(("id", id)) }
        members += [
            ("prompt_tokens", ids(line.request.tokens)), ("tokens", ids(tokens)),
            ("text", .text(text)), ("finish_reason", .string(finishReason.rawValue)),
        ]
        if let chosen = line.thinking {
            members.append((chosen.json.key, chosen.json.value))
        }
        if passes || line.thinking?.thinking.rule != nil {
            members.append(("passes", .array(self.passes.map { .number($0) })))
        }
        if let own = logProbabilities, let likeliest {
            func object(_ value: TokenLogProbability, _ top: [TokenLogProbability]?) -> JSON {
                var pairs: [(String, JSON)] = [
                    ("token", .int(Int64(value.token))), ("logprob", .number(value.value)),
                ]
                if let top {
                    pairs.append(("top", .array(top.map { object($0, nil) })))
                }
                return .object(.init(uniqueKeysWithValues: pairs))
            }
            members.append(
                ("logprobs", .array(zip(own, likeliest).map { object($0, $1) })))
        }
        return .object(.init(uniqueKeysWithValues: members))
    }
}
