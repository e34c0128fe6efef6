import Files
import Models

/// The README.md of an export: what it is, what it came from, how to open it.
enum ModelCard {
    private static func head(_ job: ExportJob, tag: String) -> String {
        """
        ---
        library_name: transformers
        tags: [etd, \(tag)]
        ---

        """
    }

    private static func origin(_ job: ExportJob) -> String {
        let split = job.split
        return """
            | | |
            |---|---|
            | plan | \(job.notation): \(split.encoder) encoder, \(split.think) think and \
            \(split.decoder) decoder layers, the think block run \(job.iterations) times |
            | layers | \(job.configuration.layerCount) in the base model, \(job.executed) executed |
            | base model | \(Paths.name(of: bare(job.checkpoint.path))) \
            (\(job.configuration.architecture)), fingerprint `\(job.checkpoint.fingerprint)` |
            | made by | \(job.createdBy) |

            Encode, Think, Decode: arXiv 2510.07358. The base model's licence holds for this one.

            """
    }

    private static func bare(_ path: String) -> String {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        return path
    }

    static func unrolled(_ job: ExportJob) -> String {
        head(job, tag: "unrolled") + """
            # \(job.notation), unrolled

            An ordinary checkpoint of the base model's family in which the layers of the think block \
            are **written \(job.iterations) times**. It computes what the base model computes with its \
            think block looped, and needs nothing to know of that: load it like any checkpoint of the \
            family.

            The copies are equal but not tied: training this checkpoint lets them drift apart.

            """ + origin(job)
    }

    static func etd(_ job: ExportJob) -> String {
        head(job, tag: "looped") + """
            # \(job.notation), looped

            The base model's weights, once, with `modeling_etd.py`, which runs the think block as often \
            as asked:

            ```python
            from transformers import AutoModelForCausalLM
            model = AutoModelForCausalLM.from_pretrained(PATH, trust_remote_code=True)
            model.iterations = 2        # \(job.iterations) unless set; 1 is the base model
            ```

            **Without `trust_remote_code=True` transformers loads the base model**, since the weights \
            are the base model's.

            """ + origin(job)
    }

    static func peft(_ job: ExportJob) -> String {
        """
        ---
        library_name: peft
        tags: [etd, layer-replication]
        ---
        # \(job.notation) by layer replication

        An adapter without weights of its own (all zero): `layer_replication` in `adapter_config.json` \
        makes PEFT run the base model's think block \(job.iterations) times, its weights shared, each \
        copy with its own cache slot. Training it gives each copy a LoRA of its own.


        """ + origin(job)
    }
}
