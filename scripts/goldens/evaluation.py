"""Goldens of the border between context and continuation, from lm-evaluation-harness's rule.

    pip install -r requirements.txt
    python scripts/goldens/evaluation.py

Run it again whenever tokenizers.py has written its tokenizers anew: the ids here are theirs.

Writes Tests/Goldens/evaluation/borders.json: for three tokenizers of Tests/Goldens/tokenizers, the ids
of (context, continuation) pairs and how many of them are the context's. The rule is that of
`TemplateLM._encode_pair` and `TemplateLM.loglikelihood` in lm_eval/api/model.py; Python's own
`str.rstrip` says here, too, what white space is. A context of white space alone, which the harness
leaves without any context where the tokenizer adds no BOS, is treated as an empty one.
"""

import json
import sys
from pathlib import Path

sys.path = [p for p in sys.path if not p.rstrip("/").endswith("scripts/goldens")]  # tokenizers.py

import tokenizers

GOLDENS = Path(__file__).resolve().parents[2] / "Tests" / "Goldens"

# Name, BOS id, EOS id: what a configuration beside the file would say.
TOKENIZERS = [
    ("byte-level-digits", None, 0), ("byte-level-digits", 1, 0),
    ("replace-byte-fallback", 2, 1), ("prepend-replace", 1, 2),
]

PAIRS = [
    ("Question: 2+2? Answer:", " 4"),
    ("Question: 2+2? Answer: ", "4"),
    ("Two blanks behind  ", "here"),
    ("A line ends here\n", "and goes on"),
    ("Windows\r\n", "lines"),
    ("Tab\t\u00a0\u3000", "wide and no-break spaces"),
    ("Separators\u001c\u001d\u001e\u001f", "that Python strips too"),
    ("Next line\u0085\u2028\u2029", "paragraphs"),
    ("Zero width\u200b", "is no white space"),
    ("\ufeffMark", " and text"),
    ("half a wo", "rd"),
    ("e", "\u0301 combining"),
    ("", "Nothing before"),
    ("", " a blank before"),
    ("   ", "only blanks before"),
    ("\n\n", "only lines before"),
    ("\u001f ", "only odd blanks before"),
    ("", "<s>starts with BOS"),
    ("", "<bos>starts with BOS"),
    ("", "<|im_start|>starts with BOS"),
    ("", "<|endoftext|>starts with EOS"),
    ("caf\u00e9 12345 ", "\u4e2d\u6587 678"),
]


def encode_pair(encode, context, continuation):
    stripped = context.rstrip()
    whole = encode(stripped + context[len(stripped):] + continuation)
    count = len(encode(stripped))
    return whole[:count], whole[count:]


def split(tokenizer, start, context, continuation):
    def encode(text):
        # A template's suffix would stand between context and continuation; the harness cuts it off
        # where it knows of it, and this project always does.
        ids = tokenizer.encode(text).ids
        bare = tokenizer.encode(text, add_special_tokens=False).ids
        place = next(i for i in range(len(ids) + 1) if ids[i:i + len(bare)] == bare)
        return ids[: place + len(bare)]

    if not context.strip():
        ids = tokenizer.encode(context + continuation, add_special_tokens=False).ids
        return (ids[:1], ids[1:]) if ids[0] == start else ([start], ids)
    return encode_pair(encode, context, continuation)


def main():
    sets = []
    for name, bos, eos in TOKENIZERS:
        path = GOLDENS / "tokenizers" / f"{name}.tokenizer.json"
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
        start = eos if bos is None else bos
        cases = []
        for context, continuation in PAIRS:
            head, tail = split(tokenizer, start, context, continuation)
            cases.append({
                "context": context, "continuation": continuation, "ids": head + tail,
                "first": len(head),
            })
        sets.append({"tokenizer": name, "bos": bos, "eos": eos, "cases": cases})
    out = GOLDENS / "evaluation" / "borders.json"
    out.parent.mkdir(exist_ok=True)
    lines = json.dumps({"made_with": f"tokenizers {tokenizers.__version__}", "sets": sets}, indent=1)
    out.write_text(lines + "\n")


main()
