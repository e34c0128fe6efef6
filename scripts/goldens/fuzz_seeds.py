#!/usr/bin/env python3
"""Small whole files that fuzzing starts from: Tests/Goldens/fuzz/<target>/seed-*.

    pip install numpy==2.4.6 gguf==0.19.0
    python scripts/goldens/fuzz_seeds.py

The other goldens are seeds too (scripts/fuzz), but large ones are cut off before the fuzzer reaches
their end. What stands here has every construct of a format in a few hundred bytes.
"""

import json
import pathlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

OUT = pathlib.Path(__file__).resolve().parents[2] / "Tests/Goldens/fuzz"
LOOKUP = "IQ4_NL IQ4_XS IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S IQ1_S IQ1_M MXFP4".split()
INTEGER = "Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K".split()


def write_gguf(name, architecture, fill):
    (OUT / "gguf").mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(OUT / "gguf" / f"seed-{name}.gguf", architecture)
    fill(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def model(writer, names, rows, kv_heads=1, rms=True, biases=(), **others):
    """One layer of width 4 with two heads, an MLP of width 6.

    names: the weights, biases: the biases that the file holds. others: shapes of this family's own.
    """
    writer.add_block_count(1)
    writer.add_embedding_length(4)
    writer.add_feed_forward_length(6)
    writer.add_context_length(16)
    writer.add_head_count(2)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(2)
    (writer.add_layer_norm_rms_eps if rms else writer.add_layer_norm_eps)(1e-5)
    shapes = {
        "token_embd": (rows, 4), "output_norm": (4,), "blk.0.attn_norm": (4,),
        "blk.0.attn_q": (4, 4), "blk.0.attn_k": (2, 4), "blk.0.attn_v": (2, 4),
        "blk.0.attn_output": (4, 4), "blk.0.ffn_norm": (4,), "blk.0.ffn_gate": (6, 4),
        "blk.0.ffn_up": (6, 4), "blk.0.ffn_down": (4, 6), "blk.0.attn_q_norm": (2,),
        "blk.0.attn_k_norm": (2,), "blk.0.post_attention_norm": (4,), "blk.0.post_ffw_norm": (4,),
        "output": (rows, 4), "position_embd": (16, 4), "blk.0.attn_qkv": (4 + 4 * kv_heads, 4),
        "rope_freqs": (1,), "rope_factors_short": (1,), "rope_factors_long": (1,),
        **{f"blk.0.{name}": shape for name, shape in others.items()},
    }
    for name in names:
        writer.add_tensor(f"{name}.weight", np.ones(shapes[name], np.float16), raw_dtype=Type.F16)
    for name in biases:
        writer.add_tensor(f"{name}.bias", np.ones(shapes[name][:1], np.float16), raw_dtype=Type.F16)


PLAIN = ("token_embd output_norm blk.0.attn_norm blk.0.attn_q blk.0.attn_k blk.0.attn_v "
         "blk.0.attn_output blk.0.ffn_norm blk.0.ffn_gate blk.0.ffn_up blk.0.ffn_down").split()
NORMS = ("blk.0.attn_q_norm blk.0.attn_k_norm blk.0.post_attention_norm "
         "blk.0.post_ffw_norm").split()


def llama(writer):
    tokens = ["a", "b", "ab", "Ġ", "<s>"]
    model(writer, PLAIN, len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(tokens)
    writer.add_token_types([1, 1, 1, 1, 3])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(4)
    writer.add_add_bos_token(True)


def gemma3(writer):
    tokens = ["<unk>", "<s>", "</s>", "▁", "a", "▁a", "<0x0A>"]
    model(writer, PLAIN + NORMS, len(tokens))
    writer.add_sliding_window(8)
    writer.add_rope_freq_base(1e6)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0, 0.0, 0.0, -1.0, -2.0, -0.5, 0.0])
    writer.add_token_types([2, 3, 3, 1, 1, 1, 6])
    writer.add_add_space_prefix(True)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


FUSED = ("token_embd output_norm blk.0.attn_norm blk.0.attn_qkv blk.0.attn_output blk.0.ffn_norm "
         "blk.0.ffn_up blk.0.ffn_down").split()


def llama3(writer):
    model(writer, PLAIN + ["output", "rope_freqs"], 5)


