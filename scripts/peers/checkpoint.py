"""Writes the dequantised weights of a fetched GGUF file as a Hugging Face directory, once.

    checkpoint.py FILE.gguf DIRECTORY --precision f32|bf16

Weights and configuration come from scripts/goldens/support, as for the goldens. A directory that
was made from the same file is left as it is.
"""

import argparse
import hashlib
import json
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "goldens" / "support"))

import torch
from bench import new_directory
from real_checkpoints import MODELS, load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--precision", choices=["f32", "bf16"], required=True)
    options = parser.parse_args()
    name = options.file.stem
    if name not in MODELS:
        sys.exit(
            f"{options.file}: no configuration for this GGUF; known are {', '.join(MODELS)}. "
            "For other models give a Hugging Face directory"
        )
    source = {"sha256": hashlib.sha256(options.file.read_bytes()).hexdigest()}
    record = options.folder / "source.json"
    if record.is_file() and json.loads(record.read_text()) == source:
        return
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.parent.mkdir(parents=True, exist_ok=True)
    model = load(options.file)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[options.precision]
    with new_directory(options.folder) as temporary:
        model.to(dtype).save_pretrained(temporary)
        (temporary / "source.json").write_text(json.dumps(source) + "\n")


if __name__ == "__main__":
    main()
