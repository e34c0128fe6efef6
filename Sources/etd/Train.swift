import ArgumentParser
import Commands

struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Train a model with its think block iterated.",
        discussion: """
            Reads a configuration in YAML, trains, and leaves in the folder that `out` names metrics.jsonl \
            (a line a step) and checkpoint-<step> folders, which transformers and every command here open as \
            they are. Run again, the same command goes on from the latest checkpoint, with the bytes of a \
            training that never stopped. Ctrl-C, or SIGTERM, writes a checkpoint after the step at hand \
            and stops.

            A configuration; what is left out has the value shown, but for the first group, which has to \
            be there:

              model: ./OLMo-2-0425-1B   # or a run's folder, or one of its checkpoints
              data: [{path: tokens.u16, weight: 1}]   # .u16 .u32 .npy .jsonl[.gz]
              sequence_length: 1024
              batch_size: 8             # sequences a step
              steps: 1000
              optimizer: {name: adamw, lr: 7.4e-5, betas: [0.9, 0.95], eps: 1.0e-8, weight_decay: 0.1, \
            decay_norms: true, decay_embeddings: false}   # muon: matrices by Muon
              out: RUN

              split: 7-4-5              # which layers iterate, or a split.json; none: the plain model
              iterations: 3             # or {sample: uniform, low: 1, high: 5}, \
            {sample: lognormal_poisson, mean: 3, sigma: 0.5, high: 8}, {curriculum: [[0, 1], [1000, 3]]}
              micro_batch_size: 8       # sequences that go through together
              shuffle: false
              schedule: {name: linear, warmup_steps: 0, final_lr: 0}   # cosine, wsd (decay_steps), constant
              clip_norm: 1.0
              z_loss: 0
              precision: f32            # bf16: products of bf16 values, everything else f32
              seed: 0
              checkpoint_every: 1000
              trains: all               # think: the think block; lora: with the next key
              lora: {rank: 8, alpha: 16, targets: [q, k, v, o, gate, up, down]}
              backprop_passes: 1        # gradients through the last passes alone; left out: all
              keep: auto                # activations, or inputs: less memory, a third more time
              memory_limit: 3GiB        # what auto goes by
              validation: {data: held-out.u16, every: 100, sequences: 16}
              reset_optimizer: false    # true: moments at zero where model is a checkpoint of a training
              repetition_filter: {max_period: 13, min_count: 32}
              loss_mask: mask.u8        # a byte for each token of the one data file, 0: not learned
              document_attention: false # true: documents of a window do not see each other

            Paths are relative to where the command runs. A line of metrics.jsonl has step, loss (= ce + \
            z_loss), ce, z_loss, grad_norm (before clipping), pass_grad_norms (the loss's gradient at the \
            state that each pass receives), lr, iterations, tokens (of the step), tokens_per_s, and \
            validation_ce where it was measured.

            Examples:
              etd train --config mid-training.yaml
              etd train --config mid-training.yaml --set optimizer.lr=1.0e-4 --set out=RUN2
              etd train --config mid-training.yaml --plot
            """)

    @Option(help: ArgumentHelp("The configuration.", valueName: "file"))
    var config: String

    @Option(
        name: .customLong("set"),
        help: ArgumentHelp(
            "Change a key of the configuration; may be given several times.",
            discussion: "Dots stand between the parts of a key: optimizer.lr=1.0e-4.",
            valueName: "key=value"))
    var overrides: [String] = []

    @Option(
        help: ArgumentHelp(
            "Threads to work with. Default: all cores. Results do not depend on it.",
            valueName: "n"))
    var threads: Int?

    @Flag(help: "Begin anew: checkpoints and metrics of the run that is there go.")
    var overwrite = false

    @Flag(help: "Print the curves of the run so far instead of training.")
    var plot = false

    @OptionGroup var output: OutputOptions

    func validate() throws {
        if let threads, threads < 1 || threads > 4096 {
            throw ValidationError("--threads must be between 1 and 4096, not \(threads)")
        }
    }

    func run() throws {
        let run = TrainRun(
            configuration: config, overrides: overrides, threads: threads, overwrite: overwrite,
            quiet: output.quiet)
        if plot { try Terminal.write(run.plot()) } else { try run.run() }
    }
}
