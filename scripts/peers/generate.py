"""Times greedy decoding in transformers or llama.cpp: the peer of scripts/bench-generate.

    generate.py --engine transformers|llama.cpp --model PATH --threads N --out F --requests F
                --new-tokens N [--precision bf16]

`requests` holds [[ids], …], all as long: they run as one batch in transformers, one after the other in
llama.cpp. The result: seconds to the first new token, seconds for all, and the new tokens.
"""

import argparse
import json
import time
from pathlib import Path


def transformers_side(arguments, prompts):
    import torch
    import torchside

    torch.set_num_threads(arguments.threads)
    model = torchside.open_model(arguments.model, arguments.precision)
    ids = torch.tensor(prompts)
    settings = dict(do_sample=False, eos_token_id=None, pad_token_id=0)

    def run(count):
        start = time.perf_counter()
        out = model.generate(ids, max_new_tokens=count, min_new_tokens=count, **settings)
        return time.perf_counter() - start, out[:, ids.shape[1]:].tolist()

    with torch.inference_mode():
        run(2)
        first, _ = run(1)
        whole, tokens = run(arguments.new_tokens)
    return {"first_s": first, "all_s": whole, "tokens": tokens, "torch": torch.__version__}


def llama_side(arguments, prompts):
    import llama_cpp

    model = llama_cpp.Llama(
        str(arguments.model), n_ctx=len(prompts[0]) + arguments.new_tokens + 8,
        n_threads=arguments.threads, n_threads_batch=arguments.threads, verbose=False)
    first = whole = 0.0
    tokens = []
    for warm in (True, False):
        for prompt in prompts[:1] if warm else prompts:
            model.reset()
            start = time.perf_counter()
            model.eval(prompt)
            new = [int(model.sample(temp=0))]
            ready = time.perf_counter()
            while len(new) < (4 if warm else arguments.new_tokens):
                model.eval(new[-1:])
                new.append(int(model.sample(temp=0)))
            if not warm:
                first += ready - start
                whole += time.perf_counter() - start
                tokens.append(new)
    return {"first_s": first, "all_s": whole, "tokens": tokens, "llama_cpp": llama_cpp.__version__}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", choices=["transformers", "llama.cpp"], required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--requests", type=Path, required=True)
    parser.add_argument("--new-tokens", type=int, required=True)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    prompts = json.loads(arguments.requests.read_text())
    side = transformers_side if arguments.engine == "transformers" else llama_side
    arguments.out.write_text(json.dumps(side(arguments, prompts)))


main()