def qwen2(writer):
    model(writer, PLAIN, 5, biases=["blk.0.attn_q", "blk.0.attn_k", "blk.0.attn_v"])
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(4.0)
    writer.add_rope_scaling_orig_ctx_len(8)


def qwen3(writer):
    model(writer, PLAIN + NORMS[:2], 5)
    writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    writer.add_rope_scaling_factor(2.0)


def olmo(writer):
    model(writer, [name for name in PLAIN if "norm" not in name], 5, rms=False)
    writer.add_clamp_kqv(8.0)


def olmo2(writer):
    names = [name for name in PLAIN if name not in ("blk.0.attn_norm", "blk.0.ffn_norm")]
    model(writer, names + NORMS, 5, attn_q_norm=(4,))
    writer.add_sliding_window(8)


def gptneox(writer):
    model(writer, FUSED + ["output"], 5, kv_heads=2, rms=False, biases=FUSED[1:])
    writer.add_parallel_residual(True)
    writer.add_rope_dimension_count(2)


def gpt2(writer):
    model(writer, FUSED + ["position_embd"], 5, kv_heads=2, rms=False, biases=FUSED[1:])


def phi3(writer):
    names = FUSED + ["output", "rope_factors_short", "rope_factors_long"]
    model(writer, names, 5, ffn_up=(12, 4))
    writer.add_rope_scaling_orig_ctx_len(8)
    writer.add_sliding_window(8)


def blocks(types):
    def fill(writer):
        rng = np.random.default_rng(7)
        for name in types:
            _, size = gguf.GGML_QUANT_SIZES[Type[name]]
            writer.add_tensor(name, rng.integers(0, 256, (1, size), np.uint8), raw_dtype=Type[name])
    return fill


def part(writer):
    writer.add_uint16("split.no", 0)
    writer.add_uint16("split.count", 2)
    writer.add_int32("split.tensors.count", 2)
    writer.add_tensor("a", np.ones(1, np.float32))


def tokenizer(name, vocabulary, merges, options=None, **parts):
    folder = OUT / "tokenizer"
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": None,
        "post_processor": None, "decoder": None, **parts,
        "model": {"type": "BPE", "vocab": {token: i for i, token in enumerate(vocabulary)},
                  "merges": merges, **(options or {})},
    }
    (folder / f"seed-{name}.json").write_text(json.dumps(content, ensure_ascii=False) + "\n")


def tokenizers():
    def sequence(kind, *steps):
        return {"type": "Sequence", kind: list(steps)}

    def split(pattern, behavior, invert=False):
        return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior,
                "invert": invert}

    added = [
        {"id": 9, "content": "<s>", "single_word": False, "lstrip": True, "rstrip": False,
         "normalized": False, "special": True},
        {"id": 10, "content": "a b", "single_word": True, "lstrip": False, "rstrip": True,
         "normalized": True, "special": False},
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True,
                  "use_regex": True}
    template = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                   {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [9], "tokens": ["<s>"]}},
    }
    tokenizer("byte-level", ["H", "e", "He", "Ġ", "Ġw"], ["H e"],
              pre_tokenizer=byte_level, decoder=byte_level, post_processor=byte_level)
    tokenizer("template", ["a", "b", "ab"], ["a b"], added_tokens=added, post_processor=template)
    tokenizer(
        "fallback", ["<unk>", "▁", "a", "▁a", "<0x0A>", "<0xE4>"], ["▁ a"],
        {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True, "ignore_merges": True},
        normalizer=sequence(
            "normalizers", {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}),
        decoder=sequence(
            "decoders", {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}))
    tokenizer(
        "splits", ["a", "1"], [],
        normalizer=sequence("normalizers", *[{"type": t} for t in "NFC NFD NFKC NFKD Lowercase".split()]),
        pre_tokenizer=sequence(
            "pretokenizers", split(r"(?i:'s|'t)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|\s+(?!\S)|\s+",
                                   "Isolated"),
            split(r"[a-z]++", "Removed", True), split("x", "MergedWithPrevious"),
            split("y", "MergedWithNext"), split(r"(?<=z)\d", "Contiguous"),
            {"type": "Digits", "individual_digits": True}))
    tokenizer(
        "metaspace", ["▁", "a</w>", "##b"], [],
        {"continuing_subword_prefix": "##", "end_of_word_suffix": "</w>"},
        pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first",
                       "split": True},
        decoder={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first",
                 "split": True})
    pieces = [["<unk>", 0.0], ["▁", -2.0], ["a", -2.5], ["▁a", -1.5], ["ab", -3.0]]
    families = json.loads((OUT.parent / "tokenizers/families.json").read_text())
    charsmap = next(case for case in families["cases"] if case["name"] == "xlm-roberta")
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    tokenizer(
        "unigram", [], [],
        {"type": "Unigram", "unk_id": 0, "byte_fallback": False, "vocab": pieces},
        normalizer=charsmap["components"]["normalizer"], pre_tokenizer=metaspace,
        decoder=metaspace)
    tokenizer(
        "unigram-bytes", [], [],
        {"type": "Unigram", "unk_id": 0, "byte_fallback": True,
         "vocab": pieces + [["<0x0A>", 0.0], ["<0xE4>", 0.0]]},
        normalizer=sequence(
            "normalizers", {"type": "Nmt"}, {"type": "Strip", "strip_left": True,
                                             "strip_right": True},
            {"type": "NFD"}, {"type": "StripAccents"}),
        pre_tokenizer=sequence(
            "pretokenizers", {"type": "WhitespaceSplit"},
            {"type": "Punctuation", "behavior": "Isolated"}),
        decoder=sequence("decoders", {"type": "ByteFallback"}, {"type": "Fuse"}))
    tokenizer(
        "words", ["a", "##b", "l</w>", "[MASK]"], [],
        {"continuing_subword_prefix": "##", "end_of_word_suffix": "</w>"},
        normalizer={"type": "ByteLevel"}, pre_tokenizer={"type": "Whitespace"},
        decoder={"type": "BPEDecoder", "suffix": "</w>"},
        post_processor={"type": "RobertaProcessing", "sep": ["a", 0], "cls": ["[MASK]", 3],
                        "trim_offsets": True, "add_prefix_space": True})


