import Evaluation
import Inference
import ModelStore
import Models
import Plans
import Tokenizers

/// Answers of benchmarks by the scheduler: questions in one batch, their examples computed once.
final class SchedulerAnswers: AnswerGenerating {
    private let plans: [LayerPlan]
    private let thinking: [Thinking?]
    private let scheduler: Scheduler
    private let ends: Set<Int32>

    /// - Throws: what finding the end tokens throws.
    init(
        _ loaded: LoadedModel, tokenizer: Tokenizer, plans: [LayerPlan], thinking: [Thinking?]
    ) throws {
        self.plans = plans
        self.thinking = thinking
        scheduler = Scheduler(model: loaded.model, detokenizer: Detokenizer(tokenizer))
        ends = try EndTokens.of(loaded)
    }

    func answer(_ requests: [AnswerRequest], plan: Int) throws -> [GeneratedAnswer] {
        try scheduler.generate(
            requests.map { request in
                let stop = StopRules(
                    maximumTokens: request.maximumTokens, tokens: ends, strings: request.stops)
                return thinking[plan].map {
                    GenerationRequest(tokens: request.tokens, thinking: $0, stop: stop)
                } ?? GenerationRequest(tokens: request.tokens, plan: plans[plan], stop: stop)
            }
        ).map { result in
            let passes = thinking[plan] == nil ? [] : result.passes
            return GeneratedAnswer(
                text: result.text ?? "", tokens: result.tokens.count,
                meanPasses: passes.isEmpty
                    ? nil : Double(passes.reduce(0, +)) / Double(passes.count))
        }
    }
}
