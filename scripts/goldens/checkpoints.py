#!/usr/bin/env python3
"""Goldens of module Checkpoints, from the reference implementations.

    pip install numpy==2.4.6 safetensors==0.8.0 gguf==0.19.0 torch==2.13.0
    python scripts/goldens/checkpoints.py [MODEL.gguf …]

Writes Tests/Goldens/checkpoints/. Models named on the command line (those of scripts/fetch-model, by
the name they are fetched under) are added to models.json; without any it is left as it is.
"""

import base64
import hashlib
import json
import pathlib
import shutil
import struct
import sys

import gguf
import numpy as np
import safetensors
import safetensors.torch
import torch
from gguf import GGMLQuantizationType as Type
from gguf import quants

OUT = pathlib.Path(__file__).resolve().parents[2] / "Tests/Goldens/checkpoints"
BLOCK_TYPES = "Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K".split()
# Blocks of a generator of their own, so that adding a type leaves the goldens of the others alone.
LOOKUP_TYPES = (
    "IQ4_NL IQ4_XS IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S IQ1_S IQ1_M MXFP4".split())
# Where the half-precision scales stand within a block.
SCALES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82],
    "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ4_NL": [0], "IQ4_XS": [0], "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0],
    "IQ3_S": [0], "IQ1_S": [0], "IQ1_M": [], "MXFP4": [],
}
# Usual, largest, subnormal (least and greatest), negative zero, infinite, NaN.
HALVES = [0x2E66, 0x7BFF, 0x0001, 0x83FF, 0x8000, 0xFC00, 0x7E01]


def text(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def canonical(values):
    """f32 bits with one pattern for every NaN."""
    bits = values.astype(np.float32, copy=False).view(np.uint32).copy()
    bits[np.isnan(values)] = 0x7FC00000
    return bits


def write(name, value):
    (OUT / name).write_text(json.dumps(value, indent=1) + "\n")


def random_blocks(rng, name, count):
    _, size = gguf.GGML_QUANT_SIZES[Type[name]]
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for index in range(count):
        for position, offset in enumerate(SCALES[name]):
            # Two usual blocks, then each kind of scale in turn, the two scales of a block different.
            half = HALVES[max(0, index - 1 + 2 * position) % len(HALVES)]
            blocks[index, offset : offset + 2] = np.frombuffer(struct.pack("<H", half), np.uint8)
        if name == "IQ1_M":
            # The scale's nibbles are on top of four words.
            words = blocks[index, 48:56].view(np.uint16)
            half = HALVES[max(0, index - 1) % len(HALVES)]
            words[:] = words & 0x0FFF | np.array([half >> 4 * i & 15 for i in range(4)]) << 12
        if name == "MXFP4":
            blocks[index, 0] = [127, 120, 255, 0, 1, 2, 254, 3][index % 8]
    return blocks


def blocks():
    rng = np.random.default_rng(20251011)
    types = {}
    for name in BLOCK_TYPES:
        raw = random_blocks(rng, name, 8)
        values = quants.dequantize(raw.reshape(1, -1), Type[name]).ravel()
        types[name] = {"count": values.size, "bytes": text(raw), "values": text(canonical(values))}
    rng = np.random.default_rng(20261124)
    for name in LOOKUP_TYPES:
        raw = random_blocks(rng, name, 8)
        values = quants.dequantize(raw.reshape(1, -1), Type[name]).ravel()
        types[name] = {"count": values.size, "bytes": text(raw), "values": text(canonical(values))}
    # BF16: every exponent, and NaN. F64: rounding to nearest even, overflow, subnormals.
    words = np.arange(0, 65536, 61, dtype=np.uint16)
    values = quants.dequantize(words.view(np.uint8).reshape(1, -1), Type.BF16).ravel()
    types["BF16"] = {"count": words.size, "bytes": text(words), "values": text(canonical(values))}
    doubles = np.concatenate([
        rng.standard_normal(64) * 10.0 ** rng.integers(-46, 40, 64),
        [0.0, -0.0, 1 + 2**-24, 1 + 3 * 2**-24, 1 + 2**-24 + 2**-50, 3.4028235677973366e38,
         3.4028235677973362e38, 1e300, -1e300, 2**-149, 2**-150, 1.5 * 2**-150, np.inf, -np.inf,
         np.nan],
    ])
    types["F64"] = {
        "count": doubles.size, "bytes": text(doubles),
        "values": text(canonical(doubles.astype(np.float32))),
    }
    floats = np.array([0.0, -0.0, 1.5, 1e-45, 3.4028235e38, np.inf, -np.inf, np.nan], np.float32)
    types["F32"] = {"count": floats.size, "bytes": text(floats), "values": text(canonical(floats))}
    halves = np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float32)
    digest = hashlib.sha256(canonical(halves).tobytes()).hexdigest()
    write("blocks.json", {"types": types, "every_half_sha256": digest})


