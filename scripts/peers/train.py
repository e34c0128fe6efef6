"""Trains a Hugging Face folder in PyTorch and measures steps: the peer of scripts/bench-train.

    train.py --model M --data tokens.u16 --threads N --out F [--precision bf16] [--compile] [--recompute]

Fused AdamW over f32 weights, clipping by global norm; bf16 by autocast. The first two steps are not measured.
"""

import resource
import time

import numpy
import torch
import transformers

import torchside


def main() -> None:
    parser = torchside.parser(__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--precision", default="f32", choices=("f32", "bf16"))
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--recompute", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    model.train()
    model.config.use_cache = False
    if options.recompute:
        model.gradient_checkpointing_enable()
    run = torch.compile(model) if options.compile else model
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    tokens = numpy.fromfile(options.data, dtype="<u2").astype(numpy.int64)
    size = options.batch * options.length
    losses, seconds = [], []
    for step in range(options.steps):
        start = time.perf_counter()
        ids = torch.from_numpy(tokens[step * size : (step + 1) * size]).view(options.batch, -1)
        with torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16"):
            logits = run(ids).logits
            loss = torch.nn.functional.cross_entropy(
                logits[:, :-1].reshape(-1, logits.shape[-1]).float(), ids[:, 1:].reshape(-1)
            )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    torchside.write(
        {"losses": losses, "tokens_per_s": [size / s for s in seconds[2:]], "peak_bytes": peak},
        options.out,
    )


if __name__ == "__main__":
    main()