def write_json(target, name, content):
    folder = OUT / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed-{name}.json").write_text(json.dumps(content, ensure_ascii=False) + "\n")


def estimates(*names, value=0.5):
    return {key: number for name in names for key, number in ((name, value), (name + "_se", 0.1))}


def interval(name, value=0.5):
    return {name: value, name + "_low": value - 0.1, name + "_high": value + 0.1}


def reports():
    layers = {
        "schema": "etd-layers/v1",
        "model": {"path": "m", "architecture": "llama", "layers": 4, "hidden_size": 8,
                  "vocab_size": 9, "parameters": 1000, "fingerprint": "f", "sha256": {"a": "b"}},
        "data": {"path": "d", "documents": 3, "tokens": 99, "sequence_length": 33, "bos": "auto"},
        "precision": "f32",
        "layers": [{"index": i, **estimates("angular_distance", "angular_distance_last",
                                            "block_influence", "contribution",
                                            "contribution_cosine", value=0.1 * (1 + i % 3)),
                    "scores": {"relevance": 0.1}} for i in range(4)],
        "boundaries": [{"index": i, **estimates("entropy", "kl_to_final", "top1_agreement",
                                                "effective_rank", value=0.1 * i)}
                       for i in range(5)],
    }
    think = {"encoder": 1, "think": 2, "decoder": 1}
    curve = {"x": [0, 1, 2, 3], "normalized": [0, 0.5, 0.9, 1], "difference": [0, 0.2, 0.3, 0],
             "threshold": 0.1, "knee": 2}
    split = {
        "schema": "etd-split/v1", "split": think, "notation": "1-2*k-1",
        "iterations": {"recommended": 2, "maximum": 4},
        "model": {"architecture": "llama", "layers": 4, "fingerprint": "f"}, "method": "kneedle",
        "confidence": 0.9, "abstained": False, "reason": None,
        "alternatives": [{"split": {"encoder": e, "think": t, "decoder": 4 - e - t},
                          "scores": {"mean_angular_distance": 0.1 * t}}
                         for t in (1, 2) for e in (0, 1, 2)],
        "evidence": {"kneedle": {"proposal": think,
                                 "values": {"sensitivity": 1, "forward": curve,
                                            "reversed": curve}}},
        "cost": [{"k": 2, "flops_per_token": 1e6, "kv_bytes_per_token": 512}], "created_by": "t",
    }
    run = {
        "schema": "etd-run/v1", "created": "2026-01-01T00:00:00Z", "arguments": ["probe", "a b"],
        "versions": {"etd": "1"}, "blas_core_type": "b", "threads": 2, "hashes": {"model": "h"},
        "tokens": 99, "peak_rss_bytes": 1 << 20,
        "timings": {"open_s": 0.1, "tokenize_s": 0.1, "pass_s": 3, "total_s": 61},
        "self_checks": [{"name": "head", "value": 0, "limit": 0.1}],
    }
    write_json("report", "run", {"layers": layers, "split": split, "run": run})
    abstained = {**split, "split": None, "abstained": True, "reason": "too thin"}
    boundaries = [{**b, "tuned": estimates("kl_from_final", "entropy")}
                  for b in layers["boundaries"]]
    reading = {**interval("accuracy"), "macro_f1": 0.5, "control_accuracy": 0.4,
               **interval("selectivity", 0.2), "code_length_bits": 10, "compression": 1.2,
               "strength": 1, "control_strength": 1}
    probes = {
        "seed": "7", "plan": "1-2*2-1",
        "boundaries": [{"index": 0, "layer": None, "iteration": None},
                       {"index": 1, "layer": 0, "iteration": 1}],
        "tasks": [{"name": f"task_{kind}", "kind": kind, "difficulty": 2, "path": None,
                   "classes": ["a", "b"], "examples": {"train": 6, "validation": 2, "test": 2},
                   "majority": 0.5, "readable_at": 1, "surface": False,
                   "ridge": [reading] * 2, "logistic": [reading] * 2}
                  for kind in ("reasoning", "surface")],
        "relevance": [{"step": 0, **interval("score"), **interval("reasoning_gain"),
                       **interval("surface_gain")}],
    }
    cka = [[1 if i == j else 0.5 for j in range(3)] for i in range(3)]
    tuned = {"path": "t", "sha256": "s", "tokens": 5, "data": "d", "precision": "f32"}
    write_json("report", "abstained", {
        "layers": {**layers, "boundaries": boundaries, "cka": cka, "tuned_lens": tuned,
                   "probes": probes}, "split": abstained})
    write_json("report", "split-alone", {"split": split})