def stream(count):
    """Bytes that a test can make again: the top bytes of Knuth's 64-bit congruential generator."""
    state, out = 1, bytearray()
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append(state >> 56)
    return np.frombuffer(bytes(out), np.uint8)


def streams():
    """Hashes of what long random streams decode to: every entry of every grid is met."""
    hashes = {}
    for name in BLOCK_TYPES + LOOKUP_TYPES:
        size = gguf.GGML_QUANT_SIZES[Type[name]][1]
        values = quants.dequantize(stream(1024 * size).reshape(1, -1), Type[name])
        hashes[name] = hashlib.sha256(canonical(values).tobytes()).hexdigest()
    write("streams.json", {"blocks": 1024, "sha256": hashes})


def fingerprint(tensors):
    """Of (name, type, shape, bytes): the definition in Checkpoint.fingerprint, written again."""
    digest = hashlib.sha256()
    for name, kind, shape, data in sorted(tensors, key=lambda tensor: tensor[0].encode()):
        for part in (name.encode(), kind.encode()):
            digest.update(struct.pack("<Q", len(part)) + part)
        digest.update(struct.pack(f"<{len(shape) + 1}Q", len(shape), *shape))
        digest.update(struct.pack("<Q", len(data)))
        length = min(4096, len(data))
        digest.update(data[:length] + data[len(data) - length :])
    return digest.hexdigest()


TORCH_NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.bool: "BOOL", torch.uint8: "U8",
}


def describe(tensors):
    described = {}
    parts = []
    for name, tensor in tensors.items():
        raw = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        kind = TORCH_NAMES[tensor.dtype]
        parts.append((name, kind, list(tensor.shape), raw))
        described[name] = {"type": kind, "shape": list(tensor.shape)}
        if tensor.dtype.is_floating_point:
            described[name]["values"] = text(canonical(tensor.to(torch.float32).numpy().ravel()))
    return {"tensors": described, "fingerprint": fingerprint(parts)}


