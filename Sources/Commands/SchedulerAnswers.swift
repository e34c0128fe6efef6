import Evaluation
import Inference
import ModelStore
import Models
import Plans
import Tokenizers

/// Answers of benchmarks by the scheduler: questions in one batch, their examples computed once.
final class SchedulerAnswers: AnswerGenerating {
    private let plans: [LayerPlan]
    private let scheduler: Scheduler
    private let ends: Set<Int32>

    /// - Throws: what finding the end tokens throws.
    init(_ loaded: LoadedModel, tokenizer: Tokenizer, plans: [LayerPlan]) throws {
        self.plans = plans
        scheduler = Scheduler(model: loaded.model, detokenizer: Detokenizer(tokenizer))
        ends = try EndTokens.of(loaded)
    }

    func answer(_ requests: [AnswerRequest], plan: Int) throws -> [GeneratedAnswer] {
        try scheduler.generate(
            requests.map { request in
                GenerationRequest(
                    tokens: request.tokens, plan: plans[plan],
                    stop: StopRules(
                        maximumTokens: request.maximumTokens, tokens: ends, strings: request.stops))
            }
        ).map { GeneratedAnswer(text: $0.text ?? "", tokens: $0.tokens.count) }
    }
}