def dumps():
    attributes = {
        "schema": "etd-activations/v1", "model": {"path": "m", "fingerprint": "f", "layers": 2},
        "tokenizer_sha256": "t", "data": {"path": "d", "sha256": "s", "documents": 2, "tokens": 3},
        "created_by": "c", "settings": {"sites": ["resid"], "dtype": "f32"}, "complete": 1,
    }
    tables = {
        "tokens/id": [5, 6, 7], "tokens/document": [0, 0, 1], "tokens/position": [0, 1, 0],
        "documents/offset": [0, 2], "documents/length": [2, 1],
        "documents/sha256": ["a", "b"],
    }
    sites = {"resid": {"shape": [2, 3, 2], "layers": [0, 1], "encoding": "float32",
                       "max_abs": [0, 0]}}
    whole = {"attributes": attributes, "tables": tables, "sites": sites}
    write_json("dump", "whole", whole)
    write_json("dump", "heads", {
        **whole, "attributes": {**attributes, "shard": [1, 2]},
        "tables": {**tables, "labels/task": [1, 2], "documents/text": ["x", "y"]},
        "sites": {"q@think2": {**sites["resid"], "shape": [2, 3, 2, 2], "encoding": "bfloat16"},
                  "k": {**sites["resid"], "encoding": "float16"}}})
    write_json("dump", "moments", {
        "attributes": attributes,
        "moments": {"resid": {"layers": [0, 1], "width": 3, "rows": 2, "mean": 0.0}}})


def main():
    write_gguf("llama", "llama", llama)
    write_gguf("gemma3", "gemma3", gemma3)
    write_gguf("llama3", "llama", llama3)
    for fill in (qwen2, qwen3, olmo, olmo2, gptneox, gpt2, phi3):
        write_gguf(fill.__name__, fill.__name__, fill)
    write_gguf("lookup", "tiny", blocks(LOOKUP))
    write_gguf("integer", "tiny", blocks(INTEGER))
    write_gguf("part", "tiny", part)
    tokenizers()
    reports()
    dumps()


main()