def safetensors_directories():
    torch.manual_seed(7)
    config = {"architectures": ["TinyForCausalLM"], "model_type": "tiny", "hidden_size": 8}
    tensors = {
        "embed.weight": torch.randn(11, 8),
        "layers.0.half": torch.randn(3, 5).to(torch.float16),
        "layers.0.brain": torch.randn(7).to(torch.bfloat16),
        "layers.0.double": torch.randn(2, 3, 2, dtype=torch.float64),
        "layers.0.scalar": torch.tensor(0.1),
        # More than 8 KiB, so that the fingerprint leaves a middle out.
        "layers.0.long": torch.randn(4099).to(torch.bfloat16),
        "layers.0.empty": torch.empty(0, 4),
        "buffer.positions": torch.arange(5),
        "buffer.mask": torch.tensor([True, False, True]),
        "buffer.bytes": torch.arange(6, dtype=torch.uint8).reshape(2, 3),
    }
    single = OUT / "single"
    single.mkdir()
    safetensors.torch.save_file(tensors, single / "model.safetensors", metadata={"format": "pt"})
    (single / "config.json").write_text(json.dumps(config, indent=2) + "\n")

    sharded = OUT / "sharded"
    sharded.mkdir()
    weights = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
    shards = {f"model-0000{i + 1}-of-00002.safetensors": {} for i in range(2)}
    weight_map = {}
    for position, (name, tensor) in enumerate(weights.items()):
        shard = list(shards)[position % 2]
        shards[shard][name] = tensor
        weight_map[name] = shard
    for shard, part in shards.items():
        safetensors.torch.save_file(part, sharded / shard, metadata={"format": "pt"})
    total = sum(tensor.nbytes for tensor in weights.values())
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    (sharded / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
    (sharded / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    write("directories.json", {"single": describe(tensors), "sharded": describe(weights)})


def headers():
    """Headers right and wrong, and whether the reference reads them."""
    plain = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}

    def changed(**changes):
        return json.dumps({"a": {**plain, **changes}})

    def without(key):
        return json.dumps({"a": {name: plain[name] for name in plain if name != key}})

    def two(**changes):
        return json.dumps({"a": plain, "b": {**plain, **changes}})

    whole = json.dumps({"a": plain})
    empty = {"dtype": "F32", "shape": [0, 3]}
    # name: (header, bytes of data, claimed length of the header or None for the true one)
    cases = {
        "plain": (whole, 8, None),
        "scalar": (changed(shape=[], data_offsets=[0, 4]), 4, None),
        "no tensors": ("{}", 0, None),
        "metadata only": ('{"__metadata__":{"format":"pt"}}', 0, None),
        "spaces after the header": (whole + "     ", 8, None),
        "unknown member": (changed(extra=1), 8, None),
        "order of the data is not that of the header": (
            json.dumps({"b": {**plain, "data_offsets": [8, 16]}, "a": plain}), 16, None),
        "empty tensor at the end": (
            json.dumps({"a": plain, "e": {**empty, "data_offsets": [8, 8]}}), 8, None),
        "empty tensor at the start": (
            json.dumps({"a": plain, "e": {**empty, "data_offsets": [0, 0]}}), 8, None),
        "size 0 beside a large one": (
            changed(shape=[0, 2**62], data_offsets=[0, 0]), 0, None),
        "every other type": (
            json.dumps({
                name: {"dtype": name, "shape": [8], "data_offsets": [8 * i, 8 * i + 8]}
                for i, name in enumerate("BOOL U8 I8 F8_E5M2 F8_E4M3 F8_E8M0".split())
            }), 48, None),
        "wide types": (
            json.dumps({
                name: {"dtype": name, "shape": [1], "data_offsets": [8 * i, 8 * i + 8]}
                for i, name in enumerate("I64 U64 C64 F64".split())
            }), 32, None),
        "types below a byte": (
            json.dumps({
                "x": {"dtype": "F4", "shape": [4], "data_offsets": [0, 2]},
                "y": {"dtype": "F6_E2M3", "shape": [4], "data_offsets": [2, 5]},
            }), 5, None),
        "half a byte": (changed(dtype="F4", shape=[3], data_offsets=[0, 1]), 1, None),
        "a gap at the start": (changed(data_offsets=[4, 12]), 12, None),
        "a gap between": (two(data_offsets=[12, 20]), 20, None),
        "bytes after the last": (whole, 9, None),
        "data without tensors": ("{}", 1, None),
        "overlapping": (two(data_offsets=[4, 12]), 12, None),
        "the same place twice": (two(), 8, None),
        "empty tensor within another": (
            json.dumps({"a": plain, "e": {**empty, "data_offsets": [4, 4]}}), 8, None),
        "data cut short": (whole, 7, None),
        "offsets far beyond": (changed(data_offsets=[0, 2**62]), 8, None),
        "offsets the wrong way round": (changed(data_offsets=[8, 0]), 8, None),
        "three offsets": (changed(data_offsets=[0, 4, 8]), 8, None),
        "one offset": (changed(data_offsets=[0]), 8, None),
        "negative offset": (changed(data_offsets=[-8, 0]), 8, None),
        "offset beyond 64 bits": (changed(data_offsets=[0, 2**70]), 8, None),
        "shape too small": (changed(shape=[1]), 8, None),
        "shape too large": (changed(shape=[3]), 8, None),
        "wrong type": (changed(dtype="F16"), 8, None),
        "negative size": (changed(shape=[-2]), 8, None),
        "two negative sizes": (changed(shape=[-1, -2]), 8, None),
        "fractional size": (changed(shape=[2.0]), 8, None),
        "size as text": (changed(shape=["2"]), 8, None),
        "shape overflows": (changed(shape=[2**62, 2**62]), 8, None),
        "shape wraps to the right size": (changed(shape=[2**63, 2]), 8, None),
        "bytes overflow": (changed(shape=[2**61]), 8, None),
        "shape overflows before a 0": (
            changed(shape=[2**62, 2**62, 0], data_offsets=[0, 0]), 0, None),
        "shape null": (changed(shape=None), 8, None),
        "no dtype": (without("dtype"), 8, None),
        "no shape": (without("shape"), 8, None),
        "no data_offsets": (without("data_offsets"), 8, None),
        "unknown dtype": (changed(dtype="F7"), 8, None),
        "dtype in lower case": (changed(dtype="f32"), 8, None),
        "dtype a number": (changed(dtype=32), 8, None),
        "dtype twice": (whole.replace('"dtype"', '"dtype": "F32", "dtype"'), 8, None),
        "tensor a list": ('{"a": [1]}', 0, None),
        "header a list": ("[]", 0, None),
        "header a number": ("1", 0, None),
        "header not JSON": ("{'a': 1}", 0, None),
        "header ends early": (whole[:-1], 8, None),
        "text after the header": (whole + "x", 8, None),
        "zero byte after the header": (whole + "\0", 8, None),
        "length 0": ("", 0, 0),
        "length 0 of more": (whole, 8, 0),
        "length beyond the file": (whole, 8, len(whole) + 9),
        "length within the header": (whole, 8, len(whole) - 1),
        "length into the data": (whole, 8, len(whole) + 4),
        "length 2^31": (whole, 8, 2**31),
        "length 2^63 - 1": (whole, 8, 2**63 - 1),
        "length 2^63": (whole, 8, 2**63),
        "length 2^64 - 1": (whole, 8, 2**64 - 1),
        "length 2^64 - 8": (whole, 8, 2**64 - 8),
    }
    written = []
    for name, (header, size, length) in cases.items():
        length = len(header.encode()) if length is None else length
        content = struct.pack("<Q", length) + header.encode() + bytes(size)
        try:
            safetensors.deserialize(content)
            accepted = True
        except safetensors.SafetensorError:
            accepted = False
        written.append({"name": name, "content": text(np.frombuffer(content, np.uint8)),
                        "accepted": accepted})
    write("headers.json", written)


def add_metadata(writer):
    writer.add_uint8("test.uint8", 200)
    writer.add_int8("test.int8", -100)
    writer.add_uint16("test.uint16", 60000)
    writer.add_int16("test.int16", -30000)
    writer.add_uint32("test.uint32", 4000000000)
    writer.add_int32("test.int32", -2000000000)
    writer.add_uint64("test.uint64", 2**63 + 1)
    writer.add_int64("test.int64", -(2**63))
    writer.add_float32("test.float32", 0.1)
    writer.add_float64("test.float64", 0.1)
    writer.add_bool("test.bool", True)
    writer.add_string("test.string", "Grüße, 世界")
    writer.add_array("test.ints", [1, -2, 300000])
    writer.add_array("test.floats", [0.5, -1.25])
    writer.add_array("test.bools", [True, False, True])
    # Two tokens that are canonically equal, and one that is not UTF-8.
    writer.add_array("test.tokens", [b"\xc3\xa9", b"e\xcc\x81", b"\xff\xfe", b"", b"plain"])


def gguf_files():
    described = {}
    for file, alignment in (("tiny.gguf", None), ("aligned.gguf", 128), ("split.gguf", None)):
        # All but the second hold the same tensors, in one file or in three.
        if file != "aligned.gguf":
            rng = np.random.default_rng(20251012)
        split = 3 if file == "split.gguf" else 0
        writer = gguf.GGUFWriter(OUT / file, "tiny", split_max_tensors=split)
        if alignment:
            writer.add_custom_alignment(alignment)
        add_metadata(writer)
        floats = rng.standard_normal((3, 5)).astype(np.float32)
        tensors = {
            "plain.f32": (floats, Type.F32),
            "plain.f16": (floats.astype(np.float16), Type.F16),
            "plain.f64": (floats.astype(np.float64), Type.F64),
            "plain.bf16": (quants.quantize(floats, Type.BF16), Type.BF16),
            "cube.f32": (rng.standard_normal((2, 3, 4)).astype(np.float32), Type.F32),
            "block.q8_0": (
                quants.quantize(rng.standard_normal((3, 64)).astype(np.float32), Type.Q8_0),
                Type.Q8_0),
            "block.q4_1": (
                quants.quantize(rng.standard_normal((2, 96)).astype(np.float32), Type.Q4_1),
                Type.Q4_1),
            "block.q6_K": (random_blocks(rng, "Q6_K", 2).reshape(2, -1), Type.Q6_K),
        }
        parts = []
        members = {}
        for name, (array, kind) in tensors.items():
            writer.add_tensor(name, array, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        if split:
            continue
        reader = gguf.GGUFReader(OUT / file)
        assert reader.alignment == (alignment or 32)
        for tensor in reader.tensors:
            shape = [int(size) for size in tensor.shape[::-1]]
            if tensor.tensor_type == Type.F64:
                values = tensor.data.astype(np.float32).ravel()
            else:
                values = quants.dequantize(tensor.data, tensor.tensor_type).ravel()
            kind = tensor.tensor_type.name
            parts.append((tensor.name, kind, shape, tensor.data.tobytes()))
            members[tensor.name] = {"type": kind, "shape": shape, "values": text(canonical(values))}
        described[file] = {"tensors": members, "fingerprint": fingerprint(parts)}
    write("gguf.json", described)


def models(paths):
    """Of each model: the table, the fingerprint, and hashes of whole dequantised tensors."""
    described = {}
    for path in map(pathlib.Path, paths):
        reader = gguf.GGUFReader(path)
        parts = []
        seen = {}
        hashes = {}
        for tensor in reader.tensors:
            kind = tensor.tensor_type.name
            parts.append((tensor.name, kind, [int(n) for n in tensor.shape[::-1]],
                          tensor.data.tobytes()))
            seen[kind] = seen.get(kind, 0) + 1
            # The first two of each type, but not Gemma's embedding of 168 million elements.
            if seen[kind] <= 2 and tensor.n_elements < 100_000_000:
                values = quants.dequantize(tensor.data, tensor.tensor_type)
                hashes[tensor.name] = hashlib.sha256(values.tobytes()).hexdigest()
        tokens = reader.get_field("tokenizer.ggml.tokens").contents()
        described[path.stem] = {
            "tensors": len(reader.tensors), "types": seen, "fingerprint": fingerprint(parts),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "dequantised": hashes,
            "tokens": len(tokens),
            "tokens_sha256": hashlib.sha256("\0".join(tokens).encode()).hexdigest(),
        }
    write("models.json", described)


def main():
    for name in ("single", "sharded"):
        shutil.rmtree(OUT / name, ignore_errors=True)
    OUT.mkdir(parents=True, exist_ok=True)
    with np.errstate(all="ignore"):
        blocks()
        streams()
        safetensors_directories()
        headers()
        gguf_files()
        if sys.argv[1:]:
            models(sys.argv[1:])


main()
